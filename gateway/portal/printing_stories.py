"""What the portal tells the county when something is printed."""

from __future__ import annotations

from typing import Literal, Protocol

from gateway.services.caller import Caller


class Printing(Protocol):
    """Notes prints before they happen."""

    async def printed(
        self,
        what: Literal["page", "document"],
        title: str,
        chart: str,
        emergency: bool,
        caller: Caller,
    ) -> None:
        """Note it durably. `title` names the page or document, never a patient; `chart` is whose it
        is, or "". Problem REFUSED during emergency access."""
