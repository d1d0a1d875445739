"""Addresses in XML: XPath 1.0, compiled once; what most rules write is walked directly, which is faster.

Relative addresses begin at the scope of the rule. `[let]` names stand for paths and may begin an address
(``item/h:value``); ``doc.NAME`` is a child of the root element (``doc.id``); ``h:`` is the namespace of
CDA. ``[*]`` behind a step asks for all there are; without it an address gives the first value.

    h:code/@code                             children and an attribute             walked
    .//h:observation[h:code/@code='X']/…     acts by their code, anywhere below    an index of the scope
    anything else                            XPath 1.0                             compiled
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from mappings.engine import xmlvalue
from mappings.engine.reader import AddressFault
from mappings.engine.xmlrepair import CDA, PREFIXES

NAMESPACES = {"h": CDA, **PREFIXES}
Finder = Callable[[Any], Sequence[Any]]
"""Takes a scope; gives elements and texts in document order."""

_DEEPEST = 12
_STEP = re.compile(r"(?:([A-Za-z_][\w.\-]*):)?([^\W\d][\w.\-]*)((?:\[[^\]]*\])*)\Z")
_ATTRIBUTE = re.compile(r"@(?:([A-Za-z_][\w.\-]*):)?([^\W\d][\w.\-]*)\Z")
_TEST = re.compile(r"""\[(?:([\w.\-]+:)?([\w.\-]+)/)?@([\w.\-]+)\s*=\s*(?:'([^']*)'|"([^"]*)")\]""")
_CODED = re.compile(
    r"""\.?//h:([\w.\-]+)\[h:code/@code\s*=\s*(?:'([^']*)'|"([^"]*)")\](?:/(.*))?\Z""", re.DOTALL
)

_OF_DOCUMENT = re.compile(r"(?:boolean|string|number|count)\(/")
# Raw texts of several parts or values; XML holds neither sign.
PARTS, VALUES = "\x1f", "\x1e"
CODE = f"{{{CDA}}}code"


@dataclass(frozen=True, slots=True)
class Names:
    """What an address may use beside XPath: `[let]` names and the namespaces of the source."""

    lets: Mapping[str, str] = field(default_factory=dict)
    namespaces: Mapping[str, str] = field(default_factory=lambda: NAMESPACES)

    def expand(self, text: str) -> str:
        """The address with `[let]` names and ``doc.`` replaced by what they stand for."""
        for _ in range(_DEEPEST):
            first, slash, rest = text.partition("/")
            if first.startswith("doc."):
                return f"/*/{self._prefixed(first[4:])}{slash}{rest}"
            # A predicate may follow a name: ``item[1]/h:value``.
            name, bracket, test = first.partition("[")
            if name not in self.lets:
                return text
            text = f"{self.lets[name]}{bracket}{test}{slash}{rest}"
        raise AddressFault("[let] 的名称互相引用", "the names of [let] refer to each other")

    @staticmethod
    def _prefixed(name: str) -> str:
        return name if ":" in name or name.startswith("@") else f"h:{name}"


def absolute(text: str) -> bool:
    """Whether an expanded address means the same in every scope of a document."""
    return text.startswith("/") or _OF_DOCUMENT.match(text) is not None


@dataclass(frozen=True, slots=True)
class Quick:
    """The short way to the raw text of an address, without making a value of it.

    `find` takes a scope and gives the element that says it, an empty text for surely none, or None when
    only the address's getter can tell. It goes by names, order and the codes of acts alone.
    """

    find: Callable[[Any], Any]
    attribute: str

    def __call__(self, scope: Any) -> str | None:
        """The raw text, empty for none, or None when only the address's getter can tell."""
        found = self.find(scope)
        return found if found is None or type(found) is str else self.said(found, scope.document)

    def said(self, element: Any, document: Any) -> str | None:
        """What that element says."""
        if self.attribute:
            return (element.get(self.attribute) or "").strip() or None
        said = xmlvalue.said(element, document)
        return (said if type(said) is str else PARTS.join(said)) or None


