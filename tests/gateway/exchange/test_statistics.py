"""Figures over a real store: months, freezing, late events, objections, files, and repeats found."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import Any

import openpyxl
import pytest
from fhir.resources.R4B.measure import Measure
from fhir.resources.R4B.measurereport import MeasureReport
from sqlalchemy import select, update

from gateway.demo import recognised
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import frozen, ledger, repeats, statistics, statistics_files
from gateway.exchange.same_finding import Said, keyed, said
from gateway.recognition.ledger import Event, Happened
from gateway.recognition.publication import encode
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import recognition_tables, tables
from gateway.store.engine import Tx
from gateway.store.statements import Statement
from mappings.r4 import check
from tests.gateway.exchange.house import NOON, SECOND, House, person
from tests.logged import kinds

DAY = 86_400 * SECOND
COMMISSION = Caller("portal", "county", "commission", "commission", "许望川")
OFFICE = Caller("portal", "tcm", "it", "it-tcm", "某")
SHEN, MRN = person(), "0000000001"
_SNAPSHOT = recognition_tables.StatisticsSnapshot.__table__  # type: ignore[attr-defined]


def coded(code: str) -> list[dict[str, Any]]:
    return [{"coding": [{"system": "s", "code": code}]}]


def asked(question: str, at: int, kind: Happened = Happened.PROMPT, **more: Any) -> Event:
    given = {
        "organization": "tcm", "issuer": "people", "item": "HR-L-0001", "patient": "p" * 32,
        "result": "r" * 32, "department": "内科", "hook": "order-select", "price": "6.00",
    }  # fmt: skip
    return Event(kind, question, at, **{**given, **more})


async def keep(events: list[Event], services: Services) -> None:
    rows = ledger.prepared(events, services)

    def add(tx: Tx) -> None:
        ledger.add(tx, rows)

    await services.db.do(add)


def decided(number: int, at: int, choice: str = "accept") -> list[Event]:
    name = f"q{number:031}"
    return [
        asked(name, at),
        asked(name, at + SECOND * 60, Happened.DECISION, choice=choice, task=f"t{number}",
              reason="07" if choice == "decline" else ""),
    ]  # fmt: skip


async def february(house: House) -> None:
    """Twelve accepted and ten declined in February, the clock in March."""
    at = statistics.bounds("2026-02", house.services)[0] + DAY
    events = [one for n in range(12) for one in decided(n, at + n * DAY)]
    events += [one for n in range(12, 22) for one in decided(n, at + n * DAY, "decline")]
    await keep(events, house.services)


async def problem(work: Any) -> Trouble:
    with pytest.raises(Problem) as found:
        await work
    return found.value.kind


async def test_a_question_belongs_to_the_month_in_which_it_arose(house: House) -> None:
    services = house.services
    start, end = statistics.bounds("2026-02", services)
    await keep(
        [asked("a" * 32, start - 1), asked("b" * 32, start), asked("c" * 32, end - 1)], services
    )
    late = asked("c" * 32, end + 5, Happened.DECISION, choice="accept")
    await keep([late, asked("d" * 32, end), asked("a" * 32, start + 5, Happened.VIEW)], services)
    found = await statistics.of_month("2026-02", services)
    assert [(one.question[0], one.outcome) for one in found.cases] == [
        ("b", "undecided"), ("c", "accepted"),
    ]  # fmt: skip
    assert await statistics.months(services) == ("2026-03", "2026-02", "2026-01")


async def test_a_frozen_month_stays_and_late_events_are_told(house: House) -> None:
    services = house.services
    await february(house)
    before = await statistics.live("2026-02", "", "county", COMMISSION, services)
    assert before.value("REC-RATE").value == "54.5"  # 12 / 22
    assert before.value("REC-SAVED").value == "72.00"  # 12 × 6.00
    await frozen.freeze("2026-02", COMMISSION, services)
    late = [asked(f"q{n:031}", services.now(), Happened.REPEATED) for n in range(6)]
    await keep(late, services)
    found = await frozen.frozen("2026-02", "", COMMISSION, services)
    assert found is not None
    assert found.whole
    assert encode(found.sides["county"]).replace(
        str(found.sides["county"].until).encode(), b""
    ) == encode(before).replace(str(before.until).encode(), b"")
    now = await statistics.live("2026-02", "", "county", COMMISSION, services)
    assert now.value("REC-SAVED").value == "36.00"
    told = await frozen.late("2026-02", found.at, services)
    assert (told.all, dict(told.by_kind)) == (6, {"repeated": 6})
    assert await problem(frozen.freeze("2026-02", COMMISSION, services)) is Trouble.CONFLICT
    own = await frozen.frozen("2026-02", "tcm", OFFICE, services)
    assert own is not None
    assert own.sides["receiver"].totals.counts["eligible"] == 22
    assert own.sides["issuer"].totals.counts["eligible"] == 0


async def test_altered_figures_are_not_shown(house: House) -> None:
    await february(house)
    services = house.services
    await frozen.freeze("2026-02", COMMISSION, services)

    def alter(tx: Tx) -> None:
        tx.run(Statement(update(_SNAPSHOT).values(hash="0" * 64)))

    await services.db.do(alter)
    found = await frozen.frozen("2026-02", "", COMMISSION, services)
    assert found is not None
    assert (found.whole, dict(found.sides)) == (False, {})


async def test_a_month_is_frozen_by_itself_some_days_after_its_end(house: House) -> None:
    await february(house)  # now is the first of March
    await frozen.freeze_due(house.services)
    assert await frozen.frozen_months(house.services) == frozenset()
    house.clock.forward(86_400 * 5)
    for _ in range(2):
        await frozen.freeze_due(house.services)
    assert await frozen.frozen_months(house.services) == {"2026-02"}


async def test_who_may_see_what(house: House) -> None:
    services = house.services
    live = statistics.live
    assert await problem(live("2026-02", "", "county", OFFICE, services)) is Trouble.REFUSED
    assert await problem(live("2026-02", "people", "receiver", OFFICE, services)) is Trouble.REFUSED
    doctor = replace(OFFICE, role="clinician")
    assert await problem(live("2026-02", "tcm", "receiver", doctor, services)) is Trouble.REFUSED
    assert await problem(statistics.targets(OFFICE, services)) is Trouble.REFUSED
    assert await problem(frozen.freeze("2026-01", OFFICE, services)) is Trouble.REFUSED
    assert await problem(frozen.freeze("2026-03", COMMISSION, services)) is Trouble.CONFLICT
    for wrong in ("2026-13", "2026-3", "x", "2026-03-01"):
        assert await problem(live(wrong, "", "county", COMMISSION, services)) is Trouble.MALFORMED


async def test_a_hospital_objects_and_is_answered_once(house: House) -> None:
    services = house.services
    await february(house)
    assert await problem(frozen.object_("2026-02", "不对", OFFICE, services)) is Trouble.UNKNOWN
    await frozen.freeze("2026-02", COMMISSION, services)
    assert await problem(frozen.object_("2026-02", " ", OFFICE, services)) is Trouble.MALFORMED
    id = await frozen.object_("2026-02", "两条系测试", OFFICE, services)
    await frozen.answer(id, True, "属实", COMMISSION, services)
    again = frozen.answer(id, False, "不", COMMISSION, services)
    assert await problem(again) is Trouble.CONFLICT
    (one,) = await frozen.objections("2026-02", "tcm", OFFICE, services)
    assert (one.text, one.state, one.answer) == ("两条系测试", "upheld", "属实")
    other = replace(OFFICE, organization="people")
    assert await frozen.objections("2026-02", "people", other, services) == ()
    noted = await kinds(services)
    assert noted.count("statistics-change") == 3


async def test_files_say_the_same_and_are_no_formulas(house: House) -> None:
    services = house.services
    at = statistics.bounds("2026-02", services)[0] + DAY
    hostile = "=HYPERLINK(1)"
    await keep([asked(f"h{n:031}", at + n, item=hostile) for n in range(7)], services)

    async def file(form: Any) -> bytes:
        return await statistics_files.file(
            form, "2026-02", "", "county", "zh", COMMISSION, services
        )

    book = openpyxl.load_workbook(io.BytesIO(await file("xlsx")))
    (row,) = book["按项目"].iter_rows(min_row=2, values_only=True)
    assert row[0] == "'" + hostile
    lines = list(csv.reader(io.StringIO((await file("csv")).decode("utf-8-sig"))))
    line = next(one for one in lines if one[0] == "按项目")
    assert line[1:-1] == ["" if cell is None else str(cell) for cell in row[:-1]]
    assert (line[-1], row[-1]) == ("0.00", 0), "nothing was saved, which is not withheld"
    told = json.loads(await file("json"))["publication"]
    assert told["totals"]["counts"]["eligible"] == row[2] == 7
    assert any(cell == "指标口径版本" for one in lines for cell in one)
    noted = await kinds(services)
    assert noted.count("statistics-export") == 3


async def test_a_report_holds_what_its_receiver_wants_under_its_own_codes(house: House) -> None:
    services = house.services
    await february(house)

    async def file(form: Any, code: str) -> bytes:
        return await statistics_files.file(
            form, "2026-02", "", "county", "en", COMMISSION, services, code
        )

    lines = list(csv.reader(io.StringIO((await file("csv", "upstream")).decode("utf-8-sig"))))
    assert [line[1] for line in lines] == ["Code", "TXS", "HRS", "HRL", "JSFY"]
    of = await statistics.live("2026-02", "", "county", COMMISSION, services)
    assert [line[3] for line in lines[1:3]] == [of.value("REC-P").value, of.value("REC-R").value]
    book = openpyxl.load_workbook(io.BytesIO(await file("xlsx", "county-month")))
    assert len(book.sheetnames) == 1
    assert await problem(file("json", "upstream")) is Trouble.MALFORMED
    assert await problem(file("csv", "nobody")) is Trouble.UNKNOWN
    noted = await kinds(services)
    assert noted.count("statistics-export") == 2


async def test_measure_reports_are_valid_and_mask_small_counts(house: House) -> None:
    services = house.services
    await february(house)
    at = statistics.bounds("2026-02", services)[0]
    await keep([asked("e" * 32, at, counted=False)], services)  # one emergency
    data = await statistics_files.file("fhir", "2026-02", "", "county", "zh", COMMISSION, services)
    resources = [one["resource"] for one in json.loads(data)["entry"]]
    for resource in resources:
        kind = resource["resourceType"]
        {"Measure": Measure, "MeasureReport": MeasureReport}[kind].model_validate(resource)
        assert check.text(json.dumps(resource).encode(), kind) == []
    reports = {
        one["measure"].rpartition("/")[2].partition("|")[0]: one["group"][0]
        for one in resources
        if one["resourceType"] == "MeasureReport"
    }
    assert b'"value":0.5455' in data  # 12 / 22
    assert b'"value":72.00' in data
    masked = reports["ops-emergency"]["population"][0]
    assert "count" not in masked
    assert masked["_count"]["extension"][0]["valueCode"] == "masked"


async def test_what_was_measured_again_is_noticed_once(house: House) -> None:
    """People's hospital was told of a result on the 19th, and measured the same on the 20th."""
    services = house.services
    await house.file(house.adt(SHEN, MRN))
    (chart,) = await services.db.read(Statement(select(tables.Chart.__table__.c.person)))  # type: ignore[attr-defined]
    patient = ledger.pseudonym("patient", str(chart[0]), services)
    prompt = asked("m" * 32, NOON - 10 * DAY, organization="people", issuer="tcm", patient=patient)
    other = asked("n" * 32, NOON - 5 * DAY, organization="people", issuer="tcm", patient=patient)
    old = asked("o" * 32, NOON - 90 * DAY, organization="people", issuer="tcm", patient=patient)
    await keep([prompt, other, old], services)
    message = house.oru(SHEN, MRN, ("ALT", "62.40", "F"))
    for _ in range(2):
        await house.file(message)
    await house.file(house.oru(SHEN, MRN, ("ALT", "63.40", "F"), report="R2"))
    kinds = {
        name: [one.kind for one in await ledger.of_question(name * 32, services)]
        for name in ("m", "n", "o")
    }
    assert kinds["m"] == [Happened.PROMPT, Happened.REPEATED]
    assert kinds["n"] == kinds["o"] == [Happened.PROMPT]


