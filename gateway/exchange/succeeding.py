"""Results on file as `recognition.successors` compares them: what a manifest tells, nothing opened."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.recognition.successors import Measured, superseded
from gateway.records.entry import Entry, Nature

RESULTS = frozenset({"DiagnosticReport", "Observation"})
MINUTE = 60_000_000
_SAMPLES = frozenset({"specimen", "imaging-study"})


def measured(nature: Nature, entry: Entry, reports: Iterable[Entry] = ()) -> Measured:
    """One result; where it names no specimen itself, its `reports` do.

    A time that is the report's own is none of the sample's: it stands where no other was told.
    """
    own = frozenset(to for said, to in entry.links if said in _SAMPLES)
    theirs = (to for one in reports for said, to in one.links if said in _SAMPLES)
    start, end = entry.start, entry.end
    told = start is not None and end is not None and end - start <= MINUTE
    precise = told and start != entry.clock
    return Measured(
        entry.hex, nature.type, nature.source, frozenset(nature.codes), own or frozenset(theirs),
        start if precise else None, entry.clock, nature.status,
    )  # fmt: skip


def replaced_among(found: Iterable[tuple[Nature, Entry]]) -> frozenset[str]:
    """Ids of one person's results that a later report probably corrects, among these."""
    mine = [pair for pair in found if pair[0].type in RESULTS]
    return superseded(measured(nature, entry, on) for nature, entry, on in with_reports(mine))


def with_reports(
    found: Iterable[tuple[Nature, Entry]],
) -> Iterable[tuple[Nature, Entry, list[Entry]]]:
    """Each with the reports among them that name it."""
    pairs = list(found)
    naming: dict[bytes, list[Entry]] = {}
    for nature, entry in pairs:
        if nature.type == "DiagnosticReport":
            for said, to in entry.links:
                if said == "result":
                    naming.setdefault(to, []).append(entry)
    return [(nature, entry, naming.get(entry.id, [])) for nature, entry in pairs]
