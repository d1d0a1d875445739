"""Rows of a table or view: CSV in the source's charset, a JSON array of objects, or one JSON object a line.

The columns are a contract: a missing, doubled or new one stops the delivery, because a view that has
changed may mean something else by what it still says. Their order does not matter.

Consecutive rows with the same values in the `group` columns are one letter (one report, one visit). In a
rule an address is a column: for a block with ``each = "row"`` that row's cell, else the first filled cell
of the group. A cell is trimmed; an empty one, JSON null, ``NULL`` and ``\\N`` are no value. JSON numbers
keep their digits.

``[source]`` options: `columns` (text with commas, or a list), `group` (the same), `watermark` (the column
that says when the row last changed; the latest of a group is the letter's time), `delimiter` (one
character, default a comma).

A row of another width than the heading, one with a cell that is neither text, number nor boolean (1, 0), and
a line that is no JSON stop only themselves.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from operator import itemgetter
from typing import Any, BinaryIO

import msgspec
import orjson

from mappings.engine import jsontext, streams, times
from mappings.engine.er7 import CODECS
from mappings.engine.jsontext import JsonFault, Number
from mappings.engine.model import Issue, Unit
from mappings.engine.reader import AddressFault, Getter, Letter, Slot, Source, Value

KIND = "*"
_NO_VALUE = frozenset({"", "NULL", "\\N"})
_HAN = re.compile("[\u4e00-\u9fff]")
_ENOUGH_HAN = 10
_MOJIBAKE = ("锟斤拷", "烫烫烫", "\ufffd")


class Place:
    """A cell or a row by the number people see in their spreadsheet; formatted only when shown."""

    __slots__ = ("column", "row")

    def __init__(self, row: int, column: str = "") -> None:
        self.row = row
        self.column = column

    def __str__(self) -> str:
        return f"row {self.row} {self.column}".rstrip()


class Row(msgspec.Struct, eq=False):
    """One row; its parent is the group it stands in."""

    number: int
    cells: Sequence[str]
    parent: Group

    @property
    def place(self) -> Place:
        return Place(self.number)

    def where(self) -> str:
        return f"row {self.number}"

    def locate(self, address: str) -> str:
        return f"row {self.number} {address}"

    def children(self, each: str) -> Iterable[Row]:
        return (self,)

    def record(self, name: str) -> Sequence[str]:
        return self.cells

    def cell(self, index: int) -> tuple[int, str] | None:
        """Row number and text of a column, or None when there is no value."""
        text = self.cells[index]
        return None if text in _NO_VALUE else (self.number, text)


class Group:
    """The rows of one letter."""

    __slots__ = ("_cells", "rows")
    parent = None

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._cells: list[str] | None = None

    @property
    def place(self) -> Place:
        return Place(self.rows[0].number)

    def where(self) -> str:
        return f"row {self.rows[0].number}"

    def locate(self, address: str) -> str:
        return str(Place(self.rows[0].number, address))

    def children(self, each: str) -> Iterable[Group | Row]:
        return self.rows if each == "row" else (self,)

    def record(self, name: str) -> Sequence[str]:
        """The first filled cell of each column."""
        if self._cells is None:
            rows = [row.record("") for row in self.rows]
            self._cells = [
                next((cell for cell in column if cell not in _NO_VALUE), "")
                for column in zip(*rows, strict=True)
            ]
        return self._cells

    def cell(self, index: int) -> tuple[int, str] | None:
        """The first filled cell of a column."""
        return next((found for row in self.rows if (found := row.cell(index))), None)


def _text(cell: str, form: object) -> str | None:
    return None if cell in _NO_VALUE else cell


class Contract:
    """What the source declares about its columns."""

    def __init__(self, source: Source) -> None:
        options = source.options
        self.columns = _names(options.get("columns"))
        self.index = {name: number for number, name in enumerate(self.columns)}
        self.group = [
            self.index[name] for name in _names(options.get("group")) if name in self.index
        ]
        self.watermark = self.index.get(str(options.get("watermark", "")))
        delimiter = str(options.get("delimiter", ","))
        self.delimiter = delimiter if len(delimiter) == 1 else ","

        self._key = itemgetter(*self.group) if self.group else None

    def key(self, number: int, cells: Sequence[str]) -> object:
        """What rows of one group have in common; without `group` each row is alone."""
        return number if self._key is None else self._key(cells)


class RowDialect:
    """The `Dialect` of rows."""

    def address(self, text: str, source: Source) -> Getter:
        index = Contract(source).index.get(text)
        if index is None:
            raise AddressFault(
                f"[source] columns 里没有列 {text}；本院叫别的名字就写进 rename，没有就用 drop('理由') 去掉这条规则",
                f"[source] columns has no column {text}; rename it if yours has another name, drop('reason') the rule if you have none",
            )

        def get(scope: Row | Group) -> Sequence[Value]:
            found = scope.cell(index)
            if found is None:
                return ()
            number, cell = found
            return (Value(cell, Place(number, text), (cell,)),)

        return get

    def eaches(self, source: Source) -> Callable[[str], bool]:
        return lambda each: each == "row"

    def slot(self, address: str, source: Source) -> Slot | None:
        index = Contract(source).index.get(address)
        return None if index is None else Slot("", index)

    def text(self, address: str, source: Source) -> Callable[[str, Any], str | None] | None:
        return _text

    def form(self, root: Group) -> Hashable:
        return None

    def relative(self, place: object, scope: Row | Group) -> Hashable | None:
        if isinstance(place, Place) and isinstance(scope, Row) and place.row == scope.number:
            return place.column
        return None

    def absolute(self, place: Any, scope: Row | Group) -> str:
        return scope.locate(place)

    def filled(self, root: Group, source: Source) -> Iterator[tuple[str, str]]:
        """Every filled cell; one that repeats the first of its column in the group says nothing new."""
        for index, name in enumerate(Contract(source).columns):
            said = set[str]()
            for row in root.rows:
                found = row.cell(index)
                if found is not None and (found[1] not in said):
                    said.add(found[1])
                    yield name, row.locate(name)

    def whole(self, place: object) -> str:
        return str(place)

    def field(self, address: str) -> str:
        return address

    def cut(self, raw: bytes, source: Source) -> tuple[Sequence[Letter], Sequence[Issue]]:
        """Letters in the order their first rows stand in the delivery."""
        if len(raw) > source.limits.bytes:
            return (), (Issue("stop", "too-many-bytes", ""),)
        contract = Contract(source)
        issues: list[Issue] = []
        try:
            codec, mark = _codec(raw[:4], source.charset)
            begin = raw[len(mark) : 64].lstrip(b" \t\r\n")
            if not begin:
                raise _Stop("empty", "")
            if begin[:1] in b"[{":
                text_of_json = _as_utf8(raw[len(mark) :], codec)
                rows = _json_rows(text_of_json, contract, source.limits.rows)
            else:
                if mark and codec != CODECS.get(source.charset.lower(), "utf-8"):
                    issues.append(Issue("note", "charset-by-mark", ""))
                text = _decode(raw[len(mark) :], codec, issues)
                lines = io.StringIO(text, newline="")
                _, rows = _csv_rows(lines, [], contract, source.limits.rows)
            letters = [_letter(group, contract, source) for group in _groups(rows, contract)]
        except _Stop as stop:
            return (), (*issues, Issue("stop", stop.code, stop.place))
        return letters, issues


DIALECT = RowDialect()


class _Stop(Exception):
    def __init__(self, code: str, place: str) -> None:
        self.code = code
        self.place = place


Cells = tuple[int, Sequence[str] | Issue, bytes]
"""Row number, the cells in the order of the contract or why there are none, and the bytes they were read from."""


def _names(declared: object) -> list[str]:
    parts = declared if isinstance(declared, list) else str(declared or "").split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def _codec(begin: bytes, charset: str) -> tuple[str, bytes]:
    """The source's codec and the byte order mark in front, which is not part of the first heading.

    A mark is no guess: it says what the bytes are, whatever the source is registered for.
    """
    codec = CODECS.get(charset.lower(), "utf-8")
    if begin.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _Stop("charset-utf16", "")
    for mark, marked in _MARKS.items():
        if begin.startswith(mark):
            return marked, mark
    return codec, b""


_PIECE = 1_000_000
_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\x84\x31\x95\x33": "gb18030"}


def _as_utf8(raw: bytes, codec: str) -> bytes:
    """A JSON text, which is UTF-8 by its standard, of a system that writes it in the registered set."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        with suppress(UnicodeDecodeError):
            return raw.decode(codec).encode()
    return raw


