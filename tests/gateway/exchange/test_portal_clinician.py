"""What clinicians are shown, and what nobody is: the portal's stories over a real county."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.audit.events import Kind
from gateway.demo import story
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import receive
from gateway.jobs.worker import Worker
from gateway.portal.county import stories
from gateway.portal.stories import (
    AccessFilter,
    Identifier,
    NeedsClaim,
    Refused,
    Resident,
    Results,
    Target,
    Verdict,
)
from gateway.services import Services
from gateway.store import charts as rows
from gateway.store import inbox
from tests.gateway.exchange.portal_county import (
    AUDITOR,
    LI,
    REASON,
    REGISTRAR,
    STRANGER,
    WANG,
    ZHOU,
    Town,
    caller,
    every,
    panel,
    town,
)

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
ACCEPT = Verdict("accepted", "", "", explained=False)


@pytest.fixture
async def here(services: Services) -> Town:
    return await town(services, "shen")


async def grown(town: Town, before: Counter[str]) -> dict[str, int]:
    """The events since `before`."""
    return dict(await town.events() - before)


@ON_SQLITE
async def test_nobody_and_somebody_unrelated_are_the_same_answer_and_the_same_event(
    here: Town,
) -> None:
    before = await here.events()
    known = await here.portal.open_resident(here.number("shen"), ZHOU, None)
    first = await here.last_event("search")
    nobody = await here.portal.open_resident(Identifier("resident-id", STRANGER), ZHOU, None)
    second = await here.last_event("search")

    assert known == nobody == NeedsClaim()
    assert await grown(here, before) == {"search": 2}
    assert (first.outcome, second.outcome) == ("deny", "deny")
    assert first.charts
    assert not second.charts


@ON_SQLITE
async def test_a_claim_finds_nothing_of_nobody_and_nothing_of_somebody_unsigned(
    here: Town,
) -> None:
    who = replace(LI, organization="mch")
    unsigned = await here.portal.open_resident(here.number("shen"), who, REASON)
    nobody = await here.portal.open_resident(Identifier("resident-id", STRANGER), who, REASON)

    assert unsigned == nobody == NeedsClaim()
    alarms = await here.services.db.read(inbox.ALARMS, 10)
    assert [row[1] for row in alarms if row[1] == "self-claim"] == ["self-claim"] * 2


async def test_a_claim_is_recorded_with_its_event_and_its_alarm_and_never_with_the_number(
    here: Town,
) -> None:
    await here.sign("shen")
    before = await here.events()

    found = await here.open("shen", LI, REASON)

    assert await grown(here, before) == {"relationship-claim": 1, "search": 1}
    [alarm] = [
        row for row in await here.services.db.read(inbox.ALARMS, 10) if row[1] == "self-claim"
    ]
    event = await here.last_event("relationship-claim")
    assert alarm[3] == event.charts
    assert alarm[3] in {
        here.services.log.tag(chart.id) for chart in await _charts(here.services, found.chart)
    }
    # tcm has treated him, so an encounter may outweigh the claim; the claim stands beside it.
    assert found.relationship in {"claimed", "encounter"}
    assert here.resident("shen").number not in repr((alarm, event, found))


async def _charts(services: Services, chart: str) -> tuple[rows.ChartRow, ...]:
    return (await rows.grounds(services.db, chart, "")).charts


@ON_SQLITE
async def test_a_claimed_relationship_ends_after_a_day(here: Town) -> None:
    await here.sign("shen")
    found = await here.open("shen", LI, REASON)
    assert found.relationship == "claimed"
    assert found.until is not None

    later = here.services.now() + 25 * 3_600_000_000
    here.portal._services = replace(here.services, now=lambda: later)  # type: ignore[attr-defined]

    assert await here.portal.open_resident(here.number("shen"), LI, None) == NeedsClaim()
    assert await here.portal.results(found.chart, LI) == Refused("no-relationship")


@ON_SQLITE
async def test_a_reason_that_explains_nothing_is_no_claim(here: Town) -> None:
    with pytest.raises(Problem) as told:
        await here.portal.open_resident(here.number("shen"), LI, "看病")
    assert told.value.kind is Trouble.UNPROCESSABLE


@ON_SQLITE
async def test_a_number_that_cannot_be_anybodys_is_not_looked_up(here: Town) -> None:
    before = await here.events()
    with pytest.raises(Problem):
        await here.portal.open_resident(Identifier("resident-id", "330421198001010006"), LI, None)
    assert await grown(here, before) == {}


@ON_SQLITE
async def test_other_roles_are_refused_without_a_look(here: Town) -> None:
    asked = here.number("shen")
    stranger = Identifier("resident-id", STRANGER)
    assert await here.portal.open_resident(asked, REGISTRAR, None) == Refused("role-purpose")
    assert await here.portal.open_resident(stranger, REGISTRAR, None) == Refused("role-purpose")
    assert await here.portal.open_resident(asked, REGISTRAR, REASON) == Refused("role-purpose")
    assert "relationship-claim" not in await here.events()


async def test_the_results_of_the_other_hospital_stand_as_issued(here: Town) -> None:
    await here.sign("shen")
    await here.open("shen", LI, REASON)
    before = await here.events()
    shown = await here.results("shen", LI, None)

    assert await grown(here, before) == {
        "search": 1, "everything": 1, "recognition-view": 1
    }  # fmt: skip
    found = {
        (one.item, one.value, one.unit, one.range, one.flag.raw)
        for one in every(shown)
        if one.organization == "云溪县人民医院"
    }
    for seen in story.SEEN:
        assert (seen.name, seen.value, seen.unit, seen.range, seen.flag) in found
    assert {one.recognition.state for one in every(shown) if "中医" in one.organization} == {"own"}
    assert shown.resident.name == here.resident("shen").name
    assert set(shown.resident.number[3:-1]) == {"*"}
    assert here.resident("shen").number not in repr(shown)
    assert [c.state for c in shown.contributions if "人民" in c.organization] == ["answered"]


@ON_SQLITE
async def test_without_consent_only_the_own_hospitals_results_are_left(here: Town) -> None:
    """Whoever treats somebody sees what their own hospital wrote, and nobody else's."""
    shown = await here.results("shen", WANG, None)
    assert {report.organization for report in shown.reports} == {"云溪县人民医院"}
    assert shown.resident.hospitals == ("云溪县人民医院",)
    assert shown.resident.relationship == "encounter"


