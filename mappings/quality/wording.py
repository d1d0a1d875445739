"""The places of strikes in words: the detectors' own phrases in Chinese and English, addresses as they are."""

from __future__ import annotations

import re
from typing import Literal

_PHRASES = {
    "same": "一致",
    "contradicts": "与号码相反",
    "unknown, female by number": "不详，号码为女",
    "unknown, male by number": "不详，号码为男",
    "report time": "只有报告时间",
    "no time": "没有时间",
    "no class": "没有就诊类别",
    "health check": "体检",
    "research": "科研",
    "not received": "没有收到",
    "not sent: no-resident-id": "医院未发：无身份证号",
    "not sent: not-shared": "医院未发：未授权",
    "not sent: cancelled": "医院未发：已取消",
    "not sent: other": "医院未发：其他",
    "Observation": "检验结果",
    "DiagnosticReport": "报告",
    "DiagnosticReport.result": "报告中的结果",
    "ServiceRequest": "申请",
    "category": "报告类别",
    "modality": "设备类型",
    "-": "类别不详",
}
_LENGTH = re.compile(r"(?P<place>.+) = (?P<length>\d+) (?P<unit>characters|bytes)\Z")
_MARKS = {
    "mark unknown": "标识无法识别",
    "mark without entitlement": "有标识无资格",
    "mark on an item not listed": "标识所在项目不在目录内",
}
_UNITS = {"characters": "字", "bytes": "字节"}


def told(place: str, language: Literal["zh", "en"] = "zh") -> str:
    """A place of `Result.detail` for people; an address of the sender's stays as it is."""
    if language == "en":
        return "section unknown" if place == "-" else place
    if place in _PHRASES:
        return _PHRASES[place]
    if found := _LENGTH.match(place):
        return f"{found['place']} = {found['length']} {_UNITS[found['unit']]}"
    kind, _, item = place.partition(": ")
    if kind in _MARKS:
        return _MARKS[kind] + (f"：{item}" if item != "-" else "")
    if place.startswith("in quarantine: "):
        return f"隔离中：{place.removeprefix('in quarantine: ')}"
    return place
