"""A hospital's system records what its named clinician decided on another hospital's result."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from gateway.exchange import residents
from gateway.identity.systems import RESIDENT_ID
from tests.gateway.fhir.conftest import SHEN, Door, clinician, served

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSON = {"content-type": "application/fhir+json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(migrated_files: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The broad form is signed and dr-li of another hospital says she is treating."""
    async with served(tmp_path_factory.mktemp("told"), migrated_files) as door:
        house = door.house
        reports = [
            house.oru(
                SHEN,
                "0000000001",
                ("ALT", f"{n}.10", "F"),
                report=f"R{n}",
                at=f"2026-02-2{6 + n}T10:00",
            ).replace(b"20260220", f"2026022{6 + n}".encode())
            for n in range(3)
        ]
        await house.send(house.adt(SHEN), *reports)
        await house.work()
        await house.sign()
        li = clinician("dr-li", "tcm")
        why = "急诊抢救室接诊"
        await residents.open_resident(RESIDENT_ID, SHEN.number, li, door.house.services, claim=why)
        yield door


def parameters(*pairs: tuple[str, str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, f"value{kind}": value} for name, kind, value in pairs],
    }


async def versions(door: Door) -> list[str]:
    address = f"/fhir/Observation?patient={door.chart}&code=http://loinc.org|1742-6"
    answer = await door.web.get(address, headers=await door.li())
    found = [one["resource"] for one in answer.json()["entry"]]
    return [f"Observation/{one['id']}/_history/{one['meta']['versionId']}" for one in found]


async def post(door: Door, name: str, *pairs: tuple[str, str, Any], as_wang: bool = False) -> Any:
    headers = await (door.wang() if as_wang else door.li())
    return await door.web.post(f"/fhir/{name}", json=parameters(*pairs), headers=headers | JSON)


def out(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [
        {part["name"]: next(v for k, v in part.items() if k != "name") for part in one["part"]}
        for one in answer.json()["parameter"]
    ]


async def test_a_decision_is_recorded_once_read_back_and_revoked(told: Door) -> None:
    result = (await versions(told))[0]
    said = [
        ("result", "Reference", {"reference": result}),
        ("choice", "Code", "decline"),
        ("reason", "Code", "08"),
        ("words", "String", "患者要求复查"),
        ("informed", "Boolean", True),
        ("order", "String", "O-17"),
        ("patient-class", "Code", "OP"),
    ]
    [first] = out(await post(told, "$recognition-decision", *said))
    [again] = out(await post(told, "$recognition-decision", *said))
    assert (first["new"], again["new"]) == (True, False)
    assert first["task"] == again["task"]
    address = f"/fhir/{first['task']['reference']}"
    task = (await told.web.get(address, headers=await told.li())).json()
    assert task["focus"]["reference"] == result
    assert task["basedOn"][0]["identifier"]["value"] == "O-17"
    assert (await told.web.get(address, headers=await told.wang())).status_code == 404
    chart = told.chart
    found = await told.web.get(f"/fhir/DetectedIssue?patient={chart}", headers=await told.li())
    assert any(one["resource"]["implicated"][-1]["reference"] == result
               for one in found.json()["entry"] if "implicated" in one["resource"])  # fmt: skip

    why = [("task", "Reference", first["task"]), ("words", "String", "检验科已复核")]
    for _ in range(2):
        assert (await post(told, "$recognition-revocation", *why)).status_code == 200
    task = (await told.web.get(address, headers=await told.li())).json()
    assert task["status"] == "cancelled"


async def test_everything_of_one_hospital_is_recognised_at_once(told: Door) -> None:
    chart = {"reference": f"Patient/{told.chart}"}
    said = [
        ("patient", "Reference", chart),
        ("issuer", "Code", "people"),
        ("choice", "Code", "accept"),
    ]
    decided = out(await post(told, "$recognition-decision", *said))
    assert len(decided) == 3
    assert {one["choice"] for one in decided} == {"accept"}
    again = out(await post(told, "$recognition-decision", *said))
    assert [one["task"] for one in again] == [one["task"] for one in decided]
    assert {one["new"] for one in again} == {False}


REFUSED = [
    ("no choice", [], 400),
    ("not a choice", [("choice", "Code", "perhaps")], 400),
    ("no reason", [("choice", "Code", "decline")], 422),
    ("unknown reason", [("choice", "Code", "decline"), ("reason", "Code", "77")], 422),
    ("no words", [("choice", "Code", "decline"), ("reason", "Code", "08")], 422),
    ("reason beside acceptance", [("choice", "Code", "accept"), ("reason", "Code", "01")], 422),
    ("wrong type", [("choice", "String", "accept")], 400),
    ("word for a yes", [("choice", "Code", "accept"), ("informed", "Boolean", "yes")], 400),
    ("said twice", [("choice", "Code", "accept"), ("choice", "Code", "accept")], 400),
    ("unknown parameter", [("choice", "Code", "accept"), ("force", "Boolean", True)], 400),
    ("class", [("choice", "Code", "accept"), ("patient-class", "Code", "VIP")], 400),
]


@pytest.mark.parametrize(("case", "said", "status"), REFUSED, ids=[one[0] for one in REFUSED])
async def test_what_is_not_whole_is_refused_in_fhirs_words(
    told: Door, case: str, said: list[tuple[str, str, Any]], status: int
) -> None:
    result = ("result", "Reference", {"reference": (await versions(told))[0]})
    answer = await post(told, "$recognition-decision", result, *said)
    assert answer.status_code == status, f"{case} {answer.text}"
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_absent_foreign_and_older_versions_are_refused(told: Door) -> None:
    accept = ("choice", "Code", "accept")
    id = (await versions(told))[0].split("/")[1]
    for reference, status in (
        ("Observation/" + "0" * 32 + "/_history/1", 404),
        (f"Observation/{id}/_history/1", 409),
        (f"Observation/{id}", 400),
        (f"Patient/{id}/_history/1", 400),
    ):
        answer = await post(
            told, "$recognition-decision", ("result", "Reference", {"reference": reference}), accept
        )
        assert answer.status_code == status, f"{reference} {answer.text}"
    own = ("result", "Reference", {"reference": (await versions(told))[0]})
    answer = await post(told, "$recognition-decision", own, accept, as_wang=True)
    assert answer.status_code == 422, "a hospital's own results need no recognition"
    system = {"authorization": f"Bearer {await told.token('tcm-his', '')}"}
    answer = await told.web.post(
        "/fhir/$recognition-decision", json=parameters(own, accept), headers=system | JSON
    )
    assert answer.status_code == 403, "a system by itself decides nothing"
