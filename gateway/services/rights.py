"""The county's rights of use as they stand: the matrix, and which system a source or client belongs to.

Read anew whenever something was decided, so that the next request knows, on every process. A decided line
that does not open was altered: a right counts for nothing then, and while a system's line is broken no
system is answered, because it might be any of them. What was decided is known by name in the keyring too,
so that deleting the end of a right does not bring the right back: while a line is lost nobody is answered.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

from gateway.errors import Kind, Problem
from gateway.recognition.rights import Cell, DataClass, Level, Matrix, Use, Who, matrix
from gateway.records.instant import micros
from gateway.services.register import Register
from gateway.store import registers as rows
from gateway.store.engine import Store
from gateway.store.keyring import StoredKeyring
from gateway.store.registers import EntryRow
from gateway.vault import SealBroken, Vault, Wrapped

PEOPLE = "portal"  # the client of everybody who signed in at a browser
TABLE = "register"
KEPT = "rights"  # name of the copy in the keyring
NAME = 12  # bytes by which a decided line is known there

_log = logging.getLogger("gateway.rights")


@dataclass(frozen=True, slots=True)
class Standing:
    """What was decided so far. `systems` is line by id; `of_source` and `of_client` name a system."""

    matrix: Matrix = field(default_factory=lambda: matrix(()))
    systems: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    of_source: Mapping[str, str] = field(default_factory=dict)
    of_client: Mapping[str, str] = field(default_factory=dict)
    broken: bool = False
    lost: bool = False


class Rights:
    """The rights in force."""

    def __init__(
        self,
        db: Store,
        keyring: StoredKeyring[Wrapped],
        vault: Vault,
        register: Register,
        zone: ZoneInfo,
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._vault = vault
        self._register = register
        self._zone = zone
        self._stamp: tuple[int, ...] = ()
        self._held = Standing()

    async def current(self) -> Standing:
        """What is in force, asked of the database now; a comparison when nothing was decided since."""
        ((count, last),) = await self._db.read(rows.STAMP)
        if (count, last) != self._stamp:
            # The copy first: a line is in the records before its name is in the keyring.
            kept = await self._keyring.fetch([KEPT])
            decided = [EntryRow(*row) for row in await self._db.read(rows.DECIDED)]
            lost = await self._lost(decided, kept)
            self._held = replace(self._standing(decided), lost=lost)
            self._stamp = (count, last)
        return self._held

    async def _lost(self, decided: list[EntryRow], kept: Sequence[Wrapped]) -> bool:
        """Whether a line that was decided is gone from the records; else those that stand are kept."""
        names = {sha256(_place(row).encode()).digest()[:NAME] for row in decided}
        known = {
            one.wrapped[place : place + NAME]
            for one in kept
            for place in range(0, len(one.wrapped), NAME)
        }
        if known - names:
            _log.error("lines of the register are lost: restore records and keyring of one day")
            return True
        if known != names:
            copy = Wrapped(KEPT, 0, "", b"".join(sorted(names)))
            if not await self._keyring.replace([copy]):
                await self._keyring.keep([copy])
        return False

    def who(
        self, standing: Standing, organization: str, *, client: str = "", source: str = ""
    ) -> Who:
        """Whose use it is; Problem BUSY while it cannot be told which system asks, or what was decided."""
        if standing.lost or (standing.broken and client != PEOPLE):
            raise Problem(Kind.BUSY, "The register of systems cannot be relied on now.")
        system = standing.of_source.get(source, "") or standing.of_client.get(client, "")
        level = Level.INSTITUTION
        if self._register.get(organization).kind == "authority":
            level = Level.COUNTY
        if system:
            level = Level(standing.systems[system]["level"])
        return Who(system, self._register.chain(organization), level)

    def seal(self, row: EntryRow, line: Mapping[str, str]) -> bytes:
        """A line as its row keeps it, bound to all that the row says."""
        text = json.dumps(line, ensure_ascii=False, sort_keys=True).encode()
        return self._vault.seal_field(TABLE, _place(row), text)

    def open(self, row: EntryRow) -> dict[str, str] | None:
        """The line of a row; None when the row is not as it was written."""
        try:
            text = self._vault.open_field(TABLE, _place(row), bytes(row.content))
        except SealBroken:
            _log.error("register line altered: %s version %s", row.kind, row.version)
            return None
        return {str(name): str(value) for name, value in json.loads(text).items()}

    def _standing(self, decided: list[EntryRow]) -> Standing:
        newest: dict[tuple[str, str], EntryRow] = {(row.kind, row.id): row for row in decided}
        cells: list[tuple[str, Cell | None]] = []
        systems: dict[str, Mapping[str, str]] = {}
        broken = False
        for (kind, id), row in newest.items():
            line = self.open(row)
            if kind == "right":
                alive = line is not None and row.act == "put"
                cells.append((id, self._cell(line, row.version) if line and alive else None))
            elif line is None:
                broken = True
            elif row.act == "put":
                systems[id] = line
        return Standing(
            matrix(cells),
            systems,
            {name: id for id, line in systems.items() for name in line["sources"].split()},
            {name: id for id, line in systems.items() for name in line["clients"].split()},
            broken,
        )

    def _cell(self, line: Mapping[str, str], version: int) -> Cell:
        return Cell(
            line["holder"],
            DataClass(line["data_class"]),
            Use(line["use"]),
            line["document"],
            self._midnight(date.fromisoformat(line["start"])),
            # The last day still counts.
            self._midnight(date.fromisoformat(line["end"]) + timedelta(days=1))
            if line["end"]
            else None,
            version,
        )

    def _midnight(self, day: date) -> int:
        return micros(datetime(day.year, day.month, day.day, tzinfo=self._zone))


def _place(row: EntryRow) -> str:
    parts = (row.kind, row.id, str(row.version), row.act, row.state, row.made_by, row.decided_by)
    return json.dumps(parts, ensure_ascii=False)
