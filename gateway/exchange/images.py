"""Imaging studies of one person, and their images from the hospital that keeps them, study by study.

Opening a study is one event; for a few minutes its images follow without another, as long as nothing
has changed that the decision stood on. Only the study that was opened is fetched: its instances are
listed once, and what is not among them is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final

from consent.model import DenyTell, Permit, PermitEmergency, Reason
from gateway.audit.events import Kind
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import image_probes, rights
from gateway.exchange.ask import Gathering, Match, Opened, Permitted, gather, nothing
from gateway.exchange.image_probes import UID, Known, accession_of, uid_of
from gateway.exchange.issued import listed, parsed, when
from gateway.exchange.page_records import studies_of
from gateway.exchange.residents import InHand, in_hand, patients_of
from gateway.recognition.images import Images
from gateway.recognition.rights import DataClass, Use
from gateway.services import Services
from gateway.services.archives import Streamed
from gateway.services.caller import Caller
from gateway.store import charts as rows

LIFE: Final = 600_000_000  # µs a study stays open
EMERGENCY_LIFE: Final = 30_000_000
DEEPEST: Final = 100  # sequences within sequences
_QUALITY = "/StructureDefinition/image-quality"


@dataclass(frozen=True, slots=True)
class Series:
    """One series as the record tells it. `quality` holds (name, value, unit) as sent."""

    uid: str
    modality: str
    description: str
    count: int
    quality: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """One imaging study. `uid` is its Study Instance UID, empty when the record has none."""

    id: str
    version: str
    organization: str
    uid: str
    accession: str
    description: str
    modalities: tuple[str, ...]
    started: date | datetime | None
    series: tuple[Series, ...]
    instances: int
    images: Images = "unknown"


@dataclass(frozen=True, slots=True)
class Studies:
    """The studies of one person that this caller may see, newest first."""

    resident: InHand
    studies: tuple[Study, ...]


@dataclass(slots=True)
class Open:
    """A study somebody has open. `places` are its (series, instance) UIDs once they were listed."""

    resident: InHand
    study: Study
    epochs: Mapping[str, int]
    until: int
    places: dict[str, list[str]] = field(default_factory=dict)


async def studies(chart: str, caller: Caller, services: Services) -> Studies | Reason:
    """The imaging studies of the person of `chart`; as `results.results` for whom nothing is shown.

    Whether the archives have them is what was found when they were last asked; what is not known is
    asked meanwhile, for the next time.
    """
    seen = await gather(
        chart,
        caller,
        services,
        lambda permitted: [
            *permitted.where(lambda nature: nature.type == "ImagingStudy"),
            *patients_of(permitted, services),
        ],
        kind=Kind.EVERYTHING,
        named=True,
    )
    if isinstance(seen.person.gate, DenyTell):
        return seen.person.gate.reason
    resident = in_hand(seen, caller, services)
    if resident is None:
        raise nothing()
    found = [study_of(one, services) for one in seen.records if one.type == "ImagingStudy"]
    return Studies(resident, tuple(sorted(await _told(found, services), key=_newest)))


async def of_report(report: Opened, seen: Gathering, services: Services) -> tuple[Study, ...]:
    """The studies of a report, of those opened with it, and what is known of their images."""
    own = set(studies_of(report, seen.records))
    found = [study_of(one, services) for one in seen.records if one.id in own]
    return tuple(await _told(found, services))


async def _told(studies: Sequence[Study], services: Services) -> list[Study]:
    known = await image_probes.states(map(asked_of, studies), services)
    return [replace(one, images=known[one.id]) for one in studies]


def _newest(study: Study) -> tuple[str, str]:
    started = study.started.isoformat() if study.started else ""
    return ("".join(chr(0x10FFFF - ord(letter)) for letter in started), study.id)


def asked_of(study: Study) -> Known:
    """What an archive is asked about a study."""
    return Known(study.id, study.organization, study.uid, study.accession)


def study_of(one: Opened, services: Services) -> Study:
    """An ImagingStudy as its archive told it."""
    text = parsed(one.text)
    series = tuple(_series(each) for each in listed(text.get("series")))
    said = str(text.get("numberOfInstances", ""))
    return Study(
        id=one.id,
        version=one.version,
        organization=one.match.pair[0].source,
        uid=uid_of(text),
        accession=accession_of(text),
        description=str(text.get("description", "")),
        modalities=tuple(
            dict.fromkeys(str(each.get("code", "")) for each in listed(text.get("modality")))
        ),
        started=when(text.get("started"), services.settings.zone),
        series=series,
        instances=_count(said, sum(each.count for each in series)),
    )


def _series(one: Mapping[str, Any]) -> Series:
    modality = listed(one.get("modality"))
    said = str(one.get("numberOfInstances", ""))
    quality = []
    for outer in listed(one.get("extension")):
        if str(outer.get("url", "")).endswith(_QUALITY):
            for inner in listed(outer.get("extension")):
                measured = next(iter(listed(inner.get("valueQuantity"))), None)
                value = inner.get("valueString", inner.get("valueInteger", ""))
                if measured is not None:
                    value = measured.get("value", "")
                unit = str(measured.get("unit", "")) if measured is not None else ""
                quality.append((str(inner.get("url", "")), str(value), unit))
    return Series(
        uid=str(one.get("uid", "")),
        modality=str(modality[0].get("code", "")) if modality else "",
        description=str(one.get("description", "")),
        count=_count(said, len(listed(one.get("instance")))),
        quality=tuple(quality),
    )


# One study at a time


async def look(id: str, caller: Caller, services: Services) -> Open:
    """Open a study: decided anew, and one event; Problem UNKNOWN when absent or hidden."""
    current = await rows.current(services.db, id)
    seen = await gather(
        current.chart if current else "",
        caller,
        services,
        lambda permitted: _of_study(permitted, id, services),
        kind=Kind.READ,
        named=False,
    )
    resident = in_hand(seen, caller, services)
    found = [one for one in seen.records if one.id == id]
    if resident is None or not found:
        raise nothing()
    (study,) = await _told([study_of(found[0], services)], services)
    opened = Open(
        resident,
        study,
        dict(seen.person.epochs),
        _until(seen, id, caller, services),
    )
    services.open_studies.put(caller, id, opened)
    return opened


def _of_study(permitted: Permitted, id: str, services: Services) -> list[Match]:
    """The study and the banner's Patients. A study that is shown in part has no images to show."""
    main = [
        one
        for one in permitted.named([id])
        if one.pair[0].type == "ImagingStudy" and isinstance(one.decision, Permit | PermitEmergency)
    ]
    return [*main, *patients_of(permitted, services)] if main else []


