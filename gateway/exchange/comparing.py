"""What the approver of a release reads: which files differ, which cases fail, and what a shadow run showed.

A shadow run reads the kept messages of the last days under both releases and counts, by rule, what
becomes otherwise. It writes nothing but its report; messages are opened through the vault, after an
event says so, and never more than a few at a time.
"""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.errors import Kind, Problem
from gateway.exchange import kept
from gateway.exchange.aside import aside
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.maps import Release
from gateway.store import inbox
from gateway.store import maps as rows
from gateway.store.engine import Tx
from gateway.store.maps import KeptRow
from gateway.vault import VaultError
from mappings import cases
from mappings.engine import Map, difference
from mappings.engine.difference import Comparison, Difference, FileChange

PAGE: Final = 25  # messages in memory at a time
RATE: Final = 500  # messages a second
PATIENCE: Final = 10  # fifths of a second


class Shadow(msgspec.Struct, frozen=True):
    """A run over kept messages: which, and what it showed; `cut` when there were more than looked at."""

    at: int
    days: int
    cut: bool
    unreadable: int
    found: Difference


class Report(msgspec.Struct, frozen=True):
    """How a proposal differs from the release that was in force."""

    against: int
    files: tuple[FileChange, ...] = ()
    failing: tuple[str, ...] = ()  # golden cases that would read otherwise
    shadow: Shadow | None = None


def encode(report: Report) -> str:
    """A report as the store keeps it."""
    return msgspec.json.encode(report).decode()


def decode(text: str) -> Report:
    """The inverse; an empty text is an empty report."""
    return msgspec.json.decode(text, type=Report) if text else Report(0)


def of_files(running: Release, made: Map, failing: tuple[str, ...]) -> Report:
    """What can be told without reading a message."""
    changed = difference.files(running.map.contents, made.contents)
    return Report(running.number, changed, failing)


def failing_cases(folder: Path, made: Map) -> tuple[str, ...]:
    """The golden cases beside the map that read otherwise than they say, by name."""
    return tuple(case.name for case in cases.cases(folder) if cases.failures(case, made))


async def shadow(
    row: rows.ReleaseRow,
    by: Caller,
    services: Services,
    *,
    days: int = 7,
    most: int = kept.MOST,
    rate: int = RATE,
) -> Report:
    """Run a proposal beside the release in force; the report is kept with it.

    The newest `most` messages of each source that uses the map, at `rate` a second; messages that
    wait to be filed go first. Stopping it anywhere leaves everything as it was. Problem CONFLICT when
    the release is not proposed (any more).
    """
    if row.state != "proposed":
        raise Problem(Kind.CONFLICT, f"Release {row.number} is {row.state}.", "release")
    running = await services.maps.in_force(row.site)
    proposed = await services.maps.of(row.number)
    at = services.now()
    body = Body(
        request=secrets.token_hex(8),
        details={"map": "shadow", "site": row.site, "release": str(row.number), "days": str(days)},
    ).asked_by(by)
    await services.log.note(Noted.CONFIG, Outcome.PERMIT, by, at, body)
    run = _Run(running.map, proposed.map, services, rate)
    for found in await services.db.read(inbox.SOURCES_OF_MAP, row.site):
        await run.over(inbox.SourceRow(*found), at - days * kept.DAY, at, most)
    shown = Shadow(at, days, run.cut, run.unreadable, run.comparison.result())
    report = msgspec.structs.replace(
        decode(row.report),
        against=running.number,
        files=difference.files(running.map.contents, proposed.map.contents),
        shadow=shown,
    )
    await services.db.do(_keep, row.number, encode(report))
    return report


def _keep(tx: Tx, number: int, report: str) -> None:
    tx.run(rows.REPORT, number, report)


class _Run:
    def __init__(self, before: Map, after: Map, services: Services, rate: int) -> None:
        self.before, self.after = before, after
        self.services, self.rate = services, rate
        self.comparison = Comparison(before, after)
        self.unreadable = 0
        self.cut = False

    async def over(self, source: inbox.SourceRow, since: int, until: int, most: int) -> None:
        """The newest `most` messages of a source in a window."""
        since, cut = await kept.since_newest(source.name, since, until, most, self.services)
        self.cut |= cut
        async for page in kept.pages(source.name, since, until, self.services, PAGE):
            for row in page:
                await self.one(row, source.organization)
            await asyncio.sleep(len(page) / self.rate)
            await self.give_way()

    async def give_way(self) -> None:
        """Let messages that wait to be filed go first, for a while: perhaps nobody files them."""
        for _ in range(PATIENCE):
            if not (await self.services.db.read(rows.LINE, self.services.now()))[0][0]:
                return
            await asyncio.sleep(0.2)

    async def one(self, row: KeptRow, organization: str) -> None:
        try:
            raw = await kept.opened(row, self.services)
        except VaultError:
            self.unreadable += 1
            return
        ids = self.services.ids(organization)
        before, after = [
            await aside(len(raw), partial(site.read, raw, ids, origin=row.id))
            for site in (self.before, self.after)
        ]
        self.comparison.add(before, after)
