"""The matrix of rights over a real store: each use is refused when its cell ends, and the next request knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import text
from sqlmodel import Session

from gateway.errors import Kind, Problem
from gateway.exchange import (
    consulting,
    duplicates,
    frozen,
    patients,
    registers,
    rights,
    statistics,
    statistics_files,
)
from gateway.exchange.filing import issues_of
from gateway.exchange.receive import Unit, receive, replay
from gateway.exchange.registers import Chosen, Faults
from gateway.identity.systems import RESIDENT_ID
from gateway.jobs.worker import Worker
from gateway.recognition.rights import DataClass, Use
from gateway.records.instant import micros
from gateway.services import Services
from gateway.services.rights import Rights
from gateway.store import registers as rows
from tests.gateway.exchange.portal_county import CHEN, LI, REASON, Town, caller, town

ONE, OTHER = caller("commission"), caller("commission-second")


async def decided(services: Services, kind: str, line: dict[str, str], act: str = "put") -> None:
    """One line, proposed by one person and approved by the other."""
    await registers.propose(kind, [line], ONE, services, act=act)  # type: ignore[arg-type]
    waiting = await registers.drafts(OTHER, services)
    chosen = [Chosen(one.kind, one.id, one.version, one.seen) for one in waiting]
    await registers.decide(chosen, True, OTHER, services)


def right(holder: str, data_class: str, use: str, end: str = "") -> dict[str, str]:
    return {
        "holder": holder,
        "data_class": data_class,
        "use": use,
        "document": "云卫发〔2026〕1号",
        "start": "2020-01-01",
        "end": end,
    }


async def stop(services: Services, data_class: str, use: str) -> None:
    """Take a founding right away from all institutions."""
    await decided(services, "right", right("level:institution", data_class, use), "end")


def system(id: str, **more: str) -> dict[str, str]:
    return {
        "id": id,
        "name": "县人民医院检验系统",
        "level": "institution",
        "owner": "云溪县人民医院",
        "organization": "people",
        "interface": "hl7v2",
    } | more


@pytest.fixture
async def shen(services: Services) -> Town:
    made = await town(services, "shen", rows=False)
    await made.sign("shen")
    return made


async def test_a_class_nobody_may_view_is_as_if_it_were_not_there(
    services: Services, shen: Town
) -> None:
    before = await shen.results("shen", LI)
    assert before.reports

    await stop(services, "laboratory", "view")
    after = await shen.results("shen", LI)

    def kinds(shown: object) -> set[str]:
        return {report.title for report in shown.reports}  # type: ignore[attr-defined]

    assert kinds(after) < kinds(before)
    event = await shen.last_event("search")
    assert event.outcome == "permit"

    await decided(services, "right", right("level:institution", "laboratory", "view"))
    assert kinds(await shen.results("shen", LI)) == kinds(before)


async def test_the_consult_hook_says_no_to_a_class_without_a_right(
    services: Services, shen: Town
) -> None:
    await shen.open("shen", LI, REASON)
    subject = consulting.Subject(identifiers=((RESIDENT_ID, shen.resident("shen").number),))
    matters = [consulting.Matter("Condition")]
    who = replace(LI, purpose="TREAT")
    assert (await consulting.consult(subject, matters, who, services)).permit

    await stop(services, "diagnoses", "view")

    assert not (await consulting.consult(subject, matters, who, services)).permit


async def test_without_the_right_to_match_nobody_carries_the_number(
    services: Services, shen: Town
) -> None:
    number = shen.resident("shen").number
    assert await patients.matched(RESIDENT_ID, number, LI, services)

    await stop(services, "identity", "match")

    assert await patients.matched(RESIDENT_ID, number, LI, services) == []
    subject = duplicates.Subject(identifiers=((RESIDENT_ID, number),))
    assert await duplicates.chart_of(subject, LI, services) == ""
    assert (await shen.events())["refused"] == 2
    alarms = await services.db.session(
        lambda s: s.exec(text("select source from alarm where kind = 'no-right'")).all()
    )
    assert len(alarms) == 1, "one alarm stands until it is settled"


async def test_a_message_of_a_class_its_source_may_not_store_waits_and_is_read_when_it_may(
    services: Services,
) -> None:
    await decided(services, "system", system("people-his", sources="people-his"))
    for one in ("identity", "visits", "diagnoses", "documents"):
        await decided(services, "right", right("system:people-his", one, "store"))
    pretend = (await town(services, rows=False)).pretend
    messages = [
        one.raw
        for one in pretend.messages
        if one.source == "people-his" and b"ORU^R01" in one.raw and b"LFT" in one.raw
    ]
    await receive("people-his", [Unit(messages[0])], services)
    await Worker(services).drain()

    (row,) = await services.db.session(
        lambda s: s.exec(text("select state, issues from inbox")).all()
    )
    assert row[0] == "quarantined"
    assert ("no-right", "laboratory") in {(one.code, one.place) for one in issues_of(row[1])}
    assert await counted(services, "record") == 0

    await decided(services, "right", right("system:people-his", "laboratory", "store"))
    (held,) = await services.db.session(lambda s: s.exec(text("select id from inbox")).all())
    await replay(held[0], services)
    await Worker(services).drain()
    assert await counted(services, "record") > 0


async def counted(services: Services, table: str) -> int:
    def count(session: Session) -> int:
        return int(session.exec(text(f"select count(*) from {table}")).one()[0])  # type: ignore[call-overload]

    return await services.db.session(count)


@pytest.mark.parametrize(
    ("data_class", "use"),
    [(DataClass.DECISIONS, Use.FORWARD), (DataClass.STATISTICS, Use.STATISTICS)],
)
async def test_sending_on_and_counting_are_refused_when_the_right_ends(
    services: Services, data_class: DataClass, use: Use
) -> None:
    await rights.demand(CHEN, data_class, use, services)
    await stop(services, data_class, use)

    with pytest.raises(Problem) as refusal:
        await rights.demand(CHEN, data_class, use, services)

    assert refusal.value.kind is Kind.REFUSED


async def test_no_figure_leaves_without_the_right_to_count(services: Services) -> None:
    month = statistics.this_month(services)
    asked = (month, "", "county", ONE, services)
    assert await statistics.live(*asked)  # type: ignore[arg-type]
    await decided(services, "right", right("level:county", "statistics", "statistics"), "end")

    for work in (
        statistics.live(*asked),  # type: ignore[arg-type]
        statistics.targets(ONE, services),
        statistics_files.file("json", month, "", "county", "zh", ONE, services),
        frozen.frozen(month, "", ONE, services),
    ):
        with pytest.raises(Problem) as refusal:
            await work
        assert refusal.value.kind is Kind.REFUSED


async def test_a_right_ends_by_the_calendar_on_every_process(services: Services) -> None:
    line = right("organization:tcm", "laboratory", "view", end="2026-01-31")
    await decided(services, "right", line)
    elsewhere = replace(
        services,
        rights=Rights(
            services.db,
            services.wrapped_keys,
            services.vault,
            services.register,
            services.settings.zone,
        ),
    )
    day = 86_400_000_000
    end = datetime(2026, 2, 1, tzinfo=services.settings.zone)
    last = micros(end) - 1

    for one in (services, elsewhere):
        seen = [
            await rights.may(
                CHEN, DataClass.LABORATORY, Use.VIEW, replace(one, now=lambda at=at: at)
            )
            for at in (last, last + 1, last + day)
        ]
        assert seen == [True, False, False]


async def test_nobody_approves_what_they_proposed_and_what_was_read_is_what_counts(
    services: Services,
) -> None:
    line = right("level:province", "identity", "match")
    assert await registers.propose("right", [line], ONE, services) == 1
    (draft,) = await registers.drafts(ONE, services)
    chosen = Chosen(draft.kind, draft.id, draft.version, draft.seen)
    assert draft.mine
    assert not draft.may

    with pytest.raises(Problem) as own:
        await registers.decide([chosen], True, ONE, services)
    with pytest.raises(Problem) as other_text:
        await registers.decide([chosen._replace(seen="0" * 64)], True, OTHER, services)
    with pytest.raises(Problem) as twice:
        await registers.propose("right", [line], OTHER, services)
    with pytest.raises(Problem) as doctor:
        await registers.decide([chosen], True, LI, services)

    kinds = [one.value.kind for one in (own, other_text, twice, doctor)]
    assert kinds == [Kind.REFUSED, Kind.CONFLICT, Kind.CONFLICT, Kind.REFUSED]
    await registers.decide([chosen], False, ONE, services)
    assert await registers.drafts(OTHER, services) == ()


async def test_a_line_that_was_altered_in_the_database_counts_for_nothing(
    services: Services,
) -> None:
    await decided(services, "right", right("level:institution", "imaging", "view", "2020-12-31"))
    assert not await rights.may(LI, DataClass.IMAGING, Use.VIEW, services)
    await decided(services, "system", system("lis", clients="lis-client", level="province"))

    # Its end taken out of the way, as somebody with the database might.
    forged = services.vault.seal_field("register", "elsewhere", b"{}")

    def alter(session: Session) -> None:
        session.exec(  # type: ignore[call-overload]
            text("update register_entry set content = :c, decided_at = decided_at + 1"),
            params={"c": forged},
        )

    await services.db.session(alter)

    assert not await rights.may(LI, DataClass.IMAGING, Use.VIEW, services)
    with pytest.raises(Problem) as broken:
        await rights.may(replace(LI, client="lis-client"), DataClass.IMAGING, Use.VIEW, services)
    assert broken.value.kind is Kind.BUSY
    assert not [one for one in await registers.standing("right", services) if one.version]


async def test_what_is_decided_while_the_register_is_read_is_not_taken_for_lost(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stop(services, "laboratory", "match")
    reading = Rights(
        services.db,
        services.wrapped_keys,
        services.vault,
        services.register,
        services.settings.zone,
    )
    kept = services.db.read
    between = [True]

    async def read(statement: object, *given: object) -> object:
        found = await kept(statement, *given)  # type: ignore[arg-type]
        if statement is rows.DECIDED and between:
            between.clear()
            await stop(services, "imaging", "match")
            assert not await rights.may(LI, DataClass.IMAGING, Use.MATCH, services)
        return found

    monkeypatch.setattr(services.db, "read", read)
    assert not (await reading.current()).lost
    assert not between


async def test_deleting_the_end_of_a_right_does_not_bring_it_back(services: Services) -> None:
    await stop(services, "laboratory", "match")
    assert not await rights.may(LI, DataClass.LABORATORY, Use.MATCH, services)
    ended = await services.db.read(rows.OF_KIND, "right")

    def delete(session: Session) -> None:
        session.execute(text("delete from register_entry where kind = 'right'"))

    await services.db.session(delete)
    with pytest.raises(Problem) as told:
        await rights.may(LI, DataClass.LABORATORY, Use.MATCH, services)
    assert told.value.kind is Kind.BUSY, "nobody is answered by a register that lost a line"
    fresh = Rights(
        services.db,
        services.wrapped_keys,
        services.vault,
        services.register,
        services.settings.zone,
    )
    assert (await fresh.current()).lost, "nor by a process that begins afterwards"

    await services.db.do(lambda tx: tx.many(rows.PUT, [tuple(row) for row in ended]))
    assert not await rights.may(LI, DataClass.LABORATORY, Use.MATCH, services)
    assert await rights.may(LI, DataClass.LABORATORY, Use.VIEW, services)


async def test_lines_that_cannot_be_meant_are_named_by_row_and_column(services: Services) -> None:
    bad = [
        right("level:planet", "identity", "view"),
        right("organization:nowhere", "identity", "view"),
        right("level:city", "身份信息", "查看", end="2019-01-01"),
        right("level:city", "gossip", "view"),
    ]
    with pytest.raises(Faults) as found:
        await registers.propose("right", bad, ONE, services)

    assert [(one.row, one.column) for one in found.value.faults] == [
        (1, "权利人"),
        (2, "权利人"),
        (3, "截止日"),
        (4, "数据类别"),
    ]
    assert await services.db.read(rows.DRAFTS) == []


async def test_two_systems_of_one_file_may_not_claim_the_same_client(services: Services) -> None:
    pair = [system("lis", clients="a b", sources="s1"), system("ris", clients="c b", sources="s2")]
    with pytest.raises(Faults) as found:
        await registers.propose("system", pair, ONE, services)

    [told] = found.value.faults
    assert (told.row, told.column, "“b”" in told.text) == (2, "对应来源", True)
    assert await services.db.read(rows.DRAFTS) == []
