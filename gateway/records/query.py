"""FHIR search on manifest entries: which parameters we take, and whether an entry matches.

R4 search (3.1.1). Values are compared with what the entry says; nothing is opened for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from gateway.errors import Kind, Problem
from gateway.records.entry import EARLIEST, LATEST, Entry, Links, Nature, Segment
from gateway.records.extract import number_digest
from gateway.records.instant import interval

Pair = tuple[Nature, Entry]
NatureTest = Callable[[Nature], bool]
TimeTest = Callable[[int, int], bool]  # start and end, EARLIEST and LATEST where not told
LinksTest = Callable[[Links], bool]
Key = tuple[Any, ...]

MAX_COUNT: Final = 200
DEFAULT_COUNT: Final = 20
_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb)?(\d.*)", re.DOTALL)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_OURS = re.compile(r"[0-9a-f]{32}")

# Type → parameter → how it is read. `metadata` lists exactly these.
TOKEN, DATE, REFERENCE = "token", "date", "reference"
PARAMETERS: Final[dict[str, dict[str, str]]] = {
    "Patient": {"identifier": TOKEN},
    "Observation": {
        "code": TOKEN,
        "category": TOKEN,
        "date": DATE,
        "status": TOKEN,
        "encounter": REFERENCE,
    },
    "DiagnosticReport": {
        "code": TOKEN,
        "category": TOKEN,
        "date": DATE,
        "status": TOKEN,
        "encounter": REFERENCE,
        "result": REFERENCE,
    },
    "Condition": {
        "code": TOKEN,
        "category": TOKEN,
        "clinical-status": TOKEN,
        "onset-date": DATE,
        "encounter": REFERENCE,
    },
    "DocumentReference": {
        "type": TOKEN,
        "category": TOKEN,
        "date": DATE,
        "status": TOKEN,
        "encounter": REFERENCE,
        "related": REFERENCE,
        "relatesto": REFERENCE,
    },
    "Encounter": {"date": DATE, "status": TOKEN},
    "ServiceRequest": {"code": TOKEN, "authored": DATE, "status": TOKEN},
    "Specimen": {"type": TOKEN, "collected": DATE},
    "ImagingStudy": {
        "identifier": TOKEN,
        "started": DATE,
        "modality": TOKEN,
        "bodysite": TOKEN,
        "status": TOKEN,
        "basedon": REFERENCE,
    },
    "Consent": {"status": TOKEN, "date": DATE},
    "Task": {
        "code": TOKEN,
        "status": TOKEN,
        "authored-on": DATE,
        "focus": REFERENCE,
        "based-on": REFERENCE,
        "encounter": REFERENCE,
    },
    "DetectedIssue": {"code": TOKEN, "identified": DATE, "implicated": REFERENCE},
    "Communication": {"status": TOKEN, "sent": DATE},
    "Provenance": {"target": REFERENCE, "recorded": DATE},
}
_LINK_OF: Final = {"basedon": "based-on"}  # where a parameter has another name than its link
_SORTS: Final = {
    "date",
    "started",
    "onset-date",
    "authored",
    "authored-on",
    "identified",
    "sent",
    "collected",
    "recorded",
}
INCLUDES: Final[dict[str, dict[str, str]]] = {
    "DiagnosticReport": {"DiagnosticReport:result": "result"},
    "ImagingStudy": {"ImagingStudy:basedon": "based-on"},
}
INCLUDED: Final = {"result": "Observation", "based-on": "ServiceRequest"}
"""The type that an included link leads to."""
NOBODY: Final = "-"
"""A well-formed id that no resource has."""
_CATEGORIES: Final = {"category", "modality"}
_NOT_IMPLEMENTED: Final = "This search parameter is not offered; see /fhir/metadata."


@dataclass(frozen=True, slots=True)
class Query:
    """A search of one type in one person's charts, parsed and checked."""

    type: str
    patient: str = ""  # chart id
    ids: frozenset[str] = frozenset()
    natures: tuple[NatureTest, ...] = ()  # asked once of what many entries share
    times: tuple[TimeTest, ...] = ()
    links: tuple[LinksTest, ...] = ()
    sort: tuple[tuple[str, bool], ...] = ()  # (what, descending)
    count: int = DEFAULT_COUNT  # 0: only the total is wanted
    includes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    self_link: tuple[tuple[str, str], ...] = ()
    action: str = "search"  # what consent is asked for: search | export

    @property
    def tests(self) -> tuple[object, ...]:
        """What an entry of the type must pass, beside being one of `ids`."""
        return (*self.natures, *self.times, *self.links)

    def matches(self, pair: Pair) -> bool:
        """True when the entry passes every test; its type is not looked at."""
        nature, entry = pair
        if self.ids and entry.hex not in self.ids:
            return False
        start = EARLIEST if entry.start is None else entry.start
        end = LATEST if entry.end is None else entry.end
        return (
            all(test(nature) for test in self.natures)
            and all(test(start, end) for test in self.times)
            and all(test(entry.links) for test in self.links)
        )

    def among(self, segment: Segment, places: Iterable[int]) -> list[int]:
        """Those of the places whose entry passes the tests of ids, times and links."""
        left = list(places)
        if self.ids:
            ids = {bytes.fromhex(id) for id in self.ids if _OURS.fullmatch(id)}
            left = [place for place in left if segment.ids[place] in ids]
        for timed in self.times:
            starts, ends = segment.starts, segment.ends
            left = [place for place in left if timed(starts[place], ends[place])]
        for linked in self.links:
            left = [place for place in left if linked(segment.links(place))]
        return left


