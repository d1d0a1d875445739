"""What the sheets of a catalogue are called and which columns they have, in files and in Excel alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Column(NamedTuple):
    """A column: its name in CSV, its head in Excel, and what a cell means where it is left out.

    `missing` None: the column must be there.
    """

    name: str
    zh: str
    missing: str | None = None


class Sheet(NamedTuple):
    """A sheet: its name (the file's without .csv), its tab in Excel, its columns and its key."""

    name: str
    zh: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns as CSV writes them."""
        return tuple(column.name for column in self.columns)

    def called(self, column: str) -> str:
        """The Chinese head of a column; the name itself when it is none of ours."""
        return next((one.zh for one in self.columns if one.name == column), column)


def _sheet(name: str, zh: str, key: str, *columns: tuple[str, str] | tuple[str, str, str]) -> Sheet:
    return Sheet(name, zh, tuple(Column(*column) for column in columns), tuple(key.split()))


ITEMS = _sheet(
    "items", "项目", "code effective_from",
    ("code", "编码"), ("name_zh", "中文名称"), ("name_en", "英文名称"), ("kind", "类别"),
    ("loinc", "LOINC"), ("ucum", "单位"), ("specimen", "标本"), ("methods", "方法"),
    ("modality", "设备类型"), ("body_part", "部位"), ("laterality_required", "须注明侧别"),
    ("qualitative", "定性"), ("comparability", "可比性"), ("op_days", "门诊时限（天）"),
    ("ip_days", "住院时限（天）"), ("groups", "项目组"), ("scopes", "互认范围"),
    ("negative_list", "负面清单"), ("protected_category", "受保护类别"),
    ("eqa_programme", "室间质评计划"), ("confidence", "核对程度"), ("effective_from", "生效日"),
    ("effective_to", "失效日"), ("version", "版本"), ("approved_by", "核准"),
    ("property", "特性", ""), ("contrast", "增强", ""), ("platform_only", "仅限同平台", "no"),
    ("quality_facts", "质量要点", ""),
)  # fmt: skip
SCOPES = _sheet(
    "scopes", "范围", "code",
    ("code", "编码"), ("within", "隶属"), ("kind", "级别"), ("marks", "互认标识"),
    ("name_zh", "中文名称"), ("name_en", "英文名称"),
)  # fmt: skip
PANELS = _sheet(
    "panels", "组合", "code",
    ("code", "编码"), ("name_zh", "中文名称"), ("name_en", "英文名称"), ("codings", "通用编码"),
    ("items", "项目"),
)  # fmt: skip
ORDERS = _sheet(
    "orders", "医嘱对照", "organization code",
    ("organization", "机构"), ("code", "编码"), ("name_zh", "中文名称"), ("name_en", "英文名称"),
    ("codings", "医嘱编码"), ("names", "医嘱名称"), ("items", "项目"),
)  # fmt: skip
WINDOWS = _sheet(
    "windows", "时限", "item patient_class department",
    ("item", "项目"), ("patient_class", "就诊类型"), ("department", "科室"), ("days", "天数"),
    ("clock", "起算"),
)  # fmt: skip
PRICES = _sheet(
    "prices", "价格", "item level", ("item", "项目"), ("level", "医院级别"), ("amount", "金额（元）")
)  # fmt: skip
MEMBERS = _sheet(
    "members", "成员", "organization scope valid_from",
    ("organization", "机构"), ("scope", "范围"), ("valid_from", "自"), ("valid_to", "至"),
)  # fmt: skip
ENTITLEMENTS = _sheet(
    "entitlements", "互认资格", "organization item item_group scope valid_from",
    ("organization", "机构"), ("item", "项目"), ("item_group", "项目组"), ("scope", "范围"),
    ("valid_from", "自"), ("valid_to", "至"), ("status", "状态"), ("basis", "依据"),
    ("evidence", "凭证"), ("decided_by", "决定者"), ("decided_at", "决定日"),
)  # fmt: skip

VERSIONED = (ITEMS, SCOPES, PANELS, ORDERS, WINDOWS, PRICES)
"""What a version of the catalogue consists of."""
REGISTER = (MEMBERS, ENTITLEMENTS)
"""Who belongs where and may what: a register of its own, whose every change is an event."""
SHEETS: Mapping[str, Sheet] = {sheet.name: sheet for sheet in (*VERSIONED, *REGISTER)}

Cells = Mapping[str, Sequence[Sequence[str]]]
"""The texts of sheets by name, row by row, in the order of the sheet's columns."""
