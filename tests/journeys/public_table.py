"""Published data nobody here wrote, taken in as sources of their own: what became of every message.

`python -m tests.journeys.public_table` prints the table; the test checks it and reads everything back.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sqlmodel import Session, select

from gateway.exchange import ask, loading, sources
from gateway.exchange.person import ALL_TIERS
from gateway.jobs.worker import Worker
from gateway.services import Services, open_services
from gateway.services.caller import Caller
from gateway.settings import Settings
from gateway.store.charts import versions
from gateway.store.inbox import RAW, RawRow, Tally
from gateway.store.migrate import migrate
from gateway.store.tables import Inbox, Record
from gateway.vault import ChartTier, Grant, KeyFile, RecordName, Tier
from mappings.engine import Mapped
from tests import public

SITES = Path(__file__).parent / "sites"
FOLDERS = {
    "ms-fhir-converter-hl7v2": "hl7v2",
    "hl7-fhir-r4-examples": "fhir",
    "synthea-bulk-10": "fhir",
    "ihe-pixm": "fhir",
    "ihe-pdqm": "fhir",
}
"""A source for each folder, and the site that reads it."""
SUFFIXES = (".hl7", ".json", ".ndjson", ".xml")


@dataclass
class Row:
    """What became of one folder."""

    files: int
    tally: Tally
    versions: int
    reasons: Counter[str] = field(default_factory=Counter)


class Stored(NamedTuple):
    """One version of one resource, and the raw message it came from."""

    chart: str
    id: str
    version: int
    inbox: str
    filed: int


@asynccontextmanager
async def county(folder: Path) -> AsyncIterator[Services]:
    """Real services on SQLite with a source for each set of published data."""
    settings = Settings(data=folder, county="published", sites=SITES, demo=True, mllp_port=0)
    KeyFile.create(settings.root_key, demo=True)
    await migrate(settings.database_url, "records")
    await migrate(settings.keyring_url, "keyring")
    services = await open_services(settings)
    try:
        for name, site in FOLDERS.items():
            await sources.add(name, name, site, services, client=name)
        yield services
    finally:
        await services.close()


async def take_in(services: Services, name: str) -> tuple[int, Counter[str]]:
    """Load every file of a folder; how many there were, and the outcomes of their messages."""
    outcomes: Counter[str] = Counter()
    files = public.files(name, suffixes=SUFFIXES)
    for file in files:
        async for some, _ in loading.load(name, file, services):
            outcomes.update(some)
    return len(files), outcomes


async def table(services: Services) -> dict[str, Row]:
    """Take everything in, file it, and count."""
    files = {name: (await take_in(services, name))[0] for name in FOLDERS}
    await Worker(services).drain()
    tallies = {tally.name: tally for tally in await sources.tallies(services)}
    made = {name: Row(files[name], tallies[name], 0) for name in FOLDERS}
    for source, state, issues in await services.db.session(_settled):
        if state == "quarantined":
            made[source].reasons[_reason(issues)] += 1
    for one in await stored(services):
        made[await source_of(services, one.inbox)].versions += 1
    return made


def _settled(session: Session) -> list[tuple[str, str, str]]:
    return list(session.exec(select(Inbox.source, Inbox.state, Inbox.issues)).all())


def _reason(issues: str) -> str:
    """What kept a message from being filed: a stop before a hold, a hold before a note."""
    told = json.loads(issues) if issues else []
    for wanted in ("stop", "hold", "note"):
        for severity, code, *_ in told:
            if severity == wanted:
                return str(code)
    return "nothing in it"


async def stored(services: Services) -> list[Stored]:
    """Every version of every resource."""

    def rows(session: Session) -> list[Stored]:
        columns = (Record.chart, Record.id, Record.version, Record.inbox, Record.filed)
        return [Stored(*row) for row in session.exec(select(*columns)).all()]

    return await services.db.session(rows)


async def source_of(services: Services, id: str) -> str:
    """The source of a raw message."""
    return RawRow(*(await services.db.read(RAW, id))[0]).source


async def sent(services: Services, id: str) -> tuple[str, bytes, dict[str, Mapped]]:
    """A raw message again: its source, its bytes, and what its map makes of it by resource id."""
    raw = RawRow(*(await services.db.read(RAW, id))[0])
    owner = ChartTier(raw.owner, Tier(raw.owner_tier)) if raw.owner else None
    text = await services.vault.open_raw(raw.source, raw.day, id, raw.sealed, raw.wrap, owner)
    site = services.maps.draft(FOLDERS[raw.source])
    reading = site.read(text, services.ids(raw.source), origin=id)
    return raw.source, text, {one.id: one for m in reading.messages for one in m.resources}


async def shown(services: Services, source: str, one: Stored, type: str) -> bytes:
    """A stored version as its own source reads it."""
    caller = Caller(client=source, organization=source, role="system", strength=2)
    tag = services.vault.version_tag(one.id, one.version)
    return (await ask.read(type, one.id, caller, services, tag)).text


async def kept(services: Services, one: Stored, type: str) -> bytes:
    """A stored version as it lies sealed in the store."""
    (row,) = [row for row in await versions(services.db, one.id) if row.version == one.version]
    assert row.sealed is not None
    shelf = ChartTier(row.chart, Tier(row.tier))
    keys = await services.vault.records(Grant("job", "read back", ALL_TIERS), [shelf])
    return keys[shelf].open(row.sealed, RecordName(type, row.id, row.version))


def printed(rows: dict[str, Row]) -> str:
    """The table, one line a folder."""
    head = ("folder", "files", "received", "filed", "quarantined", "duplicates", "waiting",
            "sum", "versions", "quarantined because")  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for name, row in rows.items():
        tally = row.tally
        reasons = ", ".join(f"{code} {count}" for code, count in row.reasons.most_common())
        cells = (name, row.files, tally.received, tally.filed, tally.quarantined, tally.duplicates,
                 tally.waiting, "agrees" if tally.agrees else "DISAGREES", row.versions, reasons)  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


async def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with county(Path(folder)) as services:
            print(printed(await table(services)))


if __name__ == "__main__":
    asyncio.run(_main())
