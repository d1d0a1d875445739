"""Each detector strikes where its defect is, and stays silent where it is not."""

from __future__ import annotations

from typing import Any

import pytest

from mappings.quality import DETECTORS, Result, Sighting, Tally
from tests.mappings.quality.build import (
    AT_E,
    DAY,
    concept,
    number,
    patient,
    report,
    result,
    seen,
    visit,
)

SPECIMEN = {
    "resourceType": "Specimen",
    "id": "s",
    "collection": {"collectedDateTime": "2026-03-02T07:30:00+08:00"},
}
LONG = "双肺纹理增多，右肺下叶见斑片状密度增高影，边界模糊，余肺野清晰，纵隔未见肿大淋巴结。"


def texts(*lengths: int) -> list[Sighting]:
    return [seen(raw=(("YXSJ", (LONG * 50)[:length]),)) for length in lengths]


def column(name: str, *values: str) -> list[Sighting]:
    return [seen(raw=((name, value),)) for value in values]


def results_of(*codes: tuple[str, str]) -> list[Sighting]:
    made = [result(f"o{n}", code=concept(code, name)) for n, (code, name) in enumerate(codes)]
    pointed = [{"reference": f"Observation/{one['id']}"} for one in made]
    return [seen(report(result=pointed), *made)]


def of_report(**more: Any) -> list[Sighting]:
    return [seen(report(**more))]


def taken(id: str, at: str = "07:30:00", status: str = "final", day: str = DAY) -> Sighting:
    moment = f"2026-03-02T{at}+08:00"
    return seen(result(id, effectiveDateTime=moment, status=status), day=day)


IN_TIME = "2026-03-02T09:30:00+08:00"
STRIKES: list[tuple[str, str, list[Sighting], dict[str, int]]] = [
    # detector, situation, messages, strikes by place
    ("equal-times", "one second for all", of_report(effectiveDateTime=IN_TIME), {"CT": 1}),
    ("equal-times", "one moment in two zones", of_report(effectiveDateTime="2026-03-02T01:30:00Z"), {"CT": 1}),
    ("last-item-only", "three items named, one code", of_report(code=concept("03", "肝功能、肾功能、血脂")), {"DiagnosticReport": 1}),
    ("last-item-only", "two results under one code", results_of(("GLU", "葡萄糖"), ("GLU", "肌酐")), {"DiagnosticReport.result": 1}),
    ("share-of-other", "99", of_report(code=concept("99", "DR")), {"CT": 1}),
    ("share-of-other", "other in words", of_report(code={"text": "其他"}), {"CT": 1}),
    ("share-of-other", "the section itself", of_report(category=[concept("OTH", "其他")]), {"category": 1}),
    ("gender-unknown", "a woman unknown", [seen(patient("unknown", number(False)))], {"unknown, female by number": 1}),
    ("gender-unknown", "nothing sent", [seen(patient("", number(True)))], {"unknown, male by number": 1}),
    ("gender-unknown", "the opposite", [seen(patient("male", number(False)))], {"contradicts": 1}),
    ("truncated-text", "cut at 255 characters", texts(80, 120, *[255] * 6), {"YXSJ = 255 characters": 6}),
    ("truncated-text", "cut at 255 bytes", texts(80, 90, *[127] * 6), {"YXSJ = 127 characters": 6}),
    ("default-values", "all Han", column("MZ", *["01"] * 250), {"MZ = 01": 250}),
    ("code-meaning", "one code of two names", [*results_of(("1", "居民身份证")), *results_of(("1", "居民身份证")), *results_of(("1", "军官证"))], {"second-items": 1}),
    ("time-formats", "blanks among digits", column("BGSJ", "2026-03-02 09:30:00", "2026-03-02 09:31:00", "20260302093200"), {"BGSJ": 1}),
    ("time-formats", "a Z among blanks", column("BGSJ", "2026-03-02 09:30:00", "2026-03-02 09:31:00", "2026-03-02T01:32:00Z"), {"BGSJ": 1}),
    ("time-formats", "Beijing noon as UTC", column("BGSJ", "2026-03-02T11:59:00Z"), {"BGSJ +8h": 1}),
    ("time-formats", "the same wall clock with a Z", [seen(raw=(("MSH-7", "20260301083000"), ("OBX-14", "2026-03-01T08:30:00Z")))], {"OBX-14 +8h": 1}),
    ("clock-source", "the report's time for both", [seen(result(effectiveDateTime=IN_TIME))], {"report time": 1}),
    ("clock-source", "no time", [seen({k: v for k, v in result().items() if k != "effectiveDateTime"})], {"no time": 1}),
    ("amended-as-new", "a second number for one specimen", [taken("a"), taken("b")], {"Observation": 1}),
    ("encounter-class", "no visit", of_report(), {"no class": 1}),
    ("encounter-class", "a visit without class", [seen(report(encounter=AT_E), visit(""))], {"no class": 1}),
    ("encounter-class", "a health check", [seen(report(encounter=AT_E), visit(type=[{"text": "健康体检"}]))], {"health check": 1}),
    ("encounter-class", "a trial", [seen(report(encounter=AT_E, code={"text": "临床试验访视"}), visit())], {"research": 1}),
]  # fmt: skip
SILENT: list[tuple[str, str, list[Sighting]]] = [
    ("equal-times", "an hour between", of_report()),
    ("equal-times", "days only", of_report(effectiveDateTime="2026-03-02")),
    ("last-item-only", "one item", of_report()),
    ("last-item-only", "a bracket is no list", of_report(code=concept("02", "肝功能(ALT、AST)"))),
    ("last-item-only", "two results, two codes", results_of(("GLU", "葡萄糖"), ("CR", "肌酐"))),
    ("share-of-other", "a code", of_report()),
    ("gender-unknown", "as the number says", [seen(patient("female", number(False)))]),
    ("gender-unknown", "a number never issued tells nothing", [seen(patient("unknown", "330421198001010005"))]),
    ("truncated-text", "lengths of all kinds", texts(80, 120, *range(236, 275))),
    ("truncated-text", "long ones exist", texts(*[255] * 6, 300, 400, 500)),
    ("truncated-text", "few", texts(*[255] * 4)),
    ("default-values", "mostly Han", column("MZ", *["01"] * 240, *["10"] * 10)),
    ("default-values", "the envelope", [*column("MSH-17", *["CHN"] * 250), *column("MZ", "01")]),
    ("default-values", "few", column("MZ", *["01"] * 199)),
    ("code-meaning", "marks and methods are no other name", [*results_of(("ALT", "丙氨酸氨基转移酶")), *results_of(("ALT", "【全国HR】丙氨酸氨基转移酶(速率法)"))]),
    ("code-meaning", "a longer name of the same", [*results_of(("GLU", "葡萄糖")), *results_of(("GLU", "血清葡萄糖"))]),
    ("time-formats", "days beside times of one form", column("BGSJ", "2026-03-02", "2026-03-02 09:31:00")),
    ("time-formats", "two fields, two forms", [seen(raw=(("CYSJ", "2026-03-02 09:30:00"), ("CSRQ", "19800101")))]),
    ("time-formats", "a true Z", column("BGSJ", "2026-03-02T03:59:00Z")),
    ("time-formats", "the map knows", [seen(raw=(("BGSJ", "2026-03-02T11:59:00Z"),), pseudo_utc=True)]),
    ("clock-source", "collected", [seen(result(effectiveDateTime=IN_TIME, specimen={"reference": "Specimen/s"}), SPECIMEN)]),
    ("clock-source", "a time of its own", [seen(result())]),
    ("amended-as-new", "the same result again", [taken("a"), taken("a")]),
    ("amended-as-new", "another specimen", [taken("a"), taken("b", "07:31:00")]),
    ("amended-as-new", "the old one withdrawn", [taken("a"), taken("b"), taken("a", status="entered-in-error")]),
    ("encounter-class", "a visit with class", [seen(report(encounter=AT_E), visit())]),
]  # fmt: skip


