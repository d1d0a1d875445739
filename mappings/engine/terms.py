"""The LOINC terms the county may use, from the catalogues shipped in `tables/`: read once, then looked up."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from mappings.engine import tables
from mappings.engine.files import HOME


class Term(NamedTuple):
    """One item of a catalogue. What a kind of item does not have is empty.

    `sure` says how its LOINC was checked (the heading of lab_items.csv); Q is uncertain.
    """

    loinc: str
    code: str
    name: str
    aliases: tuple[str, ...] = ()
    specimen: str = ""
    property: str = ""
    unit: str = ""
    sure: str = ""
    role: str = ""
    modality: str = ""
    body_part: str = ""
    laterality: str = ""

    def is_main(self) -> bool:
        """Whether it is what somebody means who says no more than the item's name."""
        return self.role in ("", "main")


class Trap(NamedTuple):
    """A number that is wrong for what it is used for, and the one that is meant."""

    loinc: str
    name: str
    instead: str
    zh: str
    en: str


@lru_cache(maxsize=1)
def licensed() -> dict[str, Term]:
    """Every term of the shipped catalogues (laboratory, examinations, panels) by LOINC number."""
    found: dict[str, Term] = {}
    for name in ("lab_items.csv", "exam_items.csv", "lab_panels.csv", "report_parts.csv"):
        for row in _rows(name):
            term = Term(
                loinc=row["loinc"],
                code=row["code"],
                name=row["name"],
                aliases=tuple(filter(None, row.get("aliases", "").split(";"))),
                **{
                    field: row.get(field, "")
                    for field in ("specimen", "property", "unit", "sure", "role", "modality",
                                  "body_part", "laterality")
                },
            )  # fmt: skip
            found[term.loinc] = term
    return found


@lru_cache(maxsize=1)
def traps() -> dict[str, Trap]:
    """Numbers that are often used wrongly."""
    found: dict[str, Trap] = {}
    for row in _rows("loinc_traps.csv"):
        zh, _, en = row["note"].partition(" / ")
        found[row["code"]] = Trap(row["code"], row["name"], row["target"], zh, en)
    return found


@lru_cache(maxsize=1)
def specimens() -> dict[str, str]:
    """Words and codes of specimens as sent, to HL7 table 0487; serum and plasma are one group."""
    return {row["code"]: row["target"] for row in _rows("v2_0487_specimen.csv")}


_TOGETHER = {"PLAS": "SER", "SERPLAS": "SER"}


def specimen_group(sent: str) -> str:
    """A specimen as sent, as a group whose members give one item; empty when it is not known."""
    code = specimens().get(sent) or specimens().get(sent.upper(), "")
    return _TOGETHER.get(code, code)


def _rows(name: str) -> list[dict[str, str]]:
    found, findings = tables.read(name, (HOME / "tables" / name).read_bytes())
    if findings:
        raise ValueError(f"{name} is damaged: {findings[0].en}")  # part of this package
    return [line.row for line in found.lines]