def _is_utf8(file: BinaryIO, limit: int) -> bool:
    """Whether everything from here is UTF-8; the file stands again where it stood."""
    here, decoder = file.tell(), codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := file.read(min(limit, _PIECE)):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        file.seek(here)
    return True


def _decode(raw: bytes, codec: str, issues: list[Issue]) -> str:
    """The text, strictly by the codec; a second opinion only raises an alarm."""
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        other = "charset-suspicious-gb" if codec == "utf-8" and _is_gb(raw) else "charset-broken"
        raise _Stop(other, "") from None
    if codec == "gb18030" and _reads_as_chinese(raw):
        issues.append(Issue("alarm", "charset-suspicious-utf8", ""))
    if any(sign in text for sign in _MOJIBAKE):
        issues.append(Issue("alarm", "charset-mojibake", ""))
    return text


def _is_gb(raw: bytes) -> bool:
    try:
        raw.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True


def _reads_as_chinese(raw: bytes) -> bool:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return len(_HAN.findall(text)) >= _ENOUGH_HAN


def _csv_rows(
    lines: Iterable[str], taken: list[bytes], contract: Contract, limit: int
) -> tuple[bytes, Iterator[Cells]]:
    """The heading's bytes and the rows below it; `lines` puts into `taken` what each line was read from."""
    records = _records(lines, taken, contract)
    for _, line, raw in records:
        if any(cell.strip() for cell in line):
            order = _order([cell.strip() for cell in line], contract, "header")
            return raw, _below(records, order, limit)
    raise _Stop("empty", "")


