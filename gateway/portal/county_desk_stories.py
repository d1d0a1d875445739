"""What the health commission's desk asks: how the hospitals stand in counts, and what waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.exchange.county_desk import AlertCounts, Hospital, Waiting
from gateway.portal.registers_stories import Ending
from gateway.recognition.catalogue import Scope
from gateway.services.caller import Caller


@dataclass(frozen=True, slots=True)
class WaitingView:
    """What waits, with rights and contracts that end, and what organisations, items and scopes are called."""

    waiting: Waiting
    endings: tuple[Ending, ...]
    alerts: AlertCounts
    names: Mapping[str, str]
    items: Mapping[str, tuple[str, str]]
    scopes: tuple[Scope, ...]

    @property
    def count(self) -> int:
        """How many things, each draft and each ending by itself."""
        one = self.waiting
        many = len(one.drafted) + len(one.approved) + sum(count for _, count in one.registers)
        return many + len(one.ends) + len(self.endings) + len(one.objections) + len(one.orders)


class CountyDeskStories(Protocol):
    """Stories of the commission's desk; counts only."""

    async def hospitals(self, caller: Caller) -> tuple[Hospital, ...]:
        """Each hospital that sends."""

    async def county_waiting(self, caller: Caller) -> WaitingView:
        """What waits for a person of the commission."""

    async def county_alerts(self, caller: Caller) -> AlertCounts:
        """Alerts on changed results, in numbers."""
