"""Units as sent, cleaned only enough to look them up; a code comes from an approved row or not at all."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from mappings.engine.tables import Table

UCUM = "http://unitsofmeasure.org"

_TEN = re.compile(r"[x×*]?10$", re.IGNORECASE)


def rejoin(parts: tuple[str, ...]) -> tuple[str, bool]:
    """The unit text of an OBX-6 field, and whether an unescaped caret had split it.

    ``10^9/L`` arrives as the components ``10`` and ``9/L``; a real code^name^system triple does not
    begin with ten. Some senders leave component 1 empty and put the unit into component 2.
    """
    if len(parts) > 1 and parts[1][:1].isdigit() and _TEN.fullmatch(parts[0].strip()):
        return f"{parts[0].strip()}^{parts[1].strip()}", True
    for part in parts:
        if part.strip():
            return part.strip(), False
    return "", False


@lru_cache(maxsize=4096)
def clean(text: str) -> str:
    """The look-up form: half-width, superscripts down, both mu as one, no blanks. Case is kept."""
    folded = unicodedata.normalize("NFKC", text).replace("μ", "u").replace("µ", "u")
    folded = folded.replace("×", "x").replace("·", "").replace("﹡", "*")
    return re.sub(r"\s+", "", folded)


def ucum(text: str, tables: tuple[Table, ...]) -> str:
    """The UCUM code of a unit text in the first table that knows it, or empty.

    The exact text is looked up before its cleaned form, and never without regard to case: ``S`` is
    not a second and ``u/L`` is not an enzyme unit until somebody approved just that row.
    """
    for table in tables:
        row = table.get(text) or table.get(clean(text))
        if row is not None:
            return row.get("ucum") or row.get("target") or ""
    return ""
