"""Codes of organisations: the unified social credit code (GB 32100) and the organisation code in it."""

from __future__ import annotations

import unicodedata

_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100: no I, O, S, V, Z
_GB11714 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def normalised(text: str) -> str:
    """Half-width capitals without spaces and hyphens."""
    return "".join(unicodedata.normalize("NFKC", text).split()).replace("-", "").upper()


def uscc_check(first17: str) -> str:
    """The 18th character of a unified social credit code; ValueError for characters not in it."""
    total = sum(_USCC.index(char) * pow(3, place, 31) for place, char in enumerate(first17))
    return _USCC[(31 - total % 31) % 31]


def organization_check(first8: str) -> str:
    """The 9th character of an organisation code (GB 11714)."""
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(_GB11714.index(char) * weight for char, weight in zip(first8, weights, strict=True))
    check = 11 - total % 11
    return {10: "X", 11: "0"}.get(check, str(check))


def is_organization_code(text: str) -> bool:
    """Nine characters, the last of them right for the others."""
    code = normalised(text)
    return (
        len(code) == 9
        and set(code[:8]) <= set(_GB11714)
        and organization_check(code[:8]) == code[8]
    )


def is_uscc(text: str) -> bool:
    """Eighteen characters of GB 32100; own check character, region digits and inner code right."""
    code = normalised(text)
    return (
        len(code) == 18
        and set(code) <= set(_USCC)
        and code[2:8].isdecimal()
        and uscc_check(code[:17]) == code[17]
        and is_organization_code(code[8:17])
    )
