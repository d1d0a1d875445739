"""DICOM headers as an input form: Part 10 files, DICOM JSON as QIDO-RS and WADO-RS answer, Key Object Selections.

A letter is one study of one patient. Its scopes are the study, its series (``each = "series"``) and their
instances (``each = "instance"``). An address names an attribute by keyword or tag and may step through
sequences:

    PatientID    0020000D    `0020,000D`    ModalitiesInStudy[*]    ImageType[3]
    ReferencedRequestSequence.AccessionNumber
    OtherPatientIDsSequence[TypeOfPatientID=NI].PatientID
    StudyDate+StudyTime                      a date and a time as one, with Timezone Offset From UTC

Asked of a series or a study, it is the first filled one among its instances; ``[*]`` gives every different
one. A Key Object Selection Document (PS3.3 C.17.6) is read as the instances it lists: each has the
attributes of its patient and study, the UIDs, where it can be retrieved, and a modality where its SOP
class (PS3.4 B.5) leaves one. Its kind is ``kos``, everything else is ``image``.

Pixel data, overlays, waveforms, documents and icons are never kept: a unit is a file's header, and of what is
neither DICOM nor JSON the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import BinaryIO

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from mappings.engine import streams, times
from mappings.engine.dicomdata import (
    DataSet,
    DicomFault,
    Element,
    header,
    is_file,
    read_file,
    read_json,
    tag_name,
    text_of,
)
from mappings.engine.dicomstudy import (
    PATIENT_ID,
    SERIES_UID,
    SOP_UID,
    STUDY_UID,
    is_kos,
    listed,
)
from mappings.engine.model import Issue, Unit
from mappings.engine.reader import AddressFault, Getter, Letter, Source, Value

_ZONE = 0x00080201
_OFFSET = re.compile(r"[+-]\d{4}")
_STEP = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9]*|[0-9A-Fa-f]{8}|[0-9A-Fa-f]{4},[0-9A-Fa-f]{4})(?:\[(?P<pick>[^\]]*)\])?"
)
_DOTS = re.compile(r"\.(?![^\[]*\])")
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(\.\d{1,6})?")
_SENT = (("InstanceCreationDate", "InstanceCreationTime"), ("ContentDate", "ContentTime"),
         ("AcquisitionDate", "AcquisitionTime"), ("SeriesDate", "SeriesTime"))  # fmt: skip
_MOJIBAKE = re.compile("锟斤拷|烫烫烫|\ufffd")


_OURS = frozenset({0x00080005, _ZONE, *(tag_for_keyword(day) for day, _ in _SENT)})
_NO = Element("", ())
_BEGINNING = 1_024


class Place:
    """An attribute of an instance; formatted only when shown."""

    __slots__ = ("instance", "path", "tag")

    def __init__(self, instance: int, path: str = "", tag: int = 0) -> None:
        self.instance, self.path, self.tag = instance, path, tag

    def __str__(self) -> str:
        parts = [f"instance {self.instance}"] if self.instance else []
        if self.path:
            parts.append(self.path)
            # The tag beside the keyword: viewers and PACS show one or the other.
            if self.tag:
                parts.append(tag_name(self.tag))
        return " ".join(parts)


class _Scope:
    """What study, series and instance have in common."""

    __slots__ = ()
    sets: Sequence[Instance]
    document: Instance | None = None

    def told(self) -> Sequence[Instance]:
        """The data sets an address is looked up in; a document that lists them comes last."""
        return self.sets if self.document is None else [*self.sets, self.document]


class Instance(_Scope):
    """One data set: an instance, or what is told of a series or study whose instances are not listed."""

    __slots__ = ("data", "number", "parent", "sets")

    def __init__(self, number: int, data: DataSet, parent: Series) -> None:
        self.number, self.data, self.parent = number, data, parent
        self.sets = (self,)

    @property
    def place(self) -> Place:
        return Place(self.number)

    def locate(self, address: str) -> str:
        return str(_place(self.number, address))

    def children(self, each: str) -> Iterable[Instance]:
        return (self,)


class Series(_Scope):
    """The data sets of one series; without a series UID it is no series, only a holder of what is told of the study."""

    __slots__ = ("parent", "sets", "uid")

    def __init__(self, uid: str, parent: Study) -> None:
        self.uid, self.parent = uid, parent
        self.sets: list[Instance] = []

    @property
    def place(self) -> Place:
        return Place(self.sets[0].number)

    def locate(self, address: str) -> str:
        return str(_place(self.sets[0].number, address))

    def children(self, each: str) -> Iterable[Series | Instance]:
        return (
            [one for one in self.sets if text_of(one.data, SOP_UID)]
            if each == "instance"
            else (self,)
        )


class Study(_Scope):
    """One study of one patient; `sets` are the data sets an address is looked up in, in order of arrival.

    `document` tells of the study as a whole: it is asked for what no instance says.
    """

    __slots__ = ("data", "document", "series", "sets")
    parent = None

    def __init__(self, data: DataSet) -> None:
        self.data = data
        self.series: dict[str, Series] = {}
        self.sets: list[Instance] = []
        self.document: Instance | None = None

    def add(self, number: int, data: DataSet) -> None:
        uid = text_of(data, SERIES_UID)
        series = self.series.setdefault(uid, Series(uid, self))
        made = Instance(number, data, series)
        series.sets.append(made)
        self.sets.append(made)

    @property
    def place(self) -> Place:
        return Place(0)

    def locate(self, address: str) -> str:
        return str(_place(0, address))

    def children(self, each: str) -> Iterable[Study | Series | Instance]:
        match each:
            case "series":
                return [one for uid, one in self.series.items() if uid]
            case "instance":
                return [one for series in self.series.values() for one in series.children(each)]
            case _:
                return (self,)


Node = Study | Series | Instance


# --- addresses -------------------------------------------------------------------------------------


class _Step:
    """One attribute of an address: its tag, and which of its values or items are meant."""

    __slots__ = ("every", "number", "tag", "wanted")

    def __init__(self, tag: int, pick: str | None, offset: int) -> None:
        self.tag = tag
        self.every = pick == "*"
        self.number = 1
        self.wanted: tuple[int, str] | None = None
        if pick is None or self.every:
            return
        name, equals, value = pick.partition("=")
        if equals:
            self.wanted = (_tag(name, offset), value)
        elif pick.isdigit() and int(pick):
            self.number = int(pick)
        else:
            raise AddressFault(
                "方括号里写 *、序号或 属性=值",
                "inside the brackets stands *, a number or keyword=value",
                offset,
            )

    def items(self, element: Element, explicit: bool) -> Iterator[DataSet]:
        """The items of a sequence that are meant; without a pick all of them are looked through."""
        sets = [one for one in element.values if isinstance(one, dict)]
        if self.wanted is not None:
            tag, value = self.wanted
            yield from (one for one in sets if text_of(one, tag) == value)
        elif explicit:
            yield from sets[self.number - 1 : self.number]
        else:
            yield from sets


def _tag(name: str, offset: int) -> int:
    plain = name.replace(",", "")
    if re.fullmatch(r"[0-9A-Fa-f]{8}", plain):
        return int(plain, 16)
    tag = tag_for_keyword(name)
    if tag is None:
        raise AddressFault(
            f"DICOM 没有属性 {name}；写关键字（如 PatientID）或标签（如 `0010,0020`）",
            f"DICOM has no attribute {name}; write a keyword (PatientID) or a tag (`0010,0020`)",
            offset,
        )
    return int(tag)


def _steps(text: str) -> list[tuple[_Step, bool]]:
    steps: list[tuple[_Step, bool]] = []
    offset = 0
    for part in _DOTS.split(text):
        found = _STEP.fullmatch(part)
        if found is None:
            raise AddressFault(
                f"{part} 不是 DICOM 地址", f"{part} is not an address in a DICOM header", offset
            )
        pick = found["pick"]
        steps.append((_Step(_tag(found["name"], offset), pick, offset), pick not in (None, "*")))
        offset += len(part) + 1
    return steps


def _place(number: int, address: str) -> Place:
    try:
        return Place(number, _plain_path(address), _steps(address.partition("+")[0])[-1][0].tag)
    except AddressFault:
        return Place(number, address)


def _plain_path(address: str) -> str:
    """The keywords of an address: a filter may hold a number of a patient, a place never does."""
    names = []
    for part in _DOTS.split(address.partition("+")[0]):
        name = part.partition("[")[0].replace(",", "")
        if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
            name = keyword_for_tag(int(name, 16)) or name
        names.append(name)
    return ".".join(names)


class DicomDialect:
    """The `Dialect` of DICOM headers."""

    def address(self, text: str, source: Source) -> Getter:
        return _getter(text)

    def eaches(self, source: Source) -> Callable[[str], bool]:
        return lambda each: each in ("series", "instance")

    def filled(self, root: Study, source: Source) -> Iterator[tuple[str, str]]:
        """Every filled attribute, once for each value it has in the study.

        A time is read with its date, and what the dialect itself reads is no rule's business.
        """
        said = set[tuple[str, str]]()
        for one in root.told():
            for tag, path, value in _leaves(one.data):
                if (
                    (path, value) not in said
                    and tag not in _OURS
                    and one.data.get(tag, _NO)[0] != "TM"
                ):
                    said.add((path, value))
                    yield path, str(Place(one.number, path, tag))

    def whole(self, place: object) -> str:
        return str(place)

    def field(self, address: str) -> str:
        return _plain_path(address)

    def cut(self, raw: bytes, source: Source) -> tuple[Sequence[Letter], Sequence[Issue]]:
        """One letter for each study of each patient, in the order they first appear."""
        if len(raw) > source.limits.bytes:
            return (), (Issue("stop", "too-many-bytes", ""),)
        if not raw.strip():
            return (), (Issue("stop", "empty", ""),)
        issues: list[Issue] = []
        try:
            sets = _data_sets(raw, source, issues)
            return _letters(sets, source, issues), issues
        except DicomFault as fault:
            return (), (*issues, Issue("stop", fault.code, fault.place))


DIALECT = DicomDialect()


@lru_cache(maxsize=1024)
def _getter(text: str) -> Getter:
    day, plus, time = text.partition("+")
    if plus:
        return _joined(_finder(day), _finder(time), text)
    steps = _steps(text)
    every = steps[-1][0].every
    find, path, tag = _finder(text), _plain_path(text), steps[-1][0].tag

    def get(scope: Node) -> Sequence[Value]:
        found: dict[str, Value] = {}
        for one in scope.told():
            if found and (not every or one is scope.document):
                break
            for vr, value in find(one.data):
                if value and value not in found:
                    found[value] = _value(vr, value, Place(one.number, path, tag), one.data)
        values = list(found.values())
        return values if every else values[:1]

    return get


_Find = Callable[[DataSet], Iterator[tuple[str, str]]]


def _finder(text: str) -> _Find:
    """Every (VR, text) at an address of one data set."""
    steps = _steps(text)
    above, (last, explicit) = steps[:-1], steps[-1]

    def find(data: DataSet) -> Iterator[tuple[str, str]]:
        sets: Iterable[DataSet] = (data,)
        for step, picked in above:
            sets = [
                item
                for one in sets
                if (element := one.get(step.tag)) is not None
                for item in step.items(element, picked)
            ]
        for one in sets:
            element = one.get(last.tag)
            if element is None or element.vr == "SQ":
                continue
            values = element.values
            if explicit:
                values = values[last.number - 1 : last.number]
            for value in values if last.every else values[:1]:
                if isinstance(value, str):
                    yield element.vr, value

    return find


def _value(vr: str, text: str, place: Place, data: DataSet) -> Value:
    if vr == "PN":
        return _person(text, place)
    if vr == "DT" and len(text) > 8 and not _OFFSET.search(text[8:]):
        text += _offset(data)
    return Value(text, place, (text,))


def _person(text: str, place: Place) -> Value:
    """A name by its components (PS3.5 6.2.1.1): the ideographic group when there is one, pinyin beside it."""
    groups = [group.split("^") for group in text.split("=")]
    spoken = " ".join(part.strip() for part in groups[0][:3] if part.strip())
    written = "".join(part.strip() for part in groups[1][:3]) if len(groups) > 1 else ""
    parts = tuple(part.strip() for part in groups[0])
    if written:
        parts = (written, spoken) if spoken and spoken != written else (written,)
    return Value(parts[0], place, parts)


def _joined(day: _Find, time: _Find, text: str) -> Getter:
    """A DA and a TM as one time, at the precision that was sent."""
    tag = _steps(text.partition("+")[0])[-1][0].tag
    path = _plain_path(text)

    def get(scope: Node) -> Sequence[Value]:
        for one in scope.told():
            date = next((_DATE.fullmatch(value) for _, value in day(one.data)), None)
            if date is None:
                continue
            stamp = "".join(date.groups())
            at = next((_TIME.fullmatch(value) for _, value in time(one.data)), None)
            if at is not None:
                hours = "".join(part for part in at.groups()[:3] if part)
                stamp += hours + (at[4] or "" if at[3] else "") + _offset(one.data)
            return (Value(stamp, Place(one.number, path, tag), (stamp,)),)
        return ()

    return get


def _offset(data: DataSet) -> str:
    zone = text_of(data, _ZONE)
    return zone if _OFFSET.fullmatch(zone) else ""


# --- letters ---------------------------------------------------------------------------------------


def _data_sets(raw: bytes, source: Source, issues: list[Issue]) -> list[DataSet]:
    if is_file(raw):
        file = read_file(raw, source.charset)
        where = str(_place(0, "SpecificCharacterSet"))
        issues.extend(
            Issue("drop" if code == "dicom-charset-broken" else "note", code, where)
            for code in file.faults
        )
        return [file.data]
    if raw.lstrip()[:1] in (b"[", b"{"):
        parts = read_json(raw)
        if len(parts) > source.limits.rows:
            raise DicomFault("too-many-rows")
        return [part.data for part in parts]
    raise DicomFault("not-dicom")


def _letters(sets: Sequence[DataSet], source: Source, issues: list[Issue]) -> list[Letter]:
    studies: dict[tuple[str, str, str], Study] = {}
    several = len(sets) > 1
    for number, data in enumerate(sets, 1):
        kind = "kos" if is_kos(data) else "image"
        for uid, told in listed(data) if kind == "kos" else [(text_of(data, STUDY_UID), [data])]:
            if not uid:
                issues.append(Issue("stop", "dicom-no-study", str(Place(number if several else 0))))
                continue
            study = studies.setdefault((kind, uid, text_of(data, PATIENT_ID)), Study(data))
            for one in told:
                study.add(number if several else 0, one)
            if kind == "kos":
                study.document = Instance(0, data, Series("", study))
    if any(_MOJIBAKE.search(text) for data in sets for _, _, text in _leaves(data)):
        issues.append(Issue("alarm", "charset-mojibake", ""))
    uids = [uid for _, uid, _ in studies]
    return [
        _letter(kind, study, source, uids.count(uid) > 1)
        for (kind, uid, _), study in studies.items()
    ]


def _letter(kind: str, study: Study, source: Source, shared: bool) -> Letter:
    digest = blake2b(digest_size=16)
    for one in study.told():
        digest.update(repr(sorted(one.data.items())).encode())
    control_id = text_of(study.data, SOP_UID) if len(study.sets) == 1 or kind == "kos" else ""
    return Letter(
        control_id=control_id or digest.hexdigest(),
        kind=kind,
        sender=source.name,
        sent=_sent(study, source),
        root=study,
        digest=digest.hexdigest(),
        # One study UID under two patient numbers: one of them is wrong.
        issues=(Issue("alarm", "dicom-two-patients", ""),) if shared else (),
    )


_SENT_FINDERS = [(_joined(_finder(day), _finder(time), f"{day}+{time}")) for day, time in _SENT]


def _sent(study: Study, source: Source) -> str:
    """When the newest of its data sets was made, as written; it is what a correction moves."""
    newest, latest = "", -(2**63)
    for one in study.told():
        for find in _SENT_FINDERS:
            if found := find(one):
                moment = times.read(found[0].text, source.zone)
                if isinstance(moment, times.Moment):
                    if moment.us > latest:
                        newest, latest = found[0].text, moment.us
                    break
    return newest


def _leaves(data: DataSet, above: str = "") -> Iterator[tuple[int, str, str]]:
    """Tag, path of keywords and text of every value of a data set, sequences included."""
    for tag, element in data.items():
        path = above + (keyword_for_tag(tag) or f"{tag:08X}")
        for value in element.values:
            if isinstance(value, str):
                yield tag, path, value
            else:
                yield from _leaves(value, f"{path}.")


# --- units -----------------------------------------------------------------------------------------


def units(file: BinaryIO, source: Source, issues: list[Issue]) -> Iterator[Unit]:
    """A Part 10 file is one unit, its header; a DICOM JSON array one for each study and patient."""
    raw = streams.whole(file, source.limits.bytes)
    if is_file(raw):
        yield Unit(header(raw))
        return
    if raw.lstrip()[:1] not in (b"[", b"{"):
        yield Unit(raw[:_BEGINNING])  # no DICOM, and perhaps an image of another kind
        return
    try:
        parts = read_json(raw)
    except DicomFault:
        yield Unit(raw)
        return
    together: dict[tuple[str, str], list[bytes]] = {}
    for part in parts:
        key = (text_of(part.data, STUDY_UID), text_of(part.data, PATIENT_ID))
        together.setdefault(key, []).append(part.text)
    for texts in together.values():
        yield Unit(b"[%s]" % b",".join(texts))
