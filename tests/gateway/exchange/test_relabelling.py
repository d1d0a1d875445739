"""Labels follow the rules in force: on the way in, along links, when lists change, and before an answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consent import labels
from gateway.errors import Problem
from gateway.exchange import ask, label_runs, relabelling, residents
from gateway.identity.systems import RESIDENT_ID
from gateway.services import Services
from gateway.store import labels as statements
from gateway.vault import Tier
from tests.gateway.exchange.house import House, clinician, person

SHEN = person()
OTHER = person("li", "李琛")
MRN = "0000000001"
PSYCHIATRY = "0601^精神心理科"
GASTRO = "0204^消化内科"
LI = clinician("dr-li", "tcm")
HEADER = "word,sensitivity,confidentiality,near,only,why\n"


def newer(services: Services, folder: Path, *rows: str) -> Services:
    """The same county with rows of its own in the word list."""
    folder.mkdir(exist_ok=True)
    (folder / "words.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows), "utf-8")
    return replace(services, labels=labels.read(labels.SHIPPED, folder))


async def shown(house: House, services: Services, kind: str) -> tuple[int, list[str]]:
    page = await ask.search(house.query(kind, ("_count", "200")), LI, services)
    return page.total, sorted(one.id for one in (*page.records, *page.included))


async def told(work: Any) -> str:
    try:
        await work
    except Problem as problem:
        return problem.kind.name
    return "shown"


async def treated(house: House) -> House:
    """Dr Li of another hospital treats her, and she lets others see what is general."""
    await house.sign()
    await residents.open_resident(
        RESIDENT_ID, SHEN.number, LI, house.services, claim="急诊抢救室接诊"
    )
    return house


@pytest.fixture
async def chart(house: House) -> House:
    """A resident who lets other hospitals see what is general: a visit, a report of two results."""
    await house.file(house.adt(SHEN, at="2026-02-20T08:00"))
    await house.file(house.oru(SHEN, MRN, ("ALT", "40", "F"), ("AST", "31", "F")))
    await house.file(
        house.oru(SHEN, MRN, ("WBC", "6.1", "F"), report="R2", order="CBC^血常规", visit="V2")
    )
    await house.file(house.adt(OTHER, "0000000002"))
    return await treated(house)


# The way out: what the newer rules restrict is gone before anybody labelled the chart again.


async def test_an_answer_rests_on_the_rules_in_force_and_on_nothing_else(
    chart: House, tmp_path: Path
) -> None:
    kinds = ("Observation", "DiagnosticReport", "Encounter", "ServiceRequest")
    before = {kind: await shown(chart, chart.services, kind) for kind in kinds}
    report = next(
        one for one in await chart.current("DiagnosticReport") if "肝功能" in one.text.decode()
    )
    services = newer(chart.services, tmp_path / "own", "肝功能,STD,R,,,")
    assert await told(ask.read("DiagnosticReport", report.id, LI, chart.services)) == "shown"

    assert await told(ask.read("DiagnosticReport", report.id, LI, services)) == "UNKNOWN"

    after = {kind: await shown(chart, services, kind) for kind in kinds}
    hidden = {one.id for one in await chart.current() if "STD" in one.nature.sensitivities}
    for kind in kinds:
        left = [id for id in before[kind][1] if id not in hidden]
        assert after[kind] == (len(left), left), kind
    gone = {one.type for one in await chart.current() if one.id in hidden}
    assert {"DiagnosticReport", "Observation", "ServiceRequest"} <= gone
    assert not {"Encounter", "Patient"} & gone
    assert len([i for i in hidden if i in before["Observation"][1]]) == 2, "both of its results"


async def test_a_record_that_rises_lies_under_the_closer_key_with_all_its_versions(
    chart: House, tmp_path: Path
) -> None:
    await chart.file(
        chart.oru(
            SHEN, MRN, ("ALT", "41", "C"), ("AST", "31", "F"), at="2026-02-21T10:00", status="C"
        )
    )
    services = newer(chart.services, tmp_path / "own", "肝功能,STD,R,,,")
    was = [(one.id, one.version, one.text) for one in await chart.everything()]

    await relabelling.relabel(chart.chart(), services)

    now = await chart.everything()
    assert [(one.id, one.version, one.text) for one in now] == was, "no text and no version moved"
    risen = [one for one in now if "STD" in one.nature.sensitivities]
    assert any(one.version > 1 for one in risen)
    assert {one.tier for one in now if one.id in {r.id for r in risen}} == {Tier.RESTRICTED}
    own = clinician()  # the house that wrote them goes on seeing them
    page = await ask.search(chart.query("Observation", ("_count", "200")), own, services)
    assert page.total == 3


async def test_lists_that_say_less_lower_nothing(chart: House, tmp_path: Path) -> None:
    services = newer(chart.services, tmp_path / "own", "肝功能,STD,R,,,")
    await relabelling.relabel(chart.chart(), services)
    state = await chart.state()

    await relabelling.relabel(chart.chart(), chart.services)

    assert await chart.state() == state


# A run: begun by itself, resumed, counted.


async def test_a_run_begins_when_the_rules_changed_and_counts_what_it_did(
    chart: House, tmp_path: Path
) -> None:
    assert await label_runs.work("a", chart.services) == 0
    (first,) = (await label_runs.progress(chart.services)).runs
    assert (first.state, first.total) == ("running", 0)
    await label_runs.work("a", chart.services)
    services = newer(chart.services, tmp_path / "own", "肝功能,STD,R,,,")
    assert await label_runs.left(services) == 2

    while await label_runs.work("a", services):
        pass
    await label_runs.work("a", services)

    found = await label_runs.progress(services)
    assert found.left == 0
    run = found.runs[0]
    assert (run.state, run.total, run.done, run.faults) == ("done", 2, 2, 0)
    standing = await chart.current()
    assert run.raised == len([one for one in standing if "STD" in one.nature.sensitivities])
    assert label_runs.counts(run)["STD"] == run.raised
    assert [one.state for one in found.runs] == ["done", "done"]


@pytest.mark.parametrize("place", ["_seal_anew", "_lay_anew", "_count"])
async def test_a_run_that_is_interrupted_anywhere_goes_on_without_loss(
    chart: House, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = newer(chart.services, tmp_path / "own", "肝功能,STD,R,,,")
    monkeypatch.setattr(label_runs, "_failed", {})
    state = await chart.everything()

    def dies(*_: Any) -> None:
        raise RuntimeError("the machine lost power")

    with monkeypatch.context() as patch:
        patch.setattr(relabelling, place, dies)
        await label_runs.work("a", services)
        assert await chart.everything() == state
        visible = ask.search(chart.query("Observation"), LI, services)
        with pytest.raises(RuntimeError):
            await visible  # rather no answer than one under old rules
    label_runs._failed.clear()
    while await label_runs.work("a", services):
        pass
    assert await label_runs.left(services) == 0
    assert (await shown(chart, services, "Observation"))[0] == 1


async def test_live_traffic_goes_first_and_only_one_process_works(
    chart: House, tmp_path: Path
) -> None:
    services = newer(chart.services, tmp_path / "own", "肝功能,STD,R,,,")
    await chart.send(chart.adt(SHEN, visit="V9"))
    assert await label_runs.work("a", services) == 0
    await chart.work()
    await label_runs.begin(relabelling.WORKER, services)
    done = await asyncio.gather(*(label_runs.work(name, services) for name in "ab"))
    assert sorted(bool(one) for one in done) == [False, True]


async def test_a_chart_filed_under_other_rules_is_labelled_again(
    chart: House, tmp_path: Path
) -> None:
    """Two processes of different age file into one chart: the newer one's rules hold for it."""
    services = newer(chart.services, tmp_path / "own", "肝功能,STD,R,,,")
    await relabelling.relabel(chart.chart(), services)
    await chart.file(chart.oru(SHEN, MRN, ("ALT", "50", "F"), report="R5", visit="V5"))

    assert (await shown(chart, services, "Observation"))[0] == 1


