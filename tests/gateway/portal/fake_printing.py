"""Printing in the pretend county of page tests."""

from __future__ import annotations

from typing import Any

from gateway.errors import Kind, Problem
from gateway.services.caller import Caller


class FakePrinting:
    """Keeps what was told; refuses in an emergency as the county does."""

    told: list[tuple[Any, ...]]
    printed_of = ""

    async def printed(
        self, what: str, title: str, chart: str, emergency: bool, caller: Caller
    ) -> None:
        self.told.append(("printed", what, title, emergency))
        self.printed_of = chart
        if emergency:
            raise Problem(Kind.REFUSED, "During emergency access nothing is printed.")
