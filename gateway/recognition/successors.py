"""Which result was probably corrected by a new report: the same measured in the same sample, told later.

Most laboratories correct a report under its own number, and some send another. Few say then what it
takes the place of (HL7 FHIR R4, extensions `observation-replaces` and `diagnosticReport-replaces`); else
nothing says so but that one hospital tells the same of one patient, one sample and one item again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

T = TypeVar("T")

_SAID = frozenset({"final", "corrected", "amended", "appended"})
_CORRECTS = frozenset({"corrected", "amended"})
_VOID = frozenset({"cancelled", "entered-in-error", "registered", "unknown"})


class Measured(NamedTuple):
    """A result or report of one patient as its manifest tells it.

    `codes` are "system|code", `samples` the ids of its specimens or images, `at` is when the sample was
    taken (µs UTC, None unless told to the minute), `told` the sender's clock, 0 when not known. `orders`
    are the ids of what ordered it, `panels` the codes of the reports that a single result is in and
    `reports` their ids. `names` are the ids that it or a report it is in says to replace, `numbers`
    its laboratory's own numbers of this one measurement (HL7 v2 OBX-21).
    """

    id: str
    type: str
    source: str
    codes: frozenset[str]
    samples: frozenset[bytes]
    at: int | None
    told: int
    status: str
    orders: frozenset[bytes] = frozenset()
    panels: frozenset[str] = frozenset()
    reports: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    numbers: frozenset[bytes] = frozenset()


def replaces(new: Measured, old: Measured) -> bool:
    """Is `new` probably a correction of `old`, sent as a report of its own?

    What it names as replaced is. Else another time of collection is another measurement, also under a
    specimen number that is used again; without times the specimen or the images must be the same. A
    report needs all its codes the same. The same item in two panels of one sample that were ordered
    apart was ordered twice and corrects nothing, unless the new one says that it corrects something
    (`corrected`, `amended`) or has the same number. A correction that says none of this under
    another order and another panel looks like a second order, and is taken for one.
    """
    if (new.type, new.source) != (old.type, old.source) or new.id == old.id:
        return False
    if not 0 < old.told < new.told or new.status not in _SAID or old.status in _VOID:
        return False
    if old.id in new.names:
        return True
    same = new.codes == old.codes if new.type == "DiagnosticReport" else new.codes & old.codes
    if not (new.codes and same):
        return False
    if new.names & old.reports:
        return True
    apart = _known_apart(new.orders, old.orders) and _known_apart(new.panels, old.panels)
    if apart and new.status not in _CORRECTS and not new.numbers & old.numbers:
        return False
    if new.at is not None and old.at is not None:
        return new.at == old.at
    return bool(new.samples & old.samples)


def _known_apart(one: frozenset[T], other: frozenset[T]) -> bool:
    return bool(one and other) and one.isdisjoint(other)


def superseded(found: Iterable[Measured]) -> frozenset[str]:
    """The ids of those of one patient that another of them replaces."""
    told = list(found)
    named = frozenset().union(*(one.names for one in told))
    alike: dict[object, list[Measured]] = {}
    for one in told:
        for code in one.codes:
            for sample in (*one.samples, *([] if one.at is None else [one.at])):
                alike.setdefault((one.source, code, sample), []).append(one)
        for id in named & {one.id, *one.reports, *one.names}:
            alike.setdefault(id, []).append(one)
    return frozenset(
        old.id
        for together in alike.values()
        if len(together) > 1
        for old in together
        if any(replaces(new, old) for new in together)
    )