def _until(seen: Gathering, id: str, caller: Caller, services: Services) -> int:
    emergency = caller.purpose == services.policy.emergency_override
    until = services.now() + (EMERGENCY_LIFE if emergency else LIFE)
    for one in seen.records:
        decision = one.match.decision
        if one.id == id and isinstance(decision, Permit | PermitEmergency):
            until = min(until, decision.valid_until or until)
    return until


async def opened(id: str, caller: Caller, services: Services) -> Open:
    """The study as this session has it open; opened anew where anything changed that it stood on."""
    held = services.open_studies.get(caller, id)
    if isinstance(held, Open) and services.now() < held.until:
        stands: dict[str, int] = dict(await services.db.read(rows.STOOD_ON, list(held.epochs)))
        right = await rights.may(caller, DataClass.IMAGING, Use.VIEW, services)
        if right and stands == dict(held.epochs):
            return held
    services.open_studies.drop(caller, id)
    return await look(id, caller, services)


async def instances(held: Open, services: Services) -> dict[str, list[str]]:
    """The instances by series, in their order, as the archive lists them; listed once.

    Problem CONFLICT when the archive's study is not the one of the record, BUSY when it cannot be
    asked, UNKNOWN when it has none.
    """
    if held.places:
        return held.places
    study = held.study
    if not study.uid:
        raise nothing()
    await image_probes.agree(asked_of(study), services)
    fields = "&".join(f"includefield={tag}" for tag in ("00200013", "00200011"))
    found = await services.archives.json(
        study.organization, f"studies/{study.uid}/instances?{fields}"
    )
    ordered: list[tuple[int, str, int, str]] = []
    for one in found:
        series, instance = value(one, "0020000E"), value(one, "00080018")
        own = value(one, "0020000D") in ("", study.uid)
        if own and UID.fullmatch(series) and UID.fullmatch(instance):
            ordered.append(
                (_number(value(one, "00200011")), series, _number(value(one, "00200013")), instance)
            )
    places: dict[str, list[str]] = {}
    for _, series, _, instance in sorted(ordered):
        places.setdefault(series, []).append(instance)
    if not places:
        raise nothing()
    held.places = places
    return places