async def test_a_withdrawn_consent_is_gone_with_the_next_page(here: Town) -> None:
    id = await here.sign("shen")
    shown = await here.results("shen", LI)
    assert "云溪县人民医院" in {report.organization for report in shown.reports}

    await here.portal.withdraw_consent(id, "周立", REGISTRAR)

    again = await here.portal.results(shown.resident.chart, LI)
    assert isinstance(again, Results)
    assert {report.organization for report in again.reports} <= {"云溪县中医医院"}
    assert again.resident.hospitals == ("云溪县中医医院",)
    hidden = panel(shown, "肝功能").id
    with pytest.raises(Problem) as told:
        await here.portal.report(hidden, LI)
    assert told.value.kind is Trouble.UNKNOWN


@ON_SQLITE
@pytest.mark.parametrize("case", story.EXPECTED, ids=lambda case: case.login)
async def test_the_restricted_record_is_shown_to_whom_the_patient_said(
    services: Services, case: story.Expectation
) -> None:
    here = await town(services, story.RESTRICTED)
    await here.sign(story.RESTRICTED, "share")
    await here.sign(
        story.RESTRICTED, "category", organization="Practitioner/dr-chen", category="PSY"
    )
    who = caller(case.login)

    found = await here.portal.open_resident(
        here.number(story.RESTRICTED), who, REASON if case.claims else None
    )

    if case.answer == "refused":
        assert found == NeedsClaim()
        return
    assert isinstance(found, Resident)
    shown = await here.portal.results(found.chart, who)
    assert isinstance(shown, Results)
    psychiatric = any("精神" in report.title for report in shown.reports)
    assert psychiatric is (case.answer == "everything")
    assert any(report.organization == "云溪县人民医院" for report in shown.reports)
    assert ("抑郁" in repr(shown)) is (case.answer == "everything")