async def test_what_is_dated_by_the_day_alone_repeats_what_was_asked_on_an_earlier_day(
    house: House,
) -> None:
    services = house.services
    await house.file(house.adt(SHEN, MRN))
    (chart,) = await services.db.read(Statement(select(tables.Chart.__table__.c.person)))  # type: ignore[attr-defined]
    patient = ledger.pseudonym("patient", str(chart[0]), services)
    told = {"organization": "people", "issuer": "tcm", "patient": patient}
    days = {"d": 10, "s": 9, "t": 8}  # before, on and after the day of the measurement
    await keep([asked(name * 32, NOON - n * DAY, **told) for name, n in days.items()], services)
    message = house.oru(SHEN, MRN, ("ALT", "62.40", "F"))
    await house.file(re.sub(rb"\|20260220\d+", b"|20260220", message))
    kinds = {
        name: [one.kind for one in await ledger.of_question(name * 32, services)] for name in days
    }
    only = [Happened.PROMPT]
    assert kinds == {"d": [*only, Happened.REPEATED], "s": only, "t": only}


@pytest.mark.parametrize(
    ("asked_of", "measured", "repeated"),
    [
        ("left", "left", True),
        ("left", "right", False),
        ("left", "both", True),
        ("both", "right", True),
        ("left", "", False),
        ("", "", True),
    ],
)
def test_only_its_own_side_repeats_a_knee(asked_of: str, measured: str, repeated: bool) -> None:
    assert repeats._same_side(asked_of, measured) is repeated


