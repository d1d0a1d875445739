"""What cards say: Chinese first, English for clients that ask for it."""

from __future__ import annotations

from typing import Final

from gateway.exchange.results import Hospital
from gateway.recognition.catalogue import Item
from gateway.services import Services

WORDS: Final[dict[str, tuple[str, str]]] = {
    "summary": (
        "{name}：{hospital} {age}前已有可互认结果",
        "{name}: {hospital} has it, {age} old, may be recognised",
    ),
    "summary-more": (
        "{name}等{count}项：{hospital} {age}前已有可互认结果",
        "{name} and {more} more: {hospital} has them, newest {age} old, may be recognised",
    ),
    "for-information": (
        "{name}：{hospital} {age}前有结果，急诊仅供参考",
        "{name}: {hospital} has it, {age} old; emergency, for information only",
    ),
    "several": ("{hospital}等{count}家医院", "{hospital} and {more} more hospitals"),
    "several-items": ("{name}等{count}项", "{name} and {more} more"),
    "view": (
        "{hospital}等有 {count} 项结果可在本院互认",
        "{count} results of {hospital} and others may be recognised here",
    ),
    "view-one": (
        "{hospital}有 {count} 项结果可在本院互认",
        "{count} results of {hospital} may be recognised here",
    ),
    "item": ("项目", "Item"),
    "result": ("结果", "Result"),
    "range": ("参考范围", "Range"),
    "flag": ("提示", "Flag"),
    "collected": ("采集时间", "Collected"),
    "hospital": ("医院", "Hospital"),
    "how": ("实验室 · 方法 · 标识", "Laboratory · method · mark"),
    "count": ("项数", "Results"),
    "newest": ("最近", "Newest"),
    "items": ("项目", "Items"),
    "why": (
        "**为什么可以互认**：项目在目录内，出具机构采样时和现在均有资格，未超过时限（{windows}），标本与方法相符。",
        "**Why it counts**: listed; the laboratory was entitled at collection and is now; within its "
        "window ({windows}); specimen and method fit.",
    ),
    "window": ("{name} {days} 天内，现 {age}", "{name} within {days} days, now {age}"),
    "look-at": ("**请留意**：{flags}。", "**Mind**: {flags}."),
    "missing": (
        "**没有可互认结果的项目**：{items}。",
        "**Without a result to recognise**: {items}.",
    ),
    "beyond": (
        "医嘱中还有目录外的部分，不在比较之列。",
        "Parts of the order are not in the catalogue and were not compared.",
    ),
    "late": (
        "**可能不全**：{hospitals} 的数据尚未到齐。",
        "**May be incomplete**: data of {hospitals} has not arrived.",
    ),
    "yours": (
        "是否互认由您决定；原报告的诊断结论仅供参考。是否取消医嘱由您的医院信息系统执行。",
        "Whether to recognise is yours to decide; a conclusion in the report is for reference only. "
        "Your own system removes or keeps the order.",
    ),
    "emergency": (
        "急诊就诊：仅供参考，不计入互认统计。",
        "An emergency visit: for information, not counted.",
    ),
    "remove": ("互认：取消重复的医嘱", "Recognise: remove the repeated orders"),
    "only-missing": ("互认：只开缺少的项目", "Recognise: order only what is missing"),
    "delete": ("取消医嘱：{name}", "Remove the order: {name}"),
    "create": ("开单：{name}", "Order: {name}"),
    "link": ("查看原报告", "See the report"),
    "hours": ("{n} 小时", "{n} h"),
    "days": ("{n} 天", "{n} days"),
    "an-hour": ("1 小时内", "an hour"),
    "unknown": ("时间不明", "at an unknown time"),
    "comma": ("、", ", "),
    "stop": ("；", "; "),
}
"""Chinese and English; braces are filled in."""


def say(key: str, english: bool, **given: object) -> str:
    """One sentence in the client's language."""
    return WORDS[key][english].format(**given)


def item_name(item: Item, english: bool) -> str:
    """What a catalogue item is called."""
    return (item.name_en if english else "") or item.name_zh


def hospital_name(id: str, services: Services, english: bool) -> str:
    """What an organisation is called."""
    found = services.register.get(id)
    return (found.en if english else "") or found.zh


def age(clock: int | None, at: int, english: bool) -> str:
    """How long ago: hours up to two days, then days."""
    if clock is None:
        return say("unknown", english)
    hours = max(0, at - clock) // 3_600_000_000
    if hours < 1:
        return say("an-hour", english)
    return say("hours", english, n=hours) if hours < 48 else say("days", english, n=hours // 24)


def late(hospitals: tuple[Hospital, ...], own: str, services: Services, english: bool) -> str:
    """Other hospitals whose data did not come in time, empty when all did."""
    names = [
        hospital_name(one.organization, services, english)
        for one in hospitals
        if one.state != "answered" and one.organization != own
    ]
    return say("comma", english).join(names)
