"""Looks through the manifest of a chart: what stands there, and what of it the caller may know of.

Consent is asked once for what records share (their nature); only where a consent tells single
records apart, record by record. An entry is unpacked when somebody asks for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from consent.model import Decision, Permit, PermitEmergency, Redact
from gateway.audit.events import Ruling
from gateway.exchange.person import Pair, Person, manifests, segment_name
from gateway.exchange.shelves import head_name
from gateway.records.entry import (
    EARLIEST,
    Entry,
    Nature,
    Segment,
    places_of,
    standing_places,
    unpack_head,
)
from gateway.records.extract import IDENTIFIER
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows
from gateway.vault import ChartTier, Tier

NOT_IN_EVERYTHING = frozenset({"Communication", "Consent", "DetectedIssue", "Task"})
# What a chart holds without the patient having been seen for anything that may be shown.
_SAYS_NOTHING = NOT_IN_EVERYTHING | {"Patient", "Provenance", "Specimen"}
# These speak of others alone: a specimen says that something was taken for what names it, and a
# Provenance where what it names came from. They are shown where something they speak of is.
_SPEAK_OF_OTHERS = frozenset({"Specimen", "Provenance"})
_ID = re.compile("[0-9a-f]{32}")
_TAKEN_FOR = frozenset({"Observation", "DiagnosticReport", "ServiceRequest"})


class Match(NamedTuple):
    """A permitted entry and the chart it is in."""

    chart: str
    pair: Pair
    decision: Decision


@dataclass(slots=True)
class Tally:
    """How the decisions of one request came out, for its event."""

    effects: Counter[tuple[str, str, tuple[str, ...]]] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    # Records of one class share one decision, which is kept so that its id stays its own.
    _seen: dict[int, tuple[Decision, bool, Counter[Any], Any]] = field(default_factory=dict)

    def note(self, decision: Decision, count: int = 1) -> bool:
        """Count it for so many records; True when it permits."""
        seen = self._seen.get(id(decision))
        if seen is None:
            reason = decision.reason.value
            permitted = permits(decision)
            counts: Counter[Any] = self.effects if permitted else self.withheld
            effect = "redact" if isinstance(decision, Redact) else "permit"
            name: Any = (effect, reason, decision.rules) if permitted else reason
            seen = self._seen[id(decision)] = decision, permitted, counts, name
        _, permitted, counts, name = seen
        counts[name] += count
        return permitted

    def rulings(self) -> tuple[Ruling, ...]:
        """The permits, grouped."""
        return tuple(
            Ruling(effect, reason, rules, count)
            for (effect, reason, rules), count in self.effects.items()
        )


def permits(decision: Decision) -> bool:
    """Whether the record may be known of, if not all of it (Redact)."""
    return isinstance(decision, Permit | PermitEmergency | Redact)


@dataclass(frozen=True, slots=True)
class Shown:
    """What of one segment the caller may know of: its places, in the segment's order."""

    chart: str
    segment: Segment
    places: Sequence[int]
    natures: dict[int, Decision]
    single: dict[int, Decision]  # by place, where a consent tells records of a nature apart
    whole: bool = False  # nothing that says something was withheld of the places asked about

    def of_nature(self, number: int) -> Sequence[int]:
        """Those of the places that have this nature, in order."""
        own = self.segment.by_nature.get(number, ())
        return own if self._all else [place for place in own if place in self._shown]

    def among(self, ids: Iterable[bytes]) -> list[int]:
        """Those of the places at which one of these records stands."""
        segment = self.segment
        if len(segment.last) < len(segment.ids):
            wanted = frozenset(ids)
            return [place for place in self.places if segment.ids[place] in wanted]
        own = [segment.last[id] for id in ids if id in segment.last]
        return own if self._all else [place for place in own if place in self._shown]

    @property
    def _all(self) -> bool:
        return len(self.places) == len(self.segment.ids)

    @property
    def _shown(self) -> Collection[int]:
        return self.places if isinstance(self.places, range) else frozenset(self.places)

    def match(self, place: int) -> Match:
        """The entry at a place with the decision that shows it."""
        return self._match(place, self.segment.entry(place))

    def matches(self, places: Sequence[int]) -> list[Match]:
        """The entries at these of its places."""
        if len(places) * 3 < len(self.segment.ids):
            return [self.match(place) for place in places]
        entries = self.segment.entries
        return [self._match(place, entries[place]) for place in places]

    def _match(self, place: int, entry: Entry) -> Match:
        nature = entry.nature
        decision = self.single[place] if nature not in self.natures else self.natures[nature]
        return Match(self.chart, (self.segment.natures[nature], entry), decision)


