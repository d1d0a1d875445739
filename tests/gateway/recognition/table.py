"""The table of situations, as inputs and as a printed list: `python -m tests.gateway.recognition.table`."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from gateway.recognition.catalogue import Catalogue, Entitlement, Item, Member, Scope, Span
from gateway.recognition.eligibility import Judgement, Outcome, Receiver, judge
from gateway.recognition.facts import ResultFacts
from tests.consent.table import _line

HERE = Path(__file__).parent
TABLE = tomllib.loads((HERE / "eligibility.toml").read_text(encoding="utf-8"))
ZONE = ZoneInfo("Asia/Shanghai")
NOON = 1_772_596_800_000_000  # 2026-03-04 12:00 +08:00
DAY = 86_400_000_000
MARKS = {"mark-not-in-register", "mark-unknown"}


class Frozen(msgspec.Struct):
    """A whole catalogue as JSON."""

    version: str
    items: list[Item]
    scopes: list[Scope]
    members: list[Member]
    entitlements: list[Entitlement]

    def catalogue(self) -> Catalogue:
        return Catalogue(self.items, self.scopes, self.members, self.entitlements, self.version)


def frozen() -> Frozen:
    """The county of the first version of the rules, as it then was."""
    path = HERE / "annex-d-1" / "catalogue.json"
    return msgspec.json.decode(path.read_bytes(), type=Frozen)


def _span(days: list[str]) -> Span:
    first, last = (datetime.fromisoformat(day).replace(tzinfo=ZONE) for day in days)
    return Span(*(int(t.timestamp()) * 1_000_000 for t in (first, last + timedelta(days=1))))


def _county() -> Catalogue:
    """The frozen county with the items and entitlements of the table."""
    county = frozen()
    by_code = {item.code: item for item in county.items}
    for row in TABLE["item"]:
        like = msgspec.to_builtins(by_code[row["like"]])
        county.items.append(msgspec.convert({**like, **row}, Item))
    for row in TABLE["entitlement"]:
        filled = {"item": "", "group": "", "status": "active", "basis": "EQA", **row}
        filled["valid"] = _span(row["valid"])
        county.entitlements.append(Entitlement(**filled))
    county.version = "table"
    return county.catalogue()


CATALOGUE = _county()


def rows(catalogue: Catalogue) -> list[Entitlement]:
    """Every entitlement of the table's county that concerns an item, once."""
    organizations = {row.organization for row in frozen().entitlements}
    organizations |= {row["organization"] for row in TABLE["entitlement"]}
    return list(
        dict.fromkeys(
            row
            for organization in sorted(organizations)
            for item in catalogue.items
            for row in catalogue.entitlements(organization, item)
        )
    )


def facts(base: str = "alt", changes: Mapping[str, Any] | None = None) -> ResultFacts:
    """A result of the table with what is different about it."""
    row = {**TABLE["base"][base], **(changes or {})}
    for name in ("collected", "effective", "issued", "acquired"):
        if name in row:
            row[name] = None if row[name] == "" else NOON + round(row[name] * DAY)
    return msgspec.convert(row, ResultFacts)


def receiver(said: str | Mapping[str, Any]) -> Receiver:
    """ "tcm OP", or a table."""
    if isinstance(said, str):
        organization, patient_class = said.split()
        said = {"organization": organization, "patient_class": patient_class}
    return msgspec.convert(said, Receiver)


def inputs(row: Mapping[str, Any]) -> tuple[ResultFacts, Receiver]:
    """What is judged in this case."""
    return facts(row.get("base", "alt"), row.get("facts")), receiver(row["receiver"])


def answer(row: Mapping[str, Any]) -> Judgement:
    """The judgement of this case."""
    return judge(*inputs(row), CATALOGUE, NOON)


def failed_at(found: Judgement) -> int:
    """The step that gave the reason, 0 when all were passed."""
    return next((step.number for step in found.trace if not step.passed), 0)


def wrong(row: Mapping[str, Any], found: Judgement) -> str:
    """What of the judgement is not as the case says; empty: nothing."""
    faults = []
    got = (found.outcome.value, found.reason.value if found.reason else "", failed_at(found))
    expected = (row["outcome"], row["reason"], row.get("step", 0))
    if got != expected:
        faults.append(f"{got} instead of {expected}")
    flags, wanted = {flag.value for flag in found.flags}, set(row.get("flags", ()))
    if missing := wanted - flags:
        faults.append(f"missing {', '.join(sorted(missing))}")
    if unwanted := (flags & MARKS) - wanted:
        faults.append(f"unwanted {', '.join(sorted(unwanted))}")
    if "choices" in row and list(found.choices) != row["choices"]:
        faults.append(f"choices {', '.join(found.choices)}")
    if bool(found.choices) != (found.outcome is Outcome.ELIGIBLE):
        faults.append("choices are for what is eligible")
    return "; ".join(faults)


def told(rows: list[dict[str, Any]]) -> tuple[str, int]:
    """The table as lines, and how many cases fail."""
    lines = [_line("No.", "Situation", "Expected", "Got", "Result")]
    failed = 0
    for number, row in enumerate(rows, start=1):
        found = answer(row)
        fault = wrong(row, found)
        failed += bool(fault)
        lines.append(
            _line(
                str(number),
                row["situation"],
                f"{row['outcome']} {row['reason']}".strip(),
                f"{found.outcome} {found.reason or ''}".strip(),
                f"FAIL: {fault}" if fault else "pass",
            )
        )
    lines.append(f"{len(rows)} cases: {len(rows) - failed} pass, {failed} fail")
    return "\n".join(lines), failed


if __name__ == "__main__":
    printed, failures = told(TABLE["case"])
    print(printed)
    sys.exit(bool(failures))