def parse(kind: str, given: Sequence[tuple[str, str]], zone: ZoneInfo, *, lenient: bool) -> Query:
    """The query in `given` (name, value) pairs.

    Raises Problem: NOT_SUPPORTED naming an unknown parameter (ignored when `lenient`, R4 3.1.1.1),
    MALFORMED naming a value that cannot be read, REQUIRED when it names neither patient nor id.
    """
    offered = PARAMETERS[kind]
    patient, ids = "", set[str]()
    natures: list[NatureTest] = []
    times: list[TimeTest] = []
    links: list[LinksTest] = []
    sort: list[tuple[str, bool]] = []
    count, total_only = DEFAULT_COUNT, False
    includes: list[str] = []
    ignored: list[str] = []
    used: list[tuple[str, str]] = []
    for name, value in given:
        base, _, modifier = name.partition(":")
        if base in {"patient", "subject"} and not modifier and kind != "Patient":
            chart = value.removeprefix("Patient/")
            if not _ID.fullmatch(chart):
                raise Problem(Kind.MALFORMED, "This is not a patient id.", name)
            if patient and patient != chart:
                raise Problem(Kind.MALFORMED, "A search names one patient.", name)
            patient = chart
        elif name == "_id":
            wanted = value.split(",")
            if not all(_ID.fullmatch(one) for one in wanted):
                raise Problem(Kind.MALFORMED, "This is not a resource id.", name)
            # Said twice, both must hold (R4 3.1.1.4.2): what none can be is nobody's id.
            ids = (ids & set(wanted) or {NOBODY}) if ids else set(wanted)
        elif name == "_count":
            if not value.isascii() or not value.isdigit() or len(value) > 9:
                raise Problem(Kind.MALFORMED, "A count is a whole number.", name)
            count = min(int(value), MAX_COUNT)
        elif name == "_summary" and value in {"count", "false"}:
            total_only = value == "count"
        elif name == "_total" and value in {"accurate", "estimate", "none"}:
            pass  # totals are always exact
        elif name == "_sort":
            for key in value.split(","):
                bare = key.removeprefix("-")
                if bare not in {"_id", "_lastUpdated"} and (
                    bare not in _SORTS or bare not in offered
                ):
                    raise Problem(Kind.NOT_SUPPORTED, "Sorting by this is not offered.", name)
                sort.append((bare if bare.startswith("_") else "date", key.startswith("-")))
        elif name == "_include" and value in INCLUDES.get(kind, {}):
            includes.append(INCLUDES[kind][value])
        elif name == "identifier" and name in offered:
            links.append(_number(name, value))
        elif base in offered and modifier in {"", "not"} and offered[base] == TOKEN:
            natures.append(_token(kind, base, value, negated=modifier == "not"))
        elif name in offered and offered[name] == DATE:
            times.append(_date(name, value, zone))
        elif name in offered and offered[name] == REFERENCE:
            links.append(_reference(_LINK_OF.get(name, name), value))
        elif name == "_format" and value in _JSON_NAMES:
            continue
        elif lenient:
            ignored.append(name)
            continue
        else:
            raise Problem(Kind.NOT_SUPPORTED, _NOT_IMPLEMENTED, _shown(name))
        used.append((name, value))
    if not patient and not ids:
        raise Problem(Kind.REQUIRED, "A clinical search names one patient, or _id.", "patient")
    return Query(
        type=kind,
        patient=patient,
        ids=frozenset(ids),
        natures=tuple(natures),
        times=tuple(times),
        links=tuple(links),
        sort=tuple(sort),
        count=0 if total_only else count,
        includes=tuple(includes),
        ignored=tuple(ignored),
        self_link=tuple(used),
    )


_JSON_NAMES: Final = frozenset(
    {"json", "application/json", "application/fhir+json", "application/fhir json"}
)


def _shown(name: str) -> str:
    """A parameter's name as an error may repeat it: short, plain characters."""
    return re.sub(r"[^A-Za-z0-9_:.\-]", "?", name[:64])


