"""Real input nobody here wrote: nothing of it is lost, and what was filed reads back as it was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.errors import Problem
from gateway.exchange import sources
from gateway.records import merge
from gateway.records.instant import instant_text
from gateway.services import Services
from mappings.engine import Mapped, jsontext
from mappings.engine.elements import JOINED
from mappings.engine.fhirresource import received
from tests import public
from tests.journeys import public_table
from tests.journeys.public_table import FOLDERS, Row, Stored


@dataclass
class Town:
    """Services with every published message taken in, and what became of them."""

    services: Services
    rows: dict[str, Row]


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    for name in FOLDERS:
        public.folder(name)
    async with public_table.county(tmp_path) as services:
        yield Town(services, await public_table.table(services))


async def test_published_data_are_counted_and_read_back_as_sent(town: Town) -> None:
    print(f"\n{public_table.printed(town.rows)}")
    for name, row in town.rows.items():
        tally = row.tally
        assert tally.received == tally.filed + tally.quarantined + tally.duplicates, name
        assert (tally.waiting, tally.agrees) == (0, True)
        assert sum(row.reasons.values()) == tally.quarantined
        assert "gateway-fault" not in row.reasons
        assert "nothing in it" not in row.reasons
    counts = {
        name: (row.tally.received, row.tally.filed, row.versions) for name, row in town.rows.items()
    }
    assert counts == {
        "ms-fhir-converter-hl7v2": (63, 32, 152),
        "hl7-fhir-r4-examples": (209, 146, 146),
        "synthea-bulk-10": (913, 740, 740),
        "ihe-pixm": (26, 8, 8),
        "ihe-pdqm": (23, 3, 3),
    }

    await everything_reads_back(town.services)
    await loading_again_finds_only_duplicates(town)


async def everything_reads_back(services: Services) -> None:
    """Each version, read by its own source, against the raw message it came from."""
    checked = copies = 0
    for one in await public_table.stored(services):
        source, raw, mapped = await public_table.sent(services, one.inbox)
        was = mapped[one.id]
        if b'"status": "entered-in-error"' in was.text():
            # What was never true is shown to nobody, its own hospital included; it is kept all the same.
            with pytest.raises(Problem):
                await public_table.shown(services, source, one, was.type)
            text = await public_table.kept(services, one, was.type)
        else:
            text = await public_table.shown(services, source, one, was.type)
            if b'"SUBSETTED"' in text and b'"SUBSETTED"' not in was.text():
                # It names a record that stands in another patient's folder: that is left out
                # of the answer, which says so; what is kept is what was sent.
                copies += 1
                text = await public_table.kept(services, one, was.type)
        ours, bare = cut_meta(text)
        assert ours == merge.with_meta(b"", b"", was.kept_meta, *meta_of(services, one))
        if was.mode == "patch" and one.version > 1:
            grown = {*was.fills, *JOINED, "extension"}  # where what stood may stay beside
            told = {name: text for name, text in members(was.text()).items() if name not in grown}
            assert told.items() <= members(bare).items()
        else:
            assert bare == was.text()
        if FOLDERS[source] == "fhir":
            assert received(bare, was.edits) == as_sent(raw, was)
        checked += 1
    assert (checked, copies) == (1049, 21)


def meta_of(services: Services, one: Stored) -> tuple[str, str]:
    """Version and time as the gateway wrote them."""
    tag = services.vault.version_tag(one.id, one.version)
    return tag, instant_text(one.filed, services.settings.zone)


def cut_meta(text: bytes) -> tuple[bytes, bytes]:
    """The meta the gateway wrote, with its comma, and every other byte."""
    meta = jsontext.parse(text).members()["meta"]
    return text[meta.key : meta.end + 1], text[: meta.key] + text[meta.end + 1 :]


def members(text: bytes) -> dict[str, bytes]:
    return {
        name: text[value.start : value.end]
        for name, value in jsontext.parse(text).members().items()
    }


def as_sent(raw: bytes, was: Mapped) -> bytes:
    """The sender's own bytes of a resource, found without the map: by its place in the delivery."""
    root = jsontext.parse(raw)
    if not was.place.startswith("Bundle.entry["):
        return raw.strip()
    number = int(was.place[len("Bundle.entry[") :].partition("]")[0])
    node = root.get("entry", number, "resource")
    assert node is not None
    return raw[node.start : node.end]


async def loading_again_finds_only_duplicates(town: Town) -> None:
    """Loading is resumed by doing it again: every unit has the same bytes as before."""
    for name, row in town.rows.items():
        _, outcomes = await public_table.take_in(town.services, name)
        assert outcomes == {"again": row.tally.received}
    for tally in await sources.tallies(town.services):
        before = town.rows[tally.name].tally
        assert tally.received == 2 * before.received
        assert tally.duplicates == before.duplicates + before.received
        assert (tally.filed, tally.waiting, tally.agrees) == (before.filed, 0, True)
