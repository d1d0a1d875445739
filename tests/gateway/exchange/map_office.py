"""An IT office with a sites folder of its own: it edits the people's hospital's map."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mappings
from gateway.exchange import releases, replays
from gateway.jobs.worker import Worker
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.services.maps import Maps
from gateway.store import maps as rows
from gateway.store.engine import unavailable
from tests.gateway.exchange.house import House

SHIPPED = Path(mappings.__path__[0]) / "sites"


def it(user: str, organization: str = "people") -> Caller:
    return Caller(client="portal", organization=organization, role="it", user=user, name=user)


LI, WANG, ZHOU = it("li"), it("wang"), it("zhou", "tcm")
AUTHORITY = it("chen", "county")


@dataclass
class Office:
    """A house whose map can be edited."""

    house: House
    folder: Path

    @property
    def services(self) -> Services:
        return self.house.services

    def edit(self, old: str, new: str, path: str = "oru.toml") -> None:
        file = self.folder / "people" / path
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    def add_rule(self, block: str, rule: str) -> None:
        file = self.folder / "people" / "oru.toml"
        text = file.read_text("utf-8")
        if f"[{block}]\n" in text:
            file.write_text(text.replace(f"[{block}]\n", f"[{block}]\n{rule}\n"), "utf-8")
        else:
            file.write_text(f"{text}\n[{block}]\n{rule}\n", "utf-8")

    async def release(self, note: str = "a test") -> int:
        """Propose what lies in the folder and let somebody else approve it."""
        number = await releases.propose("people", note, LI, self.services)
        await releases.approve(number, WANG, self.services)
        return number

    async def in_force(self) -> int:
        [(number,)] = await self.services.db.read(rows.IN_FORCE, "people")
        return int(number)

    async def replay(
        self, choice: replays.Choice = replays.EVERYTHING, *, dry: bool = False, release: int = 0
    ) -> rows.ReplayRow:
        number = await replays.start(
            "people-his", OPERATOR, self.services, choice, dry=dry, release=release
        )
        return await self.finish(number)

    async def finish(self, number: int) -> rows.ReplayRow:
        worker = Worker(self.services)
        while (await replays.named(number, self.services)).state == "running":
            await worker.replay_some()
        return await replays.named(number, self.services)


def office(house: House, folder: Path) -> Office:
    shutil.copytree(SHIPPED / "people", folder / "people")
    services = house.services
    maps = Maps(folder, services.settings.canonical, services.db, services.now)
    return Office(House(replace(services, maps=maps), house.clock), folder)


class FlakyDatabase:
    """Loses the `nth` transaction's question (nothing is done) or its answer (all is, nobody knows)."""

    def __init__(self, inner: Any, lost: str, nth: int) -> None:
        self._inner, self._lost, self._left = inner, lost, nth

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def do(self, work: Any, *given: Any) -> Any:
        self._left -= 1
        if self._left == 0 and self._lost == "question":
            raise unavailable()
        answer = await self._inner.do(work, *given)
        if self._left == 0:
            raise unavailable()
        return answer