def _below(
    records: Iterable[tuple[int, list[str], bytes]], order: list[int], limit: int
) -> Iterator[Cells]:
    width, straight = len(order), order == list(range(len(order)))
    for number, line, raw in records:
        cells = list(map(str.strip, line))
        if not any(cells):
            continue
        if number > limit + 1:
            raise _Stop("too-many-rows", "")
        if len(cells) != width:
            yield number, Issue("stop", "row-width", str(Place(number))), raw
        else:
            yield number, cells if straight else [cells[at] for at in order], raw


def _records(
    lines: Iterable[str], taken: list[bytes], contract: Contract
) -> Iterator[tuple[int, list[str], bytes]]:
    """Number, cells and bytes of each record; a quoted cell may go over several lines."""
    number = 0
    try:
        for line in csv.reader(lines, delimiter=contract.delimiter, strict=True):
            number += 1
            if taken:
                yield number, line, b"".join(taken)
                taken.clear()
            else:
                yield number, line, b""
    except csv.Error:
        raise _Stop("csv-broken", str(Place(number + 1))) from None


def _order(heading: list[str], contract: Contract, place: str) -> list[int]:
    """Where each column of the contract stands in a heading.

    New columns are told by position only: in a file without a heading they are a patient's data.
    """
    missing = [name for name in contract.columns if name not in heading]
    if missing:
        raise _Stop("columns-missing", f"{place}: {', '.join(missing)}")
    for number, name in enumerate(heading, 1):
        if name not in contract.index or heading.index(name) != number - 1:
            raise _Stop("columns-new", f"{place} column {number}")
    return [heading.index(name) for name in contract.columns]


def _json_rows(raw: bytes, contract: Contract, limit: int) -> Iterator[Cells]:
    return _row_objects(_json_nodes(raw), contract, limit)


def _row_objects(
    nodes: Iterable[tuple[jsontext.Value | Issue, bytes]], contract: Contract, limit: int
) -> Iterator[Cells]:
    for number, (node, within) in enumerate(nodes, 1):
        if number > limit:
            raise _Stop("too-many-rows", "")
        place = str(Place(number))
        if isinstance(node, Issue):
            yield (number, node, within)
            continue
        if type(node.data) is not dict:
            raise _Stop("row-not-object", place)
        members = node.members()
        _order(list(members), contract, place)
        cells: list[str] = []
        text = within[node.start : node.end]
        for name in contract.columns:
            data = members[name].data
            if type(data) is str or type(data) is Number:
                cells.append(str(data).strip())
            elif data is None:
                cells.append("")
            elif type(data) is bool:
                cells.append("1" if data else "0")  # a bit column
            else:
                yield (number, Issue("stop", "row-cell", str(Place(number, name))), text)
                break
        else:
            yield (number, cells, text)


def _json_nodes(raw: bytes) -> Iterable[tuple[jsontext.Value | Issue, bytes]]:
    """The rows as JSON values, each with the text it stands in."""
    try:
        root = jsontext.parse(raw)
    except JsonFault as fault:
        if fault.code != "trailing":
            place = f"line {fault.line} column {fault.column}"
            raise _Stop(f"json-{fault.code}", place) from None
    else:
        return [(node, raw) for node in (root.items() if type(root.data) is list else [root])]
    return _json_lines(raw.split(b"\n"))


