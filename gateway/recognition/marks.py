"""Printed marks of mutual recognition beside the register: does it know what a report claims?

For counting only: the rules of recognition never let a mark decide, they flag it (`annex_d_2`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import tzinfo
from enum import StrEnum

from gateway.recognition.catalogue import Catalogue, Item
from gateway.recognition.facts import Resource, ResultFacts, facts_of, marks_of


class Misfit(StrEnum):
    """How a mark and the register disagree."""

    UNKNOWN = "mark unknown"
    NOT_IN_REGISTER = "mark without entitlement"
    NOT_LISTED = "mark on an item not listed"


def misfits(
    resources: Sequence[Resource],
    at: Callable[[object], Resource],
    organization: str,
    catalogue: Catalogue,
    now: int,
    zone: tzinfo,
) -> Iterator[tuple[str, Misfit | None]]:
    """(item code or "-", how it disagrees or None) for each mark on each result of one message.

    `at` follows a Reference within the message. A mark printed on a whole report speaks for its
    listed results. The register is asked for the time of the result itself, else `now` (µs UTC).
    """
    reports: dict[str, Resource] = {}
    for one in resources:
        if one.get("resourceType") == "DiagnosticReport":
            for result in map(at, one.get("result") or ()):
                reports[str(result.get("id", ""))] = one
    spoken_for = {str(one.get("id", "")) for one in reports.values()}
    for one in resources:
        kind, id = one.get("resourceType"), str(one.get("id", ""))
        if kind != "Observation" and (kind != "DiagnosticReport" or id in spoken_for):
            continue
        report = reports.get(id, {})
        own, printed = marks_of(one), marks_of(report)
        if not own and not printed:
            continue
        facts = facts_of(
            one,
            version="",
            content="",
            organization=organization,
            identity_tier=1,
            zone=zone,
            report=report,
            specimen=at(one.get("specimen")),
        )
        items = catalogue.items_for(facts.loinc, now)
        code = items[0].code if len(items) == 1 else "-"
        for mark in dict.fromkeys([*own, *(printed if items else ())]):
            yield code, misfit(mark, items, organization, catalogue, _moment(facts, items, now))


def misfit(
    mark: str, items: Iterable[Item], organization: str, catalogue: Catalogue, then: int
) -> Misfit | None:
    """How this mark on a result of one of `items` disagrees with the register at µs `then`."""
    claimed = catalogue.scope_of_mark(mark)
    if claimed is None:
        return Misfit.UNKNOWN
    items, around = tuple(items), catalogue.around([claimed])
    if not items:
        return Misfit.NOT_LISTED
    held = any(
        row.status == "active" and row.valid.covers(then) and (not claimed or row.scope in around)
        for item in items
        for row in catalogue.entitlements(organization, item)
    )
    return None if held else Misfit.NOT_IN_REGISTER


def _moment(facts: ResultFacts, items: Sequence[Item], now: int) -> int:
    laboratory = not items or items[0].kind == "lab"
    times = (facts.collected if laboratory else None, facts.effective, facts.issued)
    return next((one for one in times if one is not None), now)
