"""The county's registers as data: which columns a line of each has, and what may stand in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, NamedTuple

from gateway.recognition.rights import DataClass, Level, Use

Kind = Literal["system", "right", "resource", "element"]
KINDS: tuple[Kind, ...] = ("system", "right", "resource", "element")

LEVELS: dict[str, str] = {
    Level.MINISTRY: "部",
    Level.PROVINCE: "省",
    Level.CITY: "市",
    Level.COUNTY: "县",
    Level.INSTITUTION: "机构",
}
CLASSES: dict[str, str] = {
    DataClass.IDENTITY: "身份信息",
    DataClass.VISITS: "就诊",
    DataClass.DIAGNOSES: "诊断",
    DataClass.LABORATORY: "检验结果",
    DataClass.IMAGING: "影像检查",
    DataClass.DOCUMENTS: "文书",
    DataClass.CONSENT: "知情同意",
    DataClass.DECISIONS: "互认决定",
    DataClass.STATISTICS: "统计数据",
}
USES: dict[str, str] = {
    Use.VIEW: "查看",
    Use.MATCH: "匹配",
    Use.STORE: "存储",
    Use.FORWARD: "转发",
    Use.STATISTICS: "统计",
}
INTERFACES = {
    "hl7v2": "HL7 v2",
    "soap": "SOAP/XML",
    "cda": "CDA 文档",
    "view": "数据库视图",
    "fhir": "FHIR",
    "dicom": "DICOM",
    "file": "文件交换",
    "web": "网页",
    "none": "无接口",
}
SHARING = {"unconditional": "无条件共享", "conditional": "有条件共享", "none": "不予共享"}
CONFIDENCE = {"certain": "已核对", "likely": "待核对", "none": "无对应"}

LONGEST = 2_000
MOST_LINES = 5_000
_NAME = re.compile(r"[A-Za-z0-9\u4e00-\u9fff][A-Za-z0-9\u4e00-\u9fff:._/ -]{0,119}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in JSON, in Chinese, and what may stand in it.

    `choices` are code → Chinese word; a `many` column holds several codes or names with spaces between.
    """

    name: str
    zh: str
    required: bool = False
    choices: Mapping[str, str] = field(default_factory=dict)
    many: bool = False
    day: bool = False
    long: bool = False


def _c(
    name: str,
    zh: str,
    choices: Mapping[str, str] | None = None,
    *,
    required: bool = False,
    many: bool = False,
    day: bool = False,
    long: bool = False,
) -> Column:
    return Column(name, zh, required, choices or {}, many, day, long)


COLUMNS: dict[Kind, tuple[Column, ...]] = {
    "system": (
        _c("id", "系统编号", required=True),
        _c("name", "系统名称", required=True),
        _c("level", "权属层级", LEVELS, required=True),
        _c("owner", "权属单位", required=True),
        _c("organization", "所属机构代码"),
        _c("purpose", "用途", long=True),
        _c("classes", "数据类别", CLASSES, many=True),
        _c("interface", "接口方式", INTERFACES, required=True),
        _c("right", "使用权依据"),
        _c("start", "使用权起", day=True),
        _c("end", "使用权止", day=True),
        _c("contact", "联系人"),
        _c("contract_end", "合同到期", day=True),
        _c("sources", "对应来源", many=True),
        _c("clients", "对应客户端", many=True),
    ),
    "right": (
        _c("holder", "权利人", required=True),
        _c("data_class", "数据类别", CLASSES, required=True),
        _c("use", "使用方式", USES, required=True),
        _c("document", "法律依据", required=True),
        _c("start", "生效日", required=True, day=True),
        _c("end", "截止日", day=True),
    ),
    # The metadata of GB/T 21063.3-2007 as the compilation guide of 2017 (发改高技〔2017〕1272号) asks for it.
    "resource": (
        _c("code", "信息资源代码", required=True),
        _c("class", "信息资源分类", required=True),
        _c("name", "信息资源名称", required=True),
        _c("provider", "信息资源提供方", required=True),
        _c("provider_code", "提供方代码"),
        _c("abstract", "信息资源摘要", required=True, long=True),
        _c("format", "信息资源格式", required=True),
        _c("items", "信息项（名称:类型:长度）", long=True),
        _c("sharing", "共享类型", SHARING, required=True),
        _c("conditions", "共享条件", long=True),
        _c("method", "共享方式"),
        _c("open", "是否向社会开放", {"yes": "是", "no": "否"}, required=True),
        _c("open_conditions", "开放条件"),
        _c("cycle", "更新周期"),
        _c("published", "发布日期", day=True),
        _c("related", "关联资源代码", many=True),
    ),
    "element": (
        _c("identifier", "标识符", required=True),
        _c("zh", "中文名称", required=True),
        _c("field", "字段名", required=True),
        _c("data_class", "数据类名", CLASSES, required=True),
        _c("definition", "定义", required=True, long=True),
        _c("type", "数据类型", required=True),
        _c("format", "表示格式"),
        _c("domain", "值域", long=True),
        _c("paths", "FHIR 路径", many=True),
        _c("columns", "来源字段", many=True),
        _c("standard", "WS 363/364 标识符"),
        _c("confidence", "核对情况", CONFIDENCE, required=True),
    ),
}
TITLES: dict[Kind, str] = {
    "system": "系统清单",
    "right": "使用权矩阵",
    "resource": "资源目录",
    "element": "数据元",
}
KEY: dict[Kind, str] = {
    "system": "id",
    "right": "",
    "resource": "code",
    "element": "identifier",
}