@ON_SQLITE
async def test_a_report_says_where_it_came_from_and_is_one_read(here: Town) -> None:
    await here.sign("shen")
    shown = await here.results("shen", LI)
    before = await here.events()

    view = await here.portal.report(panel(shown, "肝功能").id, LI)

    assert await grown(here, before) == {"read": 1, "recognition-view": 1}
    assert view.source == "people-his"
    assert view.report == panel(shown, "肝功能")
    assert len(view.fingerprint.replace(" ", "")) == 12
    assert [one.status for one in view.amendments] == ["final"]
    read = await here.portal.accesses(AccessFilter(kind="read"), AUDITOR)
    # The report and who made it, its results, their specimen and visit, and who the patient is: not
    # the whole chart.
    assert read.rows[0].shown == 1 + 1 + len(view.report.results) + 1 + 1 + 2


@ON_SQLITE
async def test_an_examination_in_words_shows_findings_and_conclusion(here: Town) -> None:
    shown = await here.results("shen", WANG, None)
    scan = panel(shown, "胸部CT平扫")
    assert (scan.kind, scan.results) == ("ct", ())
    view = await here.portal.report(scan.id, WANG)
    assert view.findings.startswith("胸廓对称")
    assert view.report.conclusion == "右肺上叶微小结节,建议12个月后复查。"


@ON_SQLITE
async def test_a_report_of_somebody_elses_patient_does_not_exist(here: Town) -> None:
    own = await here.results("shen", WANG, None)
    hidden = panel(own, "肝功能").id
    told = []
    for id in (hidden, "0" * 32):
        with pytest.raises(Problem) as problem:
            await here.portal.report(id, ZHOU)
        told.append((problem.value.kind, problem.value.text, problem.value.place))
    assert told[0] == told[1]
    assert told[0][0] is Trouble.UNKNOWN


# Corrections and decisions


def _liver(here: Town) -> bytes:
    """The message of the liver panel."""
    number = here.resident("shen").number.encode()
    return next(
        delivery.raw
        for delivery in here.pretend.messages
        if number in delivery.raw and b"|LFT^" in delivery.raw
    )


async def correct(here: Town) -> None:
    """The hospital corrects ALT from 62.4 to 26.40, an hour later."""
    raw = _liver(here)
    lines = []
    for line in raw.split(b"\r"):
        fields = line.split(b"|")
        if fields[0] == b"OBX" and fields[3].startswith(b"ALT"):
            fields[5], fields[8], fields[11] = b"26.40", b"", b"C"
        if fields[0] == b"OBR":
            fields[22] = str(int(fields[22]) + 10_000).encode()
            fields[25] = b"C"
        if fields[0] == b"MSH":
            fields[6] = str(int(fields[6][:14]) + 10_000).encode()
            fields[9] += b"C"
        lines.append(b"|".join(fields))
    await receive.receive("people-his", [receive.Unit(b"\r".join(lines))], here.services)
    await Worker(here.services).drain()


@ON_SQLITE
async def test_a_correction_shows_the_value_it_replaced(here: Town) -> None:
    await here.sign("shen")
    await correct(here)
    shown = await here.results("shen", LI)

    [alt] = [one for one in every(shown) if one.item == "丙氨酸氨基转移酶"]

    assert (alt.value, alt.earlier, alt.status) == ("26.40", "62.4", "corrected")
    others = [one for one in panel(shown, "肝功能").results if one.item != alt.item]
    assert {one.earlier for one in others} == {""}
    view = await here.portal.report(panel(shown, "肝功能").id, LI)
    assert [one.status for one in view.amendments] == ["final", "corrected"]
    assert len({one.version for one in view.amendments}) == 2


