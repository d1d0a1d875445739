"""Code tables as FHIR R4 ConceptMaps and back, without loss: a table exported and imported is the same table.

| in the table | in the ConceptMap |
|---|---|
| first column, `name` | `group.element.code`, `display` |
| `loinc`, `ucum` or `target`; `display`; `system` | `target.code`, `target.display`, `group.target` |
| `relation` | `target.equivalence` |
| `specimen` | `target.dependsOn` |
| `note` | `target.comment` |
| every other column | an extension of the target, one for each |
| `#` lines | `description` |

What a table cannot keep is refused by the path of the element, never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mappings.engine import tables
from mappings.engine.suggestions import kind_of
from mappings.engine.tables import ITEM_COLUMNS, Read, ReadRow
from mappings.engine.units import UCUM

LOINC = "http://loinc.org"
NO_NOTE = "没有说明 / no note given"
"""ConceptMap cmd-1 wants a comment on every narrower or inexact target; a table need not have one."""

_GIVES = {"items": "loinc", "units": "ucum", "codes": "target"}
_TARGET = {"items": LOINC, "units": UCUM}
_CODE = re.compile(r"\S+( \S+)*")  # FHIR code: no blanks around, single ones inside
_TEXT = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f]+")
# Said about the map as a whole; a table keeps them among its comments.
_REMARKS = ("version", "title", "date", "publisher", "purpose", "copyright")
_TOP = frozenset(
    {"resourceType", "id", "meta", "text", "url", "name", "status", "description", "extension",
     "group", *_REMARKS}
)  # fmt: skip


class CannotKeep(Exception):
    """The one form has something the other has no place for; `place` is its element or line."""

    def __init__(self, place: str, zh: str, en: str) -> None:
        self.place, self.zh, self.en = place, zh, en
        super().__init__(f"{place}: {en}")


class Imported(NamedTuple):
    """A table made from a ConceptMap: its name, the system of its local codes, its CSV."""

    name: str
    system: str
    raw: bytes


# --- out ---------------------------------------------------------------------------------------------


def export(found: Read, name: str, system: str, base_url: str) -> dict[str, Any]:
    """A table as a ConceptMap resource. `CannotKeep` for codes that FHIR has no form for."""
    writer = _Writer(found, system, base_url.rstrip("/"))
    made: dict[str, Any] = {
        "resourceType": "ConceptMap",
        "extension": [writer.extension("columns", ",".join(found.header))],
        "url": f"{system.replace('/CodeSystem/', '/ConceptMap/')}",
        "name": name,
        "status": "active",
    }
    if found.comments:
        made["description"] = "\n".join(found.comments)
    groups = writer.groups()
    if groups:
        made["group"] = groups
    return made


class _Writer:
    def __init__(self, found: Read, system: str, base_url: str) -> None:
        self.found, self.system, self.base_url = found, system, base_url
        kind = kind_of(found.header)
        self.gives = _GIVES[kind]
        self.default = _TARGET.get(kind, "")

    def extension(self, column: str, value: str) -> dict[str, Any]:
        return {
            "url": f"{self.base_url}/StructureDefinition/code-table-{column}",
            "valueString": value,
        }

    def groups(self) -> list[dict[str, Any]]:
        by_system: dict[str, dict[str, list[tuple[int, ReadRow]]]] = {}
        for ordinal, line in enumerate(self.found.lines, 1):
            code = line.row[self.found.header[0]]
            system = line.row.get("system", "") or self.default
            by_system.setdefault(system, {}).setdefault(code, []).append((ordinal, line))
        return [self.group(system, elements) for system, elements in by_system.items()]

    def group(
        self, system: str, elements: Mapping[str, list[tuple[int, ReadRow]]]
    ) -> dict[str, Any]:
        made: dict[str, Any] = {"source": self.system}
        if system:
            made["target"] = system
        made["element"] = [self.element(code, lines) for code, lines in elements.items()]
        made["unmapped"] = {"mode": "provided"}
        return made

    def element(self, code: str, lines: Sequence[tuple[int, ReadRow]]) -> dict[str, Any]:
        element: dict[str, Any] = {}
        if code:
            self.checked(code, _CODE, lines[0][1])
            element["code"] = code
        names = {line.row.get("name", "") for _, line in lines}
        common = names.pop() if len(names) == 1 else ""
        if common:
            element["display"] = self.checked(common, _TEXT, lines[0][1])
        element["target"] = [self.target(ordinal, line, common) for ordinal, line in lines]
        return element

    def target(self, ordinal: int, line: ReadRow, common: str) -> dict[str, Any]:
        row = line.row
        relation, code = row.get("relation", ""), row.get(self.gives, "")
        extensions = [self.extension("row", str(ordinal))]
        if not relation:
            extensions.append(self.extension("relation", "unsaid"))
        for column in self.found.header[1:]:
            value = row[column]
            native = column in ("specimen", "relation", "note", "display", self.gives)
            if column == "system":
                # Said by the group, but for a row that names the default itself.
                native = value != self.default
            elif column == "name":
                native = bool(common)
            if value and not native:
                extensions.append(self.extension(column, self.checked(value, _TEXT, line)))
        made: dict[str, Any] = {"extension": extensions}
        if code:
            made["code"] = self.checked(code, _CODE, line)
        if row.get("display"):
            made["display"] = self.checked(row["display"], _TEXT, line)
        made["equivalence"] = relation or ("equivalent" if code else "unmatched")
        if row.get("note"):
            made["comment"] = self.checked(row["note"], _TEXT, line)
        elif relation in ("narrower", "inexact"):
            made["comment"] = NO_NOTE
        if row.get("specimen"):
            value = self.checked(row["specimen"], _TEXT, line)
            made["dependsOn"] = [{"property": f"{self.base_url}/property/specimen", "value": value}]
        return made

    def checked(self, text: str, form: re.Pattern[str], line: ReadRow) -> str:
        if form.fullmatch(text) is None or text == NO_NOTE:
            raise CannotKeep(
                f"line {line.number}",
                "这一行有 FHIR 不能表示的字符（连续空白或控制字符）",
                "this row holds text that FHIR cannot (double blanks or control characters)",
            )
        return text


# --- in ----------------------------------------------------------------------------------------------


def read_conceptmap(resource: Any) -> Imported:
    """The table a ConceptMap describes. `CannotKeep` names the first element a table has no place for."""
    return _Reader(resource).imported()


class _Reader:
    def __init__(self, resource: Any) -> None:
        self.resource = resource
        self.rows: list[tuple[int, int, dict[str, str]]] = []
        self.system = ""

    def imported(self) -> Imported:
        top = self.resource
        if not isinstance(top, dict) or top.get("resourceType") != "ConceptMap":
            raise CannotKeep("ConceptMap", "不是 ConceptMap 资源", "this is no ConceptMap")
        self.only(top, _TOP, "ConceptMap")
        if top.get("status") not in ("active", "draft"):
            raise self.cannot("ConceptMap.status", "status")
        groups = self.list(top, "group", "ConceptMap")
        columns = self.columns(top, groups)
        gives = _GIVES[kind_of(columns)]
        for number, group in enumerate(groups):
            self.group(group, f"ConceptMap.group[{number}]", columns, gives)
        self.rows.sort(key=lambda one: one[:2])
        header = tuple(columns)
        lines = tuple(
            ReadRow(0, 0, "", {column: row.get(column, "") for column in header})
            for _, _, row in self.rows
        )
        for _, _, row in self.rows:
            for column in sorted(row.keys() - set(header)):
                if row[column]:
                    raise self.cannot("ConceptMap", f"the column {column}")
        raw = tables.write(Read(tuple(self.comments()), header, lines))
        return Imported(str(top.get("name", "")), self.system, raw)

    def columns(self, top: Mapping[str, Any], groups: Sequence[Any]) -> list[str]:
        said = self.extensions(top, "ConceptMap")
        if set(said) - {"columns"}:
            raise self.cannot("ConceptMap.extension", ", ".join(sorted(said)))
        if "columns" in said:
            return said["columns"].split(",")
        targets = {str(group.get("target")) for group in groups if isinstance(group, dict)}
        if targets <= {LOINC}:
            return list(ITEM_COLUMNS)
        if targets == {UCUM}:
            return ["text", "ucum", "name", "relation", "note"]
        return ["code", "name", "specimen", "target", "system", "display", "relation", "note"]

    def comments(self) -> Iterator[str]:
        for line in str(self.resource.get("description", "")).split("\n"):
            if line:
                yield line if line.startswith("#") else f"# {line}"
        for name in _REMARKS:
            if name in self.resource:
                flat = re.sub(r"\s+", " ", str(self.resource[name]))
                yield f"# {name}: {flat}"

    def group(self, group: Any, place: str, columns: Sequence[str], gives: str) -> None:
        self.only(group, {"source", "target", "element", "unmapped"}, place)
        unmapped = group.get("unmapped", {"mode": "provided"})
        if unmapped != {"mode": "provided"}:
            raise self.cannot(f"{place}.unmapped", "another mode than provided")
        source = group.get("source", "")
        if self.system and source != self.system:
            raise self.cannot(f"{place}.source", "a second code system; one table is one system")
        self.system = source
        default = _TARGET.get(kind_of(columns), "")
        system = group.get("target", "")
        named = system if system != default else ""
        if named and "system" not in columns:
            raise self.cannot(f"{place}.target", "a target system of another kind")
        for number, element in enumerate(self.list(group, "element", place)):
            at = f"{place}.element[{number}]"
            self.only(element, {"code", "display", "target"}, at)
            targets = self.list(element, "target", at) or [{"equivalence": "unmatched"}]
            for index, target in enumerate(targets):
                row = self.target(target, f"{at}.target[{index}]", gives)
                ordinal = int(row.pop("row", "0"))
                row = {columns[0]: element.get("code", ""), **row}
                if element.get("display"):
                    row["name"] = element["display"]
                if named:
                    row["system"] = named
                self.rows.append((ordinal, len(self.rows), row))

    def target(self, target: Any, place: str, gives: str) -> dict[str, str]:
        self.only(
            target,
            {"extension", "code", "display", "equivalence", "comment", "dependsOn"},
            place,
        )
        row = self.extensions(target, place)
        if not row.get("row", "1").isdecimal():
            raise self.cannot(f"{place}.extension", "row is no number")
        relation = target.get("equivalence", "")
        if relation not in tables.RELATIONS or not relation:
            raise self.cannot(f"{place}.equivalence", str(relation))
        row["relation"] = "" if row.get("relation") == "unsaid" else relation
        for element, column in (("code", gives), ("display", "display"), ("comment", "note")):
            if target.get(element) and target[element] != NO_NOTE:
                row[column] = target[element]
        depends = self.list(target, "dependsOn", place)
        for number, one in enumerate(depends):
            at = f"{place}.dependsOn[{number}]"
            self.only(one, {"property", "value"}, at)
            if number or not str(one.get("property", "")).endswith("/specimen"):
                raise self.cannot(at, "what it depends on beside the specimen")
            row["specimen"] = one["value"]
        return row

    def extensions(self, node: Mapping[str, Any], place: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for number, one in enumerate(self.list(node, "extension", place)):
            at = f"{place}.extension[{number}]"
            self.only(one, {"url", "valueString"}, at)
            match = re.search(r"/StructureDefinition/code-table-([a-z_]+)$", one.get("url", ""))
            if match is None or "valueString" not in one:
                raise self.cannot(at, "an extension of others")
            found[match[1]] = one["valueString"]
        return found

    def list(self, node: Mapping[str, Any], name: str, place: str) -> Sequence[Any]:
        value = node.get(name, [])
        if not isinstance(value, list):
            raise self.cannot(f"{place}.{name}", "not a list")
        return value

    def only(self, node: Any, known: set[str] | frozenset[str], place: str) -> None:
        """Refuse an element that would be lost."""
        if not isinstance(node, dict):
            raise self.cannot(place, "not an object")
        for name in node:
            if name not in known:
                raise self.cannot(f"{place}.{name}", "this element")
        for name, value in node.items():
            simple = name not in ("group", "element", "target", "extension", "dependsOn",
                                  "unmapped", "meta", "text")  # fmt: skip
            if simple and not isinstance(value, str):
                raise self.cannot(f"{place}.{name}", "this form")
            if simple and place != "ConceptMap" and re.search(r"[\r\n]", value):
                raise self.cannot(f"{place}.{name}", "text of several lines")

    def cannot(self, place: str, what: str) -> CannotKeep:
        return CannotKeep(
            place, f"码表放不下这个元素（{what}）", f"a code table has no place for it ({what})"
        )
