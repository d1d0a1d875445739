"""Is a resource that arrives as FHIR valid R4? Says where it is not, never what stood there.

Two readers, because neither is enough alone. `fhir.resources` (R4B) knows structure, cardinality and
formats. It lets pass, so this file looks itself: codes outside a required list, numbers and booleans
written as strings, empty arrays and objects, null, forbidden control characters, references to the
wrong type, and the constraints obs-3, obs-6 and qty-3. Its models only check: the text that is kept is
the sender's (writing it out through a model turns 6.10 into 6.1).

Not checked: other invariants, profiles, code lists that are not part of R4 itself. Resource types that
R4B dropped get the own checks that need no structure.

Cost on one core: about 0.35 ms for a laboratory Observation of 2.5 KB (0.2 of it fhir.resources);
the first resource of a type about 20 ms, the first of all 0.3 s and 25 MB (imported only then).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import orjson

from mappings.engine.jsontext import Number, Value, shown
from mappings.engine.model import Issue

_MODELS: Final = "fhir.resources.R4B."

# In R4 but no longer in R4B, and new in R4B.
_ONLY_R4: Final = frozenset(
    [
        "EffectEvidenceSynthesis",
        "MedicinalProduct",
        "MedicinalProductAuthorization",
        "MedicinalProductContraindication",
        "MedicinalProductIndication",
        "MedicinalProductIngredient",
        "MedicinalProductInteraction",
        "MedicinalProductManufactured",
        "MedicinalProductPackaged",
        "MedicinalProductPharmaceutical",
        "MedicinalProductUndesirableEffect",
        "RiskEvidenceSynthesis",
        "SubstanceNucleicAcid",
        "SubstancePolymer",
        "SubstanceProtein",
        "SubstanceReferenceInformation",
        "SubstanceSourceMaterial",
        "SubstanceSpecification",
    ]
)
_ONLY_R4B: Final = frozenset(
    [
        "AdministrableProductDefinition",
        "Citation",
        "ClinicalUseDefinition",
        "EvidenceReport",
        "Ingredient",
        "ManufacturedItemDefinition",
        "MedicinalProductDefinition",
        "NutritionProduct",
        "PackagedProductDefinition",
        "RegulatedAuthorization",
        "SubscriptionStatus",
        "SubscriptionTopic",
        "SubstanceDefinition",
    ]
)

# Required codes (hl7.org/fhir/R4) that the models' tables cut short, or do not have.
_CODES: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    key: frozenset(codes.split())
    for key, codes in {
        ("Observation", "status"): "registered preliminary final amended corrected cancelled"
        " entered-in-error unknown",
        ("DiagnosticReport", "status"): "registered partial preliminary final amended corrected"
        " appended cancelled entered-in-error unknown",
        ("DetectedIssue", "status"): "registered preliminary final amended corrected cancelled"
        " entered-in-error unknown",
        ("RiskAssessment", "status"): "registered preliminary final amended corrected cancelled"
        " entered-in-error unknown",
        ("Encounter", "status"): "planned arrived triaged in-progress onleave finished cancelled"
        " entered-in-error unknown",
        ("EncounterStatusHistory", "status"): "planned arrived triaged in-progress onleave finished"
        " cancelled entered-in-error unknown",
        ("Task", "status"): "draft requested received accepted rejected ready cancelled in-progress"
        " on-hold failed completed entered-in-error",
        (
            "DeviceUseStatement",
            "status",
        ): "active completed entered-in-error intended stopped on-hold",
        ("SupplyRequest", "status"): "draft active suspended cancelled completed entered-in-error"
        " unknown",
        ("Quantity", "comparator"): "< <= >= >",
        # The models list examples here; R4 wants a media type.
        ("CapabilityStatement", "format"): "",
        ("Expression", "language"): "",
        ("MedicationStatement", "status"): "active completed entered-in-error intended stopped"
        " on-hold unknown not-taken",
    }.items()
}

_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_OF_TYPE: Final = re.compile(r"abc\.(\w+)Type")
_TARGET: Final = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}")

Kind = Literal["decimal", "integer", "boolean", "string", "object", "resource"]


@dataclass(frozen=True, slots=True)
class Element:
    """What R4 allows at one element."""

    kind: Kind
    many: bool
    codes: frozenset[str]
    child: tuple[str, str]  # module and class of the type, for kind "object"
    targets: frozenset[str]


def resource(raw: bytes, node: Value, place: str) -> list[Issue]:
    """The faults of one resource; `raw[node.start:node.end]` is its text, `place` its FHIRPath.

    Severity hold: not valid R4. Severity note: valid enough to keep, somebody should look.
    """
    kind = node.string("resourceType") or ""
    issues = list(_walk(node, _shape(*_model(kind)), place, kind, 0))
    if kind in _ONLY_R4:
        return issues
    model = None if kind in _ONLY_R4B else _class(kind)
    if model is None:
        return [Issue("hold", "r4-type-unknown", place)]
    known = {issue.place for issue in issues}
    for code, path in _model_faults(model, raw[node.start : node.end]):
        if place + path not in known:
            issues.append(Issue("hold", code, place + path))
    return issues


def _walk(
    node: Value, shape: Mapping[str, Element], place: str, of: str, depth: int
) -> Iterator[Issue]:
    members = node.members()
    if not members:
        yield Issue("hold", "r4-empty", place)
        return
    for name, value in members.items():
        here = f"{place}.{shown(name)}"
        element = shape.get(name)
        data = value.data
        if type(data) is list:
            if not data:
                yield Issue("hold", "r4-empty", here)
            elif element is not None and not element.many:
                yield Issue("hold", "r4-type", here)
            # A primitive array has null where only the extension beside it says something.
            sparse = f"_{name}" in members or name.startswith("_")
            for number, item in enumerate(data):
                yield from _one(item, element, f"{here}[{number}]", sparse, depth)
        elif element is not None and element.many and name != "_id":
            yield Issue("hold", "r4-type", here)
        else:
            yield from _one(value, element, here, False, depth)
    yield from _constraints(of, node, place)


def _one(
    value: Value, element: Element | None, place: str, sparse: bool, depth: int
) -> Iterator[Issue]:
    data = value.data
    kind = element.kind if element is not None else None
    if type(data) is dict:
        if element is None:
            yield from _walk(value, {}, place, "", depth + 1)
            return
        if kind == "resource":
            inner = value.string("resourceType") or ""
            if _class(inner) is None and inner not in _ONLY_R4:
                yield Issue("hold", "r4-type-unknown", place)
                return
            yield from _walk(value, _shape(*_model(inner)), place, inner, depth + 1)
            return
        if kind != "object":
            yield Issue("hold", "r4-type", place)
            return
        yield from _walk(value, _shape(*element.child), place, element.child[1], depth + 1)
        if element.targets and (reference := value.string("reference")):
            match = _TARGET.match(reference)
            if match is not None and match[1] not in element.targets:
                yield Issue("note", "r4-reference", f"{place}.reference")
    elif type(data) is str:
        if not data:
            yield Issue("hold", "r4-empty", place)
        elif _FORBIDDEN.search(data):
            yield Issue("hold", "r4-character", place)
        elif kind == "decimal" or kind == "integer":
            yield Issue("hold", "r4-number-as-text", place)
        elif kind == "object" or kind == "boolean" or kind == "resource":
            yield Issue("hold", "r4-type", place)
        elif element is not None and element.codes and data not in element.codes:
            yield Issue("hold", "r4-code", place)
    elif type(data) is Number:
        if kind is not None and kind != "decimal" and kind != "integer":
            yield Issue("hold", "r4-type", place)
        elif kind == "integer" and not data.lstrip("-").isdigit():
            yield Issue("hold", "r4-number", place)
    elif data is None:
        if not sparse:
            yield Issue("hold", "r4-null", place)
    elif type(data) is bool:
        if kind is not None and kind != "boolean":
            yield Issue("hold", "r4-type", place)
    else:
        yield Issue("hold", "r4-type", place)  # an array inside an array


def _constraints(of: str, node: Value, place: str) -> Iterator[Issue]:
    """The invariants worth a line each."""
    members = node.members()
    if of == "Observation":
        valued = any(name.startswith("value") for name in members)
        if valued and "dataAbsentReason" in members:
            yield Issue("hold", "r4-rule", place, "obs-6")
    elif of == "ObservationReferenceRange":
        if not members.keys() & {"low", "high", "text"}:
            yield Issue("note", "r4-rule", place, "obs-3")
    elif of == "Quantity" and "code" in members and "system" not in members:
        yield Issue("note", "r4-rule", place, "qty-3")


# --- fhir.resources ------------------------------------------------------------------------------


@cache
def _class(kind: str) -> Any:
    """The model of a resource type, or None when R4B has none."""
    try:
        model = getattr(importlib.import_module(_MODELS + kind.lower()), kind)
    except (ImportError, AttributeError, ValueError):
        return None
    return model


def _model(kind: str) -> tuple[str, str]:
    return (_MODELS + kind.lower(), kind)


@cache
def _shape(module: str, name: str) -> Mapping[str, Element]:
    """The elements of a type by their JSON names; nothing when R4B does not have the type."""
    try:
        model = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return {}
    shape: dict[str, Element] = {}
    for field_name, field in model.model_fields.items():
        extra = field.json_schema_extra or {}
        annotation = str(field.annotation)
        json_name = field.alias or field_name
        if json_name == "fhir_comments":
            continue
        listed = frozenset(extra.get("enum_values") or ())
        coded = "Code()" in annotation
        shape[json_name] = Element(
            kind=_kind(annotation),
            many="List[" in annotation,
            codes=_CODES.get(
                (name, json_name), listed if coded and "+" not in listed else frozenset()
            ),
            child=_child(annotation, module),
            targets=frozenset(extra.get("enum_reference_types") or ()) - {"Resource"},
        )
    return shape


def _kind(annotation: str) -> Kind:
    if "abc.ResourceType" in annotation:
        return "resource"
    if "abc." in annotation:
        return "object"
    if "decimal.Decimal" in annotation:
        return "decimal"
    if "[int" in annotation:
        return "integer"
    if "bool" in annotation:
        return "boolean"
    return "string"


def _child(annotation: str, module: str) -> tuple[str, str]:
    match = _OF_TYPE.search(annotation)
    if match is None:
        return ("", "")
    name = match[1]
    if hasattr(importlib.import_module(module), name):
        return (module, name)
    return (_MODELS + name.lower(), name)


def _model_faults(model: Any, text: bytes) -> Iterator[tuple[str, str]]:
    """What the model finds, as code and path below the resource. Its messages quote values: never passed on."""
    from pydantic import ValidationError

    try:
        model.model_validate(orjson.loads(text))
    except ValidationError as fault:
        for error in fault.errors(include_url=False, include_context=False, include_input=False):
            yield _fault_code(error["type"], error["msg"]), _path(error["loc"])
    except Exception:
        # The models raise other things for shapes they did not expect; all of them mean invalid.
        yield "r4-type", ""


def _fault_code(kind: str, message: str) -> str:
    if kind.endswith("missing"):
        return "r4-missing"
    if kind == "extra_forbidden":
        return "r4-unknown"
    if "Any of one field value" in message:
        return "r4-choice"
    return "r4-missing" if "is required" in message else "r4-type"


def _path(loc: tuple[int | str, ...]) -> str:
    steps = [step for step in loc if step != "root"]
    return "".join(f"[{step}]" if isinstance(step, int) else f".{shown(step)}" for step in steps)
