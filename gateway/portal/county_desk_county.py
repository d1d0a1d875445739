"""The commission's desk over the real county."""

from __future__ import annotations

from gateway.exchange import county_desk
from gateway.exchange.county_desk import AlertCounts, Hospital
from gateway.portal.county_desk_stories import WaitingView
from gateway.portal.registers_county import RegisterCounty
from gateway.services.caller import Caller


class CountyDeskCounty(RegisterCounty):
    """`CountyDeskStories`, told by the exchange."""

    async def hospitals(self, caller: Caller) -> tuple[Hospital, ...]:
        return await county_desk.hospitals(caller, self._services)

    async def county_waiting(self, caller: Caller) -> WaitingView:
        services = self._services
        found = await county_desk.waiting(caller, services)
        return WaitingView(
            found,
            await self._endings(),
            await county_desk.alert_counts(caller, services),
            self._called(),
            {one.code: (one.name_zh, one.name_en) for one in services.catalogue.items},
            tuple(services.catalogue.scopes.values()),
        )

    async def county_alerts(self, caller: Caller) -> AlertCounts:
        return await county_desk.alert_counts(caller, self._services)
