"""The number a person is looked up by: as it is typed into a form, and as a session keeps it."""

from __future__ import annotations

from typing import Any

from gateway.identity import resident_id
from gateway.identity.resident_id import NotAnId
from gateway.portal.desk import Desk
from gateway.portal.stories import Identifier


def kept(value: dict[str, Any]) -> Identifier | None:
    """An identifier kept in the session."""
    if not value:
        return None
    return Identifier(
        "health-card" if value["kind"] == "health-card" else "resident-id", value["number"]
    )


def typed(desk: Desk) -> Identifier | NotAnId:
    """The number in a look-up form, or why it cannot be anybody's."""
    number = desk.text("number", 64)
    if desk.text("kind") == "health-card":
        return Identifier("health-card", number) if number else NotAnId.EMPTY
    match resident_id.read(number):
        case NotAnId() as why:
            return why
        case found:
            return Identifier("resident-id", found.number)
