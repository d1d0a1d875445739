"""The funnel of recognition as inline SVG: bars with their words, for screen, paper and readers.

Without styles of its own (the policy forbids them): classes say what a bar is, attributes where it
lies. Its words are text, so they can be selected and searched; `title` and `desc` tell it in full to
whoever does not see it, and the page has the same numbers in a table beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 360
ROW = 40
BAR = 14


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. `count` None is withheld: an empty frame is drawn. `of` is the whole it is part of,
    for the share beside it. `tone` is the second class of the bar."""

    name: str
    count: int | None
    tone: str
    of: int | None = None


def drawn(bars: Sequence[Bar], title: str, withheld: str) -> Markup:
    """The picture; all bars have one scale, which the longest fills."""
    longest = max((bar.count or 0 for bar in bars), default=0)
    height = ROW * len(bars) + 4
    told = "; ".join(f"{bar.name} {_said(bar, withheld)}" for bar in bars)
    parts = [
        Markup(
            '<svg class="funnel" viewBox="0 0 {} {}" role="img" aria-labelledby="funnel-title'
            ' funnel-told"><title id="funnel-title">{}</title><desc id="funnel-told">{}</desc>'
        ).format(WIDTH, height, title, told)
    ]
    for place, bar in enumerate(bars):
        top = ROW * place
        parts.append(
            Markup(
                '<text class="funnel-name" x="0" y="{}">{}</text>'
                '<text class="funnel-count" x="{}" y="{}" text-anchor="end">{}</text>'
                '<rect class="funnel-all" x="0" y="{}" width="{}" height="{}" rx="3"/>'
            ).format(
                top + 14, bar.name, WIDTH, top + 14, _said(bar, withheld), top + 20, WIDTH, BAR
            )
        )
        if bar.count and longest:
            wide = max(round(WIDTH * bar.count / longest, 1), 2.0)
            parts.append(
                Markup(
                    '<rect class="funnel-bar {}" x="0" y="{}" width="{}" height="{}" rx="3"/>'
                ).format(bar.tone, top + 20, wide, BAR)
            )
    return Markup("").join([*parts, Markup("</svg>")])


def _said(bar: Bar, withheld: str) -> str:
    if bar.count is None:
        return withheld
    if not bar.of or bar.of == bar.count:
        return str(bar.count)
    return f"{bar.count} ({100 * bar.count / bar.of:.1f}%)"
