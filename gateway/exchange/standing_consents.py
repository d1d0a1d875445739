"""Compares the consents in force with those the access log says were recorded.

A refusal deleted from the database, or put back to an earlier version, opens what it closed. The
row alone does not show it; the log does, and the log cannot be altered unseen.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit.events import Kind
from gateway.exchange.event_bodies import bodies
from gateway.services import Services
from gateway.store import oversight as listed

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
