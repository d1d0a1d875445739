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

Empty elements, empty codes and nullFlavor are no value. Base64 is no text but a document (`attachments`).
"""

from __future__ import annotations

from typing import Any, Protocol

from mappings.engine.attachments import MARK
from mappings.engine.reader import Value

_LOINC = "2.16.840.1.113883.6.1"
_LONGEST_PLACE = 12


class Context(Protocol):
    """What is known of a whole document."""

    @property
    def paths(self) -> dict[Any, str]:
        """The paths of elements that were asked for, and of their families."""
        ...

    def narrative(self, reference: str) -> str:
        """The text of the element that a reference names (``#result1``), or an empty text."""
        ...


class Place:
    """An element, or an attribute of it, as path and source line; formatted only when shown.

    The path begins at the nearest section, so that it stays short:
    ``//section/entry[3]/observation/value (line 118)``.
    """

    __slots__ = ("_below", "_paths", "element")

    def __init__(self, element: Any, below: str = "", paths: dict[Any, str] | None = None) -> None:
        self.element, self._below, self._paths = element, below, paths

    def __str__(self) -> str:
        below = f"/{self._below}" if self._below else ""
        path = path_of(self.element, {} if self._paths is None else self._paths)
        return f"{path}{below} (line {self.element.sourceline or 1})"


def path_of(element: Any, known: dict[Any, str]) -> str:
    """The path of an element from its nearest section.

    `known` keeps the paths of whole families, so that asking for every child costs no more than one pass.
    """
    chain: list[Any] = []
    above = element
    while above is not None and above not in known and len(chain) < _LONGEST_PLACE:
        chain.append(above)
        above = None if _local(above.tag) == "section" else above.getparent()
    path = known.get(above, "")
    if not path and chain[-1].getparent() is not None:
        path = "/"
    for one in reversed(chain):
        parent = one.getparent()
        alone = parent is None or len(parent) == 1
        family = [one] if alone else list(parent.iterchildren(one.tag))
        path = f"{path}/{_local(one.tag)}"
        for number, member in enumerate(family, 1):
            known[member] = path if len(family) == 1 else f"{path}[{number}]"
        path = known[one]
    return path


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2][:60]


Said = str | tuple[str, ...]
"""What an element says: a text (empty for nothing), or a text and the parts it is made of."""


def read(element: Any, context: Context) -> Value | None:
    """The value of an element, None when it says nothing."""
    found = said(element, context)
    if not found:
        return None
    place = Place(element, "", context.paths)
    if type(found) is str:
        return Value(found, place, (found,))
    return Value(found[0], place, tuple(found[1:]))


def said(element: Any, context: Context) -> Said:
    """What an element says, without its place."""
    get = dict(element.items()).get
    text = get("value")
    if text is not None:
        text = text.strip()
        if ":" in text[:7] and text.lower().startswith(("tel:", "mailto:")):
            text = text.partition(":")[2].strip()
        return str(text)
    code = get("code")
    if code is not None or get("displayName") is not None:
        found = _coded(element, (code or "").strip(), context)
        if found:
            return found
    elif (number := get("extension")) is not None or get("root") is not None:
        return _identifier(element, number)
    if get("representation") == "B64":
        # The reader put a token where a document stood (`attachments`); its media type is the first part.
        token = (element.text or "").strip()
        return (token, get("mediaType") or "", token) if token.startswith(MARK) else ""
    if len(element):
        return _composite(element, context)
    return (element.text or "").strip()


def text_of(element: Any) -> str:
    """All text within, white space at line ends folded, as narrative is read."""
    lines = ("".join(element.itertext())).split("\n")
    return "\n".join(line for line in (" ".join(one.split()) for one in lines) if line)


def _identifier(element: Any, number: str | None) -> Said:
    root = (element.get("root") or "").strip()
    shown = root if number is None else number.strip()
    if not shown or element.get("nullFlavor"):
        return ""
    return shown, shown, root, element.get("assigningAuthorityName") or "", "", root


def _coded(element: Any, code: str, context: Context) -> Said:
    name = (element.get("displayName") or "").strip() or _original(element, context)
    if not code and (translated := _translation(element)) is not None:
        return said(translated, context)
    if not (code or name):
        return ""
    dictionary = (element.get("codeSystem") or "").strip()
    return code or name, code, name, "LN" if dictionary == _LOINC else dictionary


def _original(element: Any, context: Context) -> str:
    """What the sender wrote for a code it gives no name to."""
    text = (element.text or "").strip()
    if text:
        return str(text)
    for child in element:
        if _local(child.tag) == "originalText":
            return _referred(child, context) or text_of(child)
    return ""


def _translation(element: Any) -> Any:
    return next(
        (child for child in element if _local(child.tag) == "translation" and child.get("code")),
        None,
    )


def _referred(element: Any, context: Context) -> str:
    for child in element:
        if _local(child.tag) == "reference":
            named = (child.get("value") or "").strip()
            # What lies elsewhere is only named, never fetched.
            return named if "://" in named[:12] else context.narrative(named)
    return ""


def _composite(element: Any, context: Context) -> Said:
    """An element that says what it means by its children."""
    children = {_local(child.tag): child for child in reversed(element)}
    if "translation" in children and (translated := _translation(element)) is not None:
        return said(translated, context)
    if "originalText" in children:
        name = _original(element, context)
        return (name, "", name, "") if name else ""
    if "low" in children or "high" in children:
        return _interval(children.get("low"), children.get("high"))
    if "numerator" in children and "denominator" in children:
        return _ratio(children)
    if "family" in children or "given" in children:
        return _name(element)
    if "reference" in children and not (element.text or "").strip():
        return _referred(element, context)
    return text_of(element)


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


def _ratio(children: dict[str, Any]) -> str:
    above, below = (
        (children[name].get("value") or "").strip() for name in ("numerator", "denominator")
    )
    return f"{above}:{below}" if above and below else ""


def _name(element: Any) -> Said:
    family = "".join(_texts(element, "family"))
    given = _texts(element, "given")
    parts = (family, *given[:1], " ".join(given[1:])) if given else (family,)
    # Chinese names are written family first and without a space.
    latin = (family + "".join(given)).isascii()
    shown = " ".join((*given, family)).strip() if latin else family + "".join(given)
    return (shown, *parts) if shown else ""


def _texts(element: Any, name: str) -> list[str]:
    return [
        text
        for child in element
        if _local(child.tag) == name and (text := "".join(child.itertext()).strip())
    ]
