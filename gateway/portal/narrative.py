"""Shows a hospital's own XHTML narrative so that it can say everything and do nothing.

Elements of text, lists and tables stay, without attributes but for how many cells a cell spans; all
others go and leave their text, and what a browser would run or fetch goes with all that is in it. (R4
2.4.0 allows more: styles, images and links are left out on purpose.)
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

from markupsafe import Markup, escape

KEPT: Final = frozenset(
    [
        "p",
        "br",
        "hr",
        "div",
        "span",
        "b",
        "strong",
        "i",
        "em",
        "u",
        "s",
        "sub",
        "sup",
        "small",
        "pre",
        "code",
        "blockquote",
        "q",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
    ]
)
ALONE: Final = frozenset({"br", "hr"})
# With everything inside: nothing in them is meant to be read.
DROPPED: Final = frozenset(
    [
        "script",
        "style",
        "template",
        "noscript",
        "iframe",
        "object",
        "embed",
        "svg",
        "math",
        "head",
        "title",
        "audio",
        "video",
        "canvas",
        "form",
        "select",
        "textarea",
        "button",
    ]
)
_VOID: Final = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
    ]
)
# The page has its own headings above.
_LOWER: Final = {"h1": "h3", "h2": "h3", "h3": "h4", "h4": "h5", "h5": "h6"}
DEPTH: Final = 60
LONGEST: Final = 500_000


def harmless(xhtml: str) -> Markup:
    """The narrative as safe HTML, its elements closed in order."""
    reader = _Reader()
    reader.feed(xhtml[:LONGEST])
    reader.close()
    return reader.made()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._out: list[str] = []
        self._open: list[str] = []
        self._dropping: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DROPPED and tag not in _VOID:
            self._dropping.append(tag)
        if self._dropping or tag not in KEPT or len(self._open) >= DEPTH:
            return
        name = _LOWER.get(tag, tag)
        spans = "".join(
            f' {key}="{value}"'
            for key, value in attrs
            if key in ("colspan", "rowspan")
            and tag in ("td", "th")
            and value
            and value.isascii()
            and value.isdigit()
            and len(value) <= 2
        )
        self._out.append(f"<{name}{spans}>")
        if tag not in ALONE:
            self._open.append(name)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<br/>` is whole; `<div/>` is one without content."""
        if tag in DROPPED:
            return
        self.handle_starttag(tag, attrs)
        if tag not in ALONE:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._dropping:
            if tag in self._dropping:
                while self._dropping.pop() != tag:
                    pass
            return
        name = _LOWER.get(tag, tag)
        if name in self._open:
            while (last := self._open.pop()) != name:
                self._out.append(f"</{last}>")
            self._out.append(f"</{name}>")

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self._out.append(str(escape(data)))

    def made(self) -> Markup:
        """Everything read so far, with what is still open closed."""
        ends = "".join(f"</{name}>" for name in reversed(self._open))
        return Markup("".join(self._out) + ends)  # noqa: S704 - every piece is ours or escaped