class Fault(NamedTuple):
    """Something that cannot be meant: the row (1 is the first line under the titles), the column, and
    why in both languages."""

    row: int
    column: str
    zh: str
    en: str

    @property
    def text(self) -> str:
        """The whole complaint, in Chinese."""
        return f"第 {self.row} 行“{self.column}”：{self.zh}"


Line = Mapping[str, str]


def id_of(kind: Kind, line: Line) -> str:
    """The name of a line in its register."""
    if kind == "right":
        return f"{line['holder']}.{line['data_class']}.{line['use']}"
    return line[KEY[kind]]


def checked(
    kind: Kind, given: Mapping[str, str], row: int = 1
) -> tuple[dict[str, str], list[Fault]]:
    """A line as it is kept, every column in it, and what is wrong with it.

    Choices may be given by code or by Chinese word. Text is kept as it is; only the ends are trimmed.
    """
    line: dict[str, str] = {}
    faults: list[Fault] = []
    for column in COLUMNS[kind]:
        text = str(given.get(column.name, "") or "").strip()
        line[column.name], wrong = _read(column, text)
        faults += [Fault(row, column.zh, *one) for one in wrong]
    if not faults:
        faults += [Fault(row, *one) for one in _together(kind, line)]
    return line, faults


def _read(column: Column, text: str) -> tuple[str, list[tuple[str, str]]]:
    if not text:
        return "", [("必须填写", "must be filled in")] if column.required else []
    if len(text) > LONGEST:
        return "", [(f"超过 {LONGEST} 个字符", f"is longer than {LONGEST} characters")]
    if _CONTROL.search(text):
        return "", [("含有不可见的控制字符", "holds control characters that nobody sees")]
    if column.day:
        try:
            return date.fromisoformat(text[:10].replace("/", "-")).isoformat(), []
        except ValueError:
            return "", [("日期写作 2026-03-01", "is a date such as 2026-03-01")]
    if column.choices:
        codes = {word: code for code, word in column.choices.items()}
        codes |= {code: code for code in column.choices}
        said = re.split(r"[\s,，、;；]+", text) if column.many else [text]
        unknown = [one for one in said if one and one not in codes]
        if unknown:
            none = unknown[0][:20]
            zh = f"“{none}”不在可选项中：{'、'.join(column.choices.values())}"
            return "", [(zh, f"“{none}” is none of {', '.join(column.choices)}")]
        return " ".join(dict.fromkeys(str(codes[one]) for one in said if one)), []
    if column.many:
        return " ".join(dict.fromkeys(one for one in re.split(r"[\s,，、;；]+", text) if one)), []
    return text, []


def _together(kind: Kind, line: Line) -> Iterator[tuple[str, str, str]]:
    key = KEY[kind]
    if key and not _NAME.fullmatch(line[key]):
        named = next(one.zh for one in COLUMNS[kind] if one.name == key)
        why = "only letters, digits, Chinese characters and . _ - / :, 120 at most"
        yield named, "只用字母、数字、汉字和 . _ - / :，最多 120 个字符", why
    if kind in ("system", "right") and "" < line["end"] < line["start"]:
        yield "截止日" if kind == "right" else "使用权止", "早于起始日", "lies before the first day"
    if kind == "right":
        sort, _, name = line["holder"].partition(":")
        if sort not in ("level", "organization", "system") or not name:
            why = "write level:LEVEL, organization:CODE or system:ID"
            yield "权利人", "写作 level:层级、organization:机构代码 或 system:系统编号", why
        elif sort == "level" and name not in set(Level):
            yield (
                "权利人",
                f"层级是 {'、'.join(Level)} 之一",
                f"a level is one of {', '.join(Level)}",
            )
        elif not _NAME.fullmatch(name):
            yield "权利人", "名称含有不允许的字符", "holds characters that no name may have"
    if kind == "resource" and line["sharing"] != "unconditional" and not line["conditions"]:
        why = "say under which conditions it is shared, or why it is not"
        yield "共享条件", "有条件共享或不予共享时必须说明条件或依据", why


def said(column: Column, value: str) -> str:
    """A value in words: codes become their Chinese words."""
    if not column.choices:
        return value
    return "、".join(column.choices.get(code, code) for code in value.split())


def changed(kind: Kind, before: Line | None, after: Line) -> tuple[tuple[Column, str, str], ...]:
    """The columns in which two versions of a line differ: (column, before, after), in words."""
    return tuple(
        (column, said(column, was), said(column, now))
        for column in COLUMNS[kind]
        if (was := (before or {}).get(column.name, "")) != (now := after.get(column.name, ""))
    )


def days_left(line: Line, names: Iterable[str], today: date) -> int | None:
    """Days until the earliest of these columns, negative when past; None when none is filled."""
    ends = [date.fromisoformat(line[name]) for name in names if line.get(name)]
    return min((end - today).days for end in ends) if ends else None
