"""XML as an input form: CDA R2 (WS/T 500, C-CDA) and any other XML of one message about one patient.

What kind of document it is, its root element and templateId say; `[map] accept` picks by them:
``accept = { template = "2.16.156.10011.2.1.1.27" }`` or ``accept = { root = "LABREPORT" }`` (lists are
alternatives). ``[each.NAME]`` names what repeats, its entries are alternatives of which the first that
is there wins:

    [each.result]
    a = "lab/h:entry/h:organizer[@classCode='CLUSTER']"
    b = "group(lab/h:entry, start=item)"       # from one entry that holds an item to the next
    within = "panel"                           # paths begin in each scope of another [each]

``[source] repair`` names what this sender is known to get wrong (see `xmlrepair`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any, BinaryIO

import msgspec

from mappings.engine import streams, xmlparse, xmlrepair, xmlvalue
from mappings.engine.attachments import Blob
from mappings.engine.model import Finding, Issue, Unit
from mappings.engine.reader import AddressFault, Getter, Letter, Slot, Source, Value, plain
from mappings.engine.rules import Line, RuleFile
from mappings.engine.xmlparse import XmlStop
from mappings.engine.xmlpath import (
    CODE,
    NAMESPACES,
    PARTS,
    Finder,
    Names,
    absolute,
    compile_path,
    compile_raw,
)
from mappings.engine.xmlrepair import CDA
from mappings.engine.xmlscope import (
    DOCUMENT,
    HERE,
    Asked,
    Document,
    Each,
    Found,
    Scope,
    Spots,
    of_raw,
)
from mappings.engine.xmlvalue import Place

_TEMPLATE = f"{{{CDA}}}templateId"
_NATIONAL = re.compile(r"2\.16\.156\.10011\.2\.1\.1\.(\d\d?)\Z")
_GROUP = re.compile(r"group\(\s*(.+?)\s*,\s*start\s*=\s*(.+?)\s*\)\Z")
_HELD = 1_000_000
"""Bytes of a document whose elements are all kept as objects while it is read: some 100 bytes each."""
_MOJIBAKE = ("锟斤拷".encode(), "\ufffd".encode())


class XmlDialect:
    """The `Dialect` of XML. One is made for each map file, because `[let]` and `[each]` stand there."""

    def __init__(self, names: Names | None = None, plan: Mapping[str, Each] | None = None) -> None:
        self.names, self.plan = names or Names(), plan or {}
        self._getters: dict[str, Getter] = {}
        self._keys: dict[str, Getter] = {}
        self._slots: dict[str, Asked] = {}
        self._numbers: dict[str, int] = {}
        self.slots: list[Asked] = []
        self.forms: dict[Hashable, Spots] = {}

    def address(self, text: str, source: Source) -> Getter:
        known = self._getters.get(text)
        if known is None:
            known = self._getters[text] = self._getter(text)
        return known

    def _getter(self, text: str) -> Getter:
        many = "[*]" in text
        expanded = self.names.expand(text.replace("[*]", ""))
        find = compile_path(expanded, self.names)
        quick = None if many else compile_raw(expanded, self.names)
        key = f"{expanded}*" if many else expanded
        everywhere = absolute(expanded)

        def values(at: Scope) -> Sequence[Value]:
            return _values(find(at), at, expanded, many)

        def get(scope: Scope) -> Sequence[Value]:
            at = scope.document.top if everywhere else scope
            found = at.cache.get(key)
            if found is None:
                raw = at.raws.get(key)
                if raw is None and quick is not None:
                    raw = quick(at)
                if raw is None or quick is None:
                    found = values(at)
                else:
                    at.raws[key] = raw
                    found = of_raw(raw, Found(at, values))
                at.cache[key] = found
            return found

        self._slots[text] = Asked(key, quick, get)
        self._keys[key] = get
        return get

    # What generated code asks for.

    def slot(self, address: str, source: Source) -> Slot | None:
        number = self._numbers.get(address)
        if number is None:
            try:
                self.address(address, source)
            except AddressFault:
                return None
            number = self._numbers[address] = len(self.slots)
            self.slots.append(self._slots[address])
        return Slot(DOCUMENT if self.outside(address, "") else HERE, number)

    def text(self, address: str, source: Source) -> Callable[[str, Any], str | None] | None:
        return None if "[*]" in address else _first_text

    def form(self, root: Scope) -> Hashable:
        return None

    def relative(self, place: object, scope: Scope) -> Hashable | None:
        """The address whose value stands there, and which of its values it is."""
        for at in (scope, scope.document.top):
            for key, values in at.cache.items():
                for index, value in enumerate(values):
                    if value.place is place:
                        return key, index
        return None

    def getter(self, key: str) -> Getter:
        """How the values are read that a scope keeps under this key."""
        return self._keys[key]

    def absolute(self, place: Any, scope: Scope) -> str:
        key, index = place
        return str(self._keys[key](scope)[index].place)

    def outside(self, address: str, each: str) -> bool:
        """Whether the address is one of the whole document."""
        return absolute(self.names.expand(address))

    def eaches(self, source: Source) -> Callable[[str], bool]:
        return lambda each: each in self.plan

    def opened(self, letter: Letter) -> Letter:
        """The letter as this file's rules see it, with the scopes of its `[each]`."""
        if letter.root is None:
            return letter
        document = letter.root.document
        if document.lens is None:
            document.lens = self
        if document.lens is self:
            return letter
        return msgspec.structs.replace(letter, root=Document(document.root, self).top)

    def accepts(self, accept: Mapping[str, Any], letter: Letter) -> bool:
        """Whether a document is of a kind that `[map] accept` names; without one, any is."""
        if letter.root is None or not accept:
            return not accept
        root = letter.root.document.root
        said = {"template": _templates(root), "root": [_local(root)]}
        return all(
            any(
                fnmatchcase(one, pattern) for one in said.get(what, ()) for pattern in _many(wanted)
            )
            for what, wanted in accept.items()
        )

    def filled(self, root: Scope, source: Source) -> Iterator[tuple[str, str]]:
        """Every element that says something and that no rule has read; narrative counts once a section."""
        seen = root.document.read()
        for element in root.document.root.iter("{*}*"):
            if element not in seen and _says_something(element):
                yield _address(element), str(Place(element, "", root.document.paths))

    def whole(self, place: object) -> str:
        return str(Place(place.element)) if isinstance(place, Place) else str(place)

    def field(self, address: str) -> str:
        """An address as written: what it reads is known only in a document, see `filled`."""
        return address

    def cut(self, raw: bytes, source: Source) -> tuple[Sequence[Letter], Sequence[Issue]]:
        """One letter a document."""
        issues: list[Issue] = []
        try:
            root, data, held = _read(raw, source, issues)
        except XmlStop as stop:
            if stop.code:
                issues.append(Issue("stop", stop.code, stop.place))
            return (), issues
        if any(sign in data for sign in _MOJIBAKE):
            issues.append(Issue("alarm", "charset-mojibake", ""))
        body = root.find(f"{{{CDA}}}component/{{{CDA}}}nonXMLBody")
        if body is not None:
            issues.append(Issue("note", "unstructured-body", str(Place(body))))
        digest = blake2b(raw, digest_size=16).hexdigest()
        number = root.find(f"{{{CDA}}}id")
        document = Document(root, held=held)
        found = None if number is None else xmlvalue.read(number, document)
        sent = root.find(f"{{{CDA}}}effectiveTime")
        letter = Letter(
            control_id=(found.text if found else digest)[:199],
            kind=_kind(root),
            sender=source.name,
            sent="" if sent is None else (sent.get("value") or "").strip(),
            root=document.top,
            digest=digest,
            issues=tuple(issues),
            blobs=_cut_documents(root) if b"B64" in data else {},
        )
        return (letter,), ()


