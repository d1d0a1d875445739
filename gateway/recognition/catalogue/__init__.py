"""The recognition catalogue: items, scopes, who belongs where, and which laboratory may for what.

A version (items, scopes, panels, orders, windows, prices) is called by the hash of its content; who
belongs where and whose results count is a register, and its state is the number of its newest event.
Both together repeat a judgement years later. A county is founded with reviewed CSV files:

items.csv         what is on the list; `;` separates several values in a cell
scopes.csv        where marks count, and which scope lies within which
panels.csv        what everybody knows as one order, such as LOINC's panels
orders.csv        what a hospital's own order codes and names mean
windows.csv       exceptions from an item's validity, by kind of visit and department
prices.csv        what an item costs at a level of hospital
members.csv       which organisation lies in which scope, from when to when
entitlements.csv  which organisation's results in which item or group count in which scope
"""

from __future__ import annotations

import builtins
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

LOINC = "http://loinc.org"
FOREVER = 2**62
"""The end of what has no end, µs."""
SHIPPED = Path(__file__).parent
"""The starter list: items and scopes. Members and entitlements belong to the county."""


class Span(msgspec.Struct, frozen=True):
    """From the start of one county day to the end of another, µs UTC, end not included."""

    start: int
    end: int

    def covers(self, at: int) -> bool:
        """Does the moment lie in it?"""
        return self.start <= at < self.end


class Window(msgspec.Struct, frozen=True):
    """How old a result may be for one kind of visit; 0 days is never.

    `patient_class` is OP, IP, EM or empty for any; `department` is a word that the receiving
    department's name contains, or empty for any. `clock` says where the age starts: "collection"
    (laboratory) or "acquisition" (images). The most specific window counts.
    """

    days: int
    patient_class: str = ""
    department: str = ""
    clock: str = "collection"


class Price(msgspec.Struct, frozen=True):
    """What the item costs at a level of hospital ("" is any), CNY as decimal text."""

    amount: str
    level: str = ""


class Item(msgspec.Struct, frozen=True):
    """One row of the list. Empty tuples mean: not restricted.

    `methods` and `body_parts` are words, one of which a stated method or body part must contain.
    `op_days` and `ip_days` are the windows for outpatients and inpatients; 0 is never; `windows` are
    exceptions from them by department.
    `comparability`: A may share a row and a line, B a chart in its own series, C never.
    `platform_only`: comparable only when both were measured on the same platform (tumour markers).
    `contrast` of an examination: "without", "with", "both", or empty where it does not matter.
    `quality_facts` are what a reader of the images wants to know (slice thickness, phases).
    """

    code: str
    name_zh: str
    name_en: str
    kind: str  # lab, imaging, function
    loinc: tuple[str, ...]
    ucum: tuple[str, ...]
    specimens: tuple[str, ...]
    methods: tuple[str, ...]
    modality: str
    body_parts: tuple[str, ...]
    laterality_required: bool
    qualitative: bool
    comparability: str
    op_days: int
    ip_days: int
    groups: tuple[str, ...]
    scopes: tuple[str, ...]
    negative_list: bool
    protected_category: str
    eqa_programme: str
    confidence: str
    effective: Span
    version: str
    approved_by: str
    property: str = ""
    windows: tuple[Window, ...] = ()
    contrast: str = ""
    platform_only: bool = False
    prices: tuple[Price, ...] = ()
    quality_facts: tuple[str, ...] = ()

    @builtins.property  # `property` is LOINC's here: what kind of quantity is measured
    def active(self) -> bool:
        """Whether it may be recognised at all: an uncertain code (Q) waits until it is confirmed."""
        return self.confidence != "Q"

    def window(self, patient_class: str, department: str = "") -> Window:
        """The window for this kind of visit in this department; the most specific row counts."""
        fitting = [
            one
            for one in self.windows
            if one.patient_class in ("", patient_class)
            and (not one.department or one.department in department)
        ]
        if fitting:
            return max(fitting, key=lambda one: (len(one.department), bool(one.patient_class)))
        clock = "collection" if self.kind == "lab" else "acquisition"
        days = self.op_days if patient_class == "OP" else self.ip_days
        return Window(days, patient_class, "", clock)

    def price(self, level: str = "") -> str:
        """The price at a level of hospital as decimal text, "" when the list names none."""
        found = {one.level: one.amount for one in self.prices}
        return found.get(level, found.get("", ""))


class Panel(msgspec.Struct, frozen=True):
    """What can be ordered as one thing: codings ("system|code") and the items it consists of.

    `organization` is empty for panels that everybody knows, such as LOINC's; a hospital's own order
    codes are rows of its own, and then `names` may stand where no code is sent.
    """

    code: str
    name_zh: str
    name_en: str
    codings: tuple[str, ...]
    items: tuple[str, ...]
    organization: str = ""
    names: tuple[str, ...] = ()


class Scope(msgspec.Struct, frozen=True):
    """Where a mark counts. `within` are the wider scopes right around it."""

    code: str
    within: tuple[str, ...]
    kind: str
    marks: tuple[str, ...]
    name_zh: str
    name_en: str


class Member(msgspec.Struct, frozen=True):
    """An organisation lies in a scope (and in all around it) for some time."""

    organization: str
    scope: str
    valid: Span
    number: int = 0  # the event of the register that says so


class Entitlement(msgspec.Struct, frozen=True):
    """An organisation's results in one item, or in a group of items, count in a scope."""

    organization: str
    item: str  # or empty
    group: str  # or empty
    scope: str
    valid: Span
    status: str  # active, suspended, revoked
    basis: str
    evidence: str

    decided_by: str = ""
    decided_at: int = 0  # µs
    number: int = 0  # the event of the register that granted it

    def concerns(self, item: Item) -> bool:
        """Is it about this item?"""
        return self.item == item.code or (bool(self.group) and self.group in item.groups)