async def test_a_repetition_says_whether_the_finding_was_the_one_prompted(house: House) -> None:
    """The message has no flag: only a prompt of an unflagged result is the same."""
    services = house.services
    await house.file(house.adt(SHEN, MRN))
    (chart,) = await services.db.read(Statement(select(tables.Chart.__table__.c.person)))  # type: ignore[attr-defined]
    patient = ledger.pseudonym("patient", str(chart[0]), services)
    told = {
        "a": [Said("flag", "")], "b": [Said("flag", "high")], "c": [Said("value", "x|NEG")],
        "d": [Said()], "e": [Said("flag", ""), Said("flag", "high")],
    }  # fmt: skip
    prompts = [
        asked(
            name * 32, NOON - 10 * DAY + n, organization="people", issuer="tcm", patient=patient,
            finding=keyed(one, patient, "HR-L-0001", services),
        )
        for name, several in told.items()
        for n, one in enumerate(several)
    ]  # fmt: skip
    await keep(prompts, services)
    await house.file(house.oru(SHEN, MRN, ("ALT", "62.40", "F")))
    found = {
        name: [
            e.comparison
            for e in await ledger.of_question(name * 32, services)
            if e.kind is Happened.REPEATED
        ]
        for name in told
    }
    assert found == {
        "a": ["same-flag"], "b": ["other-flag"], "c": ["unknown"], "d": ["unknown"],
        "e": ["other-flag"],
    }  # fmt: skip


