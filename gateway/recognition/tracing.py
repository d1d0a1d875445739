"""Explains a stored judgement step by step, and makes it again to see that it was made so.

    found = review(case, judgement, catalogue)     # the stored bytes, and the catalogue of that day
    found.same                                     # byte for byte
    for step in found.steps: step.zh, step.en

A reviewer needs nothing but this and the words: the first failed step gives the reason, and where
the walk went on to its end in spite of it, the result was shown for information.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.recognition import annex_d_1, images
from gateway.recognition import judgement as stored
from gateway.recognition.catalogue import Catalogue
from gateway.recognition.eligibility import replay
from gateway.recognition.judgement import Judgement, Outcome, Step

Words = tuple[str, str]
"""Chinese, English."""


@dataclass(frozen=True, slots=True)
class Told:
    """One step in words: what was asked, and what was found."""

    number: int
    passed: bool
    asked: Words
    found: Words

    @property
    def zh(self) -> str:
        """One line in Chinese."""
        return f"第{self.number}步 {self.asked[0]}：{'通过' if self.passed else '未通过'}，{self.found[0]}"

    @property
    def en(self) -> str:
        """The same in English."""
        passed = "passed" if self.passed else "failed"
        return f"Step {self.number}, {self.asked[1]}: {passed}, {self.found[1]}"


@dataclass(frozen=True, slots=True)
class Review:
    """A stored judgement beside the one made again from the stored case.

    `same`: byte for byte. `derived`: the outcome that follows from the stored steps alone.
    """

    judgement: Judgement
    again: Judgement
    same: bool
    derived: Outcome
    steps: tuple[Told, ...]

    @property
    def sound(self) -> bool:
        """The case gives this judgement, and its steps give its outcome."""
        return self.same and self.derived is self.judgement.outcome


def review(case: bytes, judgement: bytes, catalogue: Catalogue) -> Review:
    """Make a stored judgement again. LookupError when this is not the catalogue it was made under
    (version and state of the register), or nobody knows its rules; msgspec.MsgspecError when the bytes are no case or judgement."""
    found = stored.read(judgement)
    if found.rules.get("catalogue") != catalogue.version:
        raise LookupError("judged under another version of the catalogue")
    if found.rules.get("register", catalogue.register) != catalogue.register:
        raise LookupError("judged under another state of the register")
    again = replay(stored.decode(case), catalogue)
    same = stored.written(again) == judgement
    return Review(
        found, again, same, outcome_of(found.trace, found.rules["rules"]), explained(found)
    )


def outcome_of(trace: Sequence[Step], rules: str) -> Outcome:
    """The outcome that follows from the steps: none failed; or some did and the walk still went to
    its last step; or it stopped. The first version of the rules knew two outcomes only."""
    if all(step.passed for step in trace):
        return Outcome.ELIGIBLE
    finished = trace[-1].number == _LAST and rules != annex_d_1.RULES
    return Outcome.INFORMATIONAL if finished else Outcome.NONE


def explained(judgement: Judgement) -> tuple[Told, ...]:
    """Every step taken, in words. A note nobody knows is told as it stands."""
    return tuple(
        Told(step.number, step.passed, ASKED.get(step.number, ("", "")), _found(step))
        for step in judgement.trace
    )


_LAST = 11
ASKED: dict[int, Words] = {
    2: ("患者身份", "identity of the patient"),
    3: ("受保护类别", "protected categories"),
    4: ("报告状态与版本", "status and version"),
    5: ("结果来源", "source of the result"),
    6: ("互认目录", "the catalogue"),
    7: (
        "标本、方法、平台、部位、侧别与造影剂",
        "specimen, method, platform, body part, side, contrast",
    ),
    8: ("出具机构的互认资格", "entitlement of the laboratory"),
    9: ("互认时限", "the window"),
    10: ("结果能否解读、影像能否调阅", "whether value and images can be read"),
    11: ("就诊类别", "kind of visit"),
}


def _found(step: Step) -> Words:
    for pattern, words in _NOTES.get(step.number, ()):
        if match := pattern.fullmatch(step.note):
            return words(match, step.passed)
    return step.note, step.note


_Say = Callable[["re.Match[str]", bool], Words]


def _fixed(zh: str, en: str) -> _Say:
    """These words, with what the note's groups hold in the places {0}, {1} …"""
    return lambda match, passed: (zh.format(*match.groups()), en.format(*match.groups()))


def _either(yes: Words, no: Words) -> _Say:
    return lambda match, passed: _fixed(*(yes if passed else no))(match, passed)


