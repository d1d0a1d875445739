"""The values every part of the mapping shares: what was read, what was made of it, what was wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec

from mappings.engine import fhirwording, wording

Severity = Literal["stop", "hold", "drop", "note", "alarm"]
Mode = Literal["full", "patch", "reference"]
Language = Literal["zh", "en"]

Ids = Callable[[str, str, Sequence[str]], str]
"""(space, resource type, business key) -> 32 lower-case hex characters; the caller binds the organisation and the secret."""


def trial_ids(space: str, type: str, key: Sequence[str]) -> str:
    """`Ids` for trials, cases and counting: stable, of the form of real ones, and nobody's."""
    return blake2b(repr((space, type, tuple(key))).encode(), digest_size=16).hexdigest()


class Issue(msgspec.Struct, frozen=True, gc=False):
    """Something that was not understood. It says where and which rule, never what the value was.

    stop   the message (or the whole delivery) cannot be read
    hold   one resource waits in quarantine, and those that cannot do without it
    drop   one element was left out
    note   everything was kept, somebody should look when convenient
    alarm  everything was kept, somebody must look now (wrong patient, wrong character set)
    """

    severity: Severity
    code: str
    place: str
    rule: str = ""

    def text(self, language: Language = "zh") -> str:
        """One sentence for the hospital's IT office, with the place in front."""
        sentence = wording.sentence(self.code, language)
        place, colon = self.place, ": "
        if language == "zh":
            place, colon = fhirwording.chinese_place(place), "："
        where = f"{place}{colon}" if place else ""
        rule = f" [{self.rule}]" if self.rule else ""
        return f"{where}{sentence}{rule}"


class LocalId(msgspec.Struct, frozen=True, gc=False):
    """A patient's number inside one organisation's number space, for example ("mrn", "0000812345")."""

    space: str
    number: str


class Identifier(msgspec.Struct, frozen=True, gc=False):
    """An identifier that may be used to recognise the person: canonical system, normalised value."""

    system: str
    value: str


class Edit(msgspec.Struct, frozen=True, gc=False):
    """One place where a passed-through FHIR text differs from what was received.

    `offset` counts bytes in the received text; putting `removed` back in place of `inserted`, in the
    order the edits are listed, gives the received bytes again (`fhirresource.received` does it).
    """

    path: str
    reason: str
    offset: int
    removed: bytes
    inserted: bytes


class Mapped(msgspec.Struct, frozen=True, gc=False):
    """One FHIR resource, as text.

    The stored text is ``head + b'"meta":{…},' + tail``. ``head`` ends behind a comma, ``tail`` holds
    at least one member and the closing brace, so ``head + tail`` is a complete resource too.
    ``kept_meta`` are members of the sender's own meta to keep (``"profile":[…],"tag":[…]``) or empty.
    ``clock`` is the business time in µs UTC that decides which version is newer. ``deletes`` names
    the top-level elements a patch removes, ``unions`` those arrays to which it only adds: a reference or a
    ``uid`` that is known stands for the same element, and ``series.instance`` unites what lies in each too;
    ``fills`` the elements it gives only where nothing stands yet. A member of an element is named by
    its path (``period.end``). ``place`` is where in the source it came from. ``block`` is the block of
    the map that made it; bit n of ``mask`` says that the block's rule n gave something.
    """

    type: str
    id: str
    key: tuple[str, ...]
    head: bytes
    tail: bytes
    kept_meta: bytes = b""
    clock: int | None = None
    mode: Mode = "full"
    deletes: tuple[str, ...] = ()
    place: str = ""
    edits: tuple[Edit, ...] = ()
    unions: tuple[str, ...] = ()
    block: str = ""
    mask: int = 0
    fills: tuple[str, ...] = ()

    def text(self) -> bytes:
        """The resource without any meta."""
        return self.head + self.tail


class Unmapped(msgspec.Struct, frozen=True, gc=False):
    """A code or unit no table knows, as sent: what the queue of unmapped codes is made of.

    ``table`` is the table's name in the map. For a unit, ``code`` is the unit's text.
    """

    table: str
    code: str
    name: str = ""
    specimen: str = ""
    unit: str = ""


class Merge(msgspec.Struct, frozen=True):
    """The sender says that two of its patient numbers are one person (ADT A18, A34, A40 …).

    ``gone`` is the number no longer used. With ``undone`` the sender takes an earlier merge back (A37).
    """

    kept: LocalId
    gone: LocalId
    undone: bool = False


class Message(msgspec.Struct, frozen=True):
    """What one message (or one group of rows) said about one patient.

    ``timestamp`` is the message's own time as written by the sender (ISO 8601) or empty.
    ``resources`` is empty when ``issues`` contains a stop.
    """

    control_id: str
    kind: str
    patient: LocalId | None = None
    identifiers: tuple[Identifier, ...] = ()
    resources: tuple[Mapped, ...] = ()
    issues: tuple[Issue, ...] = ()
    sender: str = ""
    timestamp: str = ""
    unmapped: tuple[Unmapped, ...] = ()
    merges: tuple[Merge, ...] = ()


class Unit(NamedTuple):
    """The part of a delivery that is kept by itself: one message, or the rows of one group.

    `raw` can be read alone. `control_id` is the sender's own name for it, empty where the form has none.
    """

    raw: bytes
    control_id: str = ""


class Reading(msgspec.Struct, frozen=True):
    """Everything one delivery of bytes said. A stop in ``issues`` means nothing was readable."""

    messages: tuple[Message, ...] = ()
    issues: tuple[Issue, ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """Something wrong in a map file: where (line and column count from 1) and what to do about it."""

    file: str
    line: int
    column: int
    zh: str
    en: str

    def text(self, language: Language = "zh") -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.zh if language == 'zh' else self.en}"


class MapError(Exception):
    """A map could not be loaded; `findings` say where and why. Holds no patient data."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(finding.text("en") for finding in self.findings[:5]))