def value(attributes: Mapping[str, Any], tag: str) -> str:
    """The first value of an attribute of the DICOM JSON model, as text."""
    values = (attributes.get(tag) or {}).get("Value") or [""]
    return str(values[0])


def _number(text: str) -> int:
    return _count(text, 0)


def _count(text: str, otherwise: int) -> int:
    """A number as somebody else wrote it, if it is one that can be meant."""
    return int(text) if text.isdecimal() and len(text) <= 9 else otherwise


async def rendered(
    held: Open, series: str, instance: str, services: Services, query: str = ""
) -> Streamed:
    """One image for any browser: JPEG as the archive renders it; UNKNOWN for what is not of it."""
    await _belongs(held, series, instance, services)
    path = f"studies/{held.study.uid}/series/{series}/instances/{instance}/rendered"
    found = await services.archives.stream(
        held.study.organization, f"{path}?{query}" if query else path, "image/jpeg"
    )
    if found is None:
        raise nothing()
    return found


_BELOW: Final = (
    re.compile(r"(?:metadata|series|instances)"),
    re.compile(r"series/(?P<series>[0-9.]{1,64})/(?:metadata|instances|rendered|thumbnail)"),
    re.compile(
        r"series/(?P<series>[0-9.]{1,64})/instances/(?P<instance>[0-9.]{1,64})/"
        r"(?:metadata|rendered|thumbnail|frames/\d{1,6}(?:,\d{1,6}){0,63}(?:/rendered)?"
        r"|bulk/[0-9A-Fa-f/]{8,200})"
    ),
)
_FIELDS: Final = re.compile(r"[A-Za-z0-9_=&.,%*-]{0,400}")


async def fetch(
    held: Open, below: str, query: str, accept: str, services: Services
) -> Streamed | list[dict[str, Any]]:
    """What a viewer asks for beneath the open study, by DICOMweb (PS3.18): objects or a stream.

    `below` is what follows `studies/{uid}/`. Problem REFUSED for anything else than this one study's
    metadata, lists, frames and renderings.
    """
    shape = next((fits for one in _BELOW if (fits := one.fullmatch(below))), None)
    if shape is None or not _FIELDS.fullmatch(query):
        raise Problem(Trouble.REFUSED, "Only the open study is fetched.")
    parts = shape.groupdict()
    await _belongs(held, parts.get("series") or "", parts.get("instance") or "", services)
    study = held.study
    path = f"studies/{study.uid}/{below}" + (f"?{query}" if query else "")
    last = below.rpartition("/")[2]
    if last in ("metadata", "series", "instances"):
        objects = await services.archives.json(study.organization, path)
        return [one for one in objects if value(one, "0020000D") in ("", study.uid)]
    streamed = await services.archives.stream(study.organization, path, accept)
    if streamed is None:
        raise nothing()
    return streamed


async def found(held: Open, services: Services) -> list[dict[str, Any]]:
    """The open study as a search for it by UID answers: one study, or none."""
    uid = held.study.uid
    listed_ = await services.archives.json(
        held.study.organization, f"studies?StudyInstanceUID={uid}&includefield=00081030"
    )
    return [one for one in listed_ if value(one, "0020000D") == uid]


async def _belongs(held: Open, series: str, instance: str, services: Services) -> None:
    """Archives do not all check that what a path names hangs together; this does."""
    places = await instances(held, services)
    if (series and series not in places) or (instance and instance not in places[series]):
        raise nothing()


def rewritten(objects: Iterable[Any], base: str) -> list[Any]:
    """Objects whose addresses lead through us: the archive's own are of no use outside, and nobody's
    business. `base` is what stands before `studies/`."""
    return [_rewritten(one, base) for one in objects]


def _rewritten(node: Any, base: str, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise Problem(Trouble.BUSY, "The archive's answer is nested too deeply.")
    match node:
        case dict():
            return {
                name: _address(inner, base)
                if name == "BulkDataURI"
                else [_address(each, base) for each in inner]
                if name == "Value" and node.get("vr") == "UR" and isinstance(inner, list)
                else _rewritten(inner, base, depth + 1)
                for name, inner in node.items()
            }
        case list():
            return [_rewritten(inner, base, depth + 1) for inner in node]
    return node


def _address(said: Any, base: str) -> str:
    _, studies_, rest = str(said).partition("/studies/")
    return f"{base}studies/{rest}" if studies_ else ""
