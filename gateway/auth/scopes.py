"""SMART scopes, version 2: what they mean, and that a request can only narrow what is registered.

SMART App Launch 2.2, "Scopes for requesting FHIR resources". Only `system/` scopes exist here; a
scope with search parameters is refused rather than granted wider than it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

LONGEST = 4_000
_SCOPE = re.compile(r"system/(\*|[A-Z][A-Za-z]{1,63})\.(c?r?u?d?s?)")

INTERACTIONS = {
    "create": "c",
    "read": "r",
    "vread": "r",
    "history-instance": "r",
    "update": "u",
    "patch": "u",
    "delete": "d",
    "search-type": "s",
    "history-type": "s",
}
"""FHIR's restful interactions and the letter that allows each."""


class Scope(NamedTuple):
    """One scope: a resource type or `*`, and letters out of `cruds` in that order."""

    type: str
    letters: str

    def __str__(self) -> str:
        return f"system/{self.type}.{self.letters}"


@lru_cache(4096)
def scope(text: str) -> Scope | None:
    """The scope `text` names, or None: unknown words and letters out of order are never guessed."""
    found = _SCOPE.fullmatch(text)
    return Scope(found[1], found[2]) if found is not None and found[2] else None


def narrowed(wanted: str, registered: str) -> frozenset[str] | None:
    """What of `wanted` lies within `registered`; None when something in it is not a scope.

    Asking wide is no fault (RFC 6749 3.3): `system/*.rs` of a client registered for
    `system/Patient.r` is `system/Patient.r`. Nothing in common gives the empty set.
    """
    if len(wanted) > LONGEST:
        return None
    asked = [scope(word) for word in wanted.split()]
    if None in asked:
        return None
    held = [one for one in map(scope, registered.split()) if one is not None]
    granted: dict[str, set[str]] = {}
    for want in filter(None, asked):
        for have in held:
            if "*" in (want.type, have.type) or want.type == have.type:
                narrower = have.type if want.type == "*" else want.type
                letters = set(want.letters) & set(have.letters)
                if letters:
                    granted.setdefault(narrower, set()).update(letters)
    return frozenset(
        str(Scope(type, "".join(letter for letter in "cruds" if letter in letters)))
        for type, letters in granted.items()
    )


def allows(scopes: Iterable[str], type: str, interaction: str) -> bool:
    """Whether the scopes let a client do `interaction` with resources of `type`.

    `interaction` is FHIR's own word (a key of INTERACTIONS) or one of the letters; any other word is
    allowed to nobody.
    """
    letter = interaction if interaction in "cruds" else INTERACTIONS.get(interaction)
    if not letter or len(letter) != 1:
        return False
    for text in scopes:
        one = scope(text)
        if one is not None and one.type in ("*", type) and letter in one.letters:
            return True
    return False
