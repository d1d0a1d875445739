"""Takes down a person's own word that they treat somebody, where nobody else has told of it.

The word holds for 24 hours and for that person alone. It raises an alarm, opens a case for a privacy
officer, and stands in the log, where the resident reads it. A reason that one organisation gives again
and again is a feed that is missing – visits, referrals, appointments, contracts – and is told as that.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from consent.model import DenyTell, Reason
from gateway.audit.events import Body, Kind, Outcome
from gateway.exchange import casework
from gateway.exchange.person import Evidence, evidence_place, meet, pack_evidence
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import inbox, presence
from gateway.store.cases import CaseRow
from gateway.store.engine import Tx

HOUR: Final = 3_600_000_000
SELF_CLAIM: Final = "self-claim"
CLAIM_LIFE: Final = 24 * HOUR
SHORTEST: Final = 6  # characters; "看病" explains nothing
DIFFERENT: Final = 4  # of them letters; "看看看看看看" explains no more
MISSING_FEED: Final = "missing-feed"
COUNTED: Final = 30 * 24 * HOUR
OFTEN: Final = frozenset({3, 10, 30, 100, 300})
"""How often within 30 days the same reason of one organisation is told to it as a missing feed."""


def says_enough(reason: str) -> bool:
    """Is this a reason: six characters, four different letters among them?"""
    told = reason.strip()
    return len(told) >= SHORTEST and len({*filter(str.isalpha, told)}) >= DIFFERENT


async def claim_where_lacking(chart: str, reason: str, caller: Caller, services: Services) -> None:
    """Record the claim when it is the relationship alone that is lacking."""
    at = services.now()
    person = await meet(chart, caller, services, at, action="read", named=True)
    if not isinstance(person.gate, DenyTell) or person.gate.reason is not Reason.NO_RELATIONSHIP:
        return
    id = services.ids(caller.organization)(
        SELF_CLAIM, "Relationship", (chart, caller.user, str(at))
    )
    evidence = Evidence(at, at + CLAIM_LIFE, caller.user, reason)
    place = evidence_place(chart, id, SELF_CLAIM, caller.organization)
    sealed = services.vault.seal_field("relationship", place, pack_evidence(evidence))
    body = Body(request=f"claim.{at}", reason=reason).asked_by(caller)
    charts = (chart,) if chart else ()
    draft = await services.log.draft(
        Kind.RELATIONSHIP_CLAIM, Outcome.PERMIT, caller, at, body, charts
    )
    words = casework.Word("reason", caller.user, caller.name, at, reason)
    case = casework.new_case(
        SELF_CLAIM,
        id,
        chart,
        caller.user,
        caller.organization,
        [words],
        at,
        at + services.policy.emergency_review,
        services,
    )
    same = services.vault.digest("claim-reason", _bare(reason).encode())
    claim = _Claim(chart, id, caller.organization, sealed, at, draft, case, same)
    await services.db.do(_write, claim, services)


def _bare(reason: str) -> str:
    """A reason without what does not make it another: case, width, blanks, signs, digits."""
    folded = unicodedata.normalize("NFKC", reason).casefold()
    return "".join(filter(str.isalpha, folded))


@dataclass(frozen=True, slots=True)
class _Claim:
    """A claim ready to be written; `chart` is empty for a number nobody carries."""

    chart: str
    id: str
    organization: str
    sealed: bytes
    at: int
    draft: Draft
    case: CaseRow
    same: bytes


def _write(tx: Tx, claim: _Claim, services: Services) -> None:
    """Relationship, epoch, case, event and alarm in one transaction.

    The alarm names the chart as the log does. It is later than its event and earlier than the next
    one of this writer, so the event it came from can be told (`oversight.alarms`).
    """
    about = ""
    if claim.chart:
        rows.take(tx, claim.chart, 0, 1)
        tx.run(
            rows.PUT_RELATIONSHIP,
            claim.chart, claim.id, claim.organization, SELF_CLAIM, claim.sealed, claim.at,
        )  # fmt: skip
        about = services.log.tag(claim.chart)
        casework.add(tx, claim.case)
    append(tx, services.log.filing_writer, [claim.draft], services.now)
    tx.run(inbox.ADD_ALARM, SELF_CLAIM, claim.organization, about, services.now())
    place = (claim.organization, claim.same)
    tx.run(presence.ADD_REASON, *place, claim.at)
    count = tx.one(presence.COUNT_REASON, *place, claim.at - COUNTED, claim.at)
    if count is not None and int(count[0]) in OFTEN:
        tx.run(inbox.ADD_ALARM, MISSING_FEED, claim.organization, "", services.now())