def compile_raw(text: str, names: Names) -> Quick | None:
    """The raw text of an expanded address without making a value of it; None for what XPath reads.

    It follows the first of each step, which is nearly always the only one.
    """
    everywhere = absolute(text)
    if match := _CODED.match(text):
        tag, code, rest = f"{{{CDA}}}{match[1]}", match[2] or match[3] or "", match[4] or "."
    else:
        tag, code, rest = "", "", text[3:] if text.startswith("/*/") else text
        if everywhere and not text.startswith("/*/"):
            return None
    steps = _moves(rest, names)
    if steps is None or any(test is not None for _, test in steps[0]):
        return None
    tags, attribute = tuple(one for one, _ in steps[0]), steps[1]
    if attribute.startswith("{"):
        return None
    if code:
        return Quick(_quick_by_code(tag, code, _ending(tags), everywhere=everywhere), attribute)
    ending = _ending(tags)
    if everywhere:
        return Quick(lambda scope: ending(scope.document.root, scope.document), attribute)
    # The siblings of a group are looked at one after the other, by the getter.
    return Quick(
        lambda scope: None if scope.grouped else ending(scope.nodes[0], scope.document), attribute
    )


def _quick_by_code(
    tag: str, code: str, ending: Callable[[Any, Any], Any], *, everywhere: bool
) -> Callable[[Any], Any]:
    def find(scope: Any) -> Any:
        document = scope.document
        if everywhere:
            scope = document.top
        index = scope.index
        found = (scope.indexed() if index is None else index).get(code)
        if found is None:
            return ""
        act = found[0]
        if act.tag != tag:
            return None
        end = ending(act, document)
        # Nothing in the only act there is, is nothing.
        return end if type(end) is not str or len(found) == 1 else None

    return find


def _ending(tags: tuple[str, ...]) -> Callable[[Any, Any], Any]:
    """The end of a walk over first children: empty when surely nothing is there, None when unsure."""

    def ending(node: Any, document: Any) -> Any:
        begin, families = node, document.families
        for tag in tags:
            family = families.get(node)
            if family is None:
                family = families[node] = {child.tag: child for child in reversed(node)}
            node = family.get(tag)
            if node is None:
                return "" if _only(begin, tags, families) else None
        return node

    return ending


def _only(node: Any, tags: tuple[str, ...], families: Mapping[Any, Mapping[str, Any]]) -> bool:
    """Whether no step that was gone, up to the child that is missing, had another way to go."""
    for tag in tags:
        family = families[node]
        child = family.get(tag)
        if child is None:
            return True
        if len(family) != len(node) and sum(1 for _ in node.iterchildren(tag)) > 1:
            return False
        node = child
    return True


def compile_path(text: str, names: Names) -> Finder:
    """Compile an expanded address; `AddressFault` when XPath cannot read it."""
    if match := _CODED.match(text):
        rest = _walker(match[4], names) if match[4] else None
        if rest is not None or not match[4]:
            tag, code = f"{{{CDA}}}{match[1]}", match[2] or match[3] or ""
            return _by_code(tag, code, rest, everywhere=absolute(text))
    if absolute(text):
        if text.startswith("/*/") and (walk := _walker(text[3:], names)) is not None:
            return _from_root(walk)
        return _whole_document(_xpath(text, names))
    if text == ".":
        return lambda scope: scope.nodes
    if (walk := _walker(text, names)) is not None:
        return _from_scope(walk)
    return _each_node(text, names)


Walk = Callable[[Iterable[Any]], Sequence[Any]]


def _from_root(walk: Walk) -> Finder:
    return lambda scope: walk((scope.document.root,))


def _from_scope(walk: Walk) -> Finder:
    return lambda scope: walk(scope.nodes)


def _steps(text: str) -> list[str]:
    """The steps of a path; a slash between brackets belongs to its predicate."""
    steps, depth, begin = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "[") - (sign == "]")
        if sign == "/" and not depth:
            steps.append(text[begin:at])
            begin = at + 1
    return [*steps, text[begin:]]


def _walker(text: str, names: Names) -> Walk | None:
    """A walk along child elements to elements or an attribute; None when the path needs XPath."""
    found = _moves(text, names)
    return None if found is None else _walk(*found)


Move = tuple[str, Callable[[Any], bool] | None]


