"""How far the data-element registry covers what maps really fill: each FHIR path and each source column."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import mappings
from gateway.errors import Problem
from gateway.exchange.registers import Entry
from gateway.services import Services
from gateway.store import inbox

_TYPE = re.compile(r"[A-Z][A-Za-z]+")
_PLACE = re.compile(r"\[\w*\]")
# What a rule table says of itself; everything else in it is a path that it fills.
_SETTINGS = frozenset(
    {"key", "clock", "mode", "when", "each", "only", "deletes", "fill", "fills", "unite", "unions", "space"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Coverage:
    """What points to an element and what does not yet."""

    paths: int
    columns: int
    open_paths: tuple[str, ...]
    open_columns: tuple[tuple[str, str], ...]  # (source, column)

    @property
    def percent(self) -> float:
        """Of all paths and columns, how many point to an element."""
        whole = self.paths + self.columns
        left = len(self.open_paths) + len(self.open_columns)
        return 100 * (whole - left) / whole if whole else 100.0


@lru_cache
def filled() -> tuple[str, ...]:
    """Every FHIR path that a base map fills, such as `Patient.identifier(resident-id)`."""
    found: set[str] = set()
    for file in sorted((Path(mappings.__file__).parent / "base").glob("*.toml")):
        for name, table in tomllib.loads(file.read_text("utf-8")).items():
            type = _TYPE.match(name)
            if type and isinstance(table, dict):
                found |= {f"{type.group()}.{_PLACE.sub('', path)}" for path in _paths(table)}
    return tuple(sorted(found))


def _paths(table: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for name, rule in table.items():
        if isinstance(rule, dict):
            found += _paths(rule)
        elif name not in _SETTINGS:
            found.append(name)
    return found


async def coverage(elements: Sequence[Entry], services: Services) -> Coverage:
    """Which paths of the base maps and which columns of the county's row sources have an element."""
    paths = {path for one in elements for path in one.line["paths"].split()}
    columns = {name for one in elements for name in one.line["columns"].split()}
    said: list[tuple[str, str]] = []
    for row in await services.db.read(inbox.SOURCES):
        source = inbox.SourceRow(*row)
        said += [(source.name, name) for name in await _columns(source.map, services)]
    return Coverage(
        len(filled()),
        len(said),
        tuple(path for path in filled() if path not in paths),
        tuple(one for one in said if one[1] not in columns),
    )


async def _columns(site: str, services: Services) -> tuple[str, ...]:
    """The columns of a map that reads rows; none of any other, and none of one that does not load."""
    try:
        given = (await services.maps.get(site)).source.options.get("columns", "")
    except Problem:
        return ()
    names = given if isinstance(given, list | tuple) else str(given).split(",")
    return tuple(str(name).strip() for name in names if str(name).strip())
