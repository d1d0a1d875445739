"""What a doctor relied on and that has changed since: told until they have gone on with it.

An alert in a list names no patient: whose it is, is read in the decision itself, as far as that may be
seen.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.audit.events import Body, Kind, Outcome
from gateway.exchange import vouched
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import decisions as rows
from gateway.store.decisions import AlertRow, EvidenceRow
from gateway.store.engine import Tx


class Alert(NamedTuple):
    """One decision whose result has changed. Times are µs UTC; `seen` is 0 for news."""

    task: str
    change: str
    at: int
    decided: int
    seen: int


async def waiting(caller: Caller, services: Services) -> tuple[Alert, ...]:
    """The caller's own alerts that are not settled, newest first; nothing is marked as seen."""
    found = [
        AlertRow(*row)
        for row in await services.db.read(rows.ALERTS_OF, caller.organization, caller.user)
    ]
    told = []
    for one in found:
        evidence = EvidenceRow(*(await services.db.read(rows.ONE, one.evidence))[0])
        told.append(Alert(evidence.task, one.change, one.at, evidence.at, one.seen))
    return tuple(told)


async def look(caller: Caller, services: Services) -> tuple[Alert, ...]:
    """The same, looked at: what is new in it counts as seen from now on, with one event."""
    told = await waiting(caller, services)
    if any(not one.seen for one in told):
        found = await services.db.read(rows.ALERTS_OF, caller.organization, caller.user)
        news = [alert for row in found if not (alert := AlertRow(*row)).seen]
        at = services.now()
        body = Body(request=f"recognition.{at}", returned=len(news)).asked_by(caller)
        charts = tuple(sorted({one.chart for one in news}))
        draft = await services.log.draft(
            Kind.RECOGNITION_ALERT, Outcome.PERMIT, caller, at, body, charts
        )
        await services.db.do(_see, [one.id for one in news], at, draft, services)
    return told


def _see(tx: Tx, ids: list[int], at: int, draft: Draft, services: Services) -> None:
    seen = [AlertRow(*row) for id in ids for row in tx.all(rows.SEE, id, at)]
    if seen:
        vouched.vouch(tx, seen, services)
        append(tx, services.log.filing_writer, [draft], services.now)


class Counts(NamedTuple):
    """How many alerts of one kind a hospital's doctors have had; `untold` of the open ones its system
    could not be written to about, `oldest` is when the oldest open one came (µs UTC, None: none is)."""

    organization: str
    change: str
    all: int
    seen: int
    settled: int
    untold: int
    oldest: int | None

    @property
    def open(self) -> int:
        """Those whose decision was neither renewed nor revoked yet."""
        return self.all - self.settled


async def counts(services: Services, organization: str = "") -> tuple[Counts, ...]:
    """Alerts by hospital and kind of change, of one hospital or of all; numbers only."""
    found = [Counts(*row) for row in await services.db.read(rows.ALERT_COUNTS)]
    return tuple(one for one in found if organization in ("", one.organization))
