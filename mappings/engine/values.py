"""Laboratory values, flags, ranges and item names as Chinese laboratories print them, read without guessing.

Numbers stay text from the first byte to the last: a `Digits` holds the decimal exactly as the
laboratory wrote it, in FHIR's grammar.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import msgspec
import orjson

from mappings.engine.tables import Row, Table

Comparator = Literal["<", "<=", ">=", ">", ""]

_FOLD = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: " ",
    0x2264: "<=",
    0x2265: ">=",
    0x2266: "<=",
    0x2267: ">=",
    0x2212: "-",
    0x2236: ":",
    0xFE63: "-",
}
_ARROWS = {"↑": "H", "↓": "L", "⬆": "H", "⬇": "L"}
_FLAG = re.compile(r"^(.*?\d[)\]]?)\s*(?:([↑↓⬆⬇]{1,3})|\s([HL]{1,2}))$")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?")
_COMPARED = re.compile(r"(<=|>=|=<|=>|<|>)\s*")
_TITRE = re.compile(r"(<=|>=|<|>)?\s*(\d{1,4})\s*:\s*(<=|>=|<|>)?\s*(\d{1,7})")
_RANGE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:--|[-~—–～至])\s*(\d+(?:\.\d+)?)\s*(/\s*[HLhl][Pp]F?)?")
_ORDINAL_NUMBER = re.compile(r"\+[1-5]|[1-5]\+")
_BRACKETED = re.compile(r"(.+?)\s*\((.+)\)")
COMPARATORS: dict[str, Comparator] = {
    "<": "<", "<=": "<=", "=<": "<=", ">": ">", ">=": ">=", "=>": ">=",
}  # fmt: skip


def fold(text: str) -> str:
    """Full-width to half-width, and the signs that stand for two characters."""
    return text.translate(_FOLD).strip()


def digits(text: str) -> str | None:
    """A number in FHIR's decimal grammar with every digit kept, or None when it is not one.

    ``.5`` gets its zero, ``5.`` loses its point, ``+5.2`` its sign, ``065.88`` its leading zero;
    trailing zeros are precision and stay.
    """
    if _NUMBER.fullmatch(text) is None:
        return None
    sign = "-" if text[0] == "-" else ""
    body = text.lstrip("+-")
    mantissa, e, exponent = body.replace("E", "e").partition("e")
    whole, _, fraction = mantissa.partition(".")
    whole = whole.lstrip("0") or "0"
    return f"{sign}{whole}{'.' if fraction else ''}{fraction}{e}{exponent}"


def number(text: str) -> orjson.Fragment:
    """JSON number that keeps its digits; `text` must come from `digits`."""
    return orjson.Fragment(text)


class LabValue(msgspec.Struct, frozen=True):
    """What a result text says. Just one of the kinds; `flag` and `word` may come with any of them."""

    kind: Literal["quantity", "ratio", "range", "word", "absent", "text", "hold"]
    comparator: Comparator = ""
    first: str = ""
    second: str = ""
    unit: str = ""
    flag: str = ""
    word: Row | None = None
    issue: str = ""


def read(text: str, words: Table | None) -> LabValue:
    """Read a result text; the order of attempts is the design's (mapping rules for values).

    no-value words, arrows, comparator and number, titre, range, qualitative word, then plain text.
    """
    folded = fold(text)
    row = words.get(folded) if words is not None else None
    if row is not None and row.get("absent"):
        return LabValue("absent", word=row)
    if row is not None:
        return LabValue("word", word=row)
    if folded in ("-", "－"):
        return LabValue("hold", issue="ambiguous-dash")
    flag = ""
    if match := _FLAG.match(folded):
        folded = match[1].strip()
        flag = "".join(_ARROWS.get(sign, sign) for sign in match[2] or match[3])[:2]
    value = _quantity(folded) or _titre(folded) or _range(folded) or _bracketed(folded, words)
    if value is None and any(sign in folded for sign in ",") and digits(folded.replace(",", "")):
        value = LabValue("text", issue="ambiguous-number")
    if value is None:
        return LabValue("text", flag=flag, issue="text-value")
    return msgspec.structs.replace(value, flag=flag) if flag else value


def _quantity(text: str) -> LabValue | None:
    if _ORDINAL_NUMBER.fullmatch(text):
        return None
    comparator: Comparator = ""
    if match := _COMPARED.match(text):
        comparator, text = COMPARATORS[match[1]], text[match.end() :]
    exact = digits(text)
    return None if exact is None else LabValue("quantity", comparator, exact)


def _titre(text: str) -> LabValue | None:
    match = _TITRE.fullmatch(text)
    if match is None:
        return None
    comparator = COMPARATORS[match[1] or match[3]] if match[1] or match[3] else ""
    return LabValue("ratio", comparator, digits(match[2]) or "1", digits(match[4]) or "0")


def _range(text: str) -> LabValue | None:
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    low, high = digits(match[1]) or "0", digits(match[2]) or "0"
    if float(low) > float(high):
        return None
    return LabValue("range", first=low, second=high, unit=(match[3] or "").replace(" ", ""))


def _bracketed(text: str, words: Table | None) -> LabValue | None:
    """``阴性(-)``, ``阳性(1:16)``, ``0.35(可疑)``: the part that is a value, and the word beside it."""
    match = _BRACKETED.fullmatch(text)
    if match is None or words is None:
        return None
    outer, inner = match[1].strip(), match[2].strip()
    outer_word, inner_word = words.get(outer), words.get(inner)
    if outer_word is not None and not outer_word.get("absent"):
        titre = _titre(inner) or _quantity(inner)
        if titre is not None:
            return msgspec.structs.replace(titre, word=outer_word)
        same = inner_word is not None and inner_word.get("ordinal") == outer_word.get("ordinal")
        sign_only = inner_word is not None or inner in ("-", "+")
        return LabValue("word", word=outer_word) if same or sign_only else None
    if inner_word is not None and not inner_word.get("absent"):
        value = _quantity(outer) or _titre(outer)
        return None if value is None else msgspec.structs.replace(value, word=inner_word)
    return None


# --- reference ranges ------------------------------------------------------------------------------


class RangePart(msgspec.Struct, frozen=True):
    """One interval; empty ends are open. `sex` is male, female or empty."""

    low: str
    high: str
    sex: str
    text: str


_INTERVAL = re.compile(
    r"(-?\d+\.?\d*|-?\.\d+)\s*(?:--|[-~—–～至]|to)\s*(\d+\.?\d*|\.\d+|-\d+\.?\d*)"
)
_SEXED = re.compile(r"(男|女)(?:性)?\s*:?\s*([^男女;,]+)")
_UPPER_ONLY = re.compile(r"(?:<=|=<|<)\s*(\d+\.?\d*|\.\d+)")
_LOWER_ONLY = re.compile(r"(?:>=|=>|>)\s*(\d+\.?\d*|\.\d+)")


@lru_cache(maxsize=4096)
def read_range(text: str) -> tuple[tuple[RangePart, ...], bool]:
    """The intervals of a range text, and whether its meaning is sure.

    Sex-bound intervals are all given with the sex they apply to; nothing is chosen here. A word
    (阴性) is a sure range without ends. ``0-0`` and reversed ends are text only.
    """
    folded = fold(text)
    if "男" in folded and "女" in folded:
        parts = [
            _ends(body.strip(), "male" if sex == "男" else "female")
            for sex, body in _SEXED.findall(folded)
        ]
        if len(parts) >= 2 and all(part is not None for part in parts):
            return tuple(part for part in parts if part is not None), True
        return (RangePart("", "", "", text),), False
    part = _ends(folded, "")
    if part is not None:
        return (msgspec.structs.replace(part, text=text),), True
    return (RangePart("", "", "", text),), not any(sign.isdigit() for sign in folded)


def _ends(text: str, sex: str) -> RangePart | None:
    if match := _INTERVAL.fullmatch(text):
        low, high = digits(match[1]), digits(match[2])
        if (
            low is None
            or high is None
            or float(low) > float(high)
            or float(low) == float(high) == 0
        ):
            return None
        return RangePart(low, high, sex, text)
    if match := _UPPER_ONLY.fullmatch(text):
        return RangePart("", digits(match[1]) or "", sex, text)
    if match := _LOWER_ONLY.fullmatch(text):
        return RangePart(digits(match[1]) or "", "", sex, text)
    return None


# --- item names ------------------------------------------------------------------------------------


class ItemName(msgspec.Struct, frozen=True):
    """An item name taken apart: the raw mark (【全国HR】, ★), the bare name, the method in brackets."""

    mark: str
    name: str
    method: str


_MARK = re.compile(r"^\s*(【[^】]*】|\[[^\]]*HR[^\]]*\]|[★☆▲△※*]+)\s*")
_METHOD = re.compile(r"\(([^()]*(?:法|酶|比色|发光|电极|凝集|ELISA|PCR|镜检)[^()]*)\)\s*$")


@lru_cache(maxsize=8192)
def read_name(text: str) -> ItemName:
    """Strip marks in front and a method in brackets behind; other brackets belong to the name."""
    marks: list[str] = []
    while match := _MARK.match(text):
        marks.append(match[1])
        text = text[match.end() :]
    folded = text.translate({0xFF08: "(", 0xFF09: ")"}).strip()
    method = ""
    if match := _METHOD.search(folded):
        method, folded = match[1].strip(), folded[: match.start()].strip()
    return ItemName("".join(marks), folded, method)