async def test_a_decision_is_recorded_with_its_event_and_shown_to_colleagues(here: Town) -> None:
    await here.sign("shen")
    shown = await here.results("shen", LI)
    liver = panel(shown, "肝功能")
    eligible = [one for one in liver.results if one.recognition.state == "eligible"]
    assert eligible
    assert {one.recognition.mark for one in eligible} == {"全国HR"}
    assert all(one.recognition.until for one in eligible)
    before = await here.events()

    targets = tuple(Target(one.id, one.version) for one in eligible[:2])
    await here.portal.decide(liver.id, targets, ACCEPT, LI)

    assert await grown(here, before) == {"read": 1, "recognition-decision": 2}
    again = await here.portal.results(shown.resident.chart, LI)
    assert isinstance(again, Results)
    decided = {one.id: one.decision for one in every(again) if one.decision}
    assert set(decided) == {one.id for one in targets}
    decision = decided[targets[0].id]
    assert decision is not None
    assert (decision.outcome, decision.by, decision.organization) == (
        "accepted", "李明轩", "云溪县中医医院",
    )  # fmt: skip
    others = await here.results("shen", WANG, None)
    assert not any(one.decision for one in every(others)), (
        "another hospital's decisions are its own"
    )


async def test_deciding_where_the_hospital_has_no_folder_makes_one_that_is_linked(
    here: Town,
) -> None:
    await here.sign("shen")
    who = replace(LI, organization="mch", user="dr-new", name="新医生")
    shown = await here.results("shen", who)
    before = {chart.organization for chart in await _charts(here.services, shown.resident.chart)}
    report = panel(shown, "肝功能")
    target = next(one for one in report.results if one.recognition.state == "eligible")
    no = Verdict("declined", "08", "患者要求复查", explained=True)

    await here.portal.decide(report.id, (Target(target.id, target.version),), no, who)
    await here.portal.decide(report.id, (Target(target.id, target.version),), no, who)

    after = {chart.organization for chart in await _charts(here.services, shown.resident.chart)}
    assert after - before == {"mch"}
    view = await here.portal.report(report.id, who)
    [decision] = [one.decision for one in view.report.results if one.decision]
    assert (decision.outcome, decision.reason, decision.words) == ("declined", "08", "患者要求复查")
    assert (await here.events())["recognition-decision"] == 1, "said twice is said once"


@ON_SQLITE
async def test_a_decision_about_a_version_that_was_replaced_is_refused(here: Town) -> None:
    await here.sign("shen")
    shown = await here.results("shen", LI)
    liver = panel(shown, "肝功能")
    alt = next(one for one in liver.results if one.item == "丙氨酸氨基转移酶")
    await correct(here)

    with pytest.raises(Problem) as told:
        await here.portal.decide(liver.id, (Target(alt.id, alt.version),), ACCEPT, LI)

    assert told.value.kind is Trouble.CONFLICT
    assert "recognition-decision" not in await here.events()


@ON_SQLITE
async def test_a_correction_makes_an_old_decision_an_open_question(here: Town) -> None:
    await here.sign("shen")
    shown = await here.results("shen", LI)
    liver = panel(shown, "肝功能")
    alt = next(one for one in liver.results if one.item == "丙氨酸氨基转移酶")
    await here.portal.decide(liver.id, (Target(alt.id, alt.version),), ACCEPT, LI)

    await correct(here)

    again = await here.portal.results(shown.resident.chart, LI)
    assert isinstance(again, Results)
    [now] = [one for one in every(again) if one.id == alt.id]
    assert now.decision is None


