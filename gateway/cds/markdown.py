"""Text of senders in cards: GitHub-flavoured Markdown in which nothing of theirs can act.

A card's detail is rendered by whoever shows it, some as Markdown and some as HTML. A sender's text is
therefore harmless as both: no tags, no links (not even bare addresses), no tables, no second line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_ESCAPED = re.compile(r"([\\`*_{}\[\]#+!|~^$=])")
_ADDRESS = re.compile(r"(?i)(www)\.|(:)(?=//)|(mailto|xmpp|javascript|data|vbscript)(:)|(@)")
LONGEST = 120


def plain(text: str, most: int = LONGEST) -> str:
    """One line without control, format or bidirectional characters, cut to `most` characters."""
    kept = "".join(
        " " if unicodedata.category(one) in _BLANK else one
        for one in unicodedata.normalize("NFC", text)
        if unicodedata.category(one) not in _GONE
    )
    line = " ".join(kept.split())
    return line if len(line) <= most else line[: most - 1] + "…"


_BLANK = frozenset({"Zs", "Zl", "Zp", "Cc"})
_GONE = frozenset({"Cf", "Cs", "Co", "Cn"})


def inert(text: str, most: int = LONGEST) -> str:
    """A sender's text as it may stand in a card's detail, in a cell too."""
    found = plain(text, most)
    found = _ESCAPED.sub(r"\\\1", found)
    found = found.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _ADDRESS.sub(_broken, found)


def _broken(found: re.Match[str]) -> str:
    www, slashes, scheme, colon, at = found.groups()
    if www:
        return f"{www}\\."
    return f"{scheme}\\:" if scheme and colon else "\\:" if slashes else "\\@" if at else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are safe already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
