"""The text formats of FHIR R4's primitive types (R4 2.24.0.1), as patterns that match a whole text.

Stricter than the published expressions where those admit what the words next to them forbid:
30 February, a NUL in a string, an `=` in the middle of base64. `Z` at an end is `\\Z`: `$` would let a
line break pass.
"""

from __future__ import annotations

from typing import Final

_LEAP: Final = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DAY: Final = (
    r"(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    rf"|{_LEAP}-02-29)"
)
_YEAR: Final = r"(?!0000)"
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE: Final = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_MONTH: Final = r"[0-9]{4}(?:-(?:0[1-9]|1[0-2]))?"

PATTERNS: Final = {
    "base64Binary": r"\A(?:\s*[0-9A-Za-z+/]{4})*+(?:\s*[0-9A-Za-z+/]{2}(?:==|[0-9A-Za-z+/]=))?\s*\Z",
    "canonical": r"\A\S+\Z",
    "code": r"\A\S+(?:\s\S+)*+\Z",
    "date": rf"\A{_YEAR}(?:{_DAY}|{_MONTH})\Z",
    "dateTime": rf"\A{_YEAR}(?:{_DAY}(?:T{_TIME}{_ZONE})?|{_MONTH})\Z",
    "id": r"\A[A-Za-z0-9\-.]{1,64}\Z",
    "instant": rf"\A{_YEAR}{_DAY}T{_TIME}{_ZONE}\Z",
    "oid": r"\Aurn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+\Z",
    "time": rf"\A{_TIME}\Z",
    "uri": r"\A\S+\Z",
    "url": r"\A\S+\Z",
    "uuid": r"\Aurn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z",
    "xhtml": r"\A\s*<div[\s>]",
}
"""Types without a pattern take any text: string, markdown."""

LONGEST: Final = 1_048_576
"""Characters in a string (R4: at most 1 MB)."""

INTEGERS: Final = {
    "integer": (-(2**31), 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
}

FORBIDDEN: Final = "[\x00-\x08\x0b\x0c\x0e-\x1f]"
"""Characters no FHIR text may hold: all below space but tab, line feed and carriage return."""


def reference(targets: frozenset[str]) -> str:
    """The pattern of a literal reference that may point at these types (any when empty).

    What is not of the form Type/id (urn:uuid, a fragment, an odd address) says nothing about a type.
    """
    if not targets:
        return r"\A\S+\Z"
    named = "|".join(sorted(targets))
    return (
        rf"\A(?!#)(?:(?:https?://\S+/)?(?:{named})/[A-Za-z0-9\-.]{{1,64}}(?:/_history/[A-Za-z0-9\-.]{{1,64}})?"
        r"|urn:\S+)\Z"
    )
