"""What a second reader would say about a hospital's code table: all of it could be meant, little of it is.

`tables.read_csv` refuses what cannot be used. Here is what can be used and is probably wrong: LOINC
numbers outside the county's list, units that do not measure what the term does, codes that lost
their zeros. `lint` shows both; a map that runs does not stop over these.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Set
from typing import NamedTuple

from mappings.engine import tables, terms, unit_kinds
from mappings.engine.model import Finding
from mappings.engine.tables import Read, ReadRow
from mappings.engine.terms import Term

_MODALITY = re.compile(
    r"(?<![A-Z])(CTA|CT|MRA|MRI|MR|DR|CR)(?![A-Z])|(X线|钼靶|磁共振|彩超|超声|心电)"
)
_MODALITIES = {
    "CTA": {"CT"}, "CT": {"CT"}, "MRA": {"MR"}, "MRI": {"MR"}, "MR": {"MR"}, "磁共振": {"MR"},
    "DR": {"DX", "MG"}, "CR": {"DX", "MG"}, "X线": {"DX", "MG", "DXA"}, "钼靶": {"MG"},
    "彩超": {"US"}, "超声": {"US"}, "心电": {"ECG"},
}  # fmt: skip


class _Said(NamedTuple):
    """One remark, at a column by name."""

    zh: str
    en: str
    column: str = ""


def review(shown: str, raw: bytes, more: Set[str] = frozenset()) -> list[Finding]:
    """Doubts about a table's rows; `more` are LOINC numbers this site may use beside the county's."""
    found, _ = tables.read(shown, raw)
    if not found.header:
        return []
    remarks: list[tuple[ReadRow, _Said]] = []
    if "loinc" in found.header:
        for line in found.used:
            remarks += [(line, said) for check in _CHECKS for said in check(line.row, more)]
        remarks += [*_lookalikes(found), *_lost_zeros(found)]
    elif "ucum" in found.header:
        for line in found.used:
            remarks += [(line, said) for said in _ucum(line.row)]
    return [
        Finding(shown, line.number, line.column(found.header, said.column), said.zh, said.en)
        for line, said in remarks
    ]


def _trap(row: dict[str, str], more: Set[str]) -> Iterator[_Said]:
    trap = terms.traps().get(row["loinc"])
    if trap is not None:
        yield _Said(
            f"{trap.loinc} 用错了：{trap.zh}；多半应是 {trap.instead}",
            f"{trap.loinc} is the wrong number: {trap.en}; probably {trap.instead} is meant",
            "loinc",
        )


def _unlicensed(row: dict[str, str], more: Set[str]) -> Iterator[_Said]:
    loinc = row["loinc"]
    if not loinc or loinc in terms.traps() or loinc in more:
        return
    term = terms.licensed().get(loinc)
    if term is None:
        yield _Said(
            f"{loinc} 不在县里的 LOINC 目录中；确认后写进名为 licensed 的码表",
            f"{loinc} is not in the county's LOINC list; once checked, name it in a table called licensed",
            "loinc",
        )
    elif term.sure == "Q":
        yield _Said(
            f"{loinc} 在目录中标为不确定，请先在 LOINC 浏览器核对",
            f"{loinc} is marked uncertain in the county's list; look it up in the LOINC browser first",
            "loinc",
        )


def _unit(row: dict[str, str], more: Set[str]) -> Iterator[_Said]:
    term = terms.licensed().get(row["loinc"])
    unit = row.get("unit", "")
    if term is not None and unit and not unit_kinds.fits(unit, term.property):
        yield _Said(
            f"单位 {unit} 与 {term.loinc}（{term.name}，{term.property}）量纲不符",
            f"the unit {unit} does not measure what {term.loinc} ({term.code}, {term.property}) is",
            "unit",
        )


def _specimen(row: dict[str, str], more: Set[str]) -> Iterator[_Said]:
    term = terms.licensed().get(row["loinc"])
    said = terms.specimen_group(row.get("specimen", ""))
    meant = terms.specimen_group(term.specimen) if term is not None else ""
    if term is not None and said and meant and said != meant:
        yield _Said(
            f"标本 {row['specimen']} 与 {term.loinc}（{term.name}，{term.specimen}）不符",
            f"the specimen {row['specimen']} is not that of {term.loinc} ({term.code}, {term.specimen})",
            "specimen",
        )


def modality(name: str) -> str:
    """The word of an examination's name that says how it is done (CT, 彩超); empty without one."""
    named = _MODALITY.search(name.upper())
    return named[0] if named is not None else ""