_SOURCES = {
    "clinical": ("临床诊疗", "clinical care"),
    "unknown": ("来源类别不明", "source not stated"),
    "health-check": ("健康体检", "a health check"),
    "research": ("科研", "research"),
    "poct": ("床旁检测", "point of care"),
}
_CLOCKS = {
    "collected": ("采样时间", "collection"),
    "acquired": ("影像采集时间", "acquisition"),
    "effective": ("检查时间", "examination"),
    "issued": ("报告时间", "report"),
}
_VISITS = {
    "OP": ("门诊", "outpatient"),
    "IP": ("住院", "inpatient"),
    "EM": ("急诊，仅供参考，不计入统计", "emergency: shown, not counted"),
    "preoperative": ("术前，仅供参考，不计入统计", "before an operation: shown, not counted"),
}
_MISFITS = {
    "fits": ("相符", "they fit"),
    "specimen": ("标本不符", "the specimen does not fit"),
    "method": ("方法不符", "the method does not fit"),
    "platform": ("检测平台不同或未注明", "another platform, or none stated"),
    "modality": ("检查设备类型不符", "another modality"),
    "body part": ("部位不符", "another body part"),
    "laterality": ("未注明侧别", "the side is not stated"),
    "contrast": ("造影剂使用不符", "contrast does not fit"),
}


def _one_of(table: dict[str, Words]) -> list[tuple[re.Pattern[str], _Say]]:
    return [(re.compile(re.escape(note)), _fixed(*words)) for note, words in table.items()]


def _when(match: re.Match[str], passed: bool) -> Words:
    clock, days, window = match.groups()
    zh, en = _CLOCKS[clock]
    return f"自{zh}起{days}天，时限{window}天", f"{days} days since {en}, of {window} allowed"


_NOTES: dict[int, list[tuple[re.Pattern[str], _Say]]] = {
    2: [
        (re.compile("identity tier 1"), _fixed("身份已确认", "certain")),
        (re.compile("identity tier 2"), _fixed("可能是同一人，请核对证件", "possibly the same person")),
        (re.compile(r"identity tier (\d+)"), _fixed("身份未确认", "not certain")),
    ],
    3: _one_of({
        "no sensitivity": ("不属于受保护类别", "none"),
        "sensitivity": ("属于受保护类别", "a protected category"),
    }),
    4: [
        (re.compile("not the latest version"), _fixed("不是最新版本", "not the latest version")),
        (re.compile("disputed"), _fixed("归属存疑", "disputed")),
        (re.compile("report (.+)"), _fixed("报告状态 {0}", "the report is {0}")),
        (re.compile("status none"), _either(("无状态", "no status"), ("无状态", "no status"))),
        (
            re.compile("status (.+)"),
            _either(
                ("状态 {0}", "status {0}"),
                ("状态 {0}，未定稿、已作废或不是最新", "status {0}: not final, withdrawn or not the latest"),
            ),
        ),
    ],
    5: _one_of(_SOURCES),
    6: [
        *_one_of({
            "no item": ("没有对应的互认项目", "no item of the catalogue"),
            "several items": ("编码对应多个互认项目", "the code means several items"),
            "negative list": ("在负面清单内", "on the negative list"),
            "not in the receiver's scopes": ("互认范围不含接收机构", "not in the receiver's scopes"),
        }),
        (
            re.compile("(.+)"),
            _either(("项目 {0}", "item {0}"), ("项目 {0} 在负面清单内", "item {0} is on the negative list")),
        ),
    ],
    7: _one_of(_MISFITS),
    8: [
        *_one_of({
            "own result": ("本院结果，无需资格", "one's own result needs none"),
            "not then": ("采样时没有资格", "not entitled when it was measured"),
            "not now": ("目前没有资格", "not entitled now"),
            "never": ("采样时和目前都没有资格", "entitled neither then nor now"),
        }),
        (re.compile("suspended in (.+)"), _fixed("在 {0} 的资格已暂停", "suspended in {0}")),
        (re.compile("revoked in (.+)"), _fixed("在 {0} 的资格已撤销", "revoked in {0}")),
        (re.compile("(.+) in (.+)"), _fixed("在 {1} 有资格，依据 {0}", "entitled in {1} by {0}")),
    ],
    9: [
        (re.compile("no time"), _fixed("没有可用的时间", "no time is known")),
        (re.compile(r"(\w+), (-?\d+) of (\d+) days"), _when),
    ],
    10: [
        *((re.compile(f"images {name}"), _fixed(*words)) for name, words in images.WORDS.items()),
        (
            re.compile(r"(\S+)\s?(.*)"),
            _either(
                ("结果类型 {0} {1}", "a {0} {1}"),
                ("结果类型 {0} {1}，无法解读", "a {0} {1}, which cannot be interpreted"),
            ),
        ),
    ],
    11: _one_of(_VISITS),
}  # fmt: skip