def found(name: str, messages: list[Sighting]) -> list[Result]:
    tally = Tally([DETECTORS[name]])
    for one in messages:
        tally.add(one)
    return tally.results()


@pytest.mark.parametrize(
    ("name", "situation", "messages", "places"), STRIKES, ids=[f"{n}: {s}" for n, s, *_ in STRIKES]
)
def test_a_defect_is_struck_at_its_place(
    name: str, situation: str, messages: list[Sighting], places: dict[str, int]
) -> None:
    struck: dict[str, int] = {}
    for one in found(name, messages):
        assert one.seen >= 1
        struck |= one.detail
    assert struck == places


@pytest.mark.parametrize(
    ("name", "situation", "messages"), SILENT, ids=[f"{n}: {s}" for n, s, _ in SILENT]
)
def test_what_is_sound_is_not_struck(name: str, situation: str, messages: list[Sighting]) -> None:
    assert [(one.struck, one.detail) for one in found(name, messages) if one.struck] == []


def test_every_detector_that_reads_messages_has_a_strike_and_a_silence() -> None:
    reading = {one.name for one in DETECTORS.values() if one.notice is not None}
    assert {row[0] for row in STRIKES} == {row[0] for row in SILENT} == reading


def test_the_silent_situations_are_looked_at_at_all() -> None:
    """A detector that sees nothing is silent for the wrong reason."""
    blind = [
        (name, situation)
        for name, situation, messages in SILENT
        if not found(name, messages) and "never issued" not in situation
    ]
    assert blind == [
        ("equal-times", "days only"),
        ("last-item-only", "one item"),
        ("last-item-only", "a bracket is no list"),
    ]


def test_there_are_sixteen_each_with_sentences_and_a_threshold_that_says_why() -> None:
    assert [one.number for one in DETECTORS.values()] == list(range(1, 17))
    for one in DETECTORS.values():
        for zh in (one.zh, one.means_zh, one.do_zh):
            assert any("\u4e00" <= sign <= "\u9fff" for sign in zh)
        for en in (one.en, one.means_en, one.do_en, one.threshold.why):
            assert en.isascii()
            assert len(en) > 10


def test_a_threshold_needs_enough_and_a_share() -> None:
    other = DETECTORS["share-of-other"].threshold
    assert not other.crossed(49, 49)
    assert not other.crossed(100, 19)
    assert other.crossed(100, 20)
    assert not DETECTORS["numbers-in-log"].threshold.crossed(5, 0)


def test_a_second_result_counts_on_the_day_it_came() -> None:
    rows = found("amended-as-new", [taken("b", day="2026-03-05"), taken("a", day="2026-03-02")])
    assert [(row.day, row.seen, row.struck) for row in rows] == [
        ("2026-03-02", 1, 0),
        ("2026-03-05", 1, 1),
    ]
