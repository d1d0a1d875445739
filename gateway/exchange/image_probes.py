"""Finds out, ahead of need, whether an archive has the images of a study, and whether they are its own.

Every page, prompt and judgement asks `states`, and so says the same of the same images. Whoever looks is
told what is known and never waits, what is not known being asked meanwhile; whoever decides waits a
moment. What was found is kept sealed (`recognition.images.FRESH`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec
import orjson
import structlog

from gateway.errors import Kind, Problem
from gateway.exchange.ask import Opened
from gateway.exchange.issued import listed
from gateway.recognition.images import Images, state
from gateway.services import Services
from gateway.store import images as rows
from gateway.store.engine import Tx
from gateway.store.images import ProbeRow
from gateway.vault import VaultError

PATIENCE: Final = 4.0  # seconds
AT_ONCE: Final = 4
MOST_WAITING: Final = 200
DICOM_UID: Final = "urn:dicom:uid"
UID: Final = re.compile(
    r"(?=[0-9.]{1,64}\Z)[0-9]+(?:\.[0-9]+)*"
)  # no empty step: ".." leads elsewhere
_TABLE: Final = "image_probe"

log = structlog.get_logger(__name__)


class Known(NamedTuple):
    """What is known of a study from its record: its own id, who keeps it, and how it is found there."""

    id: str
    organization: str
    uid: str
    accession: str


def named(one: Opened, text: Mapping[str, Any] | None = None) -> Known:
    """How an opened ImagingStudy is found at its archive; `text` saves reading it again."""
    if text is None:
        text = orjson.loads(one.text)
    return Known(one.id, one.match.pair[0].source, uid_of(text), accession_of(text))


def uid_of(text: Mapping[str, Any]) -> str:
    """The Study Instance UID of an ImagingStudy, empty where it tells none that can be one."""
    for one in listed(text.get("identifier")):
        value = str(one.get("value", "")).removeprefix("urn:oid:")
        if one.get("system") == DICOM_UID and UID.fullmatch(value):
            return value
    return ""


def accession_of(text: Mapping[str, Any]) -> str:
    """The accession number of an ImagingStudy, empty where it tells none."""
    return next(
        (
            str(one.get("value", ""))
            for one in listed(text.get("identifier"))
            if str(one.get("system", "")).endswith("/accession")
        ),
        "",
    )


async def states(
    studies: Iterable[Known], services: Services, *, wait: bool = False
) -> dict[str, Images]:
    """What is to be said of the images of each study, by its id. What is not known is asked in the
    background, or with `wait` now, for as long as `PATIENCE`."""
    each = {one.id: one for one in studies}
    told = await _told(each.values(), services)
    lacking = [each[id] for id, state in told.items() if state == "unknown"][:MOST_WAITING]
    if lacking and wait:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await _all(lacking, services)
        return await _told(each.values(), services)
    if mine := _unasked(lacking, services):
        services.archives.beside(_all(mine, services))
    return told


def _unasked(lacking: Iterable[Known], services: Services) -> list[Known]:
    """Those that are not being asked beside already, of each archive MOST_WAITING at a time: a slow
    one is not asked the same again at every look."""
    mine = []
    for one in lacking:
        asked = services.archives.asked.setdefault(one.organization, set())
        if one not in asked and len(asked) < MOST_WAITING:
            asked.add(one)
            mine.append(one)
    return mine


async def _told(studies: Iterable[Known], services: Services) -> dict[str, Images]:
    each = {one.id: one for one in studies}
    askable = [o.id for o in each.values() if o.uid and services.archives.has(o.organization)]
    rows_ = await services.db.read(rows.OF, askable) if askable else ()
    found = {id: _opened(each[id], sealed, services) for id, sealed in rows_}
    now = services.now()

    def of(id: str) -> Images:
        said, at = found.get(id, ("", 0))
        return state(id in askable, said, now - at)

    return {id: of(id) for id in each}


def _opened(study: Known, sealed: bytes, services: Services) -> tuple[str, int]:
    """(what the archive answered, when); nothing for a row that was altered or is of another UID."""
    try:
        plain = services.vault.open_field(_TABLE, study.id, sealed)
        *about, said, at = msgspec.msgpack.decode(plain, type=tuple[str, str, str, str, int])
    except (VaultError, msgspec.MsgspecError):
        return "", 0
    return (said, at) if about == list(study[1:]) else ("", 0)


async def _all(wanted: Sequence[Known], services: Services) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one_by_one(study: Known) -> None:
        try:
            async with gate:
                await probe(study, services)
        finally:
            services.archives.asked.get(study.organization, set()).discard(study)

    await asyncio.gather(*(one_by_one(one) for one in wanted))


async def probe(study: Known, services: Services) -> None:
    """Ask now, and keep what was found."""
    said: Images = "reachable"
    try:
        await asyncio.wait_for(agree(study, services), PATIENCE)
    except (TimeoutError, Problem):
        said = "unreachable"
    plain = msgspec.msgpack.encode((*study[1:], said, services.now()))
    row = ProbeRow(study.id, services.vault.seal_field(_TABLE, study.id, plain))
    await services.db.do(_put, row)


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