DIALECT = XmlDialect()


def _first_text(raw: str, form: object) -> str | None:
    return raw.partition(PARTS)[0] or None


def _values(nodes: Sequence[Any], scope: Scope, address: str, many: bool) -> Sequence[Value]:
    values: list[Value] = []
    paths = scope.document.paths
    for node in nodes:
        if isinstance(node, tuple):
            element, attribute, text = node
            text = text.strip()
            if attribute.endswith("}type"):
                text = text.rpartition(":")[2]  # the prefix of a type's name is the sender's choice
            value = (
                plain(text, Place(element, f"@{attribute.rpartition('}')[2]}")) if text else None
            )
        elif isinstance(node, str):
            text = node.strip()
            value = (
                plain(text, Place(scope.nodes[0], address.replace("h:", ""), paths))
                if text
                else None
            )
        else:
            value = xmlvalue.read(node, scope.document)
        if value is not None:
            values.append(value)
            if not many:
                break
    return values or ()


def _cut_documents(root: Any) -> dict[str, Blob]:
    """Put a token in the place of every document in base64."""
    blobs: dict[str, Blob] = {}
    for element in root.iter("{*}*"):
        if element.get("representation") == "B64" and not len(element) and element.text:
            blob = Blob("".join(element.text.split()))
            blobs[blob.token] = blob
            element.text = blob.token
    return blobs


