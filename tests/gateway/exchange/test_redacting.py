"""A record of which only parts are protected is shown without them, and nothing tells that they were there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.exchange import ask, label_runs, residents
from gateway.exchange.ask import Opened
from gateway.identity.systems import RESIDENT_ID
from gateway.services.caller import Caller
from gateway.vault import Tier
from tests.gateway.exchange.house import House, clinician, person
from tests.gateway.exchange.test_relations import SUBJECT, bundle, known

SHEN = person()
LI = clinician("dr-li", "tcm")
OWN = Caller(client="mch-his", organization="mch", role="system")  # reads what its house sent
LOINC = "http://loinc.org"
PANEL: dict[str, Any] = {
    "resourceType": "Observation", "id": "PANEL", "status": "final", **SUBJECT,
    "effectiveDateTime": "2026-02-20T08:00:00+08:00",
    "code": {"text": "术前检查"},
    "component": [
        {"code": {"text": "血红蛋白"}, "valueString": "132"},
        {"code": {"text": "HIV抗体"}, "valueString": "阴性"},
    ],
}  # fmt: skip


def observation(id: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": id, "status": "final", **SUBJECT,
        "effectiveDateTime": "2026-02-20T08:00:00+08:00",
        "code": {"text": name}, "valueString": "阴性", **more,
    }  # fmt: skip


def report(*results: str, name: str = "术前组合") -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport", "id": "REPORT", "status": "final", **SUBJECT,
        "effectiveDateTime": "2026-02-20T08:00:00+08:00",
        "code": {"text": name},
        "result": [{"reference": f"Observation/{one}"} for one in results],
    }  # fmt: skip


@pytest.fixture
async def here(house: House) -> House:
    """A resident who lets other hospitals see what is general; Dr Li of another hospital treats her."""
    await known(house)
    await house.sign()
    await residents.open_resident(
        RESIDENT_ID, SHEN.number, LI, house.services, claim="急诊抢救室接诊"
    )
    return house


async def seen(here: House, kind: str, who: Any = LI) -> list[Opened]:
    page = await ask.search(here.query(kind, ("_count", "50")), who, here.services)
    assert page.total == len(page.records)
    return list(page.records)


async def test_a_panel_is_shown_without_its_protected_component(here: House) -> None:
    assert await here.file(bundle(PANEL), source="mch-fhir") == ["filed"]
    stored = await here.only("Observation")
    assert (stored.tier, stored.nature.sensitivities) == (Tier.RESTRICTED, ("HIV",))

    (copy,) = await seen(here, "Observation")
    again = await ask.read("Observation", copy.id, LI, here.services)
    (whole,) = await seen(here, "Observation", OWN)

    for one in (copy, again):
        assert "HIV" not in one.text.decode()
        assert [c["code"]["text"] for c in json.loads(one.text)["component"]] == ["血红蛋白"]
    assert copy.version == again.version == json.loads(copy.text)["meta"]["versionId"]
    assert whole.text == stored.text
    assert whole.version != copy.version


async def test_a_copy_that_is_sent_back_is_not_taken_for_the_original(here: House) -> None:
    await here.file(bundle(PANEL), source="mch-fhir")
    (copy,) = await seen(here, "Observation")
    back = PANEL | {
        "component": json.loads(copy.text)["component"],
        "meta": {"security": json.loads(copy.text)["meta"]["security"]},
    }
    before = await here.state()

    states = await here.file(bundle(back, at="2026-02-21T09:00:00+08:00"), source="mch-fhir")

    assert states == ["quarantined"]
    assert ("hold", "incomplete-copy") in await here.issues()
    assert [one for one in await here.state() if one[1] == "Observation"] == [
        one for one in before if one[1] == "Observation"
    ]


async def test_a_report_does_not_name_results_that_are_withheld(here: House) -> None:
    mixed = (observation("A", "血红蛋白"), observation("B", "HIV抗体"), report("A", "B"))
    await here.file(bundle(*mixed), source="mch-fhir")

    (open_one,) = await seen(here, "Observation")
    (told,) = await seen(here, "DiagnosticReport")
    (whole,) = await seen(here, "DiagnosticReport", OWN)
    gathered = await ask.gather(
        here.chart(), LI, here.services, list, kind=ask.Kind.READ, named=True
    )

    assert [one["reference"] for one in json.loads(told.text)["result"]] == [
        f"Observation/{open_one.id}"
    ]
    again = await ask.read("DiagnosticReport", told.id, LI, here.services)
    assert (again.text, again.version) == (told.text, told.version)
    assert told.text in [one.text for one in gathered.records]
    assert len(json.loads(whole.text)["result"]) == 2


@pytest.mark.parametrize("first", [0, 1])
async def test_a_protected_report_protects_its_results_whichever_came_first(
    here: House, first: int
) -> None:
    parts = [bundle(observation("A", "计数")), bundle(report("A", name="HIV确证"), at="2026-02-20T10:00:00+08:00")]  # fmt: skip
    if first:
        parts.reverse()
    await here.file(*parts, source="mch-fhir")

    assert await seen(here, "Observation") == []
    assert await seen(here, "DiagnosticReport") == []
    result = next(
        one for one in await here.current("Observation") if one.plain["code"]["text"] == "计数"
    )
    assert (result.tier, result.nature.sensitivities) == (Tier.RESTRICTED, ("HIV",))
    assert await label_runs.left(here.services) == 0


async def test_hepatitis_b_of_a_health_check_is_known_by_the_visit_whichever_came_first(
    here: House,
) -> None:
    visit = {
        "resourceType": "Encounter", "id": "VISIT", "status": "finished", **SUBJECT,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "serviceType": {"text": "体检中心"},
        "period": {"start": "2026-02-20T08:00:00+08:00", "end": "2026-02-20T09:00:00+08:00"},
    }  # fmt: skip
    of_visit = {"encounter": {"reference": "Encounter/VISIT"}}
    before, after = (observation(name, "乙肝表面抗原", **of_visit) for name in ("A", "C"))
    for number, one in enumerate((before, visit, after)):
        at = f"2026-02-20T1{number}:00:00+08:00"
        await here.file(bundle(one, at=at), source="mch-fhir")

    assert await seen(here, "Observation") == []
    found = [
        one for one in await here.current("Observation") if "乙肝" in one.plain["code"]["text"]
    ]
    assert [(one.nature.confidentiality, one.tier) for one in found] == [("V", Tier.SEALED)] * 2


async def test_an_update_without_labels_or_in_other_words_lowers_nothing(here: House) -> None:
    labels = {"meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                                     "code": "PSY"}]}}  # fmt: skip
    await here.file(bundle(observation("A", "量表") | labels), source="mch-fhir")
    assert await seen(here, "Observation") == []

    plain = observation("A", "另一个名称")
    await here.file(bundle(plain, at="2026-02-22T09:00:00+08:00"), source="mch-fhir")

    assert (await here.only("Observation")).nature.sensitivities == ("PSY",)
    assert await seen(here, "Observation") == []