@ON_SQLITE
@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (Verdict("declined", "08", " ", explained=False), Trouble.UNPROCESSABLE),
        (Verdict("declined", "77", "", explained=False), Trouble.MALFORMED),
    ],
)
async def test_a_verdict_that_is_not_whole_is_not_recorded(
    here: Town, verdict: Verdict, kind: Trouble
) -> None:
    await here.sign("shen")
    liver = panel(await here.results("shen", LI), "肝功能")
    one = next(one for one in liver.results if one.recognition.state == "eligible")
    with pytest.raises(Problem) as told:
        await here.portal.decide(liver.id, (Target(one.id, one.version),), verdict, LI)
    assert told.value.kind is kind
    assert Kind.RECOGNITION_DECISION not in await here.events()


@ON_SQLITE
async def test_own_and_foreign_results_cannot_be_decided_on(here: Town) -> None:
    await here.sign("shen")
    shown = await here.results("shen", LI)
    liver = panel(shown, "肝功能")
    own = next(r for r in shown.reports if r.organization == "云溪县中医医院")
    mine = own.results[0]
    with pytest.raises(Problem) as told:
        await here.portal.decide(own.id, (Target(mine.id, mine.version),), ACCEPT, LI)
    assert told.value.kind is Trouble.UNPROCESSABLE
    with pytest.raises(Problem) as told:
        await here.portal.decide(liver.id, (Target(mine.id, mine.version),), ACCEPT, LI)
    assert told.value.kind is Trouble.UNKNOWN


class Meanwhile:
    """A store in which something else is committed just before one piece of work."""

    def __init__(self, db: Any, work: str, other: Callable[[], Awaitable[None]]) -> None:
        self._db, self._work, self._other = db, work, other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    async def do(self, work: Callable[..., Any], *given: Any) -> Any:
        if f"{work.__module__}.{work.__name__}" == self._work:
            self._work = ""
            await self._other()
        return await self._db.do(work, *given)


@ON_SQLITE
async def test_a_correction_that_comes_while_deciding_is_noticed(here: Town) -> None:
    await here.sign("shen")
    liver = panel(await here.results("shen", LI), "肝功能")
    alt = next(one for one in liver.results if one.item == "丙氨酸氨基转移酶")
    db = Meanwhile(here.services.db, "gateway.exchange.decide._write", lambda: correct(here))
    here.portal._services = replace(here.services, db=db)  # type: ignore[attr-defined]

    with pytest.raises(Problem) as told:
        await here.portal.decide(liver.id, (Target(alt.id, alt.version),), ACCEPT, LI)

    assert told.value.kind is Trouble.CONFLICT
    assert "recognition-decision" not in await here.events()


@ON_SQLITE
async def test_a_withdrawal_that_comes_while_deciding_leaves_no_decision(here: Town) -> None:
    id = await here.sign("shen")
    liver = panel(await here.results("shen", LI), "肝功能")
    alt = next(one for one in liver.results if one.item == "丙氨酸氨基转移酶")

    async def withdraw() -> None:
        await stories(here.services).withdraw_consent(id, "周立", REGISTRAR)

    db = Meanwhile(here.services.db, "gateway.exchange.decide._write", withdraw)
    here.portal._services = replace(here.services, db=db)  # type: ignore[attr-defined]

    with pytest.raises(Problem) as told:
        await here.portal.decide(liver.id, (Target(alt.id, alt.version),), ACCEPT, LI)

    assert told.value.kind is Trouble.UNKNOWN
    assert "recognition-decision" not in await here.events()


@ON_SQLITE
async def test_a_claim_moves_the_charts_epoch(here: Town) -> None:
    """Whatever was being decided about the person is decided again."""
    await here.sign("shen")
    found = await here.open("shen", WANG)
    before = {chart.id: chart.epoch for chart in await _charts(here.services, found.chart)}
    await here.open("shen", LI, REASON)
    after = {chart.id: chart.epoch for chart in await _charts(here.services, found.chart)}
    assert sum(after.values()) == sum(before.values()) + 1
