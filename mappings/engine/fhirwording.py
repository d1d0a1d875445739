"""The sentences of the issues that only FHIR, JSON and row input raise; see wording.py."""

from __future__ import annotations

import re

from mappings.engine import jsontext

SENTENCES: dict[str, tuple[str, str]] = {
    "fhir-xml": ("只接受 JSON 格式的 FHIR，不接受 XML", "only FHIR in JSON is accepted, not XML"),
    "not-a-resource": (
        "不是 FHIR 资源（没有 resourceType）",
        "this is not a FHIR resource (no resourceType)",
    ),
    "bundle-type": (
        "不接受这种 Bundle；可用 message、transaction、batch、collection、document",
        "this type of Bundle is not taken in; use message, transaction, batch, collection or document",
    ),
    "message-header-missing": (
        "message 类型的 Bundle 第一项必须是 MessageHeader",
        "the first entry of a message Bundle must be a MessageHeader",
    ),
    "several-patients": (
        "一条消息只能涉及一位患者；多位患者请用 batch 发送",
        "a message names one patient; send a batch for several",
    ),
    "bundle-of-several": (
        "一个 Bundle 涉及多位患者，已分别归档；原文作为整体保存",
        "the Bundle names several patients; each was filed apart, the text is kept as one",
    ),
    "too-many-entries": ("Bundle 的条目太多", "the Bundle has too many entries"),
    "entry-not-supported": (
        "该条目没有资源，或请求方法不是 POST、PUT，没有执行",
        "the entry has no resource, or its method is not POST or PUT; it was not carried out",
    ),
    "identity-of-message": (
        "资源没有稳定的编号，重发时会被当作新的资源",
        "the resource has no stable number; sent again in another form it will be taken for a new one",
    ),
    "reference-unresolved": (
        "引用的目标不在本次内容中，按原文保留",
        "what this reference points at is not in the delivery; it was kept as sent",
    ),
    # rows
    "columns-missing": (
        "缺少登记过的列，整份数据没有读取；请核对视图或导出设置",
        "declared columns are missing; nothing was read, check the view or export",
    ),
    "columns-new": (
        "出现没有登记的列或重复的列，整份数据没有读取；请核对视图或导出设置",
        "a column is not declared or stands twice; nothing was read, check the view or export",
    ),
    "csv-broken": (
        "CSV 的引号不配对，整份数据没有读取",
        "a quote in the CSV is not closed; nothing was read",
    ),
    "row-width": (
        "这一行的列数与表头不同，没有读取",
        "the row has another number of cells than the heading; it was not read",
    ),
    "row-cell": (
        "单元格既不是文字也不是数字，这一行没有读取",
        "a cell is neither text nor number; the row was not read",
    ),
    "charset-by-mark": (
        "文件开头的字节序标记与登记的字符集不同，已按标记读取",
        "the file's byte order mark names another character set than the registered one; read by the mark",
    ),
    "charset-utf16": (
        "文件是 UTF-16（“Unicode 文本”），请另存为 CSV UTF-8 或 GB18030",
        'the file is UTF-16 ("Unicode text"); save it as CSV in UTF-8 or GB18030',
    ),
    "row-not-object": ("每一行必须是一个 JSON 对象", "each row must be a JSON object"),
    "too-many-rows": ("一次发送的行太多", "too many rows in one delivery"),
    # validity of FHIR input
    "r4-code": ("该元素的代码不在 FHIR 规定的取值之内", "the code is not one FHIR requires here"),
    "r4-missing": ("缺少 FHIR 规定必填的元素", "an element that FHIR requires is missing"),
    "r4-unknown": ("FHIR 没有定义这个元素", "FHIR defines no such element here"),
    "r4-type": (
        "元素的 JSON 类型不对（应为文字、数值、对象或数组）",
        "the element has not the JSON type FHIR wants (text, number, object, array)",
    ),
    "r4-form": (
        "内容的格式不符合 FHIR（日期、时间、编号、地址等）",
        "the text has not the form FHIR wants (date, time, id, address …)",
    ),
    "r4-choice": ("多选一的元素出现了多个", "several variants of a choose-one element are present"),
    "r4-empty": (
        "FHIR 不允许空数组、空对象和空字符串",
        "FHIR allows no empty array, object or string",
    ),
    "r4-null": ("FHIR 不允许这里为 null", "FHIR allows no null here"),
    "r4-character": (
        "字符串含有 FHIR 不允许的控制字符",
        "the string holds a control character FHIR forbids",
    ),
    "r4-number-as-text": ("数值写成了字符串", "a number was written as a string"),
    "r4-number": ("FHIR 的数值不允许这种写法", "FHIR does not allow a number in this form"),
    "r4-rule": ("不符合 FHIR 对该资源的约束", "a constraint of FHIR on this resource is not met"),
    "r4-reference": ("引用的资源类型不对", "the reference points at a wrong type of resource"),
    "r4-second-opinion": (
        "另一套校验程序（fhir.resources）认为这里有问题，请核对",
        "another validator (fhir.resources) sees a fault here; check it",
    ),
    "r4-type-unknown": ("FHIR R4 没有这种资源", "FHIR R4 has no such resource type"),
} | {
    f"json-{code}": (zh, en[0].lower() + en[1:].rstrip("."))
    for code, (zh, en) in jsontext.SENTENCES.items()
}


_PLACES = (
    (re.compile(r"row (\d+) → (.+)"), r"第 \1 行 → \2"),
    (re.compile(r"row (\d+)"), r"第 \1 行"),
    (re.compile(r"row (\d+) ((?!column \d)[^:→]+)"), r"第 \1 行 \2 列"),
    (re.compile(r"line (\d+) column (\d+)"), r"第 \1 行第 \2 列"),
    (re.compile(r"header column (\d+)"), r"表头第 \1 列"),
    (re.compile(r"row (\d+) column (\d+)"), r"第 \1 行第 \2 列"),
    (re.compile(r"header: (.+)"), r"表头缺 \1"),
    (re.compile(r"row (\d+): (.+)"), r"第 \1 行缺 \2"),
    (re.compile(r"line (\d+) (\S+)"), r"第 \1 行 \2"),
    (re.compile(r"instance (\d+)( .+)?"), r"第 \1 个实例\2"),
    (re.compile(r"line (\d+)"), r"第 \1 行"),
    (re.compile(r"(.+) \(line (\d+)\)"), r"\1（第 \2 行）"),
)


def chinese_place(place: str) -> str:
    """A place as hospital people say it (``row 381 JG``: 第 381 行 JG 列); an address alone is unchanged."""
    for form, said in _PLACES:
        if match := form.fullmatch(place):
            return match.expand(said)
    return place
