"""What the detectors are given of one message: its resources, its raw fields, when it came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import orjson

from mappings.engine.model import Message
from mappings.engine.release import Map
from mappings.quality.cells import Cell, cells

Resource = dict[str, Any]


class Sighting:
    """One message about one patient as the detectors see it.

    `day` is the county day of its arrival, `arrived` the instant in µs UTC, `offset` the seconds by
    which the source's zone was ahead of UTC then; `pseudo_utc` that the map knows its Z to be false.
    """

    def __init__(
        self,
        day: str,
        resources: Sequence[Resource] = (),
        raw: Sequence[Cell] = (),
        arrived: int = 0,
        offset: int = 8 * 3600,
        pseudo_utc: bool = False,
    ) -> None:
        self.day, self.arrived = day, arrived
        self.offset, self.pseudo_utc = offset, pseudo_utc
        self.resources = tuple(resources)
        self.cells = tuple(raw)

    def of(self, *types: str) -> Iterator[Resource]:
        """The resources of these types, in order."""
        return (one for one in self.resources if one.get("resourceType") in types)

    @cached_property
    def _by_reference(self) -> dict[str, Resource]:
        return {f"{r.get('resourceType')}/{r.get('id')}": r for r in self.resources}

    def at(self, reference: object) -> Resource:
        """The resource of this message a Reference points at; empty when it is not here."""
        target = reference.get("reference") if isinstance(reference, dict) else None
        return self._by_reference.get(str(target), {})


def sighting(
    raw: bytes, site: Map, message: Message, day: str, arrived: int, *, with_cells: bool = True
) -> Sighting:
    """A sighting of what `site` read in `raw`; `with_cells` False for a unit's second message."""
    at = datetime.fromtimestamp(arrived // 1_000_000, UTC)
    offset = at.astimezone(site.source.zone).utcoffset()
    return Sighting(
        day,
        [orjson.loads(one.text()) for one in message.resources],
        cells(raw, site.input, site.source) if with_cells else (),
        arrived,
        int(offset.total_seconds()) if offset else 0,
        bool(site.source.options.get("pseudo_utc", False)),
    )