class Permitted:
    """Everything of one person that the caller may know of, chart by chart in order of sequence
    number, the Patient last. Only what is asked for is made an entry of."""

    def __init__(self, shown: Sequence[Shown]) -> None:
        self._shown = list(_charts(shown))

    def __iter__(self) -> Iterator[Match]:
        return iter(self.where(lambda nature: True))

    def where(self, wanted: Callable[[Nature], bool], since: int | None = None) -> list[Match]:
        """Those of a wanted nature; with `since` (µs UTC) none of which an earlier time is told."""
        found: list[tuple[int, Match]] = []
        for chart, one in self._shown:
            natures = {n for n, nature in enumerate(one.segment.natures) if wanted(nature)}
            places: Sequence[int] = ()
            if natures:
                places = [place for place in one.places if one.segment.which[place] in natures]
            if since is not None:
                starts = one.segment.starts
                places = [p for p in places if starts[p] >= since or starts[p] == EARLIEST]
            found += [(chart, match) for match in one.matches(places)]
        return _in_order(found)

    def named(self, ids: Iterable[str]) -> list[Match]:
        """Those with one of these ids as clients say them; what is no id names nothing."""
        return self.among({bytes.fromhex(id) for id in ids if _ID.fullmatch(id)})

    def among(self, ids: Collection[bytes]) -> list[Match]:
        """Those with one of these ids as entries hold them."""
        return _in_order(
            (chart, one.match(place)) for chart, one in self._shown for place in one.among(ids)
        )


def _charts(shown: Iterable[Shown]) -> Iterator[tuple[int, Shown]]:
    """Each with the number of its chart, in the order in which they come."""
    numbers: dict[str, int] = {}
    for one in shown:
        yield numbers.setdefault(one.chart, len(numbers)), one


def _in_order(found: Iterable[tuple[int, Match]]) -> list[Match]:
    def key(one: tuple[int, Match]) -> tuple[int, bool, int]:
        chart, (_, (nature, entry), _) = one
        return chart, nature.type == "Patient", entry.seq

    return [match for _, match in sorted(found, key=key)]


async def permitted(
    person: Person,
    services: Services,
    caller: Caller,
    row: rows.ChartRow,
    types: Collection[str],
    tally: Tally,
    high: int | None = None,
) -> list[Shown]:
    """What of one chart the caller may know of, of these types (empty: of all).

    `high` is the sequence number a first page saw. Records that were relabelled since protect their
    past: such a record is shown only if it may be known of as it is now, too.
    """
    segments = await _segments(person, services, row)
    standing = standing_places(segments, row.seq if high is None else high)
    moved = high is not None and high < row.seq
    if moved:
        standing = _still(person, caller, row, segments, standing, types, tally)
    shown = [
        _judged(person, caller, row, segment, places, segments, types, tally)
        for segment, places in zip(segments, standing, strict=True)
    ]
    if types and _SPEAK_OF_OTHERS.isdisjoint(types):
        return shown
    if not types and not moved and all(one.whole for one in shown):
        return shown  # of all that stands nothing is withheld
    return _without_untold(person, caller, row, segments, shown)


async def withheld(person: Person, services: Services, items: Sequence[Match]) -> frozenset[bytes]:
    """The records that the items name and the caller may not know of; ids nobody has are left out."""
    named = {to for match in items for element, to in match.pair[1].links if element != IDENTIFIER}
    named -= {match.pair[1].id for match in items}
    found: set[bytes] = set()
    if not person.shelves:
        for one in await rows.heads(services.db, [id.hex() for id in named]) if named else ():
            if not await _known_of(person, services, one):
                found.add(bytes.fromhex(one.id))
        return frozenset(found)

    def known_of(chart: str, nature: Nature) -> bool:
        decision = person.decide_all(chart, nature)
        return decision is not None and (permits(decision) or _own_mistake(person, nature))

    for row in person.charts if named else ():
        segments = person.shelves.get(row.id, ())
        if all(known_of(row.id, nature) for one in segments for nature in one.natures):
            continue
        for number, place in places_of(segments, named):
            segment = segments[number]
            nature = segment.natures[segment.which[place]]
            if not known_of(row.id, nature) and not (
                permits(person.decide(row.id, (nature, segment.entry(place))))
                or _own_mistake(person, nature)
            ):
                found.add(segment.ids[place])
    return frozenset(found)


