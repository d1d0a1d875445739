"""Opens the sealed bodies of events of the access log, for oversight and verification."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.audit.events import Body, decode_body
from gateway.exchange.person import ALL_TIERS
from gateway.records.instant import moment
from gateway.services import Services
from gateway.store.oversight import EventRow
from gateway.vault import Grant, KeyMissing, Shredded, VaultError


async def bodies(events: Sequence[EventRow], services: Services) -> list[Body | None]:
    """The bodies of events; None where the key was destroyed or the body has expired.

    A body is sealed under the year it was drafted in, which may be the one before its event's.
    """
    found: list[Body | None] = []
    grant = Grant("job", "oversight", ALL_TIERS)
    for event in events:
        body = None
        year = moment(event.at).year
        for one in (year, year - 1):
            if body is None and event.sealed is not None:
                try:
                    want = (event.body_owner, one)
                    key = (await services.vault.audit_seals(grant, [want]))[want]
                    body = decode_body(key.open(event.sealed, b"audit-body"))
                except (KeyMissing, Shredded, VaultError, ValueError):
                    continue
        found.append(body)
    return found
