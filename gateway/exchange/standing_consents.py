"""Compares the consents in force with those the access log says were recorded.

A refusal deleted from the database, or put back to an earlier version, opens what it closed. The
row alone does not show it; the log does, and the log cannot be altered unseen.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit.events import Body, Kind, Outcome
from gateway.exchange import directives
from gateway.exchange.event_bodies import bodies
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows
from gateway.store import oversight as listed
from gateway.store.engine import Tx

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A consent that does not stand as recorded; `entry` is the place in the log that says how."""

    entry: int | None
    gone: bool


async def contradictions(services: Services) -> list[Contradiction]:
    """Every consent whose newest event is not what decisions read; shredded charts are left out."""
    recorded: dict[str, tuple[int, bool, int | None]] = {}
    for kind in (Kind.CONSENT_CREATE, Kind.CONSENT_WITHDRAW):
        narrow, first = listed.Narrow(kind=kind, outcome="permit"), 0
        while True:
            page = await services.db.session(listed.events, narrow, first, PAGE)
            for event, body in zip(page.rows, await bodies(page.rows, services), strict=True):
                id, _, version = (body.details.get("consent", "") if body else "").partition("/")
                if body and version.isdigit() and recorded.get(id, (0,))[0] < int(version):
                    active = body.details.get("status") == "active"
                    recorded[id] = int(version), active, event.number
            first += PAGE
            if len(page.rows) < PAGE:
                break
    # Read afterwards: what was recorded meanwhile is newer than its event here, never older.
    standing = await services.db.session(listed.directives)
    found = []
    for id, (newest, in_force, number) in recorded.items():
        stands = standing.get(id)
        if stands is None or stands[0] < newest or stands == (newest, not in_force):
            found.append(Contradiction(number, stands is None))
    return found


async def adopt(caller: Caller, services: Services) -> tuple[int, int]:
    """Give charts whose directives were recorded before there were sums theirs; one `config` event.

    Only when every consent stands as the log says: else nothing is adopted and those charts stay
    closed. Returns (charts adopted, consents that do not stand as recorded).
    """
    charts = [row[0] for row in await services.db.read(rows.UNSUMMED)]
    if not charts:
        return 0, 0
    wrong = await contradictions(services)
    if wrong:
        return 0, len(wrong)
    body = Body(request="adopt", role=caller.role, details={"directive-sums": str(len(charts))})
    await services.log.note(Kind.CONFIG, Outcome.PERMIT, caller, services.now(), body)
    for chart in charts:
        await services.db.do(_adopt, chart, services)
    return len(charts), 0


def _adopt(tx: Tx, chart: str, services: Services) -> None:
    rows.take(tx, chart, 0, 1)
    before = tx.one(rows.DIRECTIVES_SUM, chart)
    if before is not None and not before[0]:
        active = [(one[0], one[1]) for one in tx.all(rows.ACTIVE, chart)]
        tx.run(rows.SET_DIRECTIVES_SUM, chart, directives.total(services.vault, chart, active))