def _read(raw: bytes, source: Source, issues: list[Issue]) -> tuple[Any, bytes, Sequence[Any]]:
    """The root, the document as UTF-8, and what keeps the elements of a small document alive."""
    repairs = frozenset(_many(source.options.get("repair", ())))
    root, data = xmlparse.parse(raw, source.charset, source.limits, repairs, issues)
    if _local(root).lower() == "clinicaldocument":
        mended = xmlrepair.mend_namespace(root, data, repairs, issues)
        if mended is not None:
            data = mended
            root = xmlparse.tree(data, source.limits)
        elif any(issue.severity == "stop" for issue in issues):
            raise XmlStop("")
        held = _held(root, data)
        xmlrepair.mend_tree(root, data, repairs, issues)
        return root, data, held
    return root, data, _held(root, data)


def _held(root: Any, data: bytes) -> Sequence[Any]:
    return list(root.iter()) if len(data) <= _HELD else ()


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _templates(root: Any) -> list[str]:
    return [one.get("root") or "" for one in root.iterchildren(_TEMPLATE)]


def _kind(root: Any) -> str:
    """``CDA^C0007`` for a national document, ``CDA^`` and the last templateId for another, else the root's name."""
    templates = _templates(root)
    for template in templates:
        if (match := _NATIONAL.match(template)) and int(match[1]) > 20:
            return f"CDA^C{int(match[1]) - 20:04}"
    if templates:
        return f"CDA^{templates[-1][:64]}"
    return _local(root)[:64]


# What the reader itself goes by, and what only says how the rest is written.
_OWN = frozenset({"realmCode", "typeId", "templateId", "statusCode", "signatureCode", "reference"})
_SAID = ("value", "code", "extension", "displayName")
_DATA_ELEMENTS = "2.16.156.10011.2.2.1"


def _says_something(element: Any) -> bool:
    name = _local(element)
    parent = element.getparent()
    above = "" if parent is None else _local(parent)
    if name in _OWN or any(_local(one) == "text" for one in element.iterancestors()):
        return False
    if name == "code" and (above == "section" or element.get("codeSystem") == _DATA_ELEMENTS):
        return False
    if name == "text" and above == "section":
        return bool(xmlvalue.text_of(element))
    return any(element.get(one) for one in _SAID) or bool((element.text or "").strip())


def _address(element: Any) -> str:
    """Parent and name, with the code or root that tells one from the next: ``observation[DE04.30.015.00]/value``."""
    parent = element.getparent()
    if parent is None:
        return _local(element)
    code = parent.find(CODE)
    said = "" if code is None else code.get("code") or ""
    above = _local(parent) + (f"[{said}]" if said and _local(element) != "code" else "")
    root = element.get("root") or "" if _local(element) == "id" else ""
    return f"{above}/{_local(element)}" + (f"[{root}]" if root else "")


