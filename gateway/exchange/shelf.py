"""Looks through the manifest of a chart: what stands there, and what of it the caller may know of.

Consent is asked once for what records share (their nature); only where a consent tells single
records apart, record by record. An entry is unpacked when somebody asks for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from consent.model import Decision, Permit, PermitEmergency, Redact
from gateway.audit.events import Ruling
from gateway.exchange.person import Pair, Person, manifests, segment_name
from gateway.exchange.shelves import head_name
from gateway.records.entry import Segment, standing_places, unpack_head, unpack_segment
from gateway.records.extract import IDENTIFIER
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows
from gateway.vault import ChartTier, Tier

NOT_IN_EVERYTHING = frozenset({"Consent", "Task"})
# What a chart holds without the patient having been seen for anything that may be shown.
_SAYS_NOTHING = NOT_IN_EVERYTHING | {"Patient", "Provenance", "Specimen"}
# A specimen says only that something was taken: it is shown where something it was taken for is.
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

    def match(self, place: int) -> Match:
        """The entry at a place with the decision that shows it."""
        segment = self.segment
        nature = segment.which[place]
        decision = self.single[place] if nature not in self.natures else self.natures[nature]
        return Match(self.chart, (segment.natures[nature], segment.entry(place)), decision)


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
    if high is not None and high < row.seq:
        standing = _still(person, caller, row, segments, standing, types, tally)
    shown = [
        _judged(person, caller, row, segment, places, segments, types, tally)
        for segment, places in zip(segments, standing, strict=True)
    ]
    if types and "Specimen" not in types:
        return shown
    return _taken_for_something(person, caller, row, segments, shown)


def matches_of(shown: Iterable[Shown]) -> list[Match]:
    """All of one chart in order of sequence number, the Patient last."""
    found = [one.match(place) for one in shown for place in one.places]
    found.sort(key=lambda match: (match.pair[0].type == "Patient", match.pair[1].seq))
    return found


async def withheld(person: Person, services: Services, items: Sequence[Match]) -> frozenset[bytes]:
    """The records that the items name and the caller may not know of; ids nobody has are left out."""
    named = {to for match in items for element, to in match.pair[1].links if element != IDENTIFIER}
    named -= {match.pair[1].id for match in items}
    if not named:
        return frozenset()
    found: set[bytes] = set()
    left = set(named)
    for row in person.charts:
        segments = person.shelves.get(row.id, ())
        for segment, places in zip(segments, standing_places(segments, row.seq), strict=True):
            for place in places:
                id = segment.ids[place]
                if id in named:
                    left.discard(id)
                    nature = segment.natures[segment.which[place]]
                    decision = person.decide_all(row.id, nature)
                    if decision is None:
                        decision = person.decide(row.id, (nature, segment.entry(place)))
                    if not permits(decision):
                        found.add(id)
    if left and not person.shelves:
        for one in await rows.heads(services.db, [id.hex() for id in left]):
            if not await _known_of(person, services, one):
                found.add(bytes.fromhex(one.id))
    return frozenset(found)


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
    return permits(person.decide(row.chart, (head.nature, head.entry)))


async def may_stand_alone(person: Person, services: Services, caller: Caller, match: Match) -> bool:
    """Whether a permitted record may be shown without what it would be shown with.

    A Patient is shown to its own organisation, or where something else of its chart is; a Specimen
    where something it was taken for is. Every other record stands for itself.
    """
    nature, entry = match.pair
    if nature.type not in {"Patient", "Specimen"}:
        return True
    if nature.type == "Patient" and nature.source == caller.organization:
        return True
    row = next(row for row in person.charts if row.id == match.chart)
    segments = await _segments(person, services, row)
    if nature.type == "Patient":
        return _tells_something(person, row, segments)
    named, told = _specimens(person, caller, row, segments)
    return entry.id in told or entry.id not in named


def _taken_for_something(
    person: Person,
    caller: Caller,
    row: rows.ChartRow,
    segments: Sequence[Segment],
    shown: Sequence[Shown],
) -> list[Shown]:
    """The same without specimens of which everything that names them is withheld."""
    if not any(one.segment.natures[n].type == "Specimen" for one in shown for n in one.natures):
        return list(shown)
    named, told = _specimens(person, caller, row, segments)
    untold = named - told
    left = []
    for one in shown:
        segment = one.segment
        kinds = {n for n, nature in enumerate(segment.natures) if nature.type == "Specimen"}
        places = [
            place
            for place in one.places
            if segment.which[place] not in kinds or segment.ids[place] not in untold
        ]
        left.append(replace(one, places=places))
    return left


def _specimens(
    person: Person, caller: Caller, row: rows.ChartRow, segments: Sequence[Segment]
) -> tuple[set[bytes], set[bytes]]:
    """The specimens that records of the chart name, and those that permitted ones name."""
    named: set[bytes] = set()
    told: set[bytes] = set()
    for segment, places in zip(segments, standing_places(segments, row.seq), strict=True):
        naming = [
            place for place in places if segment.natures[segment.which[place]].type in _TAKEN_FOR
        ]
        judged = _judged(person, caller, row, segment, naming, segments, _TAKEN_FOR, Tally())
        permitted = set(judged.places)
        for place in naming:
            to = {target for name, target in segment.links(place) if name == "specimen"}
            named |= to
            if place in permitted:
                told |= to
    return named, told


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
    whole = len(places) == len(which)
    seen = Counter(which if whole else [which[place] for place in places])
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
    return Shown(row.id, segment, places, natures, single)


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
        for number in {segment.which[place] for place in places}:
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
            segments.append(unpack_segment(key.open(sealed, segment_name(row.id, tier, number))))
    person.shelves[row.id] = segments
    return segments
