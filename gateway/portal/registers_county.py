"""The register pages over the real county."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import elements, pipeline, register_sheets, registers, rights, staff
from gateway.exchange import inventory as stock
from gateway.exchange.oversight import sees_all
from gateway.exchange.registers import Chosen, Entry
from gateway.portal.registers_stories import (
    SOON,
    AlarmShown,
    CellState,
    CountyHome,
    DraftShown,
    Ending,
    LineView,
    MatrixRow,
    PipelineView,
    RegisterView,
    Unregistered,
    UseMark,
    VersionShown,
)
from gateway.recognition.registers import CLASSES, COLUMNS, LEVELS, USES, Kind, days_left
from gateway.recognition.rights import DataClass, Level, Use, cell_id
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import clients, inbox

ENDS: dict[Kind, tuple[str, ...]] = {"system": ("end", "contract_end"), "right": ("end",)}


class RegisterCounty:
    """`RegisterStories`, told by the exchange."""

    _services: Services

    async def county_home(self, caller: Caller) -> CountyHome:
        services = self._services
        systems = await registers.standing("system", services)
        found = await pipeline.pipeline(caller, services)
        return CountyHome(
            matrix=await self._matrix(),
            systems=tuple(
                (level, tuple(one for one in systems if one.line["level"] == level))
                for level in Level
            ),
            endings=await self._endings(),
            unregistered=await self._unregistered(),
            sources=found.sources,
            alarms=tuple(
                AlarmShown(source, about.rpartition("/")[2], moment(at))
                for _, kind, source, about, at, settled in await services.db.read(inbox.ALARMS, 500)
                if kind == rights.NO_RIGHT and not settled
            )[:20],
            drafts=len(await registers.drafts(caller, services)),
            names=self._called(),
        )

    async def register(self, kind: Kind, caller: Caller) -> RegisterView:
        services = self._services
        waiting = [one for one in await registers.drafts(caller, services) if one.kind == kind]
        called = await staff.names({one.made_by for one in waiting}, services)
        entries = await registers.standing(kind, services)
        holders = await self._holders() if kind == "right" else ()
        names = dict(holders)
        return RegisterView(
            kind,
            COLUMNS[kind],
            entries,
            tuple(
                DraftShown(
                    one,
                    called.get(one.made_by, one.made_by),
                    moment(one.made_at),
                    _cell(one.line, names) if kind == "right" else (_title(one.line) or one.id,),
                )
                for one in waiting
            ),
            unregistered=await self._unregistered() if kind == "system" else (),
            coverage=await elements.coverage(entries, services) if kind == "element" else None,
            matrix=await self._matrix() if kind == "right" else (),
            holders=holders,
        )

    async def register_line(self, kind: Kind, id: str, caller: Caller) -> LineView:
        services = self._services
        registers.commission(caller, services)
        if not id:
            return LineView(kind, "", COLUMNS[kind], {})
        found = {one.id: one for one in await registers.standing(kind, services)}
        versions = await registers.versions(kind, id, services)
        if id not in found and not versions:
            raise Problem(Trouble.UNKNOWN, "There is no such line.")
        logins = {by for row, _ in versions for by in (row.made_by, row.decided_by) if by}
        called = await staff.names(logins, services)
        return LineView(
            kind,
            id,
            COLUMNS[kind],
            found[id].line if id in found else {},
            tuple(
                VersionShown(
                    row.version,
                    row.act,
                    row.state,
                    called.get(row.made_by, row.made_by),
                    moment(row.made_at),
                    called.get(row.decided_by, row.decided_by),
                    line,
                )
                for row, line in reversed(versions)
            ),
        )

    async def propose_lines(
        self, kind: Kind, lines: Sequence[Mapping[str, str]], act: str, caller: Caller
    ) -> int:
        return await registers.propose(kind, lines, caller, self._services, act=act)

    async def lines_of_sheet(
        self, kind: Kind, content: bytes, caller: Caller
    ) -> list[Mapping[str, str]]:
        registers.commission(caller, self._services)
        return await asyncio.to_thread(register_sheets.read, kind, content)

    async def decide_drafts(self, chosen: Sequence[Chosen], approve: bool, caller: Caller) -> None:
        await registers.decide(chosen, approve, caller, self._services)

    async def export_register(self, name: str, form: str, caller: Caller) -> bytes:
        if name == "inventory":
            return await stock.exported(caller, self._services)
        kind = next((kind for kind in COLUMNS if kind == name), None)
        if kind is None or form not in ("xlsx", "json"):
            raise Problem(Trouble.NO_SUCH_ROUTE, "No such page.")
        return await register_sheets.exported(kind, form, caller, self._services)

    async def pipeline(self, caller: Caller) -> PipelineView:
        found = await pipeline.pipeline(caller, self._services)
        names = self._called()
        return PipelineView(
            found.sources,
            tuple(
                (names.get(id, id), given, refused)
                for id, (given, refused) in sorted(found.answered.items())
            ),
            names,
        )

    async def stored(self, caller: Caller) -> stock.Inventory:
        found = await stock.inventory(caller, self._services)
        names = self._called()
        sources = (
            one._replace(organization=names.get(one.organization, one.organization))
            for one in found.sources
        )
        return replace(found, sources=tuple(sources))

    async def own_systems(self, caller: Caller) -> tuple[Entry, ...]:
        if caller.role != "it":
            raise Problem(Trouble.REFUSED, "Another role's work.")
        everything = sees_all(caller, self._services)
        return tuple(
            one
            for one in await registers.standing("system", self._services)
            if everything or one.line["organization"] == caller.organization
        )

    def _called(self) -> dict[str, str]:
        return {one.id: one.zh for one in self._services.register}

    def _today(self) -> date:
        return moment(self._services.now(), self._services.settings.zone).date()

    async def _matrix(self) -> tuple[MatrixRow, ...]:
        """A row for each level and for whoever has one of their own."""
        services = self._services
        entries = {one.id: one for one in await registers.standing("right", services)}
        own = sorted((await services.rights.current()).matrix.own)
        names = dict(await self._holders())
        return tuple(
            MatrixRow(
                holder,
                names.get(holder, holder),
                tuple(
                    (
                        one,
                        tuple(
                            UseMark(use, self._state(entry), entry)
                            for use in Use
                            for entry in (entries.get(cell_id(holder, one, use)),)
                        ),
                    )
                    for one in DataClass
                ),
            )
            for holder in (*(f"level:{level}" for level in Level), *own)
        )

    def _state(self, entry: Entry | None) -> CellState:
        if entry is None:
            return "off"
        today = self._today()
        if entry.line["start"] > today.isoformat():
            return "later"
        left = days_left(entry.line, ("end",), today)
        return "on" if left is None or left > SOON else "soon" if left >= 0 else "ended"

    async def _holders(self) -> tuple[tuple[str, str], ...]:
        systems = await registers.standing("system", self._services)
        return (
            *((f"level:{level}", LEVELS[level]) for level in Level),
            *((f"organization:{id}", zh) for id, zh in self._called().items()),
            *((f"system:{one.id}", one.line["name"]) for one in systems),
        )

    async def _endings(self) -> tuple[Ending, ...]:
        today = self._today()
        holders = dict(await self._holders())
        found = []
        for kind, columns in ENDS.items():
            zh = {column.name: column.zh for column in COLUMNS[kind]}
            for one in await registers.standing(kind, self._services):
                for name in columns:
                    left = days_left(one.line, (name,), today)
                    if left is not None and left <= SOON:
                        called = one.line.get("name") or one.id
                        cell = _cell(one.line, holders) if kind == "right" else ()
                        found.append(
                            Ending(kind, one.id, called, zh[name], one.line[name], left, cell)
                        )
        return tuple(sorted(found, key=lambda one: (one.days, one.kind, one.id)))

    async def _unregistered(self) -> tuple[Unregistered, ...]:
        services = self._services
        held = await services.rights.current()
        names = self._called()
        sources = [inbox.SourceRow(*row) for row in await services.db.read(inbox.SOURCES)]
        known = await services.db.session(clients.everyone)
        return (
            *(
                Unregistered("source", one.name, names.get(one.organization, one.organization))
                for one in sources
                if one.name not in held.of_source
            ),
            *(
                Unregistered("client", one.id, names.get(one.organization, one.organization))
                for one in known
                if one.id not in held.of_client and one.id not in held.of_source
            ),
        )


def _title(line: Mapping[str, str]) -> str:
    """What a line calls itself; empty where it has no name."""
    return line.get("name") or line.get("zh", "")


def _cell(line: Mapping[str, str], holders: Mapping[str, str]) -> tuple[str, ...]:
    """A right of use in words: whose, over which class, to do what."""
    holder, data_class, use = line["holder"], line["data_class"], line["use"]
    return (
        holders.get(holder, holder),
        CLASSES.get(data_class, data_class),
        USES.get(use, use),
    )
