"""Finds out, ahead of need, whether an archive has the images of a study, and whether they are its own.

What was found is kept for a day, a failure for ten minutes. Whoever asks is told what is known and
never waits; what is not known is asked in the background.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

import structlog

from gateway.errors import Kind, Problem
from gateway.recognition.facts import Images
from gateway.services import Services
from gateway.store import images as rows
from gateway.store.engine import Tx
from gateway.store.images import ProbeRow

FRESH: Final = {"reachable": 86_400_000_000, "unreachable": 600_000_000}
PATIENCE: Final = 4.0  # seconds
AT_ONCE: Final = 4
MOST_WAITING: Final = 200

log = structlog.get_logger(__name__)


class Known(NamedTuple):
    """What is known of a study from its record: its own id, who keeps it, and how it is found there."""

    id: str
    organization: str
    uid: str
    accession: str


async def known(ids: Sequence[str], services: Services) -> dict[str, Images]:
    """What was found lately, by the ImagingStudy's id; nothing of those never asked about."""
    now = services.now()
    found: dict[str, Images] = {}
    if ids:
        for row in [ProbeRow(*one) for one in await services.db.read(rows.OF, list(ids))]:
            if now - row.at < FRESH.get(row.state, 0):
                found[row.study] = "reachable" if row.state == "reachable" else "unreachable"
    return found


def begin(studies: Iterable[Known], services: Services) -> None:
    """Ask the archives in the background about those of which nothing is known; never raises."""
    wanted = [one for one in studies if one.uid and services.archives.has(one.organization)][
        :MOST_WAITING
    ]
    if wanted:
        services.archives.beside(_all(wanted, services))


async def _all(wanted: Sequence[Known], services: Services) -> None:
    fresh = await known([one.id for one in wanted], services)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one_by_one(study: Known) -> None:
        async with gate:
            await probe(study, services)

    await asyncio.gather(*(one_by_one(one) for one in wanted if one.id not in fresh))


async def probe(study: Known, services: Services) -> Literal["reachable", "unreachable"]:
    """Ask now, and keep what was found."""
    state: Literal["reachable", "unreachable"] = "reachable"
    try:
        await asyncio.wait_for(agree(study, services), PATIENCE)
    except (TimeoutError, Problem):
        state = "unreachable"
    row = ProbeRow(study.id, study.organization, state, services.now())
    await services.db.do(_put, row)
    return state


def _put(tx: Tx, row: ProbeRow) -> None:
    tx.run(rows.PUT, *row)


async def agree(study: Known, services: Services) -> None:
    """The archive has just this study, under the record's own accession number.

    Problem UNKNOWN when it has none; CONFLICT when it is another: the images of somebody else are
    worse than none, so nothing of it is fetched and operations are told.
    """
    found = await services.archives.json(
        study.organization, f"studies?StudyInstanceUID={study.uid}&includefield=00080050"
    )
    own = [one for one in found if _first(one, "0020000D") == study.uid]
    if not own:
        raise Problem(Kind.UNKNOWN, "The archive does not have these images.")
    said = _first(own[0], "00080050")
    if study.accession and said and said != study.accession:
        log.error("an archive's study is another than the record's", archive=study.organization)
        raise Problem(Kind.CONFLICT, "The archive's images are not those of this record.")


def _first(attributes: dict[str, Any], tag: str) -> str:
    values = (attributes.get(tag) or {}).get("Value") or [""]
    return str(values[0]).strip()
