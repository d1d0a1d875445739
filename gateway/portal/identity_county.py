"""Folders over the real county, told as the desk's pages need it."""

from __future__ import annotations

from typing import Literal

from gateway.exchange import identities, pairing
from gateway.exchange.pairing import Answer, Pair, Worklist
from gateway.identity import resident_id
from gateway.identity.systems import HEALTH_CARD, RESIDENT_ID
from gateway.portal.identity_stories import FolderPair, FolderSays
from gateway.portal.shown import Shown, sex
from gateway.portal.stories import Identifier
from gateway.services import Services
from gateway.services.caller import Caller

_SYSTEMS = {"resident-id": RESIDENT_ID, "health-card": HEALTH_CARD}


class IdentityCounty:
    """`IdentityStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    async def folder_pairs(self, identifier: Identifier, caller: Caller) -> tuple[FolderPair, ...]:
        system = _SYSTEMS[identifier.kind]
        found = await identities.pending(system, identifier.number, caller, self._services)
        return tuple(
            FolderPair(
                one.id,
                self._shown.organization(one.organization),
                _says(one.folders[0]),
                _says(one.folders[1]),
                self._services.policy.day(one.said),
                one.contradicted,
            )
            for one in found
        )

    async def answer_folders(
        self, id: int, answer: Literal["one", "two"], identifier: Identifier, caller: Caller
    ) -> None:
        system = _SYSTEMS[identifier.kind]
        await identities.answer(id, answer, system, identifier.number, caller, self._services)

    async def worklist(self, page: int, caller: Caller) -> Worklist:
        return await pairing.worklist(page, caller, self._services)

    async def folder_pair(self, id: int, caller: Caller) -> Pair:
        return await pairing.pair(id, caller, self._services)

    async def answer_pair(
        self, id: int, answer: Answer, mark: str, why: str, note: str, caller: Caller
    ) -> int:
        return await pairing.answer(id, answer, mark, why, note, caller, self._services)


def _says(folder: identities.Folder) -> FolderSays:
    facts = folder.facts
    number = resident_id.masked(facts.number) if facts.number else ""
    return FolderSays(facts.name, sex(facts.sex), facts.birth, number)
