"""Results on file as `recognition.successors` compares them: what a manifest tells, nothing opened."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gateway.recognition.successors import Measured, superseded
from gateway.records.entry import Entry, Nature
from gateway.records.extract import IDENTIFIER

RESULTS = frozenset({"DiagnosticReport", "Observation"})
MINUTE = 60_000_000
Filed = tuple[Nature, Entry]
Told = tuple[Nature, Entry, list[Filed]]
"""A result or report, and the reports that name it."""
_SAMPLES = frozenset({"specimen", "imaging-study"})
_ORDERS = frozenset({"based-on"})
_REPLACED = frozenset({"relatesto"})
_NUMBER = frozenset({IDENTIFIER})


def measured(nature: Nature, entry: Entry, reports: Sequence[Filed] = ()) -> Measured:
    """One result; where it names no specimen or order itself, its `reports` do.

    A time that is the report's own is none of the sample's: it stands where no other was told.
    """
    start, end = entry.start, entry.end
    told = start is not None and end is not None and end - start <= MINUTE
    precise = told and start != entry.clock
    return Measured(
        entry.hex, nature.type, nature.source, frozenset(nature.codes),
        _linked(_SAMPLES, entry, reports), start if precise else None, entry.clock, nature.status,
        _linked(_ORDERS, entry, reports), frozenset(code for of, _ in reports for code in of.codes),
        frozenset(one.hex for _, one in reports),
        frozenset(to.hex() for one in (entry, *(on for _, on in reports)) for to in _to(_REPLACED, one)),
        frozenset(_to(_NUMBER, entry)),
    )  # fmt: skip


def _to(names: frozenset[str], entry: Entry) -> Iterable[bytes]:
    return (to for said, to in entry.links if said in names)


def _linked(names: frozenset[str], entry: Entry, reports: Sequence[Filed]) -> frozenset[bytes]:
    return frozenset(_to(names, entry)) or frozenset(
        to for _, one in reports for to in _to(names, one)
    )


def replaced_among(found: Iterable[Filed], ids: Collection[bytes] | None = None) -> frozenset[str]:
    """Ids of one person's results that a later report probably corrects, among these; all of `ids`
    that are so are among them."""
    told = with_reports(pair for pair in found if pair[0].type in RESULTS)
    near = told if ids is None else _near(told, ids)
    return superseded(measured(nature, entry, on) for nature, entry, on in near)


def _near(told: Sequence[Told], ids: Collection[bytes]) -> list[Told]:
    """Those that share a time or a sample with one of `ids`, or name it: no others replace it."""
    own = [one for one in told if one[1].id in ids]
    times = {entry.start for _, entry, _ in own} - {None}
    about = [one for _, entry, on in own for one in (entry, *(report for _, report in on))]
    near = {to for one in about for to in _to(_SAMPLES, one)} | {one.id for one in about}
    close = {
        entry.id
        for _, entry, _ in told
        if entry.start in times or any(to in near for _, to in entry.links)
    }
    return [
        one for one in told if one[1].id in close or any(report.id in close for _, report in one[2])
    ]


def with_reports(found: Iterable[Filed]) -> list[Told]:
    """Each with the reports among them that name it."""
    pairs = list(found)
    naming: dict[bytes, list[Filed]] = {}
    for nature, entry in pairs:
        if nature.type == "DiagnosticReport":
            for said, to in entry.links:
                if said == "result":
                    naming.setdefault(to, []).append((nature, entry))
    return [(nature, entry, naming.get(entry.id, [])) for nature, entry in pairs]