def _moves(text: str, names: Names) -> tuple[tuple[Move, ...], str] | None:
    """The child elements a path goes along, with their tests, and the attribute it ends at."""
    steps = _steps(text)
    attribute = ""
    if match := _ATTRIBUTE.match(steps[-1]):
        attribute = _tag(match[1], match[2], names) or ""
        if not attribute:
            return None
        steps.pop()
    moves: list[Move] = []
    for step in steps:
        if step == ".":
            continue
        found = _STEP.match(step)
        tag = _tag(found[1], found[2], names) if found else None
        if found is None or tag is None:
            return None
        test = _test(found[3], names)
        if found[3] and test is None:
            return None
        moves.append((tag, test))
    return tuple(moves), attribute


def _tag(prefix: str | None, name: str, names: Names) -> str | None:
    if not prefix:
        return name
    space = names.namespaces.get(prefix)
    return f"{{{space}}}{name}" if space else None


def _test(text: str, names: Names) -> Callable[[Any], bool] | None:
    """One predicate that compares an attribute, of the element or of one of its children."""
    match = _TEST.fullmatch(text)
    if match is None:
        return None
    prefix, child, attribute = match[1], match[2], match[3]
    value = match[4] if match[4] is not None else match[5]
    if child is None:
        return lambda element: element.get(attribute) == value
    tag = _tag(prefix[:-1] if prefix else None, child, names)
    if tag is None:
        return None
    return lambda element: any(one.get(attribute) == value for one in element.iterchildren(tag))


def _walk(moves: tuple[Move, ...], attribute: str) -> Walk:
    if len(moves) == 1 and moves[0][1] is None and not attribute:
        only = moves[0][0]
        return lambda nodes: [child for node in nodes for child in node.iterchildren(only)]

    def walk(nodes: Iterable[Any]) -> Sequence[Any]:
        for tag, test in moves:
            if test is None:
                nodes = [child for node in nodes for child in node.iterchildren(tag)]
            else:
                nodes = [child for node in nodes for child in node.iterchildren(tag) if test(child)]
        if attribute:
            return [
                (node, attribute, text)
                for node in nodes
                if (text := node.get(attribute)) is not None
            ]
        return nodes if type(nodes) is list else list(nodes)

    return walk


def _by_code(tag: str, code: str, rest: Walk | None, *, everywhere: bool) -> Finder:
    def find(scope: Any) -> Sequence[Any]:
        found = (scope.document.top if everywhere else scope).indexed().get(code, ())
        acts = [act for act in found if act.tag == tag]
        return acts if rest is None or not acts else rest(acts)

    return find


def _xpath(text: str, names: Names) -> Any:
    try:
        compiled = etree.XPath(text, namespaces=dict(names.namespaces), regexp=False)
        # Unknown prefixes and functions are found only when an expression runs.
        compiled(_NOTHING)
    except etree.XPathError as error:
        raise AddressFault(
            f"XPath 写法不对：{text}", f"this is not a valid XPath 1.0 expression: {text} ({error})"
        ) from None
    return compiled


_NOTHING = etree.fromstring("<nothing/>")


def _listed(found: Any) -> Sequence[Any]:
    """What XPath gives, as nodes, attributes and texts: a number or truth is one text."""
    if isinstance(found, list):
        return [_owned(one) if isinstance(one, str) else one for one in found]
    if isinstance(found, bool):
        return ["true"] if found else []
    if isinstance(found, float):
        return [] if found != found else [f"{found:.15g}"]
    return [found] if found else []


def _owned(text: Any) -> Any:
    """A text of XPath with the element it stands in, as the walks give attributes."""
    parent = text.getparent()
    if parent is None or not (text.is_attribute or text.is_text):
        return str(text)
    return parent, text.attrname or "", str(text)


def _whole_document(compiled: Any) -> Finder:
    return lambda scope: _listed(compiled(scope.document.root))


def _each_node(text: str, names: Names) -> Finder:
    single = _xpath(text, names)
    # In a group of siblings ``.//`` looks at the siblings themselves too, as from the node above them.
    grouped = _xpath(f"descendant-or-self::{text[3:]}", names) if text.startswith(".//") else single

    def find(scope: Any) -> Sequence[Any]:
        nodes = scope.nodes
        if len(nodes) == 1 and not scope.grouped:
            return _listed(single(nodes[0]))
        return [one for node in nodes for one in _listed(grouped(node))]

    return find