async def test_a_damaged_record_stays_hidden_and_stops_nothing(
    chart: House, tmp_path: Path
) -> None:
    services = newer(chart.services, tmp_path / "own", "肝功能,STD,R,,,")
    wbc = next(one for one in await chart.current("Observation") if b"WBC" in one.text)

    def damage(tx: Any) -> None:
        table = statements._record
        tx.run(
            statements.Statement(
                table.update().where(table.c.id == wbc.id).values(sealed=b"\x01" + bytes(90))
            )
        )

    await chart.services.db.do(damage)
    came = await relabelling.relabel(chart.chart(), services)

    assert came is not None
    assert came.faults == 1
    assert await told(ask.read("Observation", wbc.id, LI, services)) == "UNKNOWN"


# What hangs on what, whichever came first.


@pytest.mark.parametrize("order", ["visit-first", "results-first"])
async def test_a_visit_protects_what_hangs_on_it_whichever_came_first(
    house: House, order: str
) -> None:
    await house.file(house.adt(SHEN, visit="V0", clinic=GASTRO))
    await treated(house)
    visit = house.adt(SHEN, at="2026-02-20T09:00", event="A08", clinic=PSYCHIATRY)
    results = house.oru(SHEN, MRN, ("ALT", "40", "F"), clinic="")
    await house.file(*((visit, results) if order == "visit-first" else (results, visit)))

    assert (await shown(house, house.services, "Observation"))[0] == 0
    assert (await shown(house, house.services, "DiagnosticReport"))[0] == 0
    kept = [one for one in await house.current() if "PSY" in one.nature.sensitivities]
    assert {"Encounter", "Observation", "DiagnosticReport", "ServiceRequest"} <= {
        one.type for one in kept
    }
    assert {one.tier for one in kept} == {Tier.RESTRICTED}
    assert await label_runs.left(house.services) == 0