RESULTS: list[tuple[str, dict[str, Any], tuple[str, str]]] = [
    ("a quantity without a flag", {"valueQuantity": {"value": 62.4}}, ("flag", "")),
    ("one that says normal", {"valueQuantity": {}, "interpretation": coded("N")}, ("flag", "")),
    ("a high one", {"valueQuantity": {}, "interpretation": coded("H")}, ("flag", "high")),
    ("an arrow", {"valueQuantity": {}, "interpretation": [{"text": "↑"}]}, ("flag", "high")),
    ("an unreadable flag", {"valueQuantity": {}, "interpretation": coded("?!")}, ("", "")),
    ("a word", {"valueString": " 阴性（－） "}, ("value", "阴性(-)")),
    ("the word in other widths", {"valueString": "阴性(-)"}, ("value", "阴性(-)")),
    ("a code", {"valueCodeableConcept": coded("NEG")[0]}, ("value", "s|NEG")),
    ("a concept in words", {"valueCodeableConcept": {"text": "2＋"}}, ("value", "2+")),
    ("nothing", {"dataAbsentReason": coded("error")[0]}, ("", "")),
    ("a report", {"resourceType": "DiagnosticReport", "conclusion": "未见异常"}, ("", "")),
]


@pytest.mark.parametrize(("_what", "result", "told"), RESULTS, ids=[row[0] for row in RESULTS])
def test_what_of_a_result_is_compared(
    _what: str, result: dict[str, Any], told: tuple[str, str]
) -> None:
    assert said(result) == told


async def test_the_demos_events_are_written_once(services: Services) -> None:
    written = [await recognised.write(services) for _ in range(2)]
    assert written == [len(await ledger.between(0, 1 << 62, services))] * 2
    month = (await statistics.months(services))[1]
    found = await statistics.live(month, "", "county", COMMISSION, services)
    assert found.totals.counts["eligible"] > 100
