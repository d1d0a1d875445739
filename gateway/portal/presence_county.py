"""Presence over the real county, told as pages need it."""

from __future__ import annotations

from gateway.exchange import presence
from gateway.portal.presence_stories import (
    PresenceAsked,
    PresenceQuestion,
    PresenceState,
    PresenceSubject,
)
from gateway.portal.shown import Shown
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller


class PresenceCounty:
    """`PresenceStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    async def ask_presence(self, caller: Caller) -> PresenceAsked:
        asked = await presence.ask(caller, self._services)
        return PresenceAsked(asked.token, asked.code, moment(asked.until))

    async def presence_state(self, token: str, caller: Caller) -> PresenceState:
        found = await presence.state(token, caller, self._services)
        return PresenceState(found.state, found.chart)

    async def presence_question(self, name: str, caller: Caller) -> PresenceQuestion:
        found = await presence.look(name, caller, self._services)
        organization = self._shown.organization(found.organization)
        return PresenceQuestion(found.asker, organization, found.purpose, moment(found.until))

    async def presence_subjects(self, caller: Caller) -> tuple[PresenceSubject, ...]:
        found = await presence.subjects(caller, self._services)
        return tuple(PresenceSubject(one.chart, one.name, one.own) for one in found)

    async def answer_presence(self, name: str, yes: bool, chart: str, caller: Caller) -> None:
        await presence.answer(name, yes, chart, caller, self._services)