def _token(kind: str, name: str, value: str, *, negated: bool) -> NatureTest:
    """A token matches any of a comma-separated list of `code`, `system|code`, `system|`, `|code`."""
    wanted = [part for part in value.split(",") if part]
    if not wanted:
        raise Problem(Kind.MALFORMED, "This parameter has no value.", name)
    if name in {"status", "clinical-status"}:
        codes = frozenset(part.rpartition("|")[2] for part in wanted)
        return partial(_has_status, codes, negated)
    return partial(_has_token, name in _CATEGORIES, tuple(wanted), negated)


def _has_status(codes: frozenset[str], negated: bool, nature: Nature) -> bool:
    return (nature.status in codes) is not negated


def _has_token(category: bool, wanted: tuple[str, ...], negated: bool, nature: Nature) -> bool:
    held = nature.categories if category else nature.codes
    for part in wanted:
        system, bar, code = part.rpartition("|")
        if bar and code and system:
            if part in held:
                return not negated
        elif bar and code:
            if f"|{code}" in held:
                return not negated
        elif bar:
            if any(one.startswith(part) for one in held):
                return not negated
        elif any(one.endswith(f"|{code}") for one in held):
            return not negated
    return negated


def _date(name: str, value: str, zone: ZoneInfo) -> TimeTest:
    """R4 3.1.1.4.7: the resource's interval against the parameter's, by prefix; commas are OR."""
    tests = []
    for part in value.split(","):
        match = _PREFIX.fullmatch(part)
        found = interval(match[2], zone) if match else None
        if match is None or found is None:
            raise Problem(Kind.MALFORMED, "This is not a date as FHIR writes it.", name)
        tests.append((match[1] or "eq", *found))
    return partial(_in_time, tuple(tests))


def _in_time(tests: tuple[tuple[str, int, int], ...], low: int, high: int) -> bool:
    if low == EARLIEST and high == LATEST:
        return False
    return any(_compare(prefix, low, high, first, last) for prefix, first, last in tests)


def _compare(prefix: str, low: int, high: int, first: int, last: int) -> bool:
    match prefix:
        case "eq":
            return first <= low and high <= last
        case "ne":
            return not (first <= low and high <= last)
        case "gt":
            return high > last
        case "lt":
            return low < first
        case "ge":
            return high > last or (first <= low and high <= last)
        case "le":
            return low < first or (first <= low and high <= last)
        case "sa":
            return low >= last
        case _:
            return high <= first


def _reference(name: str, value: str) -> LinksTest:
    wanted = set()
    for part in value.split(","):
        bare = part.rpartition("/")[2]
        if not _ID.fullmatch(bare):
            raise Problem(Kind.MALFORMED, "This is not a reference.", name)
        wanted.add(bare)
    return partial(_links_to, name, frozenset(wanted))


def _number(name: str, value: str) -> LinksTest:
    """An identifier as ``system|value``, ``|value`` (without a system) or ``value``; commas are OR."""
    wanted = [part for part in value.split(",") if part and not part.endswith("|")]
    if not wanted:
        raise Problem(Kind.MALFORMED, "An identifier has a value.", name)
    return partial(_links_to, name, frozenset(number_digest(part).hex() for part in wanted))


def _links_to(name: str, wanted: frozenset[str], links: Links) -> bool:
    return any(said == name and target.hex() in wanted for said, target in links)


def sort_key(query: Query) -> Callable[[Pair], Key]:
    """The order of a query's matches as a key: newest clinical date first unless it says else.

    A key is numbers, then the id, which settles ties: the order is total and a page knows where the
    one before ended.
    """
    plan = query.sort or (("date", True),)

    def key(pair: Pair) -> Key:
        entry = pair[1]
        parts = []
        for what, descending in plan:
            if what == "_id":
                value = int.from_bytes(entry.id)
            elif what == "_lastUpdated":
                value = entry.filed
            else:
                value = EARLIEST if entry.start is None else entry.start
            parts.append(-value if descending else value)
        return (*parts, entry.id)

    return key


def keys(query: Query, segment: Segment, places: Iterable[int], mark: int) -> Iterator[Key]:
    """The same keys from a segment's columns, each followed by `mark` and its place."""
    ids = segment.ids
    if not query.sort:
        starts = segment.starts
        return ((-starts[place], ids[place], mark, place) for place in places)
    columns = []
    for what, descending in query.sort:
        if what == "_id":
            column = [int.from_bytes(id) for id in ids]
        else:
            column = segment.filed if what == "_lastUpdated" else segment.starts
        columns.append([-value for value in column] if descending else column)
    return ((*(column[place] for column in columns), ids[place], mark, place) for place in places)
