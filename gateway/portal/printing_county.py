"""`Printing` over the county's own stories."""

from __future__ import annotations

from typing import Literal

from gateway.exchange import printing
from gateway.services import Services
from gateway.services.caller import Caller


class PrintingCounty:
    """Mixed into the county's stories."""

    _services: Services

    async def printed(
        self,
        what: Literal["page", "document"],
        title: str,
        chart: str,
        emergency: bool,
        caller: Caller,
    ) -> None:
        await printing.note(what, title, chart, emergency, caller, self._services)
