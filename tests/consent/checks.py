"""Plain checks of the decision that need no test runner: the table, its gates, times, classes.

`all_of` gives them for one loaded `consent.decide`, so that a changed one can be tried as well.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from datetime import date
from types import ModuleType
from typing import Any

from consent.model import DenyHide, DenyTell, Facets, PatientContext
from tests.consent import build, table
from tests.consent.table import TABLE, inputs

OPEN = {"kind": "encounter", "organization": "A", "start": "2026-05-30"}
MOTHER = {
    "birth": ["2012-06-03", "2012-06-05"],
    "delegations": [{"user": "mother", "kind": "guardian"}],
}


def all_of(decide: ModuleType) -> Iterator[Callable[[], bool]]:
    """Each check says True when something is wrong."""
    for name in ("decide", "decide_shared", "ruling"):
        setattr(table, name, getattr(decide, name))
    for row in TABLE["case"]:
        yield lambda row=row: bool(table.wrong(row, table.answer(row)))  # type: ignore[misc]
    for row in TABLE["case"]:
        yield lambda row=row: bool(gate_wrong(decide, row))  # type: ignore[misc]
    for row, until in UNTIL:
        yield lambda row=row, until=until: until_wrong(decide, row, until)  # type: ignore[misc]
    for row in TABLE["case"]:
        yield lambda row=row: class_wrong(decide, row)  # type: ignore[misc]
    for consent in TELLING:
        yield lambda consent=consent: telling_wrong(decide, consent)  # type: ignore[misc]
    for consent in ALIKE:
        yield lambda consent=consent: alike_wrong(decide, consent)  # type: ignore[misc]
    for told in AGES:
        yield lambda told=told: age_wrong(*told)  # type: ignore[misc]
    for one in ONE_BY_ONE:
        yield lambda one=one: one_by_one_wrong(decide, *one)  # type: ignore[misc]
    yield lambda: together_wrong(decide)
    yield lambda: default_rule_wrong(decide)


def gate_wrong(decide: Any, row: dict[str, Any]) -> str:
    """What is refused openly is refused before any record is touched, and nothing else is."""
    request, patient, _, facets, county = inputs(row)
    gate = decide.gates(request, patient, county)
    if gate is not None:
        prepared = decide.ruling(request, patient, (), county)
        if prepared.decide(facets) != gate or prepared.of_class(facets.kind) != gate:
            return "a ruling behind a closed gate says something else"
    if row["answer"] == "DENY-TELL":
        return "" if isinstance(gate, DenyTell) else "not refused at the gate"
    if isinstance(gate, DenyHide):
        return "hidden at the gate" if request.named_patient else ""
    return "" if gate is None else "refused openly"


UNTIL: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"relationships": [{**OPEN, "end": "2026-05-31"}]}, "2026-06-30"),
    ({"relationships": [OPEN, {"kind": "presence", "organization": "A", "user": "dr-a1", "start": "2026-06-01T09:50:00"}]}, "2026-06-01T10:05:00"),
    ({"relationships": []}, None),
    ({"relationships": [{**OPEN, "start": "2026-06-04"}]}, "2026-06-04"),
    ({"consents": [{"permit": True, "until": "2026-07-01"}]}, "2026-07-01"),
    ({"consents": [{"permit": True, "except": [{"deny": True, "from": "2026-06-10"}]}]}, "2026-06-10"),
    ({"consents": [{"permit": True, "until": "2026-07-01"}, {"deny": True, "from": "2026-06-20"}]}, "2026-06-20"),
    ({"consents": [{"permit": True, "until": "2026-05-01"}]}, None),
    ({"consents": [{"permit": True, "at": "2026-06-02T10:05:00"}]}, "2026-06-02T10:00:00"),
    ({"purposes": ["BTG"], "grant": {}}, "2026-06-01T13:00:00"),
    ({"purposes": ["BTG"], "grant": {"start": "2026-06-01T11:00:00"}}, "2026-06-01T11:00:00"),
    ({"named_patient": False, "relationships": [{**OPEN, "start": "2026-06-04"}]}, "2026-06-04"),
    ({"patient": {"death": "2026-05-20"}}, "2026-06-20"),
    ({"who": "patient-self", "purposes": ["PATRQT"], "record_with": {"hold_until": "2026-06-02T08:00:00"}}, "2026-06-02T08:00:00"),
    ({"who": "patient-self", "purposes": ["PATRQT"], "record_with": {"hold_until": "2026-06-02T08:00:00"}, "consents": [{"permit": True, "until": "2026-06-01T12:00:00"}]}, "2026-06-01T12:00:00"),
    ({"who": "patient-self", "purposes": ["PATRQT"], "record_with": {"hold_until": "2026-06-02T08:00:00"}, "consents": [{"permit": True, "until": "2026-07-01"}]}, "2026-06-02T08:00:00"),
    ({"who": "patient-self", "purposes": ["PATRQT"], "patient": {"birth": ["1980-01-01", "1980-01-01"]}}, None),
    ({"who": "mother", "purposes": ["FAMRQT"], "patient": MOTHER}, "2026-06-03"),
    ({"who": "mother", "purposes": ["FAMRQT"], "patient": MOTHER, "now": "2026-06-04T00:00:00"}, "2026-06-05"),
    ({"who": "mother", "purposes": ["FAMRQT"], "patient": MOTHER, "now": "2026-06-05T00:00:00"}, "2030-06-03"),
    ({"patient": MOTHER}, None),
]  # fmt: skip
"""Situations, and the next instant that may change their answer (None: nothing will)."""


def until_wrong(decide: Any, row: dict[str, Any], until: str | None) -> bool:
    """Whether the answer names another instant."""
    answer = decide.decide(*inputs(row))
    return bool(answer.valid_until != (None if until is None else build.at(until)))


def class_wrong(decide: Any, row: dict[str, Any]) -> bool:
    """A class is decided as its record is, with and without what classes may leave out."""
    request, patient, directives, facets, county = inputs(row)
    prepared = decide.ruling(request, patient, directives, county)
    of_all = prepared.of_class(facets.kind)
    return of_all is not None and of_all != decide.decide(
        request, patient, directives, facets, county
    )


TELLING: list[dict[str, Any]] = [
    {"permit": True, "instances": ["o1"]},
    {"permit": True, "related": ["e1"]},
    {"permit": True, "dependents": ["e1"]},
    {"permit": True, "data_from": "2025-01-01"},
    {"permit": True, "data_until": "2026-01-01"},
    {"deny": True, "except": [{"permit": True, "instances": ["o1"]}]},
    {"permit": True, "instances": ["o1", "o9"], "authored_by": ["A"]},
    {"deny": True, "except": [{"permit": True, "data_from": "2025-01-01", "data_until": "2026-01-01"}]},
    {"deny": True, "except": [{"deny": True, "to": ["A"]}, {"permit": True, "instances": ["o1"]}]},
    {"permit": True, "data_from": "2025-01-01", "except": [{"deny": True, "to": ["C"]}]},
]  # fmt: skip
"""Consents that tell records of one class apart."""


def telling_wrong(decide: Any, consent: dict[str, Any]) -> bool:
    """Records of one class, decided together, are told apart as each alone is."""
    request, patient, _, _, county = inputs({"policy": "cn-optin"})
    signed = [
        build.directive({"permit": True, "labels": ["L"]}, "c1"),
        build.directive(consent, "c2"),
        build.directive({"permit": True, "labels": ["L"]}, "c3"),
    ]
    prepared = decide.ruling(request, patient, signed, county)
    records = [
        build.facets({"id": "o1", "links": ["e1"], "start": "2025-06-01"}),
        build.facets({"id": "o2", "links": [], "start": "2024-06-01"}),
        build.facets({"id": "o3", "links": [], "start": "2026-03-01"}),
    ]
    together = [prepared.decide(record) for record in records]
    alone = [decide.decide(request, patient, signed, one, county) for one in records]
    same = consent.get("deny") and len(consent["except"]) == 2
    kinds = len({type(answer) for answer in together})
    whole: Facets = records[0]
    return (
        together != alone
        or kinds != (1 if same else 2)
        or prepared.of_class(whole.kind) is not None
    )


ALIKE: list[dict[str, Any]] = [
    {"permit": True},
    {"permit": True, "classes": ["Observation"]},
    {"permit": True, "purposes": ["HRESCH"], "data_from": "2025-01-01"},
    {"permit": True, "instances": ["o1"], "actions": ["export"]},
    {"permit": True, "instances": ["o1"], "to": ["C"]},
    {"permit": True, "except": [{"deny": True, "classes": ["Condition"]}]},
    {"permit": True, "labels": ["N"], "except": [{"deny": True, "to": ["A"]}]},
]
"""Consents that tell no records of one class apart, nor classes by their codes and authors."""


def alike_wrong(decide: Any, consent: dict[str, Any]) -> bool:
    """One answer is remembered for all records and for all codes and authors."""
    request, patient, _, _, county = inputs({"policy": "cn-optin"})
    prepared = decide.ruling(request, patient, [build.directive(consent, "c1")], county)
    one, other = build.facets({"id": "o1"}), build.facets({"id": "o2", "start": "2025-01-01"})
    if prepared.decide(one) is not prepared.decide(other):
        return True
    plain = prepared.of_class(one.kind)
    return plain is None or any(
        prepared.of_class(build.facets(record).kind) is not plain
        for record in ({"codes": ["s|1"]}, {"authors": ["dr-b1"]})
    )


_PART = {"path": "component[0]", "confidentiality": "R", "sensitivities": ["PSY"]}
ONE_BY_ONE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # What is said about the whole is the same, what is said about the rest is not.
    (
        {"permit": True, "labels": ["N"], "instances": ["o1"]},
        {"confidentiality": "R", "sensitivities": ["PSY"], "parts": [_PART]},
    ),
    # Filed as restricted: only the record that is named is opened, not what belongs to it.
    ({"permit": True, "instances": ["o1"], "related": ["e1"]}, {"tier": 2}),
    ({"permit": True, "instances": ["o1"], "related": ["e1"]}, {"confidentiality": "R"}),
]
"""Consents, and a class of records of which o1 is shared and o2 is not."""


def one_by_one_wrong(decide: Any, consent: dict[str, Any], kind: dict[str, Any]) -> bool:
    """One ruling tells them apart in either order, and remembers what it may remember."""
    request, patient, _, _, county = inputs({"policy": "cn-optin"})
    signed = [build.directive(consent, "c1")]
    records = [build.facets({**kind, "id": id, "links": ["e1"]}) for id in ("o1", "o2")]
    alone = [decide.decide(request, patient, signed, one, county) for one in records]
    if isinstance(alone[0], DenyHide) or not isinstance(alone[1], DenyHide):
        return True
    for order in ((0, 1), (1, 0)):
        prepared = decide.ruling(request, patient, signed, county)
        for at in order:
            if prepared.decide(records[at]) != alone[at]:
                return True
            remembered = prepared.decide(records[at]) is prepared.decide(records[at])
            if remembered == ("parts" in kind):
                return True
    return False


def together_wrong(decide: Any) -> bool:
    """Records of many kinds are decided by one ruling as by one ruling each."""
    request, patient, _, _, county = inputs({})
    signed = [
        build.directive({"permit": True, "labels": ["PSY"]}, "c1"),
        build.directive(
            {
                "permit": True,
                "except": [
                    {"deny": True, "classes": ["Condition"]},
                    {"deny": True, "codes": ["s|1"]},
                ],
            },
            "c2",
        ),
    ]
    prepared = decide.ruling(request, patient, signed, county)
    kinds: list[dict[str, Any]] = [
        *({"confidentiality": letter} for letter in "NRV"),
        *({"confidentiality": letter, "sensitivities": ["PSY"]} for letter in "RNV"),
        *({"codes": codes} for codes in (["s|1"], ["s|2"], [])),
        *({"type": "Condition", "authors": authors} for authors in ([], ["dr-b1"])),
    ]
    for kind in kinds:
        facets = build.facets(kind)
        alone = decide.decide(request, patient, signed, facets, county)
        if prepared.decide(facets) != alone or prepared.of_class(facets.kind) != alone:
            return True
    labels = frozenset({"PSY"})
    return prepared.labelling("R", labels) is not prepared.labelling("R", labels)


def default_rule_wrong(decide: Any) -> bool:
    """The county's default is named with the policy, its version and the tier, on yes and no."""
    for record, tier in (("lab", "general"), ("psy-note", "restricted")):
        case = inputs({"record": record})
        if decide.decide(*case).rules != (f"policy/opt-out/{case[-1].version[:12]}/{tier}",):
            return True
    return False


