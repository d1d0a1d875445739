"""How any source gives its values to the rules: HL7 segments, rows, XML and DICOM all plug in here.

A *dialect* knows one input form. It cuts received bytes into letters (one message about one patient),
turns an address in a rule (``PID-5.1``, a column name) into a getter once, when the map is loaded, and
says which words may stand behind ``each``. The interpreter knows nothing else about a source.

To add an input form: implement `Dialect`, give its scopes `parent`, `place` and `children`, and name
it in `release.DIALECTS`. One that also offers `Fields` runs through generated code (HL7 v2, rows, XML);
without it the interpreter does all the work (DICOM).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

import msgspec

from mappings.engine.model import Issue


class Value(msgspec.Struct, frozen=True):
    """One value found at an address, already decoded and unescaped.

    `text` is what a rule without a function writes. `parts` are the components of a composite value
    (`OBX-3` gives code, name, system; ``XMDM, XMMC`` gives two columns); a simple value has one part.
    `place` becomes the place of an issue through str() and is formatted only then.
    `null` is HL7's explicit ``""``: delete what you have. `node` carries ready JSON (references).
    """

    text: str
    place: object
    parts: tuple[str, ...]
    null: bool = False
    node: Any = None

    def part(self, number: int) -> str:
        """Component `number` counted from 1, or an empty text."""
        return self.parts[number - 1] if number <= len(self.parts) else ""

    @property
    def whole(self) -> str:
        """The value as written, components joined again with carets."""
        return "^".join(self.parts) if len(self.parts) > 1 else self.text


def plain(text: str, place: object) -> Value:
    """A value of one part."""
    return Value(text, place, (text,))


class Scope(Protocol):
    """Where a block is evaluated: a letter, one order group, one OBX, one row.

    Scopes form a tree; ``@Block`` looks from a scope upwards, ``@Block[*]`` downwards. They are told
    apart by identity, so `children` gives the same objects whenever it is asked.
    """

    @property
    def parent(self) -> Scope | None: ...

    @property
    def place(self) -> object:
        """Formatted by str() when an issue or a resource names it: ``OBX[7] (line 12)``, ``row 381``."""
        ...

    def locate(self, address: str) -> str:
        """The place of an address that holds nothing here: ``OBX[7]-5 (line 12)``, ``row 381 JG``."""
        ...

    def children(self, each: str) -> Iterable[Scope]:
        """Every scope of that kind below this one, in order of arrival. ``message`` is the scope itself."""
        ...


Getter = Callable[[Any], Sequence[Value]]
"""Takes a scope of the dialect; gives the non-empty values at one address, () when there are none."""


class AddressFault(Exception):
    """An address in a map cannot be read in this dialect. `offset` counts characters from its start."""

    def __init__(self, zh: str, en: str, offset: int = 0) -> None:
        self.zh, self.en, self.offset = zh, en, offset
        super().__init__(en)


class Letter(msgspec.Struct, frozen=True):
    """One message about one patient, cut out and ready for the rules.

    `kind` is what `[map] accept` is compared with (``ORU^R01``; rows use the map's only kind ``*``).
    `sent` is the message's own time as the sender wrote it, in HL7 or ISO form, or empty.
    `digest` names the content for the Provenance when the caller gives no origin. A stop among
    `issues` keeps the letter from being mapped. `blobs` holds the encoded documents that were cut out of
    it, by the token that stands in their place (`attachments.Blob`).
    """

    control_id: str
    kind: str
    sender: str
    sent: str
    root: Any
    digest: str
    issues: tuple[Issue, ...] = ()
    blobs: Mapping[str, Any] = {}


class Limits(msgspec.Struct, frozen=True):
    """Caps per source; beyond one of them a delivery or a message is a stop issue."""

    bytes: int = 50_000_000
    messages: int = 10_000
    segments: int = 20_000
    fields: int = 512
    repetitions: int = 1_000
    rows: int = 1_000_000
    elements: int = 200_000
    attachment: int = 20_000_000


class Source(msgspec.Struct, frozen=True):
    """The `[source]` table of a site: facts about the sender that no message can be trusted with.

    `ids` says which kind of patient number belongs to which number space, best one first; the two
    spaces ``resident-id`` and ``health-card`` are national systems, every other is the organisation's.
    `options` holds what only one dialect needs (columns, group, watermark …).
    """

    org: str
    name: str
    charset: str
    zone: ZoneInfo
    space: str
    ids: Mapping[str, str]
    limits: Limits
    options: Mapping[str, Any]
    base_url: str

    def system_of(self, space: str) -> str:
        """The identifier system of a number space."""
        return SYSTEMS.get(space) or f"{self.base_url}/sid/{self.org}/{space}"


SYSTEMS = {
    "resident-id": "urn:oid:2.16.156.10011.1.3",
    "health-card": "urn:oid:2.16.156.10011.1.19",
    "health-record": "urn:oid:2.16.156.10011.1.2",
    "insurance-card": "urn:oid:2.16.156.10011.1.15",
}


class Dialect(Protocol):
    """One input form.

    A dialect may also have ``outside(address, each) -> bool``: whether the address means the same for
    all siblings of that kind, because it lies above them. Such values are found once.
    """

    def address(self, text: str, source: Source) -> Getter:
        """Compile an address; raise `AddressFault` when it cannot mean anything."""
        ...

    def eaches(self, source: Source) -> Callable[[str], bool]:
        """Which words may stand behind ``each``."""
        ...

    def cut(self, raw: bytes, source: Source) -> tuple[Sequence[Letter], Sequence[Issue]]:
        """Cut a delivery into letters. Never raises on bad input: a stop issue says what is wrong."""
        ...


@runtime_checkable
class Inventory(Protocol):
    """A dialect that can list what a letter holds, so that what no rule reads can be found."""

    def filled(self, root: Any, source: Source) -> Iterable[tuple[str, str]]:
        """Every filled field of a letter: its address without ordinals (``OBX-17``) and its place."""
        ...

    def whole(self, place: object) -> str:
        """The place of the field a value was read from, as `filled` writes it."""
        ...

    def field(self, address: str) -> str:
        """The field an address of a rule reads from, as `filled` writes it."""
        ...


class Slot(NamedTuple):
    """Where a raw text lies: the name of a record and the place in it.

    -1 says that it takes more than one text, and that there is none without such a record.
    """

    record: str
    number: int


class Unusual(Exception):
    """A raw text says something that generated code leaves to the interpreter (an explicit null)."""


@runtime_checkable
class Fields(Protocol):
    """A dialect for which code can be generated: its values lie in records of raw texts.

    Its scopes have ``where()``, their place as text, and ``record(name) -> Sequence[str]``: the raw texts
    of the nearest record of that name, which may be shorter than the slots that are asked of it. Records for which ``outside(record, each)`` holds
    are asked once for siblings.
    """

    def address(self, text: str, source: Source) -> Getter: ...

    def slot(self, address: str, source: Source) -> Slot | None:
        """Where the raw text lies that alone decides the values of an address, or None when it cannot be said.

        An empty raw text has no values.
        """
        ...

    def text(self, address: str, source: Source) -> Callable[[str, Any], str | None] | None:
        """(raw text, form) -> the text of the address's only value, None when there is none; or None
        when an address has no such short way. Raises `Unusual` for an explicit null."""
        ...

    def form(self, root: Any) -> Hashable:
        """What else decides how the raw texts of a letter are read: its delimiters."""
        ...

    def relative(self, place: object, scope: Any) -> Hashable | None:
        """A value's place as seen from a scope, to be found again from its like; None when it cannot be."""
        ...

    def absolute(self, place: Any, scope: Any) -> str:
        """The place that `relative` was said of, in this scope."""
        ...
