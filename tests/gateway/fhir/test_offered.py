"""`metadata` and the door say the same: what is listed works, everything else says that it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhirpy import AsyncFHIRClient

from consent.fhir import Choice, Form, write_consent
from gateway.fhir.door import READABLE
from tests.gateway.fhir.conftest import Door

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRANGERS = ("Account", "AuditEvent", "Media", "Group", "Medication", "Practitioner", "ValueSet")


def outcome(answer: Any, status: int) -> OperationOutcome:
    """The answer as a valid OperationOutcome of that status."""
    assert answer.status_code == status, (
        f"{answer.request.method} {answer.request.url} {answer.text}"
    )
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    return OperationOutcome.model_validate_json(answer.content)


async def statement(full: Door) -> dict[str, Any]:
    answer = await full.web.get("/fhir/metadata")
    assert answer.status_code == 200
    CapabilityStatement.model_validate_json(answer.content)
    return dict(answer.json())


async def test_metadata_needs_no_token_and_is_valid(full: Door) -> None:
    told = await statement(full)
    assert told["fhirVersion"] == "4.0.1"
    assert (await full.web.head("/fhir/metadata")).content == b""


async def test_every_listed_interaction_works(full: Door) -> None:
    told = await statement(full)
    headers = await full.wang()
    desk = {"authorization": f"Bearer {await full.token('county-desk', 'registrar', 'registrar')}"}
    stored = {one.type: one for one in await full.house.current()}
    chart = full.chart
    done = set()
    for one in told["rest"][0]["resource"]:
        kind = one["type"]
        for interaction in (i["code"] for i in one["interaction"]):
            if kind == "Consent":
                continue
            id = stored[kind].id
            version = full.house.services.vault.version_tag(id, stored[kind].version)
            address = {
                "read": f"/fhir/{kind}/{id}",
                "vread": f"/fhir/{kind}/{id}/_history/{version}",
                "search-type": f"/fhir/{kind}?_id={id}",
            }[interaction]
            answer = await full.web.get(address, headers=headers)
            assert answer.status_code == 200, f"{address} {answer.text}"
            if interaction == "search-type":
                Bundle.model_validate_json(answer.content)
                assert answer.json()["total"] == 1
                for parameter in one["searchParam"]:
                    value = {"token": "x", "date": "2026", "reference": chart}[parameter["type"]]
                    if (kind, parameter["name"]) == ("Patient", "identifier"):
                        continue  # not in an address: tested below
                    more = f"&patient={chart}" if kind != "Patient" else f"&_id={id}"
                    address = f"/fhir/{kind}?{parameter['name']}={value}{more}"
                    if parameter["name"] == "patient":
                        address = f"/fhir/{kind}?patient={chart}"
                    answer = await full.web.get(address, headers=headers)
                    assert answer.status_code == 200, f"{address} {answer.text}"
                for include in one.get("searchInclude", []):
                    address = f"/fhir/{kind}?patient={chart}&_include={include}"
                    assert (await full.web.get(address, headers=headers)).status_code == 200
            done.add((kind, interaction))
    assert len(done) == 3 * len(READABLE) + 2, "Binary is not searched"
    answer = await full.web.get(f"/fhir/Patient/{chart}/$everything", headers=headers)
    assert answer.status_code == 200
    Bundle.model_validate_json(answer.content)

    form = Form(
        choice=Choice.PERMIT_TREATMENT,
        id="x",
        patient=f"Patient/{chart}",
        performer=f"Patient/{chart}",
        organization="Organization/county",
        at="2026-02-01T10:00:00+08:00",
        evidence_sha256="a" * 64,
    )
    text = write_consent(form, full.house.services.settings.canonical)
    json_body = {"content-type": "application/fhir+json", **desk}
    created = await full.web.post("/fhir/Consent", content=text, headers=json_body)
    assert created.status_code == 201, created.text
    at = f"/fhir/Consent/{created.json()['id']}"
    assert (await full.web.get(at, headers=desk)).content == created.content
    inactive = json.loads(text) | {"status": "inactive"}
    replaced = await full.web.put(
        at, json=inactive, headers={**json_body, "if-match": created.headers["etag"]}
    )
    assert replaced.status_code == 200, replaced.text
    again = await full.web.put(
        at, json=inactive, headers={**json_body, "if-match": created.headers["etag"]}
    )
    outcome(again, 412)


async def test_everything_else_says_that_it_is_not_offered(full: Door) -> None:
    told = await statement(full)
    headers = await full.wang()
    listed = {
        one["type"]: {i["code"] for i in one["interaction"]} for one in told["rest"][0]["resource"]
    }
    shapes = {
        "GET": {
            "": "search-type",
            "/x": "read",
            "/x/_history/1": "vread",
            "/x/_history": "history-instance",
        },
        "POST": {"": "create", "/_search": "search-type"},
        "PUT": {"/x": "update"},
        "PATCH": {"/x": "patch"},
        "DELETE": {"/x": "delete"},
    }
    asked = 0
    for kind in (*listed, *STRANGERS):
        for method, addresses in shapes.items():
            for address, interaction in addresses.items():
                if interaction in listed.get(kind, ()):
                    continue
                answer = await full.web.request(method, f"/fhir/{kind}{address}", headers=headers)
                assert answer.status_code in {404, 405}, f"{method} {kind}{address}"
                outcome(answer, answer.status_code)
                if answer.status_code == 405:
                    assert method not in answer.headers["allow"]
                asked += 1
    assert asked > 60


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "/fhir"),
        ("POST", "/fhir"),
        ("POST", "/fhir/"),
        ("GET", "/fhir/_history"),
        ("GET", "/fhir/Observation/_history"),
        ("GET", "/fhir/Patient/x/$summary"),
        ("GET", "/fhir/Patient/$everything"),
        ("GET", "/fhir/Observation/$lastn"),
        ("GET", "/fhir/Observation/x/$meta"),
        ("POST", "/fhir/Observation/$validate"),
        ("GET", "/fhir/$export"),
        ("GET", "/fhir/$graphql"),
        ("GET", "/fhir/Patient/x/Observation"),
        ("GET", "/fhir/$process-message"),
        ("POST", "/fhir/metadata"),
        ("OPTIONS", "/fhir/Observation"),
        ("TRACE", "/fhir/Observation/x"),
    ],
)
async def test_what_others_offer_and_we_do_not_is_said_in_fhirs_words(
    full: Door, method: str, address: str
) -> None:
    answer = await full.web.request(method, address, headers=await full.wang())
    assert answer.status_code in {404, 405}
    outcome(answer, answer.status_code)


async def test_a_common_client_searches_reads_and_pages(full: Door) -> None:
    headers = await full.wang()
    client = AsyncFHIRClient(full.url, authorization=headers["authorization"])
    search = client.resources("Observation").search(patient=full.chart).limit(2)
    found = await search.fetch_all()
    assert len(found) == 4
    assert len({one.id for one in found}) == 4
    one = await client.reference("Observation", found[0].id).to_resource()
    assert one.serialize() == found[0].serialize()
    reports = (
        client.resources("DiagnosticReport")
        .search(patient=full.chart)
        .include("DiagnosticReport", "result")
    )
    bundle = await reports.fetch_raw()
    assert {entry["search"]["mode"] for entry in bundle["entry"]} == {"match", "include"}


async def test_what_is_read_is_what_was_stored_to_the_byte(full: Door) -> None:
    headers = await full.wang()
    for one in await full.house.current():
        if one.type == "Consent":
            continue  # for registrars
        answer = await full.web.get(f"/fhir/{one.type}/{one.id}", headers=headers)
        assert answer.content == one.text
        if one.type == "Binary":
            continue  # never searched
        page = await full.web.get(f"/fhir/{one.type}?_id={one.id}", headers=headers)
        assert one.text in page.content
    ones = [one for one in await full.house.current("Observation") if b"0.10" in one.text]
    assert ones, "digits keep their zeros all the way"


async def test_a_version_is_named_and_asking_with_it_saves_the_body(full: Door) -> None:
    headers = await full.wang()
    one = (await full.house.current("Observation"))[0]
    address = f"/fhir/Observation/{one.id}"
    answer = await full.web.get(address, headers=headers)
    assert answer.headers["etag"] == f'W/"{answer.json()["meta"]["versionId"]}"'
    again = await full.web.get(
        address, headers={**headers, "if-none-match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    head = await full.web.head(address, headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(answer.content))
