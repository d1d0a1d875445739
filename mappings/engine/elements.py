"""Where a node goes in a resource: target paths, repeating elements, choices, and small shared nodes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import msgspec

from mappings.engine import identity
from mappings.engine.identity import born, sex_of
from mappings.engine.reader import SYSTEMS, Source
from mappings.r4 import definitions

if TYPE_CHECKING:
    from mappings.engine.interpret import Instance

NATIONAL = frozenset(SYSTEMS)

PUBLISHED = "http://hl7.org/fhir"
PUBLISHED_EXTENSIONS = frozenset(
    {"patient-mothersMaidenName", "patient-religion", "patient-birthPlace", "patient-citizenship",
     "patient-nationality", "patient-disability", "condition-assertedDate", "condition-dueTo",
     "encounter-modeOfArrival", "event-statusReason", "observation-nature-of-abnormal-test"}
)  # fmt: skip
"""Extensions FHIR R4 itself publishes; any other name is the gateway's own."""
JOINED = frozenset({"period", "hospitalization"})
"""Elements whose members a patch changes one by one: an end that is sent leaves the start alone."""


class PathFault(Exception):
    """A target path that cannot be written to."""

    def __init__(self, zh: str, en: str) -> None:
        self.zh, self.en = zh, en
        super().__init__(en)


class Choice(msgspec.Struct, frozen=True):
    """A node for an element like ``value[x]``, with the type it takes in the name."""

    suffix: str
    node: Any


_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9]*)(?:\[(\d+)\])?")

Put = Callable[[dict[str, Any], Any, "Instance"], None]


def putter(type_: str, path: str, source: Source) -> Put:
    """Compile a target path.

    Forms: ``a``, ``a[0].b``, ``value[x]``, ``identifier(space)``, ``extension(name)``, its value's type
    behind it (``extension(name).valueCoding``), and ``participant(word)`` for more items of a list than
    one rule gives: the word only tells the rules apart.
    """
    if type_ not in definitions.resources():
        near = ", ".join(get_close_matches(type_, sorted(definitions.resources()), 3, 0.3))
        raise PathFault(
            f"FHIR R4 没有资源 {type_}；相近的有：{near}",
            f"FHIR R4 has no resource {type_}; near are: {near}",
        )
    if match := re.fullmatch(r"identifier\(([a-z0-9\-]+)\)", path):
        return _identifier(match[1], source)
    if match := re.fullmatch(r"extension\(([A-Za-z0-9\-]+)\)(?:\.(value[A-Z][A-Za-z]+))?", path):
        base = PUBLISHED if match[1] in PUBLISHED_EXTENSIONS else source.base_url
        return _extension(f"{base}/StructureDefinition/{match[1]}", match[2] or "valueString")
    if match := re.fullmatch(r"([a-z][A-Za-z]*)\[x\]", path):
        return _choice(match[1])
    if match := re.fullmatch(r"([a-z][A-Za-z]*)\([a-z0-9\-]+\)", path):
        listed = definitions.elements(type_).get(match[1])
        if listed is not None and listed.many:
            return _append(match[1])
    steps: list[tuple[str, int | None]] = []
    for part in path.split("."):
        found = _STEP.fullmatch(part)
        if found is None:
            raise PathFault(
                f"目标路径 {path} 写法不对，例如 name[0].text、value[x]、identifier(mrn)",
                f"the target path {path} is not valid; for example name[0].text, value[x], identifier(mrn)",
            )
        steps.append((found[1], int(found[2]) if found[2] else None))
    if len(steps) == 1 and steps[0][1] is None:
        name = steps[0][0]
        known = definitions.elements(type_).get(name)
        if known is not None and known.many:
            return _append(name)
        return _simple(name)
    element = definitions.at(f"{type_}.{path}")
    return _nested(steps, element is not None and element.many)


def _simple(name: str) -> Put:
    def put(body: dict[str, Any], node: Any, at: Instance) -> None:
        body[name] = node

    return put


def _append(name: str) -> Put:
    def put(body: dict[str, Any], node: Any, at: Instance) -> None:
        nodes = node if isinstance(node, list) else [node]
        if nodes:
            body[name] = [*body.get(name, ()), *nodes]

    return put


def _choice(name: str) -> Put:
    def put(body: dict[str, Any], node: Any, at: Instance) -> None:
        if isinstance(node, Choice):
            body[name + node.suffix] = node.node
        else:
            body[name + "String"] = node

    return put


