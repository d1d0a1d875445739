"""What FHIR R4 (4.0.1) defines: types, elements, reference targets, required codes, as a table to ask.

The table is `definitions.json`, written by `generate.py` from HL7's own package; an element there reads

    "subject": "0..1 Reference(Patient/Group/Device/Location)"
    "status":  "1..1 code = observation-status"

Types are named as in FHIR (`Observation`, `CodeableConcept`), parts of a type by their path
(`Observation.component`). Loaded on first use (about 5 ms, 1 MB); a type is read when it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import msgspec

from mappings.r4 import formats

FILE: Final = Path(__file__).with_name("definitions.json")

PRIMITIVES: Final = frozenset(
    [*formats.PATTERNS, *formats.INTEGERS, "boolean", "decimal", "markdown", "string"]
)
"""The types whose values are a single text, number or boolean."""

_TYPE: Final = re.compile(r"(\w[\w.]*)(?:\(([\w/]+)\))?")
_STEP: Final = re.compile(r"([A-Za-z][A-Za-z0-9]*)(\[x\])?(?:\[\d*\])?")


class _Table(msgspec.Struct):
    fhir: str
    package: str
    generator: str
    types: dict[str, dict[str, str]]
    codes: dict[str, dict[str, str]]
    constraints: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type as it stands in JSON: each variant of `value[x]` is an element of its own.

    `path` is the element's name in the specification (`value[x]`, `status`), `type` what its JSON holds.
    `targets` are the types a reference may point at, empty for any; `codes` the required code list by
    code system, empty when there is none or nobody can list it (media types, UCUM, currencies).
    """

    path: str
    type: str
    many: bool
    required: bool
    targets: frozenset[str]
    codes: Mapping[str, frozenset[str]]

    @property
    def choice(self) -> bool:
        """Is this one variant of a choose-one element?"""
        return self.path.endswith("[x]")

    def allows(self, code: str) -> bool:
        """Is the code in the required list, whatever its system? Also true where there is no list."""
        return not self.codes or any(code in listed for listed in self.codes.values())


@cache
def table() -> _Table:
    """The whole table as it was written; ask `elements` and `constraints` instead where they do."""
    return msgspec.json.decode(FILE.read_bytes(), type=_Table)


@cache
def resources() -> frozenset[str]:
    """The names of the resource types, without the abstract Resource and DomainResource."""
    return frozenset(
        name
        for name, elements in table().types.items()
        if elements[""].startswith("resource") and name not in ("Resource", "DomainResource")
    )


def known(type_: str) -> bool:
    """Does R4 define this type (or this part of one)?"""
    return type_ in table().types


@cache
def ancestors(type_: str) -> tuple[str, ...]:
    """The type and those it is derived from, nearest first."""
    base = table().types[type_][""].partition(" ")[2]
    return (type_, *ancestors(base)) if base else (type_,)


@cache
def elements(type_: str) -> Mapping[str, Element]:
    """Every element of a type by its JSON name, inherited ones first; `resourceType` and `_name` are not listed.

    Raises KeyError for a type R4 does not define.
    """
    # SimpleQuantity narrows Quantity: it lists what is left, without the comparator.
    above = ("Element",) if type_ == "SimpleQuantity" else ancestors(type_)[1:]
    found = dict(elements(above[0])) if above else {}
    for path, told in table().types[type_].items():
        if path:
            found.update(_elements(path, told))
    return found


@cache
def required(type_: str) -> tuple[str, ...]:
    """The elements that must be there, as the specification names them (`status`, `effective[x]`)."""
    needed = (element.path for element in elements(type_).values() if element.required)
    return tuple(dict.fromkeys(needed))


def _elements(path: str, told: str) -> Iterator[tuple[str, Element]]:
    cardinality, _, rest = told.partition(" ")
    said, _, value_set = rest.partition(" = ")
    stem = path.removesuffix("[x]")
    for match in _TYPE.finditer(said):
        type_, targets = match[1], match[2]
        suffix = type_.removeprefix("Simple") if stem != path else ""
        yield (
            stem + suffix[:1].upper() + suffix[1:],
            Element(
                path,
                type_,
                many=not cardinality.endswith("..1"),
                required=not cardinality.startswith("0"),
                targets=frozenset(targets.split("/")) if targets else frozenset(),
                codes=codes(value_set) if value_set else {},
            ),
        )


@cache
def codes(value_set: str) -> Mapping[str, frozenset[str]]:
    """The codes of a required value set by code system."""
    return {
        system: frozenset(listed.split()) for system, listed in table().codes[value_set].items()
    }


@lru_cache(maxsize=2048)
def at(path: str) -> Element | None:
    """The element a path names, or None when R4 has none there.

    `Patient.name[0].family`, `Patient.identifier[].system`, `Observation.value[x]` (its first variant),
    `Observation.valueQuantity.value`. Indexes are not looked at.
    """
    type_, *steps = path.split(".")
    found: Element | None = None
    for step in steps:
        match = _STEP.fullmatch(step)
        if match is None or not known(type_):
            return None
        here = elements(type_)
        found = here.get(match[1]) or next(
            (one for one in here.values() if match[2] and one.path == f"{match[1]}[x]"), None
        )
        if found is None:
            return None
        type_ = found.type
    return found