class Catalogue:
    """Everything the rules of recognition are read from. Immutable; safe to share.

    `version` names items, scopes and panels by their content, `register` the state of memberships
    and entitlements by its newest event. `content` is the text of the version (see `content`). Items whose code is uncertain are in `items` only.
    """

    def __init__(
        self,
        items: Iterable[Item],
        scopes: Iterable[Scope],
        members: Iterable[Member],
        entitlements: Iterable[Entitlement],
        version: str,
        panels: Iterable[Panel] = (),
        register: str = "",
        content: bytes = b"",
    ) -> None:
        self.items = tuple(items)
        self.panels = tuple(panels)
        self._ordered: dict[tuple[str, str], Panel] = {}
        for panel in self.panels:
            for said in (*panel.codings, *panel.names):
                self._ordered[panel.organization, said] = panel
        self.scopes: Mapping[str, Scope] = {scope.code: scope for scope in scopes}
        self.version = version
        self.register = register
        self.content = content
        self._by_loinc: dict[str, list[Item]] = {}
        self._by_code: dict[str, list[Item]] = {}
        for item in filter(lambda one: one.active, self.items):
            self._by_code.setdefault(item.code, []).append(item)
            for code in item.loinc:
                self._by_loinc.setdefault(code, []).append(item)
        self._around = {code: self._closure(code) for code in self.scopes}
        self.members = tuple(members)
        self.entitled = tuple(entitlements)
        self._members: dict[str, list[Member]] = {}
        for member in self.members:
            self._members.setdefault(member.organization, []).append(member)
        self._entitled: dict[str, list[Entitlement]] = {}
        for entitlement in self.entitled:
            self._entitled.setdefault(entitlement.organization, []).append(entitlement)
        self._marks = {
            plain_mark(mark): scope.code for scope in self.scopes.values() for mark in scope.marks
        }

    def _closure(self, code: str) -> frozenset[str]:
        found: set[str] = set()
        ahead = [code]
        while ahead:
            scope = ahead.pop()
            if scope not in found:
                found.add(scope)
                ahead.extend(self.scopes[scope].within)
        return frozenset(found)

    def items_for(self, loinc: Iterable[str], at: int) -> tuple[Item, ...]:
        """The items in force at `at` that any of these LOINC codes means, each once."""
        found = {
            item.code: item
            for code in loinc
            for item in self._by_loinc.get(code, ())
            if item.effective.covers(at)
        }
        return tuple(found.values())

    def item(self, code: str, at: int) -> Item | None:
        """The item of that code as it stands at `at`; None when it is not in force."""
        return next((one for one in self._by_code.get(code, ()) if one.effective.covers(at)), None)

    def ordered(
        self, organization: str, codings: Iterable[tuple[str, str]], name: str, at: int
    ) -> tuple[Item, ...]:
        """The items that an order of this organisation means, each once; () when nobody knows.

        `codings` are (system, code) of the order, in its own order of preference: the hospital's own
        codes count before LOINC panels, and those before LOINC codes of single items.
        """
        codings = tuple(codings)
        panel = self.panel(organization, codings, name)
        if panel is not None:
            items = (self.item(code, at) for code in panel.items)
            return tuple(one for one in items if one is not None)
        return self.items_for((code for system, code in codings if system == LOINC), at)

    def panel(
        self, organization: str, codings: Iterable[tuple[str, str]], name: str
    ) -> Panel | None:
        """The panel that `ordered` finds by these codes or this name."""
        said = [f"{system}|{code}" for system, code in codings]
        for whose, words in ((organization, [*said, *([name] if name else [])]), ("", said)):
            for word in words:
                panel = self._ordered.get((whose, word))
                if panel is not None:
                    return panel
        return None

    def with_register(
        self, members: Iterable[Member], entitlements: Iterable[Entitlement], register: str
    ) -> Catalogue:
        """The same version with this state of the register."""
        return Catalogue(
            self.items, self.scopes.values(), members, entitlements, self.version, self.panels,
            register, self.content,
        )  # fmt: skip

    def around(self, scopes: Iterable[str]) -> frozenset[str]:
        """These scopes and all that contain them; a scope nobody declared contains nothing."""
        return frozenset().union(*(self._around.get(scope, frozenset()) for scope in scopes))

    def scopes_of(self, organization: str, at: int) -> frozenset[str]:
        """Every scope the organisation lies in at a moment, the wider ones included."""
        return self.around(
            member.scope
            for member in self._members.get(organization, ())
            if member.valid.covers(at)
        )

    def entitlements(self, organization: str, item: Item) -> tuple[Entitlement, ...]:
        """What the register holds about this organisation and item, whatever its state."""
        return tuple(
            entitlement
            for entitlement in self._entitled.get(organization, ())
            if entitlement.concerns(item)
        )

    def scope_of_mark(self, raw: str) -> str | None:
        """The scope a printed mark claims: a code, "" for a mark that names none (★), or None when
        the text is a mark we do not know."""
        plain = plain_mark(raw)
        if plain in self._marks:
            return self._marks[plain]
        return "" if plain in {"", "HR", "互认"} else None


_BRACKETS = re.compile(r"[\[\]()<>{}【】〖〗「」『』★☆*※▲△●◆\s]+")


def plain_mark(raw: str) -> str:
    """A printed mark without brackets, stars, spaces and widths: 【全国HR】 and ［全国ｈｒ］ agree."""
    return _BRACKETS.sub("", unicodedata.normalize("NFKC", raw)).upper()
