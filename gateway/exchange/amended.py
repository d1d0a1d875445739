"""What changed from one version of a report to the next, as the laboratory's own words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.exchange import issued
from gateway.exchange.ask import Gathering, Opened
from gateway.exchange.issued import Resource, parsed

PARTS: Final = ("value", "unit", "range", "flag", "status", "conclusion")


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of one result, or of the report itself (`item` empty), before and after. `at` is µs
    UTC of when the later version was filed."""

    item: str
    part: str  # of PARTS
    before: str
    after: str
    at: int


def differences(seen: Gathering) -> tuple[Difference, ...]:
    """Every difference between versions of the results and the report of a page, oldest first."""
    versions: dict[str, list[Opened]] = {}
    for one in (*seen.earlier, *seen.records):
        if one.type in ("Observation", "DiagnosticReport"):
            versions.setdefault(one.id, []).append(one)
    found = [one for held in versions.values() for one in _steps(held)]
    return tuple(sorted(found, key=lambda one: (one.at, one.item)))


def _steps(versions: list[Opened]) -> Iterable[Difference]:
    ordered = sorted(versions, key=lambda one: one.match.pair[1].version)
    texts = [parsed(one.text) for one in ordered]
    for before, after, opened in zip(texts, texts[1:], ordered[1:], strict=False):
        item = issued.words(after.get("code")) if opened.type == "Observation" else ""
        old, new = _parts(before, opened.type), _parts(after, opened.type)
        for part in PARTS:
            if old.get(part, "") != new.get(part, ""):
                yield Difference(item, part, old.get(part, ""), new.get(part, ""), opened.filed)


def _parts(text: Resource, kind: str) -> dict[str, str]:
    said = {"status": str(text.get("status", ""))}
    if kind == "DiagnosticReport":
        return said | {"conclusion": str(text.get("conclusion") or "")}
    return said | {
        "value": issued.value(text),
        "unit": issued.unit(text),
        "range": issued.reference_range(text),
        "flag": issued.flag(text)[1],
    }
