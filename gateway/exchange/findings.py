"""What a privacy officer is told beside a case: signs for and against it, and nothing clinical.

Encounters at the asking hospital around the time, who the person is to the one who looked, the hour,
how often, and counts of what was opened. Content is never opened for it; names are compared, not told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from consent.model import RelationshipKind
from gateway.audit.events import Body, Kind, Outcome
from gateway.exchange import casework, emergency, staff
from gateway.exchange.event_bodies import bodies
from gateway.exchange.grants import counted
from gateway.exchange.person import ALL_TIERS, manifests, relationships_of
from gateway.records import facts as facts_
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import accounts, emergencies
from gateway.store import charts as rows
from gateway.store import oversight as listed
from gateway.store.cases import CaseRow
from gateway.store.emergencies import GrantRow
from gateway.vault import ChartTier, Grant, SealBroken, Tier

NEAR = 24 * 3_600_000_000
MONTH = 30 * casework.DAY
DAY_BEGINS, DAY_ENDS = 8, 18  # the county's working hours, Monday to Friday
MOST_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Findings:
    """Signs of one case. Counts are of the last 30 days, this access not counted.

    `encounter` is whether the hospital had the patient around that time; `ordinary` whether a
    treatment relationship stood, so that the glass need not have been broken. `over` of `opened`
    records were shown by nothing but the emergency. `labels` counts protected categories.
    """

    encounter: bool
    ordinary: bool
    same_surname: bool
    own_name: bool
    colleague: bool
    out_of_hours: bool
    reason: str
    until: int
    ended: int
    second: str
    by_person: int
    by_unit: int
    same_reason: int
    opened: int = 0
    over: int = 0
    kinds: tuple[tuple[str, int], ...] = ()
    labels: tuple[tuple[str, int], ...] = ()

    def kept(self) -> dict[str, str]:
        """As words for the case, which keeps what its verdict rested on."""
        plain = msgspec.to_builtins(
            {name: getattr(self, name) for name in self.__dataclass_fields__}
        )  # fmt: skip
        return {
            name: " ".join(f"{kind}={count}" for kind, count in value)
            if isinstance(value, tuple | list)
            else str(value)
            for name, value in plain.items()
        }


async def gathered(row: CaseRow, caller: Caller, services: Services) -> Findings | None:
    """The signs of an access; None for a case that is not about one. An `audit-read` event."""
    casework.must_be_officer(caller)
    if row.kind == "suspension":
        return None
    at = services.now()
    body = Body(request=f"case.{at}", details={"case": row.id, "kind": row.kind}).asked_by(caller)
    charts = (row.chart,) if row.chart else ()
    await services.log.note(Kind.AUDIT_READ, Outcome.PERMIT, caller, at, body, charts)
    found = await services.db.read(emergencies.ONE, row.id) if row.kind == "emergency" else ()
    grant = GrantRow(*found[0]) if found else None
    start = grant.start if grant else row.opened
    known = await rows.grounds(services.db, row.chart, row.organization)
    before = [
        one
        for one in await services.db.read(
            emergencies.BY_PERSON, row.login, row.organization, start - MONTH, start - 1
        )
        if casework.related(one[1], row.organization, services)
    ]
    mine = [one for one in before if one[0] == row.login]
    surname, own_name, colleague = await _names(row, known, services)
    opened, over, kinds, labels = await _opened(grant, known, services)
    ordinary = False
    if grant is not None:
        try:
            ordinary = emergency.words_of(grant, services).ordinary
        except SealBroken:
            ordinary = False
    return Findings(
        encounter=_encounter(row, known, start, services),
        ordinary=ordinary,
        same_surname=surname,
        own_name=own_name,
        colleague=colleague,
        out_of_hours=_out_of_hours(moment(start, services.settings.zone)),
        reason=grant.reason if grant else "",
        until=grant.end if grant else 0,
        ended=grant.closed if grant else 0,
        second=grant.approver if grant else "",
        by_person=len(mine),
        by_unit=len([one for one in before if one[1] == row.organization]),
        same_reason=len([one for one in mine if grant and one[2] == grant.reason]),
        opened=opened,
        over=over,
        kinds=tuple(sorted(kinds.items())),
        labels=tuple(sorted(labels.items())),
    )


def _encounter(row: CaseRow, known: rows.Grounds, start: int, services: Services) -> bool:
    """Whether the hospital saw the patient within a day of the access, by its own feed."""
    return any(
        one.kind is RelationshipKind.ENCOUNTER
        and one.start - NEAR <= start
        and (one.end is None or start <= one.end + NEAR)
        for one in relationships_of(known, row.organization, services)
    )


def _out_of_hours(when: datetime) -> bool:
    return when.weekday() >= 5 or not DAY_BEGINS <= when.hour < DAY_ENDS


async def _names(row: CaseRow, known: rows.Grounds, services: Services) -> tuple[bool, bool, bool]:
    """(same surname, the very same name, a colleague's name): compared here, told to nobody."""
    wants = [ChartTier(one.id, Tier.GENERAL) for one in known.charts if one.facts]
    keys = await manifests(services, Grant("job", "case", ALL_TIERS), wants)
    patients = set()
    for one in known.charts:
        key = keys.get(ChartTier(one.id, Tier.GENERAL))
        if key is not None and one.facts:
            patients.add(facts_.unpack(key.open(one.facts, f"facts/{one.id}".encode())).name)
    patients.discard("")
    everyone = await services.db.session(accounts.everyone)
    near = [
        one for one in everyone if casework.related(one.organization, row.organization, services)
    ]
    names = await staff.names([one.login for one in near], services)
    mine = names.pop(row.login, "")
    return (
        any(mine and name[:1] == mine[:1] for name in patients),
        mine in patients,
        bool(patients & set(names.values())),
    )


async def _opened(
    grant: GrantRow | None, known: rows.Grounds, services: Services
) -> tuple[int, int, Counter[str], Counter[str]]:
    """What left the house by a grant: records, those nothing else opened, types and labels."""
    kinds: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    if grant is None or not known.charts:
        return 0, 0, kinds, labels
    narrow = listed.Narrow(
        tags=tuple(services.log.tag(one.id) for one in known.charts),
        organization=grant.organization,
        outcome="permit",
        since=grant.start,
        until=grant.end + NEAR,
    )
    found = await services.db.session(listed.events, narrow, 0, MOST_EVENTS)
    over = 0
    for body in await bodies(_emergency(found.rows, services), services):
        if body is not None and body.details.get("grant") == grant.id:
            kinds.update(counted(body.details.get("opened", "")))
            labels.update(counted(body.details.get("labels", "")))
            said = body.details.get("over", "0")
            over += int(said) if said.isdecimal() else 0
    return kinds.total(), over, kinds, labels


def _emergency(events: Sequence[listed.EventRow], services: Services) -> list[listed.EventRow]:
    purpose = services.policy.emergency_override
    return [one for one in events if one.purpose == purpose]


# How often, by house


@dataclass(frozen=True, slots=True)
class Share:
    """One organisation's month: accesses to persons' records, and those by broken glass."""

    organization: str
    accesses: int
    emergencies: int
    reason: str  # the commonest; a reason that comes again and again is a missing feed
    times: int

    @property
    def share(self) -> float:
        """Emergencies among all accesses."""
        return self.emergencies / self.accesses if self.accesses else float(bool(self.emergencies))


async def shares(
    since: int, until: int, caller: Caller | None, services: Services
) -> tuple[Share, ...]:
    """The months of all organisations an officer oversees (of all, without one), largest share first."""
    reasons: dict[str, Counter[str]] = {}
    for organization, reason, count in await services.db.read(emergencies.BY_MONTH, since, until):
        reasons.setdefault(organization, Counter())[reason] += count
    accesses = await services.db.session(listed.accesses_by_organization, since, until)
    found = []
    for organization in sorted(set(accesses) | set(reasons)):
        if not organization or (
            caller is not None and not casework.oversees(organization, caller, services)
        ):
            continue
        said = reasons.get(organization, Counter())
        reason, times = said.most_common(1)[0] if said else ("", 0)
        found.append(
            Share(organization, accesses.get(organization, 0), said.total(), reason, times)
        )
    return tuple(sorted(found, key=lambda one: (-one.share, one.organization)))
