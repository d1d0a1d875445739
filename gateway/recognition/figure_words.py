"""What the counts and tables are called, in Chinese and English: on pages, in files, in reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gateway.recognition.decisions import Declined


class Words(NamedTuple):
    """One name in both languages."""

    zh: str
    en: str


COUNTS: Mapping[str, Words] = {
    "eligible": Words("符合互认条件", "Eligible"),
    "silent": Words("未提示", "Not told"),
    "prompted": Words("已提示", "Prompted"),
    "viewed": Words("已查看", "Looked at"),
    "accepted": Words("认可", "Recognised"),
    "reread": Words("认可影像、重新阅片", "Images recognised, new reading"),
    "declined": Words("不认可", "Declined"),
    **{
        f"reason-{one.value}": Words(f"{one.value} {one.zh}", f"{one.value} {one.en}")
        for one in Declined
    },
    "reason-local": Words("医院自定原因", "A reason of the hospital's own list"),
    "uncounted": Words("不计入（98、99）", "Not counted (98, 99)"),
    "undecided": Words("未作决定", "No decision"),
    "repeated": Words("之后仍重复检测", "Measured again after all"),
    "saved": Words("节省的项目", "Orders not placed"),
    "emergencies": Words("急诊（不计入）", "Emergencies (left out)"),
    "unanswered": Words("核查超时", "Checks cut off"),
    "repeated-accepted": Words("认可后重复", "repeated though recognised"),
    "repeated-declined": Words("不认可后重复", "repeated after declining"),
    "repeated-uncounted": Words("98、99 后重复", "repeated after 98 or 99"),
    "repeated-undecided": Words("未作决定而重复", "repeated without a decision"),
}
TABLES: Mapping[str, Words] = {
    "item": Words("按项目", "By item"),
    "pair": Words("按出具机构 → 接收机构", "By issuer → receiver"),
    "department": Words("按科室", "By department"),
    "hook": Words("按提示方式", "By way of prompting"),
}
HOOKS: Mapping[str, Words] = {
    "patient-view": Words("接诊提示", "Reception"),
    "order-select": Words("开单提示", "Order entry"),
    "order-sign": Words("签发提示", "Order signing"),
    "portal": Words("门户", "Portal"),
    "launch": Words("嵌入页面", "Embedded page"),
    "soap": Words("SOAP 接口", "SOAP"),
    "fhir": Words("FHIR 接口", "FHIR"),
    "": Words("未说明", "Not stated"),
}
SIDES: Mapping[str, Words] = {
    "county": Words("全县", "Whole county"),
    "receiver": Words("作为接收机构", "As receiver"),
    "issuer": Words("作为出具机构", "As issuer"),
}
KINDS: Mapping[str, Words] = {
    "eligible": Words("符合条件", "eligible"),
    "prompt": Words("提示", "prompt"),
    "dismissed": Words("关闭提示", "prompt closed"),
    "view": Words("查看", "view"),
    "decision": Words("决定", "decision"),
    "revocation": Words("撤销", "revocation"),
    "repeated": Words("重复检测", "measured again"),
    "ordered": Words("仍然开单", "ordered after all"),
    "unanswered": Words("超时", "cut off"),
}
WITHHELD = Words("少于 5 例或可推算，不显示", "withheld: fewer than 5, or would tell such a count")
METHOD = Words(
    "1 至 4 的计数不显示；凡可由合计推算出这些计数的其他计数也不显示（“·”）。合计本身已先行同样处理，各表共用。",
    "Counts from 1 to 4 are withheld, and with them (“·”) others from which they could be computed by subtraction. Totals are treated in the same way first, once for all tables.",
)
FAIRNESS = Words(
    "互认率须与原因和分母一并阅读；分母小于 10 的不显示。本系统不产生医生个人的数字或排名。",
    "A recognition rate is read with its reasons and its denominator; over fewer than 10 none is shown. There are no figures and no ranks of persons.",
)
