"""Names of people as far as matching needs them: one spelling, a similarity, names that are none."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher

# Spaces, every middle dot met in names of minorities and foreigners, variation selectors.
_DROPPED = re.compile(r"[\s·•・‧∙⋅･᛫\u0387.,'’\-\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
_UNREADABLE = frozenset("?□■〓\ufffd")  # what a rare character becomes on the way
_NEWBORN = re.compile(r"之[大小长次一二三四甲乙丙]*(?:子|女|婴|儿|男|毛|宝|双)|(?:新生儿|婴儿)")
_NOBODY = re.compile(r"无名|不详|未知|佚名|匿名|^(?:先生|女士|患者|病人|测试)$|^test$")


def normalised(name: str) -> str:
    """Full-width forms folded (NFKC), dots, spaces and case gone: for comparing, not for showing."""
    return _DROPPED.sub("", unicodedata.normalize("NFKC", name)).casefold()


def is_newborn(name: str) -> bool:
    """Is this how a child is entered before it has a name: X之子, X之女, X之婴?"""
    return bool(_NEWBORN.search(normalised(name)))


def is_nobody(name: str) -> bool:
    """Is this what is entered when the name is not known (无名氏 …), or nothing at all?"""
    plain = normalised(name)
    return not plain or bool(_NOBODY.search(plain)) or set(plain) <= _UNREADABLE


def similarity(one: str, other: str) -> float:
    """How alike two names are, 0 to 1, the same both ways round.

    A character that became `?` on the way fits any other, if the first character and at least half
    of all are readable and agree; such a pair is worth 0.9. In names of two to four characters any
    other difference falls below 0.8.
    """
    left, right = sorted((normalised(one), normalised(other)))
    if not left:
        return 0.0
    if len(left) == len(right) and _UNREADABLE & {*left, *right}:
        pairs = list(zip(left, right, strict=True))
        readable = [a == b for a, b in pairs if not {a, b} & _UNREADABLE]
        first = left[0] == right[0] and left[0] not in _UNREADABLE
        return 0.9 if first and all(readable) and 2 * len(readable) >= len(left) else 0.0
    return SequenceMatcher(None, left, right, autojunk=False).ratio()


def spelled(name: str, birth: str) -> str:
    """What a name and a birth date (YYYY-MM-DD) are indexed under; "" when either says nothing."""
    plain = normalised(name)
    if not plain or is_nobody(name) or len(birth) != 10:
        return ""
    return f"{plain}|{birth}"