def _own_mistake(person: Person, nature: Nature) -> bool:
    """What was never true is shown to nobody, but who sent it keeps what it says of it."""
    asking = person.request.requester.organization
    return nature.status == "entered-in-error" and nature.source == asking


async def _known_of(person: Person, services: Services, row: rows.HeadRow) -> bool:
    """Whether the caller may know of a record, by its own copy of its entry."""
    want = ChartTier(row.chart, Tier(row.tier))
    if row.chart not in person.chart_ids:
        return False
    if want not in person.keys:
        person.keys |= await manifests(services, person.grant, [want])
    key = person.keys.get(want)
    if key is None:
        return False
    head = unpack_head(key.open(row.head, head_name(row.id, row.version)))
    decision = person.decide(row.chart, (head.nature, head.entry))
    return permits(decision) or _own_mistake(person, head.nature)


async def may_stand_alone(person: Person, services: Services, caller: Caller, match: Match) -> bool:
    """Whether a permitted record may be shown without what it would be shown with.

    A Patient is shown to its own organisation, or where something else of its chart is; a Specimen
    or a Provenance where something it speaks of is. Every other record stands for itself.
    """
    nature, entry = match.pair
    if nature.type != "Patient" and nature.type not in _SPEAK_OF_OTHERS:
        return True
    if nature.type == "Patient" and nature.source == caller.organization:
        return True
    row = next(row for row in person.charts if row.id == match.chart)
    segments = await _segments(person, services, row)
    if nature.type == "Patient":
        return _tells_something(person, row, segments)
    return entry.id not in _untold(person, caller, row, segments)


def _without_untold(
    person: Person,
    caller: Caller,
    row: rows.ChartRow,
    segments: Sequence[Segment],
    shown: Sequence[Shown],
) -> list[Shown]:
    """The same without records that speak only of what is withheld."""
    if not any(
        one.segment.natures[number].type in _SPEAK_OF_OTHERS
        for one in shown
        for number in {*one.natures, *(one.segment.which[place] for place in one.single)}
    ):
        return list(shown)
    untold = _untold(person, caller, row, segments)
    return [
        replace(one, places=[place for place in one.places if one.segment.ids[place] not in untold])
        for one in shown
    ]


def _untold(
    person: Person, caller: Caller, row: rows.ChartRow, segments: Sequence[Segment]
) -> set[bytes]:
    """The records of the chart that speak only of others, and all of those are withheld.

    The visit does not count beside what was done there, nor the patient beside the visit: a message
    about anything names both.
    """
    patient = bytes.fromhex(row.id)
    visits: set[bytes] = set()
    known: set[bytes] = set()
    stands: set[bytes] = set()
    specimens: dict[bytes, set[bytes]] = {}
    tellings: dict[bytes, set[bytes]] = {}
    for segment, places in zip(segments, standing_places(segments, row.seq), strict=True):
        stands.update([segment.ids[place] for place in places])
        judged = _judged(person, caller, row, segment, places, segments, (), Tally())
        known.update([segment.ids[place] for place in judged.places])
        kinds = [nature.type for nature in segment.natures]
        for place in places:
            kind, id = kinds[segment.which[place]], segment.ids[place]
            if kind in _TAKEN_FOR:
                for name, to in segment.links(place):
                    if name == "specimen":
                        specimens.setdefault(to, set()).add(id)
            elif kind == "Specimen":
                specimens.setdefault(id, set())
            elif kind == "Encounter":
                visits.add(id)
            elif kind == "Provenance":
                tellings[id] = {to for name, to in segment.links(place) if name == "target"}
    untold: set[bytes] = set()
    # In this order: a Provenance may speak of a specimen.
    for speaking in (specimens, tellings):
        for id, others in speaking.items():
            about = (others & stands) - {patient}
            about = about - visits or about or stands & {patient}
            if about and about.isdisjoint(known):
                untold.add(id)
        known -= untold
    return untold