def _json_lines(lines: Iterable[bytes]) -> Iterator[tuple[jsontext.Value | Issue, bytes]]:
    """Each line as a row; one that is no JSON stops only itself."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield jsontext.parse(line), line
            except JsonFault as fault:
                place = f"line {number} column {fault.column}"
                yield Issue("stop", f"json-{fault.code}", place), line.strip()


def _groups(
    rows: Iterable[Cells], contract: Contract
) -> Iterator[tuple[Group, list[Sequence[str]], Issue | None]]:
    """Consecutive rows of one group; a row that cannot be read is a group of its own, in between."""
    group, kept = Group(), list[Sequence[str]]()
    broken: list[tuple[int, Issue]] = []
    last: object = None
    for number, cells, _ in rows:
        if isinstance(cells, Issue):
            broken.append((number, cells))
            continue
        key = contract.key(number, cells)
        if kept and key != last:
            yield group, kept, None
            group, kept = Group(), []
        last = key
        group.rows.append(Row(number, cells, group))
        kept.append(cells)
    if kept:
        yield group, kept, None
    for number, issue in broken:
        alone = Group()
        alone.rows.append(Row(number, [""] * len(contract.columns), alone))
        yield alone, [], issue


def _letter(
    found: tuple[Group, list[Sequence[str]], Issue | None], contract: Contract, source: Source
) -> Letter:
    group, kept, issue = found
    first = group.rows[0]
    digest = blake2b(orjson.dumps(kept or [str(first.place)]), digest_size=16).hexdigest()
    named = "-".join(cell[1] for at in contract.group if (cell := first.cell(at)))
    return Letter(
        control_id=f"{named}#{digest}" if named else digest,
        kind=KIND,
        sender=source.name,
        sent=_latest(kept, contract, source),
        root=group,
        digest=digest,
        issues=() if issue is None else (issue,),
    )


def _latest(kept: Sequence[Sequence[str]], contract: Contract, source: Source) -> str:
    """The newest watermark of the rows, as written."""
    if contract.watermark is None:
        return ""
    newest, at = "", -(2**63)
    for text in dict.fromkeys([cells[contract.watermark] for cells in kept]):
        if text not in _NO_VALUE:
            moment = times.read(text, source.zone)
            if isinstance(moment, times.Moment) and moment.us > at:
                newest, at = text, moment.us
    return newest


# --- units -----------------------------------------------------------------------------------------

# The cap on rows is for what is read at once: one unit.
_ANY_NUMBER = 2**62


def units(file: BinaryIO, source: Source, issues: list[Issue]) -> Iterator[Unit]:
    """One unit a group, which can be read alone: the heading and the group's rows, or a JSON array of them.

    Rows keep their bytes. The file is read twice: what cannot be read to its end is one unit.
    """
    here = file.tell()
    try:
        for _ in _parts(file, source):
            pass
    except (_Stop, UnicodeDecodeError):
        file.seek(here)
        yield Unit(streams.whole(file, source.limits.bytes))
        return
    file.seek(here)
    for part in _parts(file, source):
        yield Unit(part)


def _parts(file: BinaryIO, source: Source) -> Iterator[bytes]:
    contract, limit = Contract(source), source.limits.bytes
    begin = file.read(64)
    codec, mark = _codec(begin, source.charset)
    file.seek(-len(begin), io.SEEK_CUR)
    if begin[len(mark) :].lstrip(b" \t\r\n")[:1] in (b"[", b"{"):
        file.seek(len(mark), io.SEEK_CUR)
        if not _is_utf8(file, limit):
            # Of the whole file, not of each line: a short GBK text may be valid UTF-8 by chance.
            file = io.BytesIO(_as_utf8(streams.whole(file, limit), codec))
            if not _is_utf8(file, limit):
                raise _Stop("json-not-utf8", "")
        opening, between, closing = b"[", b",", b"]"
        if streams.is_ndjson(file, limit):
            lines = iter(lambda: file.readline(limit), b"")
            rows = _row_objects(_json_lines(lines), contract, _ANY_NUMBER)
        else:
            rows = _json_rows(streams.whole(file, limit), contract, _ANY_NUMBER)
    else:
        between = closing = b""
        taken: list[bytes] = []
        decoded = _decoded(file, codec, mark, limit, taken)
        opening, rows = _csv_rows(decoded, taken, contract, _ANY_NUMBER)
    for texts in _texts(rows, contract):
        yield opening + between.join(texts) + closing


def _decoded(
    file: BinaryIO, codec: str, mark: bytes, limit: int, taken: list[bytes]
) -> Iterator[str]:
    """The lines; no character of a known set holds a line end, so each can be decoded alone.

    The mark stays with the bytes of the first: a unit that begins with it says what it is.
    """
    for number, line in enumerate(streams.lines(file, limit)):
        taken.append(line)
        yield line[0 if number else len(mark) :].decode(codec)


def _texts(rows: Iterable[Cells], contract: Contract) -> Iterator[list[bytes]]:
    """The bytes of the rows of each group, as `_groups` groups them; a broken row is alone."""
    texts: list[bytes] = []
    last: object = None
    for number, cells, text in rows:
        if isinstance(cells, Issue):
            yield [text]
            continue
        key = contract.key(number, cells)
        if texts and key != last:
            yield texts
            texts = []
        last = key
        texts.append(text)
    if texts:
        yield texts