def modality_differs(name: str, term: Term) -> str:
    """The word of an examination's name that says another modality than the term; empty if none."""
    named = modality(name)
    return "" if not named or not term.modality or term.modality in _MODALITIES[named] else named


def _modality(row: dict[str, str], more: Set[str]) -> Iterator[_Said]:
    term = terms.licensed().get(row["loinc"])
    named = modality_differs(row.get("name", ""), term) if term is not None else ""
    if term is not None and named:
        yield _Said(
            f"名称说是 {named}，而 {term.loinc} 是 {term.name}（{term.modality}）",
            f"the name says {named}, but {term.loinc} is {term.code} ({term.modality})",
            "loinc",
        )


def _says_nothing(row: dict[str, str], more: Set[str]) -> Iterator[_Said]:
    if row.get("relation") in ("equal", "equivalent") and not (row["loinc"] or row.get("target")):
        yield _Said(
            "写了等同，却没有写 LOINC", "it says equivalent, but to nothing: fill in loinc", "loinc"
        )


_CHECKS: tuple[Callable[[dict[str, str], Set[str]], Iterator[_Said]], ...] = (
    _trap,
    _unlicensed,
    _unit,
    _specimen,
    _modality,
    _says_nothing,
)


def same_but(one: str, other: str) -> str:
    """How two different codes look alike: zeros, case or width; empty when they do not."""
    if one == other:
        return ""
    wide, other_wide = (unicodedata.normalize("NFKC", code) for code in (one, other))
    if wide == other_wide:
        return "width"
    if wide.casefold() == other_wide.casefold():
        return "case"
    if wide.lstrip("0").casefold() == other_wide.lstrip("0").casefold():
        return "zeros"
    return ""


_ALIKE = {
    "width": ("全角半角", "width"),
    "case": ("大小写", "case"),
    "zeros": ("前面的零", "leading zeros"),
}


def _lookalikes(found: Read) -> Iterator[tuple[ReadRow, _Said]]:
    """Codes that differ only by zeros, case or width, and mean different things."""
    code = found.header[0]
    seen: dict[str, list[ReadRow]] = {}
    for line in found.used:
        folded = unicodedata.normalize("NFKC", line.row[code]).lstrip("0").casefold()
        for before in seen.setdefault(folded, []):
            how = same_but(before.row[code], line.row[code])
            if how and before.row["loinc"] != line.row["loinc"]:
                zh, en = _ALIKE[how]
                yield (
                    line,
                    _Said(
                        f"代码与第 {before.number} 行只差{zh}，对照却不同",
                        f"the code differs from line {before.number} only by {en}, and means another item",
                    ),
                )
                break
        seen[folded].append(line)


def _lost_zeros(found: Read) -> Iterator[tuple[ReadRow, _Said]]:
    """A number that is shorter than all the others, which begin with a zero."""
    code = found.header[0]
    numbers = [line for line in found.used if re.fullmatch(r"\d+", line.row[code], re.ASCII)]
    padded = {len(line.row[code]) for line in numbers if line.row[code].startswith("0")}
    if len(padded) != 1:
        return
    width = padded.pop()
    if sum(len(line.row[code]) == width for line in numbers) < 3:
        return
    for line in numbers:
        if len(line.row[code]) < width:
            yield (
                line,
                _Said(
                    f"代码前面的零可能被表格软件去掉了（其他代码都是 {width} 位）",
                    f"a spreadsheet may have taken the leading zeros (the other codes have {width} digits)",
                ),
            )


def _ucum(row: dict[str, str]) -> Iterator[_Said]:
    if re.search(r"[^\x21-\x7e]", row["ucum"]):
        yield _Said(
            "UCUM 代码只用英文字符，没有空格；原文写在第一列",
            "a UCUM code is ASCII without blanks; what is sent stands in the first column",
            "ucum",
        )
