"""The scopes of an XML document: where blocks are evaluated, what is read there, and what reads it.

A document is opened for one map file, whose `[each]` say what its scopes are and whose addresses what is
asked of them. Values and raw texts are found once in a scope and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from mappings.engine import xmlvalue
from mappings.engine.reader import Getter, Value
from mappings.engine.xmlpath import CODE, PARTS, VALUES, Finder, Quick
from mappings.engine.xmlvalue import Place

# Records of raw texts: of a scope and of its document.
HERE, DOCUMENT = ".", "/"


class Lens(Protocol):
    """What a map file wants to see of a document."""

    @property
    def plan(self) -> Mapping[str, Each]:
        """What its `[each]` say, by name."""
        ...

    @property
    def slots(self) -> Sequence[Asked]:
        """The addresses of its rules, by the number generated code asks them with."""
        ...

    @property
    def forms(self) -> dict[Hashable, Spots]:
        """Where raw texts stood in scopes of the same form; see `Scope.recall`."""
        ...

    def getter(self, key: str) -> Getter:
        """How the values are read that a scope keeps under this key."""
        ...


Spots = dict[str, tuple[int, Quick]]
"""By the key of an address: which element of a scope says it, -1 for none, and how it is read."""

_FORMS = 1024
_LARGEST = 100
"""Forms that are remembered, and elements of a scope that has one."""
_LONGEST_CODE = 64


class Document:
    """One parsed document: its root, its scopes of each kind, and what references in it point at."""

    __slots__ = ("_held", "_narrative", "_scopes", "families", "lens", "paths", "root", "top")

    def __init__(self, root: Any, lens: Lens | None = None, held: Sequence[Any] = ()) -> None:
        self.root, self.lens = root, lens
        # lxml makes an object of an element whenever it is met and none is alive, which costs more than the meeting.
        self._held = held
        self.families: dict[Any, dict[str, Any]] = {}
        """Of elements that were walked through: the first child of each name."""
        self.paths: dict[Any, str] = {}
        self.top = Scope(self, (root,), None)
        self._scopes: dict[str, list[Scope]] = {}
        self._narrative: dict[str, Any] | None = None

    def scopes(self, each: str) -> list[Scope]:
        """Every scope of a kind, in document order; the same objects each time."""
        known = self._scopes.get(each)
        if known is None:
            assert self.lens is not None  # a document is opened before its blocks run
            plan = self.lens.plan[each]
            above = self.scopes(plan.within) if plan.within else [self.top]
            known = [scope for container in above for scope in plan.cut(container)]
            self._scopes[each] = known
        return known

    def narrative(self, reference: str) -> str:
        """The text of the element whose ID a reference names (``#result1``)."""
        if self._narrative is None:
            self._narrative = {
                name: element
                for element in self.root.iter("{*}*")
                if (name := element.get("ID")) is not None
            }
        found = self._narrative.get(reference.removeprefix("#"))
        return "" if found is None else xmlvalue.text_of(found)

    def read(self) -> set[Any]:
        """The elements that rules have read so far."""
        everywhere = [self.top, *(scope for scopes in self._scopes.values() for scope in scopes)]
        if (lens := self.lens) is not None:
            for scope in everywhere:  # what generated code has read as raw text
                for key in [key for key, raw in scope.raws.items() if raw]:
                    lens.getter(key)(scope)
        return {
            value.place.element
            for scope in everywhere
            for values in scope.cache.values()
            for value in values
            if isinstance(value.place, Place)
        }


class Scope:
    """One element, or the siblings of one group, where a block is evaluated."""

    __slots__ = (
        "_place",
        "cache",
        "document",
        "elements",
        "grouped",
        "index",
        "nodes",
        "parent",
        "raws",
        "spots",
    )

    def __init__(
        self,
        document: Document,
        nodes: tuple[Any, ...],
        parent: Scope | None,
        grouped: bool = False,
    ) -> None:
        self.document, self.nodes, self.parent, self.grouped = document, nodes, parent, grouped
        self.cache: dict[str, Sequence[Value]] = {}
        self.raws: dict[str, str] = {}
        self.index: dict[str, list[Any]] | None = None
        self.elements: Sequence[Any] = ()
        self.spots: Spots | None = None
        self._place = ""

    @property
    def place(self) -> str:
        if not self._place:
            self._place = self.locate("")
        return self._place

    def where(self) -> str:
        return self.place

    def locate(self, address: str) -> str:
        return str(Place(self.nodes[0], address.replace("h:", ""), self.document.paths))

    def children(self, each: str) -> Iterable[Scope]:
        if each == "message":
            return (self,)
        found = self.document.scopes(each)
        return found if self.parent is None else [one for one in found if one.within(self)]

    def record(self, name: str) -> Sequence[str]:
        """The raw texts of addresses that begin here, or of those of the whole document."""
        lens = self.document.lens
        slots = () if lens is None else lens.slots
        if name != HERE:
            return _Record(slots, self.document.top)
        if self.spots is None and self.parent is not None and lens is not None:
            self.recall(lens)
        return _Record(slots, self)

    def recall(self, lens: Lens) -> None:
        """Read at once what stood in scopes of the same form: names, order, children and codes of acts.

        Short ways go by these alone (`Quick.find`), so the same element is at their end. What is empty there
        is looked for anew.
        """
        self.spots = {}
        elements = [element for node in self.nodes for element in node.iter()]
        if len(elements) > _LARGEST:
            return
        codes = tuple([one.get("code") for node in self.nodes for one in node.iter(CODE)])
        if any(code and len(code) > _LONGEST_CODE for code in codes):
            return
        tags = tuple([element.tag for element in elements])
        form = (self.grouped, tags, tuple(map(len, elements)), codes)
        spots = lens.forms.get(form)
        if spots is None:
            if len(lens.forms) >= _FORMS:
                lens.forms.clear()
            spots = lens.forms[form] = {}
        self.elements, self.spots = elements, spots
        document, raws = self.document, self.raws
        for key, (number, quick) in list(spots.items()):
            raw = "" if number < 0 else quick.said(elements[number], document)
            if raw is not None:
                raws[key] = raw

    def within(self, other: Scope) -> bool:
        """Whether this scope is the other or stands below it."""
        scope: Scope | None = self
        while scope is not None and scope is not other:
            scope = scope.parent
        return scope is not None

    def indexed(self) -> dict[str, list[Any]]:
        """By a code, the elements below that have a child ``code`` with it: one walk for all addresses."""
        if self.index is None:
            index: dict[str, list[Any]] = {}
            for node in self.nodes:
                for element in node.iter(CODE):
                    if (found := element.get("code")) is not None:
                        act = element.getparent()
                        # Of a single element only what is below it, as XPath has it.
                        if self.grouped or act is not node:
                            index.setdefault(found, []).append(act)
            self.index = index
        return self.index


class _Record(Sequence[str]):
    """The raw texts of all addresses of a map in one scope, each read when it is asked for."""

    __slots__ = ("_scope", "_slots")

    def __init__(self, slots: Sequence[Asked], scope: Scope) -> None:
        self._slots, self._scope = slots, scope

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, number: Any) -> Any:
        scope = self._scope
        key, quick, getter = self._slots[number]
        found = scope.raws.get(key)
        if found is None:
            found = None if quick is None else _asked(key, quick, scope)
            if found is None:
                found = _raw(getter(scope))
            scope.raws[key] = found
        return found


