"""The sixteen detectors: sentences and thresholds from `detectors.toml`, their code by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from mappings.quality import codes, counting, fields, persons, times
from mappings.quality.counting import Judge, Label, Notice

__all__ = ["DETECTORS", "Detector", "Label", "Threshold"]


class Threshold(msgspec.Struct, frozen=True):
    """When a source is to be looked at, and where the numbers come from."""

    share: float
    least: int
    why: str

    def crossed(self, seen: int, struck: int) -> bool:
        """Whether so many strikes among so many are a finding."""
        return struck > 0 and seen >= self.least and struck >= self.share * seen


class Detector(msgspec.Struct, frozen=True):
    """One defect: its name, its sentences in Chinese and English, its threshold.

    `notice` turns a message into labels and `judge` the counted labels of all days into strikes; both
    are None for a detector whose counts come from elsewhere (the inbox, the doors, the hospital).
    """

    name: str
    number: int
    zh: str
    en: str
    means_zh: str
    means_en: str
    do_zh: str
    do_en: str
    threshold: Threshold
    notice: Notice | None = None
    judge: Judge | None = None


_CODE: Mapping[str, tuple[Notice, Judge]] = {
    "equal-times": (times.equal_times, counting.each),
    "last-item-only": (codes.last_item_only, counting.each),
    "share-of-other": (codes.share_of_other, counting.each),
    "gender-unknown": (persons.gender_unknown, counting.each),
    "truncated-text": (fields.truncated_text, fields.lengths_spike),
    "default-values": (fields.default_values, fields.defaults_rule),
    "code-meaning": (codes.code_meaning, codes.meanings_differ),
    "time-formats": (times.time_formats, times.formats_mixed),
    "clock-source": (times.clock_source, counting.each),
    "amended-as-new": (persons.amended_as_new, persons.superseded),
    "encounter-class": (persons.encounter_class, counting.each),
}


def _detectors() -> dict[str, Detector]:
    text = Path(__file__).with_name("detectors.toml").read_text("utf-8")
    found = {}
    for row in tomllib.loads(text)["detector"]:
        threshold = Threshold(row.pop("share"), row.pop("least"), row.pop("why"))
        notice, judge = _CODE.get(row["name"], (None, None))
        found[row["name"]] = Detector(**row, threshold=threshold, notice=notice, judge=judge)
    return found


DETECTORS: Mapping[str, Detector] = MappingProxyType(_detectors())
"""By name, in the order of their numbers."""
