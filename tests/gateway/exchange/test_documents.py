"""Documents and visits filed: stored once, completed and replaced, labelled as what they say; patches that keep the rest."""

from __future__ import annotations

from datetime import datetime

from gateway.demo import people
from tests.gateway.exchange.house import House, person

SHEN = person()
MRN = "0000000001"
PDF = b"%PDF-1.4\n% 1\n%%EOF\n"


async def test_the_same_document_again_is_stored_once(house: House) -> None:
    states = await house.file(
        house.mdm(SHEN, MRN, PDF, at="2026-02-20T10:00"),
        house.mdm(SHEN, MRN, PDF, at="2026-02-20T11:00"),
        house.mdm(SHEN, MRN, PDF, number="D2", at="2026-02-20T12:00"),
    )
    assert states == ["filed"] * 3
    binary = await house.only("Binary")
    assert binary.version == 1
    documents = await house.current("DocumentReference")
    urls = {one.plain["content"][0]["attachment"]["url"] for one in documents}
    assert urls == {f"Binary/{binary.id}"}


async def test_a_notification_takes_no_content_away_whenever_it_comes(house: House) -> None:
    await house.file(
        house.mdm(SHEN, MRN, event="T01", number="D1", at="2026-02-20T09:00"),
        house.mdm(SHEN, MRN, PDF, number="D1", at="2026-02-20T10:00"),
        house.mdm(SHEN, MRN, event="T03", number="D1", at="2026-02-20T11:00"),
    )
    document = await house.only("DocumentReference")
    (content,) = document.plain["content"]
    assert content["attachment"]["contentType"] == "application/pdf"


async def test_a_replaced_document_is_superseded_and_keeps_its_content(house: House) -> None:
    await house.file(
        house.mdm(SHEN, MRN, "一", number="D1", at="2026-02-20T10:00"),
        house.mdm(SHEN, MRN, "二", event="T10", number="D2", parent="D1", at="2026-02-20T11:00"),
    )
    by = {
        one.plain["masterIdentifier"]["value"]: one
        for one in await house.current("DocumentReference")
    }
    assert by["D1"].plain["status"] == "superseded"
    assert "url" in by["D1"].plain["content"][0]["attachment"]
    assert by["D2"].plain["relatesTo"] == [
        {"code": "replaces", "target": {"reference": f"DocumentReference/{by['D1'].id}"}}
    ]


async def test_a_document_whose_predecessor_never_came_makes_a_stub_of_it(house: House) -> None:
    second = house.mdm(
        SHEN, MRN, "二", event="T10", number="D2", parent="D1", at="2026-02-20T11:00"
    )
    first = house.mdm(SHEN, MRN, "一", number="D1", at="2026-02-20T10:00")
    await house.file(second, first)
    by = {
        one.plain["masterIdentifier"]["value"]: one
        for one in await house.current("DocumentReference")
    }
    assert by["D1"].plain["status"] == "superseded", "the older word comes late and changes nothing"


async def test_what_a_document_says_labels_it_and_its_content(house: House) -> None:
    await house.file(
        house.mdm(SHEN, MRN, "患者系艾滋病病毒感染者", number="D1"),
        house.mdm(SHEN, MRN, "血压正常", number="D2"),
    )
    by = {
        one.plain["masterIdentifier"]["value"]: one
        for one in await house.current("DocumentReference")
    }
    assert by["D1"].nature.sensitivities
    assert not by["D2"].nature.sensitivities
    contents = {one.id: one for one in await house.current("Binary")}
    for document in by.values():
        url = document.plain["content"][0]["attachment"]["url"]
        content = contents[url.partition("/")[2]]
        assert content.nature.sensitivities == document.nature.sensitivities
        assert content.tier == document.tier
        assert set(document.nature.codes) <= set(content.nature.codes)


async def test_the_senders_own_level_of_a_document_is_taken(house: House) -> None:
    await house.file(house.mdm(SHEN, MRN, "血压正常", level="V"))
    document = await house.only("DocumentReference")
    assert document.nature.confidentiality == "V"
    assert (await house.only("Binary")).nature.confidentiality == "V"


# Visits


async def status(house: House) -> tuple[str, dict[str, str]]:
    visit = (await house.only("Encounter")).plain
    return visit["status"], visit.get("period", {})


async def test_an_update_after_discharge_leaves_the_visit_finished(house: House) -> None:
    await house.file(
        house.adt(SHEN, event="A01", at="2026-02-20T08:00"),
        house.adt(SHEN, event="A03", at="2026-02-21T08:00", left="2026-02-21T08:00"),
        house.adt(SHEN, event="A08", at="2026-02-22T08:00"),
    )
    told, period = await status(house)
    assert told == "finished"
    assert set(period) == {"start", "end"}


async def test_a_cancelled_discharge_takes_the_end_away_and_leaves_the_beginning(
    house: House,
) -> None:
    await house.file(
        house.adt(SHEN, event="A01", at="2026-02-20T08:00"),
        house.adt(SHEN, event="A03", at="2026-02-21T08:00", left="2026-02-21T08:00"),
        house.adt(SHEN, event="A13", at="2026-02-21T09:00", left="2026-02-21T08:00"),
    )
    told, period = await status(house)
    assert told == "in-progress"
    assert set(period) == {"start"}


async def test_a_discharge_that_says_only_the_end_keeps_the_beginning(house: House) -> None:
    admitted = house.adt(SHEN, event="A01", at="2026-02-20T08:00")
    left = house.adt(SHEN, event="A03", at="2026-02-21T08:00", left="2026-02-21T08:00")
    begun = people.stamp(datetime(2026, 2, 20, 8))
    left = left.replace(f"|{begun}|".encode(), b"||")
    await house.file(admitted, left)
    told, period = await status(house)
    assert told == "finished"
    assert set(period) == {"start", "end"}


async def test_a_deleted_visit_is_entered_in_error_and_no_evidence(house: House) -> None:
    await house.file(
        house.adt(SHEN, event="A01", at="2026-02-20T08:00"),
        house.adt(SHEN, event="A23", at="2026-02-21T08:00"),
    )
    assert (await status(house))[0] == "entered-in-error"
    assert not (await house.grounds(house.chart())).relationships