def _judged(
    person: Person,
    caller: Caller,
    row: rows.ChartRow,
    segment: Segment,
    places: Sequence[int],
    segments: Sequence[Segment],
    types: Collection[str],
    tally: Tally,
) -> Shown:
    which = segment.which
    natures: dict[int, Decision] = {}
    single: dict[int, Decision] = {}
    nothing_withheld = True
    whole = len(places) == len(which)
    seen = segment.counts if whole else Counter([which[place] for place in places])
    for number, count in seen.items():
        nature = segment.natures[number]
        if types and nature.type not in types:
            continue
        decision = person.decide_all(row.id, nature)
        if decision is not None:
            found = {number: decision} if tally.note(decision, count) else {}
        else:
            found = {
                place: one
                for place in places
                if which[place] == number
                and tally.note(one := person.decide(row.id, (nature, segment.entry(place))))
            }
        if nature.type not in _SAYS_NOTHING:
            nothing_withheld &= len(found) == (1 if decision is not None else count)
        if (
            found
            and nature.type == "Patient"
            and nature.source != caller.organization
            and not _tells_something(person, row, segments)
        ):
            continue
        (single if decision is None else natures).update(found)
    if not (whole and len(natures) == len(segment.natures)):
        places = [place for place in places if which[place] in natures or place in single]
    return Shown(row.id, segment, places, natures, single, nothing_withheld)


def _still(
    person: Person,
    caller: Caller,
    row: rows.ChartRow,
    segments: Sequence[Segment],
    standing: Sequence[Sequence[int]],
    types: Collection[str],
    tally: Tally,
) -> list[Sequence[int]]:
    """Those of the places whose record may be known of as it stands now."""
    ids = {
        segment.ids[place]
        for segment, places in zip(segments, standing, strict=True)
        for place in places
    }
    known: set[bytes] = set()
    for segment, places in zip(segments, standing_places(segments, row.seq), strict=True):
        same = [place for place in places if segment.ids[place] in ids]
        withheld = Tally(withheld=tally.withheld)
        now = _judged(person, caller, row, segment, same, segments, types, withheld)
        known.update([segment.ids[place] for place in now.places])
    return [
        [place for place in places if segment.ids[place] in known]
        for segment, places in zip(segments, standing, strict=True)
    ]


def _tells_something(person: Person, row: rows.ChartRow, segments: Sequence[Segment]) -> bool:
    """Whether anything beside who the patient is may be known of."""
    for segment, places in zip(segments, standing_places(segments, row.seq), strict=True):
        whole = len(places) == len(segment.which)
        for number in segment.counts if whole else {segment.which[place] for place in places}:
            nature = segment.natures[number]
            if nature.type in _SAYS_NOTHING:
                continue
            decision = person.decide_all(row.id, nature)
            if decision is not None:
                if permits(decision):
                    return True
            elif any(
                permits(person.decide(row.id, (nature, segment.entry(place))))
                for place in places
                if segment.which[place] == number
            ):
                return True
    return False


async def _segments(person: Person, services: Services, row: rows.ChartRow) -> list[Segment]:
    """The chart's manifest, opened once a request; tiers whose keys are gone are left out."""
    known = person.shelves.get(row.id)
    if known is not None:
        return known
    # All of them: a merge may have joined what we may see with what is newer.
    found = await rows.segments(services.db, row.id, rows.ALL)
    missing = {
        want
        for tier in {tier for _, tier, _, _ in found}
        if (want := ChartTier(row.id, Tier(tier))) not in person.keys
    }
    if missing:
        person.keys |= await manifests(services, person.grant, sorted(missing))
    segments: list[Segment] = []
    for _, tier, number, sealed in found:
        key = person.keys.get(ChartTier(row.id, Tier(tier)))
        if key is not None:
            name = segment_name(row.id, tier, number)
            segments.append(services.manifests.opened(key, sealed, name))
    person.shelves[row.id] = segments
    return segments
