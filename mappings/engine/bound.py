"""What a function is given when a rule is bound: the map's facts and tables, and its own arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from mappings.engine.reader import Getter, Source, Value
from mappings.engine.rules import Expression
from mappings.engine.tables import Table

if TYPE_CHECKING:
    from mappings.engine.interpret import Instance

Apply = Callable[[Sequence[Value], "Instance"], Any]


@dataclass(slots=True)
class Setup:
    """What all rules of a map share."""

    source: Source
    tables: Mapping[str, Table]

    def organization(self) -> dict[str, Any]:
        """A logical reference to the sending organisation; registers of organisations know the rest."""
        base = self.source.base_url
        reference: dict[str, Any] = {
            "type": "Organization",
            "identifier": {"system": f"{base}/sid/organization", "value": self.source.org},
        }
        if self.source.name:
            reference["display"] = self.source.name
        return reference

    def extension(self, name: str) -> str:
        return f"{self.source.base_url}/StructureDefinition/{name}"

    def code_system(self, name: str) -> str:
        return f"{self.source.base_url}/CodeSystem/{name}"


@dataclass(slots=True)
class Bound:
    """The arguments of one call: tables, texts and sources by name, ``'a' = 'b'`` pairs, loose texts.

    `closed` says that FHIR requires a code from a list where the rule writes: an unknown one cannot stay.
    """

    tables: dict[str, Table] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Callable[[Instance], Sequence[Value]]] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)
    texts_many: list[str] = field(default_factory=list)
    reads: dict[str, Getter] = field(default_factory=dict)
    closed: bool = False

    def first(self, name: str, at: Instance) -> Value | None:
        """The first value of a source argument, or None; an explicit null counts as none."""
        find = self.sources.get(name)
        if find is None:
            return None
        values = find(at)
        return values[0] if values and not values[0].null else None

    def text(self, name: str, at: Instance) -> str:
        value = self.first(name, at)
        return "" if value is None else value.text


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the language. `order` names positional arguments; `empty` runs it without a value too.

    `own` says that it touches its resource beside the answer, so that siblings cannot share it; `seldom`
    names sources it hardly ever asks, `timed` says that it compares its answer with the time of the message,
    `wide` that the texts it is asked about hardly come again, as results do and codes do not. `reads` are
    addresses that it looks up itself, in scopes below the rule's.
    """

    make: Callable[[Setup, Bound], Apply]
    order: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    pairs: bool = False
    variadic: bool = False
    empty: bool = False
    own: bool = False
    seldom: tuple[str, ...] = ()
    timed: bool = False
    reads: tuple[str, ...] = ()
    wide: bool = False


class BoundRule(msgspec.Struct, frozen=True):
    """A rule ready to run: find the values, apply the functions, set the element."""

    path: str
    element: str
    evaluate: Callable[[Instance], Any]
    put: Callable[[dict[str, Any], Any, Instance], None]
    must: bool
    whole: bool
    shared: bool
    line: str
    address: str
    expression: Expression


class BoundBlock(msgspec.Struct, frozen=True):
    """A block ready to run. `spaces` are the number spaces a chart may hang on, best first."""

    name: str
    type: str
    each: str
    mode: Any
    space: str
    spaces: tuple[str, ...]
    key: tuple[BoundRule, ...]
    clock: BoundRule | None
    when: BoundRule | None
    rules: tuple[BoundRule, ...]
    line: str
    unions: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
