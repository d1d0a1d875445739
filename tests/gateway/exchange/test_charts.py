"""Overview, lines, originals and names over a real county: what is shown, to whom, and as which event."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.demo.residents import resident_number
from gateway.errors import Kind, Problem
from gateway.identity import names
from gateway.portal.chart_stories import NameAsked, Overview, SeveralFit
from gateway.portal.stories import Refused, Resident, Results
from gateway.records.instant import moment
from gateway.services import Services
from gateway.store import oversight
from tests.gateway.exchange.house import Clock, House, person
from tests.gateway.exchange.portal_county import (
    LI,
    REASON,
    REGISTRAR,
    WANG,
    ZHOU,
    Town,
    every,
    town,
)

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
async def here(services: Services) -> Town:
    return await town(services, "shen")


async def chart_of(here: Town, who: str = "shen") -> str:
    found = await here.open(who, LI, REASON)
    return found.chart


async def test_the_overview_shows_what_counts_here_as_one_page_and_one_view(here: Town) -> None:
    await here.sign("shen")
    chart = await chart_of(here)
    before = await here.events()
    seen = await here.portal.overview(chart, LI)

    assert isinstance(seen, Overview)
    assert dict(await here.events() - before) == {"everything": 1, "recognition-view": 1}
    assert {one.organization for one in seen.countable} == {"云溪县人民医院"}
    assert all(
        r.recognition.state == "eligible" and r.decision is None
        for one in seen.countable
        for r in one.results
    )
    assert {one.organization for one in seen.newest} == {"云溪县人民医院", "云溪县中医医院"}
    counts = [one.organization for one in seen.newest]
    assert max(counts.count(house) for house in counts) <= 3
    assert {one.organization for one in seen.problems} <= {"云溪县人民医院", "云溪县中医医院"}
    assert {c.state for c in seen.contributions} >= {"answered"}
    event = await here.last_event("everything")
    assert (event.outcome, event.purpose) == ("permit", "TREAT")


@ON_SQLITE
async def test_a_withdrawn_consent_is_gone_from_overview_and_line_with_the_next_click(
    here: Town,
) -> None:
    id = await here.sign("shen")
    chart = await chart_of(here)
    shown = await here.portal.results(chart, LI)
    assert isinstance(shown, Results)
    theirs = next(o for o in every(shown) if "人民" in o.organization and o.detail.item)
    line = await here.portal.line(theirs.id, LI)
    assert theirs.id in {one.id for one in line.results}
    assert len({one.detail.reading.test for one in line.results}) == 1

    await here.portal.withdraw_consent(id, "周立", REGISTRAR)

    again = await here.portal.overview(chart, LI)
    assert isinstance(again, Overview)
    assert {one.organization for one in again.newest} <= {"云溪县中医医院"}
    assert again.countable == ()
    assert {one.organization for one in (*again.problems, *again.studies)} <= {"云溪县中医医院"}
    with pytest.raises(Problem) as hidden:
        await here.portal.line(theirs.id, LI)
    with pytest.raises(Problem) as absent:
        await here.portal.line("0" * 32, LI)
    assert hidden.value.kind is absent.value.kind is Kind.UNKNOWN
    assert str(hidden.value) == str(absent.value)


@ON_SQLITE
async def test_a_line_is_one_search_of_exactly_what_it_shows(here: Town) -> None:
    await here.sign("shen")
    shown = await here.portal.results(await chart_of(here), LI)
    assert isinstance(shown, Results)
    asked = next(o for o in every(shown) if o.item == "总胆固醇")
    before = await here.events()
    line = await here.portal.line(asked.id, LI)

    assert set(await here.events() - before) <= {"search", "recognition-view"}
    assert (await here.events() - before)["search"] == 1
    expected = {o.id for o in every(shown) if o.detail.reading.test == asked.detail.reading.test}
    assert {o.id for o in line.results} == expected
    assert set(line.reports) == expected


@ON_SQLITE
async def test_nobody_without_a_relationship_sees_an_overview(here: Town) -> None:
    await here.sign("shen")
    chart = await chart_of(here)
    assert await here.portal.overview(chart, ZHOU) == Refused("no-relationship")
    assert await here.portal.overview("0" * 32, ZHOU) == Refused("no-relationship")


@ON_SQLITE
async def test_results_since_a_day_leave_the_older_unopened(here: Town) -> None:
    await here.sign("shen")
    chart = await chart_of(here)
    whole = await here.portal.results(chart, LI)
    assert isinstance(whole, Results)
    times = sorted(o.collected for o in every(whole) if isinstance(o.collected, datetime))
    since = times[len(times) // 2].astimezone(UTC)
    part = await here.portal.results(chart, LI, since)
    assert isinstance(part, Results)
    assert {o.id for o in every(part)} == {
        o.id for o in every(whole) if isinstance(o.collected, datetime) and o.collected >= since
    }


@ON_SQLITE
async def test_a_paused_source_makes_its_hospital_silent_on_every_page(here: Town) -> None:
    await here.sign("shen")
    chart = await chart_of(here)
    shown = await here.portal.results(chart, LI)
    assert isinstance(shown, Results)
    later = here.services.now() + 8 * 86_400_000_000
    here.portal._services = replace(here.services, now=lambda: later)  # type: ignore[attr-defined]
    rows = await here.services.db.read(oversight.FEEDS)
    assert rows
    seen = await here.portal.results(chart, WANG)
    assert isinstance(seen, Results)
    assert {c.state for c in seen.contributions} == {"silent"}


async def test_a_name_and_birth_date_find_only_who_is_treated_here(here: Town) -> None:
    who = here.resident("shen")
    assert who.born is not None
    asked = NameAsked(who.name, who.born)
    before = await here.events()

    found = await here.portal.open_by_name(asked, WANG)
    stranger = await here.portal.open_by_name(asked, ZHOU)
    nobody = await here.portal.open_by_name(NameAsked("无此人", who.born), ZHOU)

    assert isinstance(found, Resident)
    assert found.name == who.name
    assert stranger is None
    assert nobody is None
    assert dict(await here.events() - before) == {"search": 3}
    wrong = replace(asked, birth=who.born.replace(year=who.born.year - 1))
    assert await here.portal.open_by_name(wrong, WANG) is None
    assert await here.portal.open_by_name(replace(asked, number="0"), WANG) is None


@ON_SQLITE
async def test_two_of_one_name_and_birthday_are_not_listed(here: Town) -> None:
    house = House(here.services, Clock())
    today = moment(here.services.now() - 3_600_000_000, here.services.settings.zone).strftime(
        "%Y-%m-%dT%H:%M"
    )
    one = person("one", "陈若水")
    assert one.born is not None
    two = person("two", "陈若水", number=resident_number("330402", one.born))
    for who, mrn in ((one, "0000000011"), (two, "0000000012")):
        await house.send(
            house.adt(who, mrn, visit="V" + mrn, at=today, begun=today),
        )
    await house.work()
    asked = NameAsked("陈若水", one.born)
    assert await here.portal.open_by_name(asked, WANG) == SeveralFit()
    found = await here.portal.open_by_name(replace(asked, number="0000000012"), WANG)
    assert isinstance(found, Resident)


def test_a_name_is_spelled_one_way_and_nobodys_name_is_none() -> None:
    assert names.spelled("王 珅", "1980-01-01") == names.spelled("王珅", "1980-01-01") != ""
    assert names.spelled("无名氏", "1980-01-01") == ""
    assert names.spelled("王珅", "1980") == ""
