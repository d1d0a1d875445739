"""What the access log holds, for tests that look at what was noted."""

from __future__ import annotations

from sqlalchemy import select

from gateway.services import Services
from gateway.store.log_tables import AuditEvent
from gateway.store.statements import Statement

_KINDS = Statement(select(AuditEvent.__table__.c.kind))  # type: ignore[attr-defined]


async def kinds(services: Services) -> list[str]:
    """The kind of each event."""
    return [str(row[0]) for row in await services.db.read(_KINDS)]
