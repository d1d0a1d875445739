"""The decision table, as inputs and as a printed pass/fail list: `python -m tests.consent.table`."""

from __future__ import annotations

import sys
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from consent import policy
from consent.decide import decide, decide_shared, ruling
from consent.model import (
    Decision,
    DenyHide,
    DenyTell,
    Directive,
    Permit,
    PermitEmergency,
    Reason,
    Redact,
)
from tests.consent import build

TABLE = tomllib.loads((Path(__file__).parent / "decisions.toml").read_text(encoding="utf-8"))
FOLDER = Path(policy.__file__).parent / "policy"
POLICIES = {name: policy.load(name, "Asia/Shanghai") for name in ("cn-optin", "opt-out")}
ANSWERS: dict[type[Decision], str] = {
    Permit: "PERMIT",
    PermitEmergency: "PERMIT-BTG",
    Redact: "REDACT",
    DenyHide: "DENY-HIDE",
    DenyTell: "DENY-TELL",
}


def inputs(row: Mapping[str, Any]) -> Any:
    """What `decide` is asked in this case."""
    who = row.get("who", "dr-a1")
    person = {**TABLE["people"][who], **row.get("who_with", {})}
    record = {**TABLE["records"][row.get("record", "lab")], **row.get("record_with", {})}
    return (
        build.request(row, who, person),
        build.patient(row.get("patient", {})),
        signed(row),
        build.facets(record),
        county(row.get("policy", "opt-out"), **row.get("policy_with", {})),
    )


@cache
def county(name: str, **changes: str) -> policy.PolicySet:
    """A preset, with what of its text is to be written otherwise."""
    if not changes:
        return POLICIES[name]
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return policy.parse(text.encode(), "Asia/Shanghai")


def signed(row: Mapping[str, Any]) -> list[Directive]:
    """The consents of a case, or of somebody else in it."""
    return [
        build.directive(one, row.get("named", "c") + str(n))
        for n, one in enumerate(row.get("consents", ()), start=1)
    ]


def answer(row: Mapping[str, Any]) -> Decision:
    """The decision of this case; where the record is about others too, of all of them."""
    request, patient, directives, facets, rules = inputs(row)
    if "others" not in row:
        return decide(request, patient, directives, facets, rules)
    rulings = [ruling(request, patient, directives, rules)]
    for other in row["others"]:
        about = inputs({**row, "patient": {}, "consents": [], **other})
        rulings.append(ruling(about[0], about[1], about[2], rules))
    return decide_shared(rulings, facets)


def because(decision: Decision) -> str:
    """The reason as the table words it: a directive is named by its number in the case."""
    if decision.reason is Reason.DIRECTIVE:
        return " ".join(f"directive {rule.split('/')[1]}" for rule in decision.rules)
    return str(decision.reason)


def wrong(row: Mapping[str, Any], decision: Decision) -> str:
    """What of the decision is not as the case says; empty: nothing."""
    faults = []
    got, expected = (ANSWERS[type(decision)], because(decision)), (row["answer"], row["because"])
    if got != expected:
        faults.append(f"{got} instead of {expected}")
    missing = set(row.get("obligations", ())) - set(decision.obligations)
    unwanted = set(row.get("not_obliged", ())) & set(decision.obligations)
    faults += [f"obligations: missing {missing}, unwanted {unwanted}"] * bool(missing or unwanted)
    if "paths" in row and list(getattr(decision, "paths", ())) != row["paths"]:
        faults.append("paths")
    if "rules" in row and list(decision.rules) != row["rules"]:
        faults.append("rules")
    if "until" in row and decision.valid_until != build.at(row["until"]):
        faults.append("valid until")
    return "; ".join(faults)


def told(rows: list[dict[str, Any]]) -> tuple[str, int]:
    """The table as lines, and how many cases fail."""
    lines = [_line("No.", "Situation", "Expected", "Got", "Result")]
    failed = 0
    for row in rows:
        decision = answer(row)
        fault = wrong(row, decision)
        failed += bool(fault)
        lines.append(
            _line(
                row["number"],
                row["situation"],
                f"{row['answer']}, {row['because']}",
                f"{ANSWERS[type(decision)]}, {because(decision)}",
                f"FAIL: {fault}" if fault else "pass",
            )
        )
    lines.append(f"{len(rows)} cases: {len(rows) - failed} pass, {failed} fail")
    return "\n".join(lines), failed


def _line(number: str, situation: str, expected: str, got: str, result: str) -> str:
    return "  ".join(
        (_wide(number, 5), _wide(situation, 72), _wide(expected, 40), _wide(got, 40), result)
    )


def _wide(text: str, columns: int) -> str:
    """Cut or filled to the columns of a terminal, where a Chinese character takes two."""
    kept, used = "", 0
    for letter in text:
        width = 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if used + width > columns - (len(kept) + 1 < len(text)):
            return kept + "…" + " " * (columns - used - 1)
        kept, used = kept + letter, used + width
    return kept + " " * (columns - used)


if __name__ == "__main__":
    printed, failures = told(TABLE["case"])
    print(printed)
    sys.exit(1 if failures else 0)
