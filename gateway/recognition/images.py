"""Can the images of an examination be fetched? Decided and worded here, for pages, prompts and evidence.

What a radiologist concluded is no part of a result; the images are. An examination whose images nobody
here can fetch is shown, and not offered (E07).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

Images = Literal["reachable", "unreachable", "unknown"]

FRESH: Final = {"reachable": 86_400_000_000, "unreachable": 600_000_000}
"""µs for which an archive's answer about a study is believed."""

WORDS: Final[dict[Images, tuple[str, str]]] = {
    "reachable": ("影像可调阅", "images available"),
    "unreachable": ("影像无法调阅", "images cannot be fetched"),
    "unknown": ("尚未核实影像能否调阅", "not checked yet whether images can be fetched"),
}


def state(askable: bool, found: str, age: int) -> Images:
    """Of one study. `askable`: the record names it (UID) and its hospital has an archive in the
    register; `found` is what the archive answered `age` µs ago, empty when it was never asked."""
    if not askable:
        return "unreachable"
    if 0 <= age < FRESH.get(found, 0):
        return "reachable" if found == "reachable" else "unreachable"
    return "unknown"


def together(studies: Collection[Images]) -> Images:
    """Of an examination by its studies: one that cannot be fetched, or none at all, is not enough."""
    if not studies or "unreachable" in studies:
        return "unreachable"
    return "unknown" if "unknown" in studies else "reachable"
