"""Pairs of folders of the invented county that may be one person's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.errors import Kind, Problem
from gateway.exchange.pairing import Answer, Answered, Pair, Said, Side, Worklist
from gateway.identity.matching import Ground, Match, Tier
from gateway.records.facts import Facts
from gateway.services.caller import Caller

AT = 1_772_337_600_000_000
HOSTILE = "<b onclick=alert(1)>王</b>"
NUMBER = "330421198001010015"
LEFT = Side("people", Facts(HOSTILE, "male", "1980-01-01", number=NUMBER), AT, 12, AT)
RIGHT = Side("people", Facts(HOSTILE, "female", "1980-01-01"), AT, 0, 0)
POSSIBLE = Match(Tier.POSSIBLE, (Ground.NO_NUMBER, Ground.SAME_NAME, Ground.SAME_PHONE))
PAIR = Pair(7, "possible", AT, (LEFT, RIGHT), POSSIBLE, (), False, "7.0")


@dataclass
class FakeFolders:
    """The worklist in a list; an answer with another mark than shown comes too late."""

    folders: list[Pair] = field(default_factory=lambda: [PAIR])
    said: list[tuple[int, Answer, str, str]] = field(default_factory=list)

    def named(self, organization: str) -> str:
        return "云溪县人民医院"

    async def worklist(self, page: int, caller: Caller) -> Worklist:
        waiting = tuple(one for one in self.folders if one.open)
        settled = tuple(one for one in self.folders if not one.open)
        return Worklist(waiting, settled, len(waiting) + 20 * (page - 1), 0, page)

    async def folder_pair(self, id: int, caller: Caller) -> Pair:
        for one in self.folders:
            if one.id == id:
                return one
        raise Problem(Kind.UNKNOWN, "No such pair of folders.")

    async def answer_pair(
        self, id: int, answer: Answer, mark: str, why: str, note: str, caller: Caller
    ) -> int:
        one = await self.folder_pair(id, caller)
        if mark != one.mark:
            raise Problem(Kind.CONFLICT, "Somebody has just answered this.", "pair")
        if answer == "later" and not why:
            raise Problem(Kind.UNPROCESSABLE, "Say why it is put off.", "why")
        self.said.append((id, answer, why, note))
        given = Answered(answer, Said(caller.name, why, note), AT)
        settled = answer in ("one", "two")
        self.folders = [
            replace(each, answers=(given, *each.answers), undoable=settled, mark=each.mark + "+")
            if each.id == id
            else each
            for each in self.folders
        ]
        return next((each.id for each in self.folders if each.open and each.id != id), 0)