AGES: list[tuple[str, str, str, int, int]] = [
    ("2008-06-01", "2008-06-01", "2026-06-01", 18, 18),
    ("2008-06-02", "2008-06-02", "2026-06-01", 17, 17),
    ("2008-01-01", "2008-12-31", "2026-06-01", 18, 17),
    ("2008-02-29", "2008-02-29", "2026-02-28", 17, 17),
    ("2008-02-29", "2008-02-29", "2026-03-01", 18, 18),
    ("2026-03-01", "2026-03-01", "2026-06-01", 0, 0),
    ("", "", "2026-06-01", 999, -1),
]
"""First and last possible birth, today, and the age by either; of nobody knows when: least access."""


def age_wrong(first: str, last: str, today: str, earliest: int, latest: int) -> bool:
    """Whether the age is another."""
    birth = (date.fromisoformat(first), date.fromisoformat(last)) if first else None
    person = PatientContext(charts=frozenset({"P"}), birth=birth)
    age = sys.modules["consent.ages"].age
    day = date.fromisoformat(today)
    return (age(person, day, latest=False), age(person, day, latest=True)) != (earliest, latest)


if __name__ == "__main__":
    wrong = sum(check() for check in all_of(importlib.import_module("consent.decide")))
    print(f"{wrong} checks fail")
    sys.exit(1 if wrong else 0)
