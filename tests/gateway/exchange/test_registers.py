"""What the registers tell of the county as it is: stages, inventory, coverage, exports; on both databases."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from gateway.demo import registers as pretend
from gateway.errors import Kind, Problem
from gateway.exchange import elements, inventory, pipeline, register_sheets, registers
from gateway.exchange.quality import Found
from gateway.services import Services
from tests.gateway.exchange.portal_county import LI, OFFICE, caller, town

ONE = caller("commission")


async def test_the_stages_and_the_inventory_count_what_is_there(services: Services) -> None:
    await town(services, "shen", rows=False)
    found = {one.tally.name: one for one in (await pipeline.pipeline(ONE, services)).sources}
    stock = await inventory.inventory(ONE, services)

    his = found["people-his"]
    rows = {one.source: one for one in stock.sources}["people-his"]
    sizes = {one.name: one for one in stock.tables}
    assert his.tally.received == his.kept + his.tally.duplicates > 0
    assert his.standing > his.closer >= 0
    assert his.folders >= 1
    assert rows.messages == his.kept
    assert rows.records == rows.with_content >= his.standing
    assert sum(one.records for one in stock.sources) == sizes["record"].rows
    assert sum(one.messages for one in stock.sources) == sizes["inbox"].rows
    assert sum(one.message_bytes for one in stock.sources) <= sizes["inbox"].bytes
    assert all(stock.keeps(one) for one in stock.sources)


async def test_a_source_that_promised_to_keep_nothing_is_found_out(services: Services) -> None:
    await town(services, "shen", rows=False)
    await services.db.session(
        lambda s: s.exec(text("update source set keep = 'index' where name = 'people-his'"))
    )

    stock = await inventory.inventory(ONE, services)

    assert [one.source for one in stock.sources if not stock.keeps(one)] == ["people-his"]


def test_a_score_is_what_its_formula_says() -> None:
    found = [
        Found("lis", "control-id-reused", 100, 5, (), {}),
        Found("lis", "amended-as-new", 100, 15, (), {}),
        Found("lis", "equal-times", 50, 50, (), {}),
    ]
    points = {one.name: one.points for one in pipeline.scores(found)}

    assert points == {
        "completeness": None,
        "validity": None,
        "timeliness": 0.0,
        "consistency": None,
        "uniqueness": 90.0,
    }


async def test_every_path_and_column_points_to_an_element_or_is_listed(services: Services) -> None:
    found = await registers.standing("element", services)
    whole = await elements.coverage(found, services)
    without = await elements.coverage(found[1:], services)

    said = {path for one in found for path in one.line["paths"].split()}
    assert said <= set(elements.filled()), "an element points to what no map fills"
    assert set(whole.open_paths) == set(elements.filled()) - said
    assert {column for _, column in whole.open_columns}.isdisjoint({"BRID", "XMDM", "身份证号"})
    assert whole.percent > 50
    assert without.percent < whole.percent


async def test_an_export_is_noted_and_shaped_like_a_catalogue(services: Services) -> None:
    content = await register_sheets.exported("resource", "json", ONE, services)
    told = json.loads(content)
    events = await services.db.session(
        lambda s: s.exec(
            text("select count(*) from audit_event where kind = 'register-export'")
        ).one()
    )

    assert events[0] == 1
    assert told["@type"] == "dcat:Catalog"
    one = next(d for d in told["dcat:dataset"] if d["dct:identifier"] == "Observation")
    assert one["dct:accessRights"] == "conditional"
    assert {"name": "检验结果数值", "type": "数值", "length": "20"} in one["gbt21063:items"]


async def test_the_pretend_county_is_registered_once(services: Services) -> None:
    for _ in range(2):
        await pretend.fill(services)

    systems = await registers.standing("system", services)
    assert len(systems) == 24
    assert {one.line["level"] for one in systems} == {
        "ministry",
        "province",
        "city",
        "county",
        "institution",
    }
    assert len(await registers.drafts(ONE, services)) == 1


@pytest.mark.parametrize("who", [LI, OFFICE])
async def test_registers_are_the_health_authoritys(services: Services, who: object) -> None:
    for work in (
        pipeline.pipeline(who, services),  # type: ignore[arg-type]
        inventory.inventory(who, services),  # type: ignore[arg-type]
        register_sheets.exported("right", "xlsx", who, services),  # type: ignore[arg-type]
        registers.drafts(who, services),  # type: ignore[arg-type]
    ):
        with pytest.raises(Problem) as refusal:
            await work
        assert refusal.value.kind is Kind.REFUSED