def _many(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value]


# --- a map file ------------------------------------------------------------------------------------


@dataclass
class _Loader:
    file: RuleFile
    source: Source
    findings: list[Finding] = field(default_factory=list)

    def line(self, name: str) -> Line:
        lines = self.file.extras.get("lines", {})
        return lines.get(name) or self.file.line

    def find(self, line: Line, zh: str, en: str) -> None:
        self.findings.append(Finding(line.file, line.number, line.column, zh, en))

    def dialect(self) -> XmlDialect:
        lets = {str(name): str(path) for name, path in self.file.extras.get("let", {}).items()}
        spaces = self.source.options.get("namespaces", {})
        names = Names(lets, {**NAMESPACES, **{str(k): str(v) for k, v in spaces.items()}})
        for name in lets:
            self.finder(name, names, f"let.{name}")
        plan = {
            name: self.each(name, content, names)
            for name, content in self.file.extras.get("each", {}).items()
            if isinstance(content, dict)
        }
        for name, each in plan.items():
            if each.within and not self.reaches_the_top(name, plan):
                self.find(
                    self.line(f"each.{name}.within"),
                    f"within 所指的 [each.{each.within}] 不存在或互相包含",
                    f"within names [each.{each.within}], which does not exist or contains itself",
                )
                plan[name] = Each(each.alternatives)
        self.options()
        return XmlDialect(names, plan)

    def finder(self, path: str, names: Names, where: str) -> Finder:
        try:
            return compile_path(names.expand(path), names)
        except AddressFault as fault:
            self.find(self.line(where), fault.zh, fault.en)
            return lambda scope: ()

    def each(self, name: str, content: Mapping[str, Any], names: Names) -> Each:
        alternatives: list[tuple[Finder, Finder | None]] = []
        for key, path in content.items():
            if key == "within":
                continue
            where = f"each.{name}.{key}"
            if match := _GROUP.match(str(path)):
                alternatives.append(
                    (self.finder(match[1], names, where), self.finder(match[2], names, where))
                )
            else:
                alternatives.append((self.finder(str(path), names, where), None))
        return Each(tuple(alternatives), str(content.get("within", "")))

    def reaches_the_top(self, name: str, plan: Mapping[str, Each]) -> bool:
        seen: set[str] = set()
        while name and name in plan and name not in seen:
            seen.add(name)
            name = plan[name].within
        return not name

    def options(self) -> None:
        for name in _many(self.source.options.get("repair", ())):
            if name not in xmlrepair.NAMES:
                listed = ", ".join(xmlrepair.NAMES)
                line = self.file.source_lines.get("repair") or self.file.line
                self.find(
                    line,
                    f"没有修正 {name}；可用：{listed}",
                    f"there is no repair {name}; known: {listed}",
                )
        for name in self.file.extras.get("accept", {}):
            if name not in ("template", "root"):
                self.find(
                    self.file.line,
                    f"accept 里不认识 {name}；可用：template, root",
                    f"accept knows template and root, not {name}",
                )


def for_map(file: RuleFile, source: Source) -> tuple[XmlDialect, list[Finding]]:
    """The dialect of one map file, with everything wrong in its `[let]`, `[each]`, `accept` and `repair`."""
    loader = _Loader(file, source)
    return loader.dialect(), loader.findings


# --- units -----------------------------------------------------------------------------------------


def units(file: BinaryIO, source: Source, issues: list[Issue]) -> Iterator[Unit]:
    """A document is one unit, as it came; its own number is the control id."""
    raw = streams.whole(file, source.limits.bytes)
    letters, _ = DIALECT.cut(raw, source)
    yield Unit(raw, letters[0].control_id if letters and letters[0].kind.startswith("CDA") else "")
