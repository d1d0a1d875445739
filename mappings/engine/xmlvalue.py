"""What an XML element says, by the data types of CDA, and where it stands in words a sender finds again.

One rule for all of them, by what the element carries and not by what `xsi:type` claims:

    value=""         PQ, REAL, INT, TS, BL, TEL   the attribute (``tel:`` and ``mailto:`` left off)
    extension="" …   II                           number, root, authority, -, root (as HL7 CX counts)
    code="" …        CD, CE, CO, CS               code, name, dictionary; the text of a coded element is
                                                  its name when it has no displayName
    low, high        IVL_PQ                       ``3.5-9.5``, ``>=5``, ``<5.2``
                     IVL_TS                       its beginning
    numerator …      RTO                          ``1:80``
    given, family    PN                           family, given, middle (as HL7 XPN counts)
    anything else    ST, ED                       the text

Empty elements, empty codes and nullFlavor are no value. Base64 is no text: attachments are read apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mappings.engine.reader import Value

Narrative = Callable[[str], str]
"""Text of the element that a reference names (``#result1``), or an empty text."""

_LOINC = "2.16.840.1.113883.6.1"
_DEEP = ("section", "ClinicalDocument")
_LONGEST_PLACE = 12


class Place:
    """An element, or an attribute of it, as path and source line; formatted only when shown.

    The path begins at the nearest section, so that it stays short:
    ``//section[2]/entry[3]/observation/value (line 118)``.
    """

    __slots__ = ("_below", "element")

    def __init__(self, element: Any, below: str = "") -> None:
        self.element, self._below = element, below

    def __str__(self) -> str:
        steps: list[str] = []
        element = self.element
        while element is not None and len(steps) < _LONGEST_PLACE:
            name = _local(element.tag)
            steps.append(name + _ordinal(element))
            if name in _DEEP:
                break
            element = element.getparent()
        above = element is not None and element.getparent() is not None
        path = ("//" if above else "/") + "/".join(reversed(steps))
        below = f"/{self._below}" if self._below else ""
        return f"{path}{below} (line {self.element.sourceline or 1})"


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2][:60]


def _ordinal(element: Any) -> str:
    parent = element.getparent()
    if parent is None:
        return ""
    before = sum(1 for _ in element.itersiblings(element.tag, preceding=True))
    if not before and next(element.itersiblings(element.tag), None) is None:
        return ""
    return f"[{before + 1}]"


def read(element: Any, narrative: Narrative) -> Value | None:
    """The value of an element, None when it says nothing."""
    get = element.get
    text = get("value")
    if text is not None:
        text = text.strip()
        if not text:
            return None
        if text[:4].lower() == "tel:" or text[:7].lower() == "mailto:":
            text = text.partition(":")[2].strip()
        return Value(text, Place(element), (text,)) if text else None
    code = get("code")
    if code is not None or get("displayName") is not None:
        found = _coded(element, (code or "").strip(), narrative)
        if found is not None:
            return found
    elif (number := get("extension")) is not None or get("root") is not None:
        return _identifier(element, number)
    if len(element):
        return _composite(element, narrative)
    text = (element.text or "").strip()
    if not text or get("representation") == "B64":
        return None
    return Value(text, Place(element), (text,))


def text_of(element: Any) -> str:
    """All text within, white space at line ends folded, as narrative is read."""
    lines = ("".join(element.itertext())).split("\n")
    return "\n".join(line for line in (" ".join(one.split()) for one in lines) if line)


def _identifier(element: Any, number: str | None) -> Value | None:
    root = (element.get("root") or "").strip()
    if element.get("nullFlavor"):
        return None
    shown = root if number is None else number.strip()
    if not shown:
        return None
    parts = (shown, root, element.get("assigningAuthorityName") or "", "", root)
    return Value(shown, Place(element), parts)


def _coded(element: Any, code: str, narrative: Narrative) -> Value | None:
    name = (element.get("displayName") or "").strip() or _original(element, narrative)
    if not code and (translated := _translation(element)) is not None:
        return read(translated, narrative)
    if not (code or name):
        return None
    dictionary = (element.get("codeSystem") or "").strip()
    parts = (code, name, "LN" if dictionary == _LOINC else dictionary)
    return Value(code or name, Place(element), parts)


def _original(element: Any, narrative: Narrative) -> str:
    """What the sender wrote for a code it gives no name to."""
    text = (element.text or "").strip()
    if text:
        return str(text)
    for child in element:
        if _local(child.tag) == "originalText":
            return _referred(child, narrative) or text_of(child)
    return ""


def _translation(element: Any) -> Any:
    return next(
        (child for child in element if _local(child.tag) == "translation" and child.get("code")),
        None,
    )


def _referred(element: Any, narrative: Narrative) -> str:
    for child in element:
        if _local(child.tag) == "reference":
            return narrative(child.get("value") or "")
    return ""


def _composite(element: Any, narrative: Narrative) -> Value | None:
    """An element that says what it means by its children."""
    children = {_local(child.tag): child for child in reversed(element)}
    place = Place(element)
    if "translation" in children and (translated := _translation(element)) is not None:
        return read(translated, narrative)
    if "originalText" in children:
        name = _original(element, narrative)
        return Value(name, place, ("", name, "")) if name else None
    if "low" in children or "high" in children:
        text = _interval(children.get("low"), children.get("high"))
        return Value(text, place, (text,)) if text else None
    if "numerator" in children and "denominator" in children:
        return _ratio(children, place)
    if "family" in children or "given" in children:
        return _name(element, place)
    if "reference" in children and not (element.text or "").strip():
        text = _referred(element, narrative)
        return Value(text, place, (text,)) if text else None
    if element.get("representation") == "B64":
        return None
    text = text_of(element)
    return Value(text, place, (text,)) if text else None


def _interval(low: Any, high: Any) -> str:
    begin = "" if low is None else (low.get("value") or "").strip()
    end = "" if high is None else (high.get("value") or "").strip()
    # A time keeps its beginning: HL7 stamps have eight digits or more, results have not.
    if begin.isdigit() and len(begin) >= 8:
        return str(begin)
    if begin and end:
        return f"{begin}-{end}"
    if begin:
        return (">" if low.get("inclusive") == "false" else ">=") + begin
    if end:
        if end.isdigit() and len(end) >= 8:
            return ""
        return ("<" if high.get("inclusive") == "false" else "<=") + end
    return ""


def _ratio(children: dict[str, Any], place: Place) -> Value | None:
    above, below = (
        (children[name].get("value") or "").strip() for name in ("numerator", "denominator")
    )
    text = f"{above}:{below}"
    return Value(text, place, (text,)) if above and below else None


def _name(element: Any, place: Place) -> Value | None:
    family = "".join(_texts(element, "family"))
    given = _texts(element, "given")
    parts = (family, *given[:1], " ".join(given[1:])) if given else (family,)
    # Chinese names are written family first and without a space.
    latin = (family + "".join(given)).isascii()
    shown = " ".join((*given, family)).strip() if latin else family + "".join(given)
    return Value(shown, place, parts) if shown else None


def _texts(element: Any, name: str) -> list[str]:
    return [
        text
        for child in element
        if _local(child.tag) == name and (text := "".join(child.itertext()).strip())
    ]
