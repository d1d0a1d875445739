"""The catalogue and the register over real stores: founded once, followed by every process, nothing taken back."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from openpyxl import load_workbook
from sqlalchemy import delete, update

from gateway.errors import Kind, Problem
from gateway.exchange import catalogues, entitlements, register_files
from gateway.recognition.catalogue import FOREVER, Catalogue, Item
from gateway.recognition.catalogue.content import cells_of
from gateway.recognition.catalogue.reader import of_cells
from gateway.recognition.catalogue.register import Act, Terms
from gateway.services import Services, founding_catalogue, open_services
from gateway.services.caller import OPERATOR, Caller
from gateway.settings import Settings
from gateway.store import recognition_tables as tables
from gateway.store.statements import Statement

VERSION: Any = tables.CatalogueVersion.__table__  # type: ignore[attr-defined]
EVENT: Any = tables.EntitlementEvent.__table__  # type: ignore[attr-defined]


ALT = "HR-L-0001"
DAY = 86_400_000_000


def officer(user: str, role: str = "commission") -> Caller:
    return Caller(client="portal", organization="county", role=role, user=user, name=user)


XU, SHEN = officer("c-xu"), officer("c-shen")


async def told(work: Awaitable[Any]) -> Kind:
    with pytest.raises(Problem) as caught:
        await work
    return caught.value.kind


def with_days(services: Services, days: int, base: Catalogue | None = None) -> Catalogue:
    """The catalogue in force, with another validity of ALT for outpatients."""
    zone = services.settings.zone
    cells = cells_of(base or services.catalogue, zone)
    place = next(n for n, line in enumerate(cells["items"]) if line[0] == ALT)
    cells["items"][place][13] = str(days)
    return of_cells(cells, zone)


def alt(services: Services) -> Item:
    item = services.catalogue.item(ALT, services.now())
    assert item is not None
    return item


async def published(services: Services, content: Catalogue, since: int = 0) -> int:
    number = await catalogues.draft(content, "the committee", XU, services)
    row = await catalogues.named(number, services)
    await catalogues.approve(number, "right", SHEN, services, seen=row.hash)
    await catalogues.publish(number, since, XU, services)
    return number


async def run(services: Services, clause: Any) -> None:
    await services.db.do(lambda tx: tx.run(Statement(clause)))


# Founding


async def test_a_county_begins_with_the_shipped_list_and_its_own_files(
    services: Services, settings: Settings
) -> None:
    files, held = founding_catalogue(settings), services.catalogue

    assert held.version == files.version
    assert (held.items, held.scopes) == (files.items, files.scopes)
    assert {(one.organization, one.scope, one.valid) for one in held.members} == {
        (one.organization, one.scope, one.valid) for one in files.members
    }
    assert {
        (one.organization, one.item, one.group, one.status, one.valid, one.evidence, one.decided_by)
        for one in held.entitled
    } == {
        (one.organization, one.item, one.group, one.status, one.valid, one.evidence, one.decided_by)
        for one in files.entitled
    }
    assert int(held.register) == services.catalogues.event > len(files.entitled)
    again = await open_services(settings)
    try:
        assert again.catalogue.version == held.version
        assert again.catalogues.event == services.catalogues.event
        assert await again.catalogues.of(held.version, held.register) is again.catalogue
    finally:
        await again.close()


@pytest.mark.parametrize(
    ("clause", "words"),
    [
        (update(VERSION).values(content=b"{}"), "altered after it was signed"),
        (update(VERSION).values(since=1), "altered after it was signed"),
        (update(VERSION).values(state="draft"), "not in the records"),
        (delete(VERSION), "not in the records"),
        (update(EVENT).where(EVENT.c.number == 3).values(reason="better"), "Step 3"),
        (update(EVENT).where(EVENT.c.number == 2).values(organization="tcm"), "Step 2"),
        (delete(EVENT).where(EVENT.c.number == 4), "Step 5"),
        (delete(EVENT).where(EVENT.c.number > 20), "is lost"),
        (delete(EVENT), "is lost"),
    ],
)
async def test_a_row_that_was_altered_or_taken_away_stops_the_start_and_is_named(
    services: Services, settings: Settings, clause: Any, words: str
) -> None:
    await run(services, clause)

    with pytest.raises(Problem) as caught:
        await open_services(settings)

    assert caught.value.kind is Kind.BUSY
    assert words in caught.value.text


# Versions


async def test_a_version_of_two_persons_is_in_force_in_a_process_that_was_running(
    services: Services, settings: Settings
) -> None:
    other = await open_services(settings)
    try:
        old = services.catalogue
        number = await catalogues.draft(with_days(services, 5), "shorter", XU, services)
        row = await catalogues.named(number, services)
        (change,) = once = await catalogues.changes(row, services)
        assert await catalogues.changes(row, services) is once, "worked out once"
        assert (change.zh, change.shortened) == (
            "项目 HR-L-0001 2026-01-01 丙氨酸氨基转移酶：门诊时限（天）由“7”改为“5”", True,
        )  # fmt: skip
        assert alt(services).op_days == 7
        await catalogues.approve(number, "right", SHEN, services, seen=row.hash)
        assert alt(services).op_days == 7
        await catalogues.publish(number, 0, SHEN, services)

        assert alt(services).op_days == 5
        assert alt(other).op_days == 7
        await other.catalogues.current()
        assert alt(other).op_days == 5
        # A judgement of before is judged again under what it names.
        again = await other.catalogues.of(old.version, old.register)
        assert again.item(ALT, services.now()) == old.item(ALT, services.now())
        states = [catalogues.state_of(one, other) for one in await catalogues.versions(other)]
        assert states == ["retired", "in-force"]
        assert (await catalogues.verify(other)).findings == ()
    finally:
        await other.close()


async def test_a_version_may_come_in_force_on_a_day_to_come_and_be_passed_over(
    services: Services,
) -> None:
    start = services.now()
    later = replace(services, now=lambda: start + 3 * DAY)
    coming = await published(services, with_days(services, 5), start + 2 * DAY)
    assert (alt(services).op_days, alt(later).op_days) == (7, 5)
    assert catalogues.state_of(await catalogues.named(coming, services), services) == "coming"

    await published(services, with_days(services, 4))

    assert (alt(services).op_days, alt(later).op_days) == (4, 4)
    assert catalogues.state_of(await catalogues.named(coming, services), later) == "passed-over"


async def test_who_may_draft_approve_and_publish(services: Services) -> None:
    content = with_days(services, 5)
    for by in (officer("x", "it"), officer("x", "clinician"), officer(""), OPERATOR):
        assert await told(catalogues.draft(content, "why", by, services)) is Kind.REFUSED
    assert await told(catalogues.draft(content, " ", XU, services)) is Kind.REQUIRED
    assert await told(catalogues.draft(services.catalogue, "same", XU, services)) is Kind.CONFLICT
    number = await catalogues.draft(content, "why", XU, services)
    seen = (await catalogues.named(number, services)).hash
    approve = catalogues.approve
    assert await told(catalogues.draft(content, "again", SHEN, services)) is Kind.CONFLICT
    assert await told(approve(number, "mine", XU, services, seen=seen)) is Kind.REFUSED
    assert await told(approve(number, "", SHEN, services, seen=seen)) is Kind.REQUIRED
    assert await told(approve(number, "ok", SHEN, services, seen="0" * 64)) is Kind.CONFLICT
    assert (
        await told(approve(number, "ok", officer("x", "it"), services, seen=seen)) is Kind.REFUSED
    )
    assert await told(approve(99, "ok", SHEN, services, seen=seen)) is Kind.UNKNOWN
    assert await told(catalogues.publish(number, 0, XU, services)) is Kind.CONFLICT
    await catalogues.refuse(number, "too short", SHEN, services)
    assert await told(approve(number, "ok", SHEN, services, seen=seen)) is Kind.CONFLICT
    assert alt(services).op_days == 7


async def test_a_draft_that_lost_its_base_is_drafted_again(services: Services) -> None:
    first = await catalogues.draft(with_days(services, 5), "a", XU, services)
    await published(services, with_days(services, 4))
    seen = (await catalogues.named(first, services)).hash
    assert await told(catalogues.approve(first, "ok", SHEN, services, seen=seen)) is Kind.CONFLICT


@pytest.mark.parametrize("state", ["draft", "approved"])
@pytest.mark.parametrize(
    "change",
    [{"content": b"{}"}, {"made_by": "c-shen"}, {"base": 7}, {"decided_by": "c-zhou"}],
    ids=lambda change: next(iter(change)),
)
async def test_what_waits_cannot_be_altered(
    services: Services, state: str, change: dict[str, Any]
) -> None:
    number = await catalogues.draft(with_days(services, 5), "why", XU, services)
    seen = (await catalogues.named(number, services)).hash
    if state == "approved":
        await catalogues.approve(number, "ok", SHEN, services, seen=seen)
    await run(services, update(VERSION).where(VERSION.c.number == number).values(**change))
    work = (
        catalogues.publish(number, 0, XU, services)
        if state == "approved"
        else catalogues.approve(number, "ok", officer("c-third"), services, seen=seen)
    )
    assert await told(work) is Kind.CONFLICT


async def test_an_approval_nobody_gave_is_not_published(services: Services) -> None:
    number = await catalogues.draft(with_days(services, 5), "why", XU, services)
    clause = update(VERSION).where(VERSION.c.number == number)
    await run(services, clause.values(state="approved", decided_by="c-shen"))
    assert await told(catalogues.publish(number, 0, XU, services)) is Kind.CONFLICT


async def test_an_older_version_that_was_put_back_is_found_and_recovered(
    services: Services, settings: Settings
) -> None:
    await published(services, with_days(services, 5))
    await run(services, delete(VERSION).where(VERSION.c.number == 2))

    assert await told(services.catalogues.current()) is Kind.BUSY
    assert await told(open_services(settings)) is Kind.BUSY
    broken = await open_services(settings, policy=False)
    try:
        (finding,) = (await catalogues.verify(broken)).findings
        assert "Catalogue 2 was published but is not in the records" in finding
        assert await catalogues.recover(OPERATOR, broken) == (1, 2)
    finally:
        await broken.close()
    again = await open_services(settings)
    try:
        assert alt(again).op_days == 5
        assert (await catalogues.verify(again)).findings == ()
    finally:
        await again.close()


async def test_a_scope_that_the_register_speaks_of_cannot_be_left_out(services: Services) -> None:
    zone = services.settings.zone
    cells = cells_of(services.catalogue, zone)
    cells["scopes"] = [line for line in cells["scopes"] if line[0] != "CONS-YX1"]
    work = catalogues.draft(of_cells(cells, zone), "smaller", XU, services)
    assert await told(work) is Kind.UNPROCESSABLE


# The register


def of(services: Services, organization: str, code: str) -> list[tuple[str, int, int]]:
    item = services.catalogue.item(code, services.now())
    assert item is not None
    return [
        (one.status, one.valid.start, one.valid.end)
        for one in services.catalogue.entitlements(organization, item)
    ]


def terms(services: Services, **more: Any) -> Terms:
    usual = {"start": services.now() - 9 * DAY, "scope": "CN-ZJ", "item": "HR-L-0034"}
    return Terms(**{**usual, "basis": "ZJ-EQA", "evidence": "2026-1", **more})


async def test_a_suspension_acts_at_once_and_what_was_known_before_can_be_told_again(
    services: Services, settings: Settings
) -> None:
    other = await open_services(settings)
    try:
        given = terms(services)
        number = await entitlements.grant("people", given, "passed", XU, services)
        before = services.catalogue
        await entitlements.act(Act.SUSPENDED, number, "failed", XU, services)
        await other.catalogues.current()

        (active, suspended) = of(other, "people", "HR-L-0034")
        assert active[:2] == ("active", given.start)
        assert (suspended[0], suspended[2]) == ("suspended", FOREVER)
        assert active[2] == suspended[1]
        assert (
            entitlements.standing(await entitlements.line_of(number, other), other) == "suspended"
        )
        await entitlements.act(Act.RESTORED, number, "passed again", SHEN, other)
        assert [one[0] for one in of(other, "people", "HR-L-0034")] == [
            "active", "suspended", "active",
        ]  # fmt: skip
        old = await other.catalogues.of(before.version, before.register)
        item = old.item("HR-L-0034", services.now())
        assert item is not None
        assert [one.status for one in old.entitlements("people", item)] == ["active"]
        assert other.catalogue.version == before.version
        assert (await catalogues.verify(other)).findings == ()
    finally:
        await other.close()


async def test_a_recall_of_some_days_leaves_the_days_before_and_after(services: Services) -> None:
    given = terms(services)
    number = await entitlements.grant("people", given, "passed", XU, services)
    first, last = given.start + 2 * DAY, given.start + 4 * DAY
    await entitlements.act(
        Act.SUSPENDED, number, "recall", XU, services, start=first, end=last, evidence="recall 7"
    )
    assert of(services, "people", "HR-L-0034") == [
        ("active", given.start, first), ("suspended", first, last), ("active", last, FOREVER),
    ]  # fmt: skip
    assert entitlements.standing(await entitlements.line_of(number, services), services) == "active"


async def test_what_was_revoked_is_granted_anew_and_never_restored(services: Services) -> None:
    number = await entitlements.grant("people", terms(services), "passed", XU, services)
    assert await told(entitlements.act(Act.RESTORED, number, "?", XU, services)) is Kind.CONFLICT
    assert await told(entitlements.act(Act.LEFT, number, "?", XU, services)) is Kind.CONFLICT
    assert (
        await told(entitlements.grant("people", terms(services), "x", XU, services))
        is Kind.CONFLICT
    )
    await entitlements.act(Act.REVOKED, number, "forged", XU, services)
    assert await told(entitlements.act(Act.RESTORED, number, "?", XU, services)) is Kind.CONFLICT
    anew = terms(services, start=services.now() + 1)
    assert await entitlements.grant("people", anew, "again", XU, services) > number


async def test_who_leaves_a_scope_lies_in_it_no_more(services: Services) -> None:
    reach = services.catalogue.scopes_of("mch", services.now())
    assert "CONS-YX2" not in reach
    joined = Terms(services.now() - DAY, scope="CONS-YX2")
    number = await entitlements.join("mch", joined, "contract", XU, services)
    assert "CONS-YX2" in services.catalogue.scopes_of("mch", services.now())
    await entitlements.act(Act.LEFT, number, "contract ended", XU, services)
    assert services.catalogue.scopes_of("mch", services.now() + 1) == reach


@pytest.mark.parametrize(
    ("organization", "more", "kind"),
    [
        ("nobody", {}, Kind.UNPROCESSABLE),
        ("people", {"scope": "MARS"}, Kind.UNPROCESSABLE),
        ("people", {"item": "HR-L-9999"}, Kind.UNPROCESSABLE),
        ("people", {"item": "", "group": "alchemy"}, Kind.UNPROCESSABLE),
        ("people", {"group": "chemistry"}, Kind.UNPROCESSABLE),
        ("people", {"item": ""}, Kind.UNPROCESSABLE),
        ("people", {"end": 1}, Kind.UNPROCESSABLE),
        ("people", {"basis": " "}, Kind.REQUIRED),
        ("people", {"evidence": ""}, Kind.REQUIRED),
    ],
)
async def test_what_cannot_be_meant_is_not_granted(
    services: Services, organization: str, more: dict[str, Any], kind: Kind
) -> None:
    before = services.catalogues.event
    work = entitlements.grant(organization, terms(services, **more), "why", XU, services)
    assert await told(work) is kind
    assert services.catalogues.event == before


async def test_two_steps_at_the_same_moment_follow_each_other_or_are_told(
    services: Services, settings: Settings
) -> None:
    other = await open_services(settings)
    try:
        await entitlements.join("mch", Terms(1, scope="CONS-YX2"), "contract", XU, services)
        held = other.catalogues.register_held
        assert len(held.steps) == services.catalogues.event - 1
        step = msgspec.structs.replace(held.steps[-1], number=len(held.steps) + 1)
        event = await catalogues.noted("register", "joined", XU, other)
        with pytest.raises(Problem) as caught:
            await other.db.do(entitlements._steps, [step], held.entries[-1], [event], other)
        assert caught.value.kind is Kind.CONFLICT
    finally:
        await other.close()


def sheet(services: Services, change: Callable[[Any], object]) -> bytes:
    """The register as Excel, with a change to its entitlements."""
    book = load_workbook(io.BytesIO(catalogues.register_workbook(services)))
    change(book["互认资格"])
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


ROW = ["mch", "HR-L-0034", "", "CN-ZJ", "2026-01-01", "", "active", "ZJ-EQA", "2026-1", "县", ""]


async def test_what_is_new_in_a_file_is_shown_and_then_granted_step_by_step(
    services: Services,
) -> None:
    await services.catalogues.current()
    assert await register_files.additions(sheet(services, lambda tab: None), services) == ()
    body = sheet(services, lambda tab: tab.append(ROW))
    (one,) = await register_files.additions(body, services)
    assert (one.organization, one.terms.item, one.member) == ("mch", "HR-L-0034", False)

    before = services.catalogues.event
    (number,) = await register_files.take_up((one,), "批量登记", XU, services)
    assert number == services.catalogues.event == before + 1
    assert of(services, "mch", "HR-L-0034")[0][0] == "active"
    assert await register_files.additions(body, services) == ()


async def test_of_a_file_everything_is_taken_or_nothing(services: Services) -> None:
    await services.catalogues.current()

    def two(tab: Any) -> None:
        tab.append(ROW)
        tab.append([*ROW[:1], "HR-L-0035", *ROW[2:]])

    both = await register_files.additions(sheet(services, two), services)
    before, events = services.catalogues.event, services.catalogues.register_held.steps
    await entitlements.grant("mch", both[1].terms, "先登记了一行", XU, services)
    with pytest.raises(Problem) as caught:
        await register_files.take_up(both, "批量登记", XU, services)
    assert caught.value.kind is Kind.CONFLICT
    assert services.catalogues.event == before + 1
    assert services.catalogues.register_held.steps[:-1] == events

    def twice(tab: Any) -> None:
        tab.append(ROW)
        tab.append([*ROW[:4], "2026-06-01", *ROW[5:]])

    with pytest.raises(catalogues.FileRefused) as refused:
        await register_files.additions(sheet(services, twice), services)
    [fault] = refused.value.faults
    assert "与本表第" in fault.zh

    left = await register_files.additions(sheet(services, lambda tab: tab.append(ROW)), services)
    more = [replace(left[0], terms=msgspec.structs.replace(left[0].terms, item=code))
            for code in ("HR-L-0036", "HR-L-0037")]  # fmt: skip
    numbers = await register_files.take_up(tuple(more), "批量登记", XU, services)
    assert numbers == (before + 2, before + 3)
    assert (await catalogues.verify(services)).findings == ()


async def test_faults_of_a_file_are_told_by_row_and_column_and_nothing_is_added(
    services: Services,
) -> None:
    await services.catalogues.current()
    before = services.catalogues.event

    def spoil(tab: Any) -> None:
        tab.append([*ROW[:1], "HR-L-9999", *ROW[2:]])
        tab.append([*ROW[:6], "suspended", *ROW[7:]])
        tab.append(["nobody", *ROW[1:]])
        tab.append(["people", ALT, "", "CN", "2025-01-01", "", *ROW[6:]])

    with pytest.raises(catalogues.FileRefused) as refused:
        await register_files.additions(sheet(services, spoil), services)
    told = [fault.zh for fault in refused.value.faults]
    last = len(services.catalogue.entitled) + 1
    assert len(told) == 4
    for place, words in (
        (f"“互认资格”第 {last + 1} 行“项目”列", "没有这个项目"),
        (f"“互认资格”第 {last + 2} 行“状态”列", "只能新增"),
        (f"“互认资格”第 {last + 3} 行“机构”列", "机构未登记"),
        (f"“互认资格”第 {last + 4} 行“自”列", "时间重叠"),
    ):
        assert any(one.startswith(place) and words in one for one in told), (place, told)
    assert services.catalogues.event == before
