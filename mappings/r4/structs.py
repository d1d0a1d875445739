"""A fast yes: `accepts` decodes a resource with msgspec Structs made from the table of definitions.

What is accepted has no fault that `check.py` knows, not even one for a note. What is refused may still
be valid, and the slower walk of `check.py` has the last word. Left to it, because rare in records that
machines write: contained resources, arrays with null, a required element that only an extension fills,
the seldom variants of an extension's value, leap seconds, references by address or fragment.

The Structs are strict: no unknown member, no null, no empty array, object or text, required codes as
literals, formats as patterns, numbers only as numbers, one variant of a choice, reference types,
invariants. They only look: nothing is ever written from them, so digits stay as they were sent.
The text must be strict JSON (`jsontext`): msgspec alone would let a doubled member pass.

A class is built when a resource first needs it: about 20 ms for the types that nearly all share, 4 ms for
each further resource type; all 146 take half a second and 12 MB.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Final, ForwardRef, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from mappings.r4 import built, definitions, formats, invariants
from mappings.r4.definitions import Element

_EMPTY: Final = re.compile(rb"\{\s*\}")
# A control character can only stand in JSON as an escape.
_CONTROL: Final = re.compile(rb"\\(?:u00[01]|[bf])")

# Variants that extensions and parameters of hospital systems have; the others are walked.
_ORDINARY: Final = frozenset(
    ["boolean", "code", "date", "dateTime", "decimal", "instant", "integer", "string", "uri", "url",
     "Address", "CodeableConcept", "Coding", "Identifier", "Period", "Quantity", "Reference"]
)  # fmt: skip
_OPEN: Final = 40
"""A choice of more variants than this is one of any type."""


class _Kind(msgspec.Struct):
    resourceType: str


class _Refused(ValueError):
    """Not accepted: the walk of check.py tells why."""


_BUILDING: Final = threading.RLock()
_KIND: Final = msgspec.json.Decoder(_Kind)


def accepts(raw: bytes, type_: str) -> bool:
    """True when the text is plainly a valid resource of this type; False says nothing yet."""
    if (
        type_ not in definitions.resources()
        or _EMPTY.search(raw)
        or (b"\\" in raw and _CONTROL.search(raw))
    ):
        return False
    try:
        decoder(type_).decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


@cache
def decoder(type_: str) -> msgspec.json.Decoder[Any]:
    """Decodes one resource type, or raises ValidationError at the first fault."""
    # Classes refer to each other, so a half-built one must not be seen by another thread.
    with _BUILDING:
        return msgspec.json.Decoder(struct(type_))


def struct(type_: str) -> type[msgspec.Struct]:
    """The Struct of a type, with everything it refers to."""
    made = _Building().struct(type_, frozenset())
    found: type[msgspec.Struct] = getattr(built, made)
    return found


class _Building:
    """Builds a class and, until nothing is missing, those it refers to by name."""

    def struct(self, type_: str, targets: frozenset[str]) -> str:
        """The name of the class in `built`; a Reference has one for each set of targets."""
        name = type_.replace(".", "_")
        if targets:
            name += "_" + "_".join(sorted(targets))
        if not hasattr(built, name):
            setattr(built, name, None)  # a class may refer to itself
            made = self.build(type_, targets, name)
            setattr(built, name, made)
        return name

    def build(self, type_: str, targets: frozenset[str], name: str) -> type[msgspec.Struct]:
        elements = _modelled(type_)
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        if type_ in definitions.resources():
            fields.append(("resourceType_", Literal[type_]))
        for json_name, element in elements.items():
            if type_ == "Reference" and json_name == "reference" and targets:
                annotation: Any = _text(formats.reference(targets))
            elif type_ == "Reference" and json_name == "type" and targets:
                annotation = Literal[tuple(sorted(targets))]
            else:
                annotation = self.annotation(element)
            if element.required and not element.choice:
                fields.append((f"{json_name}_", annotation))
            else:
                fields.append((f"{json_name}_", annotation | UnsetType, UNSET))
            if _extensible(element):
                extra = ForwardRef(self.struct("Element", frozenset()))
                fields.append((f"{json_name}__", extra | UnsetType, UNSET))
        look = _look(type_, elements)
        return msgspec.defstruct(
            name,
            fields,
            namespace={"__post_init__": look} if look else {},
            module=built.__name__,
            forbid_unknown_fields=True,
            kw_only=True,
            rename=_json_name,
            gc=False,
        )

    def annotation(self, element: Element) -> Any:
        if element.type == "Resource":
            one: Any = Raw
        elif element.type in definitions.PRIMITIVES:
            one = _primitive(element)
        else:
            one = ForwardRef(self.struct(element.type, element.targets))
        return Annotated[list[one], Meta(min_length=1)] if element.many else one


def _json_name(field: str) -> str:
    """`status_` is `status`; `status__` is `_status`. The marks keep words like `class` apart."""
    return "_" + field[:-2] if field.endswith("__") else field[:-1]


def _extensible(element: Element) -> bool:
    """May a member `_name` stand beside it here? (Beside arrays and variants it is for the walk.)"""
    return element.type in definitions.PRIMITIVES and not element.many and not element.choice


def _modelled(type_: str) -> Mapping[str, Element]:
    """The elements a Struct takes; what is missing here is refused and so walked."""
    elements = definitions.elements(type_)
    variants: dict[str, int] = {}
    for element in elements.values():
        variants[element.path] = variants.get(element.path, 0) + 1
    return {
        name: element
        for name, element in elements.items()
        if name != "contained" and (variants[element.path] < _OPEN or element.type in _ORDINARY)
    }


@cache
def _text(pattern: str) -> Any:
    return Annotated[str, Meta(pattern=pattern, max_length=formats.LONGEST)]


@cache
def _literal(codes: frozenset[str]) -> Any:
    return Literal[tuple(sorted(codes))]


def _primitive(element: Element) -> Any:
    type_ = element.type
    if type_ == "boolean":
        return bool
    if type_ == "decimal":
        return int | float  # a number, never a text; its digits are not kept here
    if type_ in formats.INTEGERS:
        least, most = formats.INTEGERS[type_]
        return Annotated[int, Meta(ge=least, le=most)]
    if element.codes:
        return _literal(frozenset().union(*element.codes.values()))
    if type_ == "base64Binary":
        return Annotated[str, Meta(min_length=1, pattern=formats.PATTERNS[type_])]
    if type_ in formats.PATTERNS:
        return _text(formats.PATTERNS[type_])
    return Annotated[str, Meta(min_length=1, max_length=formats.LONGEST)]


# --- what a type alone does not say --------------------------------------------------------------


def _look(type_: str, elements: Mapping[str, Element]) -> Callable[[Any], None] | None:
    """What is looked at when an object of a class has been decoded; it raises when not plainly well."""
    looks = [
        look
        for look in (_presence(type_, elements), _contents(type_, elements))
        if look is not None
    ]
    held = [f"{name}_" for name, element in elements.items() if element.type == "Resource"]
    if held:
        looks.append(_resources(held))
    if len(looks) < 2:
        return looks[0] if looks else None

    def every(self: Any) -> None:
        for look in looks:
            look(self)

    return every


def _fields(stem: str, elements: Mapping[str, Element]) -> list[str]:
    """The fields that make an element of this stem present."""
    found: list[str] = []
    for name, element in elements.items():
        if element.path.removesuffix("[x]") == stem:
            found.append(f"{name}_")
            if _extensible(element):
                found.append(f"{name}__")
    return found


def _presence(type_: str, elements: Mapping[str, Element]) -> Callable[[Any], None] | None:
    """Choices and the invariants on presence: one verdict for each pattern of what is there."""
    rules = invariants.presence(type_)
    choices = {one.path.removesuffix("[x]"): one for one in elements.values() if one.choice}
    stems = sorted({*choices, *(name for rule in rules for name in rule.names)})
    if not stems:
        return None
    absent = [_absent(_fields(stem, elements)) for stem in stems]
    verdicts: dict[tuple[int, ...], bool] = {}

    def verdict(pattern: tuple[int, ...]) -> bool:
        there = {stem for stem, count in zip(stems, pattern, strict=True) if count}
        for stem, count in zip(stems, pattern, strict=True):
            if stem in choices and not choices[stem].required <= count <= 1:
                return False
        return all(rule.holds(there) for rule in rules)

    def look(self: Any) -> None:
        pattern = tuple([size - get(self).count(UNSET) for get, size in absent])
        known = verdicts.get(pattern)
        if known is None:
            known = verdict(pattern)
            if len(verdicts) < 1000:
                verdicts[pattern] = known
        if not known:
            raise _Refused

    return look


def _absent(fields: list[str]) -> tuple[Callable[[Any], tuple[Any, ...]], int]:
    """How to get the values of some fields, and how many they are."""
    # With one name alone, attrgetter gives no tuple.
    names = fields if len(fields) > 1 else [*fields, *fields]
    return attrgetter(*names), len(names)


def _contents(type_: str, elements: Mapping[str, Element]) -> Callable[[Any], None] | None:
    """The invariants on content, and required codes of concepts."""
    rules: list[tuple[Callable[[Any], tuple[Any, ...]], Callable[[invariants.Where], bool]]] = []
    for rule in invariants.content(type_):
        groups = [_fields(stem, elements) for stem in rule.needs]
        rules.append((_all_there(groups), rule.holds))
    for name, element in elements.items():
        if element.codes and element.type not in definitions.PRIMITIVES:
            rules.append((_all_there([[f"{name}_"]]), _coded(name, element)))
    if not rules:
        return None

    def look(self: Any) -> None:
        for applies, holds in rules:
            if applies(self) and not holds(_Typed(self)):
                raise _Refused

    return look


def _all_there(groups: list[list[str]]) -> Callable[[Any], Any]:
    def applies(self: Any) -> bool:
        return all(any(getattr(self, one) is not UNSET for one in group) for group in groups)

    return applies


def _coded(name: str, element: Element) -> Callable[[invariants.Where], bool]:
    """One coding of the concept is from the required list."""
    path = name if element.type == "Coding" else f"{name}.coding"

    def holds(where: invariants.Where) -> bool:
        return any(
            code in element.codes.get(system, ()) for system, code in where(path, "system", "code")
        )

    return holds


def _resources(fields: list[str]) -> Callable[[Any], None]:
    """Resources inside are decoded as what they say they are."""

    def look(self: Any) -> None:
        for field in fields:
            held = getattr(self, field)
            if held is not UNSET:
                kind = _KIND.decode(held).resourceType
                if kind not in definitions.resources():
                    raise _Refused
                decoder(kind).decode(held)

    return look


class _Typed:
    """`invariants.Where` over a decoded object."""

    def __init__(self, root: Any) -> None:
        self.root = root

    def __call__(self, path: str, *leaves: str) -> list[tuple[Any, ...]]:
        nodes = [self.root]
        for step in path.split(".") if path else ():
            below: list[Any] = []
            for node in nodes:
                inner = getattr(node, f"{step}_", UNSET)
                if inner is not UNSET:
                    below.extend(inner) if type(inner) is list else below.append(inner)
            nodes = below
        return [tuple([_leaf(node, leaf) for leaf in leaves]) for node in nodes]


def _leaf(node: Any, name: str) -> Any:
    if type(node) is Raw:
        return _KIND.decode(node).resourceType if name == "resourceType" else None
    value = getattr(node, f"{name}_", UNSET)
    return None if value is UNSET else value
