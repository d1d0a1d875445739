"""Shows a hospital's own XHTML narrative so that it can say everything and do nothing.

Elements of text, lists and tables stay, without attributes but for how many cells a cell spans; all
others go and leave their text, and what a browser would run or fetch goes with all that is in it. (R4
2.4.0 allows more: styles, images and links are left out on purpose.)
"""

from __future__ import annotations

from typing import Any, Final

from lxml import etree
from markupsafe import Markup, escape

KEPT: Final = frozenset({
    "p", "br", "hr", "div", "span", "b", "strong", "i", "em", "u", "s", "sub", "sup", "small",
    "pre", "code", "blockquote", "q", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li",
    "dl", "dt", "dd", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td",
})  # fmt: skip
ALONE: Final = frozenset({"br", "hr"})
# With everything inside: nothing in them is meant to be read.
DROPPED: Final = frozenset({
    "script", "style", "template", "noscript", "iframe", "object", "embed", "svg", "math",
    "head", "title", "audio", "video", "canvas", "form", "select", "textarea", "button",
})  # fmt: skip
# The page has its own headings above.
_LOWER: Final = {"h1": "h3", "h2": "h3", "h3": "h4", "h4": "h5", "h5": "h6"}
LONGEST: Final = 500_000


def harmless(xhtml: str) -> Markup:
    """The narrative as safe HTML, its elements closed in order.

    Read by a parser whose time grows with the length alone, whatever is unclosed or nested in it.
    """
    parser = etree.HTMLParser(
        encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, collect_ids=False
    )
    try:
        root = etree.fromstring(xhtml[:LONGEST].encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError:  # nothing at all is in it
        root = None
    return Markup("" if root is None else "".join(_told(root)))  # noqa: S704 - ours or escaped


def _told(root: Any) -> list[str]:
    told: list[str] = []
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, node in walk:
        kept = node.tag in KEPT
        name = _LOWER.get(node.tag, node.tag)
        if event == "start" and node.tag in DROPPED:
            walk.skip_subtree()
        elif event == "start":
            told.append(f"<{name}{_spans(node)}>" if kept else "")
            told.append(escape(node.text or ""))
        else:
            told.append(f"</{name}>" if kept and node.tag not in ALONE else "")
            told.append(escape(node.tail or ""))
    return told


def _spans(node: Any) -> str:
    """How many cells a cell spans, where that is said in a number."""
    said = ((key, node.get(key, "")) for key in ("colspan", "rowspan") if node.tag in ("td", "th"))
    return "".join(f' {key}="{n}"' for key, n in said if n.isascii() and n.isdigit() and len(n) < 3)