def _identifier(space: str, source: Source) -> Put:
    system = source.system_of(space)

    def put(body: dict[str, Any], node: Any, at: Instance) -> None:
        if not isinstance(node, str):
            _append("identifier")(body, node, at)
            return
        made = (
            checked_identifier(space, node, at)
            if at.block.type == "Patient"
            else {
                "system": system,
                "value": node,
            }
        )
        if made is not None and not _already(body.get("identifier", ()), made):
            body["identifier"] = [*body.get("identifier", ()), made]

    return put


def _already(nodes: Any, made: Mapping[str, Any]) -> bool:
    return any(
        node.get("system") == made["system"] and node.get("value") == made["value"]
        for node in nodes
    )


def checked_identifier(
    space: str, text: str, at: Instance, place: object = None
) -> dict[str, Any] | None:
    """A Patient identifier node, checked and registered with the message; None when refused."""
    source = at.run.source
    check = identity.resident_id(text) if space == "resident-id" else identity.local_number(text)
    if check.issue:
        at.issue("note" if check.value else "drop", check.issue, place)
    if not check.value:
        return None
    at.identify(space, check.value, check.usable)
    node: dict[str, Any] = {"system": source.system_of(space), "value": check.value}
    if not check.usable:
        not_for_linking(node, check.issue, source)
    return node


def not_for_linking(node: dict[str, Any], reason: str, source: Source) -> None:
    """Mark an identifier that must not be used to recognise the person."""
    node["use"] = "secondary"
    node["extension"] = [
        {
            "url": f"{source.base_url}/StructureDefinition/not-for-linking",
            "valueCode": reason,
        }
    ]


def contradictions(number: str, birth: str, gender: object) -> list[str]:
    """Issue codes for a resident ID that says something else than the demographics."""
    found: list[str] = []
    inside = born(number)
    if inside is not None and birth and not inside.isoformat().startswith(birth):
        found.append("resident-id-birthdate")
    sex = sex_of(number)
    if sex and gender in ("male", "female") and gender != sex:
        found.append("resident-id-gender")
    return found


def _extension(url: str, value: str) -> Put:
    def put(body: dict[str, Any], node: Any, at: Instance) -> None:
        if isinstance(node, list):
            node = node[0]  # an extension has one value
        whole = isinstance(node, dict) and value == "valueString"
        made = {"url": url, **node} if whole else {"url": url, value: node}
        body["extension"] = [*body.get("extension", ()), made]

    return put


def _nested(steps: list[tuple[str, int | None]], many: bool) -> Put:
    last_name, last_index = steps[-1]

    def put(body: dict[str, Any], node: Any, at: Instance) -> None:
        here = body
        # Nodes may be shared between resources (cached codings), so what is entered is copied.
        for name, index in steps[:-1]:
            here = _enter(here, name, index)
        if last_index is None:
            made = node.node if isinstance(node, Choice) else node
            here[last_name] = [made] if many and not isinstance(made, list) else made
        else:
            items = list(here.get(last_name, ()))
            if last_index < len(items):
                items[last_index] = node
            else:
                items.append(node)
            here[last_name] = items

    return put


def _enter(here: dict[str, Any], name: str, index: int | None) -> dict[str, Any]:
    if index is None:
        inner = dict(here.get(name) or {})
        here[name] = inner
        return inner
    items = list(here.get(name, ()))
    if index < len(items):
        inner = dict(items[index])
        items[index] = inner
    else:
        # A list has no holes in FHIR: an earlier item that stayed away moves the later one up.
        inner = {}
        items.append(inner)
    here[name] = items
    return inner


def settle(body: dict[str, Any], offered: Mapping[str, Any], at: Instance) -> None:
    """Take in what functions offered beside their own element; explicit rules win, lists of extensions add up."""
    for element, node in offered.items():
        if element not in body:
            body[element] = node
        elif element in ("extension", "note"):
            body[element] = [*body[element], *node]
        elif element == "interpretation" and disagree(codes(body[element]), codes(node)):
            at.issue("note", "flag-disagrees")


# Normal and abnormal say no direction, so a word that does (negative, high) may stand beside them.
_WITHIN = {"NEG": "N", "ND": "N", "POS": "A", "WR": "A", "DET": "A", "H": "A", "L": "A",
           "HH": "A", "LL": "A"}  # fmt: skip


def disagree(said: list[str], found: list[str]) -> bool:
    """Whether the sender's own flag says otherwise than a word inside the result."""
    return said != found and not (
        len(said) == len(found) == 1
        and (said[0] == _WITHIN.get(found[0]) or found[0] == _WITHIN.get(said[0]))
    )


def codes(nodes: Any) -> list[str]:
    """The codes of a list of CodeableConcepts."""
    return [coding["code"] for node in nodes for coding in node.get("coding", ())]
