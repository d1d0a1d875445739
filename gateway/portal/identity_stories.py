"""What desk pages need of folders that may be one person's: the resident's own, and the worklist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal, Protocol

from gateway.exchange.pairing import Answer, Pair, Worklist
from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.stories import Identifier


@dataclass(frozen=True, slots=True)
class FolderSays:
    """What is written on a folder, to compare with the card; the number is masked, or empty."""

    name: str
    sex: Literal["male", "female", "other", "unknown"]
    birth: str
    number: str


@dataclass(frozen=True, slots=True)
class FolderPair:
    """Two folders of a hospital, said to be one person's on `said`. `contradicted`: they carry two
    persons' numbers, and cannot be confirmed before one is corrected."""

    id: int
    organization: str
    one: FolderSays
    other: FolderSays
    said: date
    contradicted: bool


class IdentityStories(Protocol):
    """Which folders are the resident's at the desk."""

    async def folder_pairs(self, identifier: Identifier, caller: Caller) -> tuple[FolderPair, ...]:
        """The pairs this desk may ask the resident about."""

    async def answer_folders(
        self, id: int, answer: Literal["one", "two"], identifier: Identifier, caller: Caller
    ) -> None:
        """Write down that both are the resident's, or two persons'; Problem UNKNOWN for any other."""

    async def worklist(self, page: int, caller: Caller) -> Worklist:
        """Pairs of folders of the caller's house that nobody has settled; pages count from 1."""

    async def folder_pair(self, id: int, caller: Caller) -> Pair:
        """One pair, side by side; Problem UNKNOWN when it is not the caller's to see."""

    async def answer_pair(
        self, id: int, answer: Answer, mark: str, why: str, note: str, caller: Caller
    ) -> int:
        """Write down what was found of the pair as `mark` saw it; the next that waits, 0 for none."""
