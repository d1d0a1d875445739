"""What sources send is counted: by scans of kept messages, by the hospital's word, at the doors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import select

from gateway.demo.residents import resident_number
from gateway.errors import Kind, Problem
from gateway.exchange import quality, scanning, sources
from gateway.exchange.claims import claim_where_lacking
from gateway.exchange.ledger import Visit
from gateway.exchange.results import look_at_all
from gateway.jobs.worker import Worker
from gateway.recognition.judgement import Flag
from gateway.services.caller import Caller
from gateway.services.copied_times import CopiedTimes
from gateway.services.scrub import TAKEN_OUT, scrubbed, withheld
from gateway.store import quality as rows
from gateway.store import tables
from gateway.store.statements import Statement
from gateway.vault import VaultError
from mappings.quality import DETECTORS, told
from tests.gateway.exchange.house import HOUR, House, clinician, person
from tests.logged import kinds

SHEN = person()
DAY = "2026-03-01"
ALL = Statement(select(tables.Quality.__table__))  # type: ignore[attr-defined]
IT = Caller(client="portal", organization="people", role="it", user="he", name="何")


async def stored(house: House) -> dict[tuple[str, str], rows.Row]:
    found = [rows.Row(*row) for row in await house.services.db.read(ALL)]
    return {(row.day, row.detector): row for row in found}


def everybody(house: House) -> int:
    return len(house.services.register.sources)


async def of(house: House, source: str = "people-his") -> quality.Quality:
    (found,) = await quality.of_sources({source: "people"}, 14, house.services)
    return found


def results(house: House, count: int, first: int = 0) -> Sequence[bytes]:
    """Reports of one result each, collected and reported in the same second."""
    return [
        house.oru(SHEN, "0000000001", report=f"R{n}", at=f"2026-02-20T10:{n % 60:02}")
        .replace(b"20260220075800", f"2026022010{n % 60:02}00".encode())
        for n in range(first, first + count)
    ]  # fmt: skip


async def test_a_scan_counts_what_was_kept_and_says_so_in_the_log_before(house: House) -> None:
    await house.file(house.adt(SHEN), *results(house, 3))
    before = await kinds(house.services)

    done = await scanning.scan("people-his", house.services)

    assert done == ("people-his", "2026-02-23", 4, 0, True, ())
    rows_ = await stored(house)
    assert (rows_[DAY, "scanned"].seen, rows_[DAY, "scanned"].struck) == (4, 0)
    equal = rows_[DAY, "equal-times"]
    assert (equal.seen, equal.struck, json.loads(equal.detail)) == (3, 3, {"LAB": 3})
    assert rows_[DAY, "control-id-reused"][3:5] == (4, 0)
    assert [kind for kind in await kinds(house.services) if kind == "read"] == ["read"]
    assert "read" not in before


async def test_scanning_twice_is_scanning_once_and_only_its_days_are_replaced(
    house: House,
) -> None:
    await house.file(*results(house, 2))
    await scanning.scan("people-his", house.services)
    first = await stored(house)
    await scanning.scan("people-his", house.services)
    assert await stored(house) == first

    house.clock.forward(10 * 24 * 3600)
    await house.file(*results(house, 1, first=5))
    await scanning.scan("people-his", house.services, days=2)
    later = await stored(house)
    assert {key: row for key, row in later.items() if key[0] == DAY} == first
    assert later["2026-03-11", "equal-times"].seen == 1


async def test_a_finding_raises_one_alarm_until_it_is_settled(house: House) -> None:
    await house.file(*results(house, 20))
    done = await scanning.scan("people-his", house.services)
    assert "equal-times" in done.crossed
    await scanning.scan("people-his", house.services)
    assert (await house.alarms()).count("quality-equal-times") == 1

    def settle(tx: object) -> None:
        table = tables.Alarm.__table__  # type: ignore[attr-defined]
        tx.run(Statement(table.update().values(settled=1)))  # type: ignore[attr-defined]

    await house.services.db.do(settle)
    await scanning.scan("people-his", house.services)
    assert (await house.alarms()).count("quality-equal-times") == 2


async def test_a_control_id_with_other_content_is_counted(house: House) -> None:
    await house.file(house.adt(SHEN, control="SAME"), house.adt(SHEN, event="A08", control="SAME"))
    await scanning.scan("people-his", house.services)
    row = (await stored(house))[DAY, "control-id-reused"]
    assert (row.seen, row.struck, json.loads(row.detail)) == (2, 1, {"MSH-10": 1})


async def test_what_cannot_be_opened_is_counted_and_stops_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.file(*results(house, 3))
    opened = house.services.vault.open_raw
    refused = []

    async def once(*given: object) -> bytes:
        if not refused:
            refused.append(given)
            raise VaultError("The key was destroyed.")
        return await opened(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(house.services.vault, "open_raw", once)
    done = await scanning.scan("people-his", house.services)
    assert (done.messages, done.unreadable) == (3, 1)
    assert (await stored(house))[DAY, "scanned"][3:5] == (3, 1)


async def test_of_too_many_messages_a_sample_is_read_and_nothing_is_reconciled(
    house: House,
) -> None:
    await quality.expect("people-his", [("2026-02-28", "performed", 30)], house.services)
    await house.file(*results(house, 5))
    done = await scanning.scan("people-his", house.services, most=3)
    assert (done.messages, done.whole) == (3, False)
    assert ("2026-02-28", "reconcile") not in await stored(house)


async def test_performed_and_received_are_compared_by_day_and_reason(house: House) -> None:
    await house.file(*results(house, 4))  # performed on 2026-02-20
    await house.file(house.adt(SHEN).replace(b"0000000001", b""))  # held: no patient number
    told = [
        ("2026-02-20", "已执行", 10),
        ("2026-02-20", "无身份证号", 2),
        ("2026-02-20", "cancelled", 1),
        ("2026-02-25", "performed", 7),
    ]
    assert await quality.expect("people-his", told, house.services) == ["2026-02-20", "2026-02-25"]
    await scanning.scan("people-his", house.services, days=20)
    found = await stored(house)
    first, second = found["2026-02-20", "reconcile"], found["2026-02-25", "reconcile"]
    assert (first.seen, first.struck) == (7, 3)
    assert json.loads(first.detail) == {
        "not received": 3,
        "not sent: no-resident-id": 2,
        "not sent: cancelled": 1,
    }
    assert (second.seen, second.struck) == (7, 7)

    again = [("2026-02-20", "performed", 4), (DAY, "performed", 9)]
    await quality.expect("people-his", again, house.services)
    await scanning.scan("people-his", house.services, days=20)
    found = await stored(house)
    assert found["2026-02-20", "reconcile"][3:5] == (4, 0)
    assert (DAY, "reconcile") not in found, "today is not over"


@pytest.mark.parametrize(
    ("told", "place"),
    [
        ([("1.3.2026", "performed", 1)], "line 2"),
        ([("2026-03-01", "performed", 1), ("2026-03-01", "lost", 1)], "line 3"),
        ([("2026-03-01", "performed", -1)], "line 2"),
        ([("2026-03-01", "cancelled", 1)], "2026-03-01"),
    ],
)
async def test_a_count_that_is_none_is_refused_whole(
    house: House, told: list[tuple[str, str, int]], place: str
) -> None:
    with pytest.raises(Problem) as refused:
        await quality.expect("people-his", told, house.services)
    assert (refused.value.kind, refused.value.place) == (Kind.MALFORMED, place)
    assert await stored(house) == {}


async def test_nobody_expects_of_or_scans_an_undeclared_source(house: House) -> None:
    for work in (
        quality.expect("nobody", [("2026-03-01", "performed", 1)], house.services),
        scanning.scan("nobody", house.services),
    ):
        with pytest.raises(Problem) as refused:
            await work
        assert refused.value.kind is Kind.UNKNOWN


async def test_sources_are_scanned_once_a_night(house: House) -> None:
    await house.file(*results(house, 1))
    worker = Worker(house.services)
    assert await worker.look_at_quality() == 0  # noon: it is nobody's turn
    house.clock.forward(13 * 3600)
    assert await worker.look_at_quality() == 0
    house.clock.forward(2 * 3600)
    assert await worker.look_at_quality() == everybody(house)
    assert await worker.look_at_quality() == 0
    assert (await stored(house))[DAY, "scanned"].seen == 1
    await sources.set_state("people-his", "paused", house.services)
    house.clock.forward(24 * 3600)
    assert await worker.look_at_quality() == everybody(house)  # the paused one is only put off
    assert (await of(house)).scanned == 1


async def test_a_scan_that_fails_waits_for_the_next_night(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(house.services)
    await worker.look_at_quality()
    house.clock.forward(15 * 3600)

    get = house.services.maps.get

    async def broken(site: str) -> object:
        if site == "mch":
            raise Problem(Kind.BUSY, "The map cannot be loaded.")
        return await get(site)

    await house.file(*results(house, 1))
    monkeypatch.setattr(house.services.maps, "get", broken)
    with pytest.raises(Problem):
        await worker.look_at_quality()
    monkeypatch.undo()
    assert (await of(house)).scanned == 1, "the others had their turn"
    assert await worker.look_at_quality() == 0
    house.clock.forward(24 * 3600)
    assert await worker.look_at_quality() == everybody(house)


# The doors and our own log


async def test_refusals_are_counted_for_the_client_and_alarmed_when_there_are_many(
    house: House,
) -> None:
    for _ in range(9):
        await quality.count("tcm-his", "identifiers-in-urls", 1, house.services)
    assert await house.alarms() == []
    for _ in range(5):
        await quality.count("tcm-his", "identifiers-in-urls", 1, house.services)
    assert await house.alarms() == ["quality-identifiers-in-urls"]
    (found,) = (await of(house, "tcm-his")).found
    assert (found.seen, found.struck, found.crossed) == (14, 14, True)


async def test_a_number_that_was_about_to_be_logged_is_a_finding_about_the_gateway(
    house: House,
) -> None:
    withheld.take()
    number = resident_number("330421", date(1980, 1, 1))
    assert scrubbed(f'{{"event":"x {number} y"}}') == f'{{"event":"x {TAKEN_OUT} y"}}'
    await Worker(house.services).look_at_quality()
    assert (await stored(house))[DAY, "numbers-in-log"].struck == 1
    assert await house.alarms() == ["quality-numbers-in-log"]
    await Worker(house.services).look_at_quality()
    assert (await stored(house))[DAY, "numbers-in-log"].struck == 1


# Who sees it


async def test_an_it_office_sees_its_own_sources_and_the_authority_all(house: House) -> None:
    await house.file(*results(house, 2))
    await scanning.scan("people-his", house.services)
    await quality.count("somebody", "identifiers-in-urls", 1, house.services)
    mine = [one.source for one in await quality.overview(IT, house.services)]
    assert "people-his" in mine
    assert all(name.startswith("people") for name in mine)
    authority = replace(IT, organization="county")
    names = [one.source for one in await quality.overview(authority, house.services)]
    declared = sorted(one.name for one in house.services.register.sources)
    assert names == [*declared, "somebody"]
    with pytest.raises(Problem):
        await quality.overview(clinician(), house.services)


async def test_counts_are_told_by_day_and_in_all(house: House) -> None:
    await house.file(*results(house, 2))
    await scanning.scan("people-his", house.services)
    house.clock.at += 24 * HOUR
    await house.file(*results(house, 1, first=7))
    await scanning.scan("people-his", house.services)
    found = await of(house)
    equal = next(one for one in found.found if one.detector == "equal-times")
    assert (equal.seen, equal.struck, equal.crossed) == (3, 3, False)
    assert equal.days == ((DAY, 2, 2), ("2026-03-02", 1, 1))
    assert equal.detail == {"LAB": 3}
    assert (found.scanned, found.last, found.crossed) == (3, "2026-03-02", 0)
    assert [one.detector for one in found.found] == [
        n for n in DETECTORS if n in {o.detector for o in found.found}
    ]


async def test_no_value_of_a_patient_stands_in_what_is_stored(house: House) -> None:
    secret = person(name="隗嬛镡", born=date(1969, 12, 31))
    await house.file(
        house.adt(secret, "0099887766", diagnosis="F32.100^中度抑郁发作"),
        house.oru(secret, "0099887766", ("ITEMCANARY", "7391.62", "F"), report="REPORTCANARY"),
    )
    await scanning.scan("people-his", house.services)
    text = repr([tuple(row) for row in await house.services.db.read(ALL)])
    assert "equal-times" in text
    for canary in (
        "隗",
        "19691231",
        "1969-12",
        "0099887766",
        "F32",
        "抑郁",
        "ITEMCANARY",
        "7391",
        "REPORTC",
        "10000000000",
    ):
        assert canary not in text


async def test_printed_marks_are_counted_beside_the_register(house: House) -> None:
    def marked(n: int, item: str, mark: str) -> bytes:
        plain = house.oru(SHEN, "0000000001", (item, "62.40", "F"), report=f"M{n}")
        name = f"{item}^{item}".encode()
        assert name in plain
        return plain.replace(name, f"{item}^{mark}{item}".encode("gb18030"))

    await house.file(
        marked(1, "ALT", "【全国HR】"),
        marked(2, "ALT", "【火星HR】"),
        marked(3, "UREA", "★").replace(b"U/L", b"mmol/L"),
        *results(house, 1),
    )
    await scanning.scan("people-his", house.services)
    row = (await stored(house))[DAY, "printed-marks"]
    assert (row.seen, row.struck) == (3, 2)
    assert json.loads(row.detail) == {
        "mark unknown: HR-L-0001": 1,
        "mark without entitlement: HR-L-0012": 1,
    }
    marks = next(one for one in (await of(house)).found if one.detector == "printed-marks")
    assert told("mark unknown: HR-L-0001") == "标识无法识别：HR-L-0001"
    assert (marks.struck, marks.crossed) == (2, False)


async def test_a_source_known_to_copy_times_is_flagged_where_its_results_are_judged(
    house: House,
) -> None:
    """By the counts of the source: one result alone may be a bedside test of one minute."""
    li = clinician("dr-li", "tcm")
    await house.file(house.adt(SHEN), *results(house, 19))
    await house.file(house.oru(SHEN, "0000000001", report="SOUND"))
    await house.sign()
    await claim_where_lacking(house.chart(), "会诊", li, house.services)

    async def flagged() -> list[bool]:
        looked = await look_at_all(house.chart(), li, house.services, Visit("V", "", "OP"))
        judged = [one.judged.judgement for report in looked.reports for one in report.results]
        return sorted(Flag.TIMES_NOT_TRUSTED in one.flags for one in judged if one is not None)

    assert await flagged() == [False] * 20
    assert "equal-times" in (await scanning.scan("people-his", house.services)).crossed
    assert await flagged() == [False, *[True] * 19]  # the sound one's specimen has its own time

    # Another process learns of it within ten minutes, and of its end when the days have passed.
    other = CopiedTimes(house.services.db, house.services.settings.zone)
    assert await other.current(house.clock()) == {"people"}
    house.clock.forward(31 * 24 * 3600)
    assert await other.current(house.clock()) == frozenset()


async def test_copied_times_are_asked_of_the_database_once_in_ten_minutes(house: House) -> None:
    asked = 0

    class Counted:
        async def read(self, *given: object) -> Sequence[object]:
            nonlocal asked
            asked += 1
            return await house.services.db.read(*given)  # type: ignore[arg-type]

    known = CopiedTimes(Counted(), house.services.settings.zone)  # type: ignore[arg-type]
    for seconds, times in ((0, 1), (599, 1), (2, 2), (0, 2)):
        house.clock.forward(seconds)
        await known.current(house.clock())
        assert asked == times
    known.forget()
    await known.current(house.clock())
    assert asked == 3