def _asked(key: str, quick: Quick, scope: Scope) -> str | None:
    """The raw text by the short way; where it stands is noted for scopes of the same form."""
    end = quick.find(scope)
    if end is None:
        return None
    nothing = type(end) is str
    if scope.elements and scope.spots is not None and key not in scope.spots:
        scope.spots[key] = -1 if nothing else scope.elements.index(end), quick
    return "" if nothing else quick.said(end, scope.document)


class Asked(NamedTuple):
    """How an address is read: as raw text without making a value of it, if that can be, and as values."""

    key: str
    quick: Quick | None
    getter: Getter


class Found(Place):
    """The place of a value that was made of a raw text; looked for only when somebody asks."""

    __slots__ = ("_find", "_scope")

    def __init__(self, scope: Scope, find: Callable[[Scope], Sequence[Value]]) -> None:
        self._scope, self._find = scope, find

    @property
    def element(self) -> Any:
        return self._place().element

    def __str__(self) -> str:
        return str(self._place())

    def _place(self) -> Any:
        return self._find(self._scope)[0].place


def of_raw(raw: str, place: Place) -> Sequence[Value]:
    if not raw:
        return ()
    text, *parts = raw.split(PARTS)
    return (Value(text, place, tuple(parts) or (text,)),)


def _raw(values: Sequence[Value]) -> str:
    if not values:
        return ""
    if len(values) == 1 and len(values[0].parts) == 1:
        return values[0].text
    return VALUES.join(PARTS.join((one.text, *one.parts)) for one in values)


@dataclass(frozen=True, slots=True)
class Each:
    """What one ``[each.NAME]`` says: alternatives of a path and, for groups, what begins the next one."""

    alternatives: tuple[tuple[Finder, Finder | None], ...]
    within: str = ""

    def cut(self, container: Scope) -> Iterator[Scope]:
        """The scopes below a container, by the first alternative that is there."""
        for find, start in self.alternatives:
            nodes = [node for node in find(container) if not isinstance(node, (str, tuple))]
            groups = (
                [(node,) for node in nodes] if start is None else _groups(nodes, start, container)
            )
            if groups:
                for group in groups:
                    yield Scope(container.document, group, container, start is not None)
                return


def _groups(nodes: Sequence[Any], start: Finder, container: Scope) -> list[tuple[Any, ...]]:
    """Siblings cut where one holds, or is, a start; those before the first belong to nothing."""
    groups: list[list[Any]] = []
    for node in nodes:
        if start(Scope(container.document, (node,), container, True)):
            groups.append([node])
        elif groups:
            groups[-1].append(node)
    return [tuple(group) for group in groups]
