"""Attacks by systems: on the token endpoint and, with a good token, on the FHIR door."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from datetime import date
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.demo import check, story
from gateway.demo.residents import resident_number
from gateway.services import even
from gateway.store import accounts

from .conftest import ASSERTION_TYPE, events, fhir, found, person

pytestmark = pytest.mark.asyncio(loop_scope="session")

ABSENT = "0123456789abcdef" * 2


def segment(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


# The token endpoint


@pytest.mark.parametrize("alg", [[], {}, None, 7, ["ES384"]])
async def test_an_algorithm_that_is_no_word_is_refused_like_any_other(road, alg, capfd):
    claims = {"iss": "CANARY-系统", "sub": "CANARY-系统"}
    assertion = f"{segment({'alg': alg, 'kid': 'CANARY'})}.{segment(claims)}.AAAA"
    async with httpx.AsyncClient(base_url=road.base) as http:
        answer = await http.post(
            "/auth/token",
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            },
        )

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
    said = capfd.readouterr()
    assert "CANARY" not in said.err + said.out


async def test_a_hospital_cannot_speak_for_a_doctor_of_another_hospital(speak):
    """The patient named dr-chen of the TCM hospital; a name anybody may claim would open that."""
    assert (await speak("tcm-his", person("dr-chen", "tcm"))).status_code == 200
    for name in ("dr-chen", "DR-CHEN", " dr-chen "):
        answer = await speak("mch-fhir", person(name, "mch"))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), name


async def test_an_account_of_ours_is_spoken_for_only_in_a_role_it_holds(speak):
    answer = await speak("people-his", person("it-office", "people"))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_doctor_of_the_hospital_without_an_account_here_is_the_hospitals_word(speak):
    assert (await speak("mch-fhir", person("D-0012", "mch"))).status_code == 200


async def test_a_token_for_a_person_ends_with_their_account(road, speak):
    token = (await speak("people-his", person("dr-wang", "people"))).json()["access_token"]
    number = road.county.resident(story.RESTRICTED).number
    async with fhir(road, token) as http:
        chart = await found(http, number)
        assert (await http.get(f"/Patient/{chart}")).status_code == 200
        before = await road.services.db.session(accounts.find, "dr-wang")
        try:
            await road.services.db.session(accounts.disable, "dr-wang")
            assert (await http.get(f"/Patient/{chart}")).status_code == 401
        finally:
            await road.services.db.session(_enable, before.login)
        assert (await http.get(f"/Patient/{chart}")).status_code == 200


def _enable(session: Any, login: str) -> None:
    session.get(accounts.Account, login).state = "active"


# Scopes


async def test_an_include_brings_nothing_along_that_no_scope_allows(road, speak):
    number = road.county.resident(story.RESTRICTED).number
    narrow = "system/Patient.rs system/DiagnosticReport.rs"
    token = (await speak("people-his", person("dr-wang", "people"), narrow)).json()["access_token"]
    async with fhir(road, token) as http:
        chart = await found(http, number)
        plain = await http.get("/DiagnosticReport", params={"patient": chart})
        assert plain.status_code == 200
        asked = {"patient": chart, "_include": "DiagnosticReport:result"}
        assert (await http.get("/DiagnosticReport", params=asked)).status_code == 403
        assert (await http.post("/DiagnosticReport/_search", data=asked)).status_code == 403


# What an answer tells


@pytest_asyncio.fixture(loop_scope="session")
async def two_views(road, speak):
    """(type, id) of a record hidden from dr-li, and a client that speaks for him."""
    number = road.county.resident(story.RESTRICTED).number
    browser = await road.browser("dr-li")
    await check._open(browser, number, claim=True)
    own = (await speak("people-his", person("dr-wang", "people"))).json()["access_token"]
    async with fhir(road, own) as http:
        chart = await found(http, number)
        everything = (await http.get(f"/Patient/{chart}/$everything")).json()["entry"]
    token = (await speak("tcm-his", person("dr-li", "tcm"))).json()["access_token"]
    async with fhir(road, token) as http:
        chart = await found(http, number)
        seen = (await http.get(f"/Patient/{chart}/$everything")).json()["entry"]
        visible = {one["resource"]["id"] for one in seen}
        hidden = [one["resource"] for one in everything if one["resource"]["id"] not in visible]
        yield http, next(one for one in hidden if one["resourceType"] == "Observation")


async def test_hidden_and_absent_are_one_answer(two_views):
    http, hidden = two_views
    id, version = hidden["id"], hidden["meta"]["versionId"]
    for address in ("/Observation/{}", "/Observation/{}/_history/" + version, "/Patient/{}"):
        one, other = [await http.get(address.format(it)) for it in (id, ABSENT)]
        assert one.status_code == other.status_code == 404
        assert one.content == other.content
        assert sorted(one.headers) == sorted(other.headers)
    one, other = [await http.get("/Observation", params={"_id": it}) for it in (id, ABSENT)]
    assert one.text.replace(id, "") == other.text.replace(ABSENT, "")


async def test_hidden_and_absent_take_a_whole_number_of_the_same_steps(
    two_views, road, monkeypatch
):
    """Opening a manifest takes longer than finding nothing; the steps hide it. How well they do is
    measured by `python -m tests.gateway.neutral.timing`."""
    http, hidden = two_views
    waited = []

    async def note(began, step_ms):
        assert even.now() >= began
        waited.append(step_ms)

    monkeypatch.setattr(even, "even", note)
    for address in ("/Observation/{}", "/Observation?_id={}", "/Observation?patient={}"):
        for id in (hidden["id"], ABSENT):
            await http.get(address.format(id))
    assert waited == [road.services.settings.answer_floor_ms] * 6
    assert road.services.settings.answer_floor_ms >= 10


async def test_page_links_are_their_callers_and_nobody_elses(road, speak, two_views):
    http, _ = two_views
    chart = await found(http, road.county.resident(story.RESTRICTED).number)
    first = (await http.get("/Observation", params={"patient": chart, "_count": 2})).json()
    link = next(one["url"] for one in first["link"] if one["relation"] == "next")
    assert (await http.get(link)).status_code == 200
    assert (await http.get(link.replace("/Observation", "/Condition"))).status_code == 404
    flipped = link[:-5] + ("A" if link[-5] != "A" else "B") + link[-4:]
    assert (await http.get(flipped)).status_code == 404
    other = (await speak("tcm-his", person("dr-chen", "tcm"))).json()["access_token"]
    async with fhir(road, other) as stranger:
        answer = await stranger.get(link)
        assert answer.status_code == 404
        assert answer.content == (await stranger.get(f"/Observation/{ABSENT}")).content


async def test_nothing_a_caller_says_beside_the_token_changes_the_decision(two_views):
    http, hidden = two_views
    address = f"/Observation/{hidden['id']}"
    for said in (
        {"category": "btg", "purpose": "BTG", "x-purpose-of-use": "BTG", "x-btg": "true"},
        {"x-http-method-override": "PUT"},
        {"x-forwarded-for": "127.0.0.1", "host": "evil.example"},
        {"range": "bytes=" + ",".join("0-" for _ in range(5_000))},
    ):
        assert (await http.get(address, headers=said)).status_code == 404
    twice = [("authorization", http.headers["authorization"])] * 2
    async with httpx.AsyncClient() as bare:
        answer = await bare.get(f"{http.base_url}".rstrip("/") + address, headers=twice)
    assert answer.status_code == 401


# Consents by a registrar's system


async def test_who_probes_numbers_with_consents_is_in_the_log(road):
    token = await road.token("county-desk", "registrar")
    nobody = resident_number(road.shen.number[:6], date(1931, 2, 3))
    async with fhir(road, token) as http:
        http.headers["content-type"] = "application/fhir+json"
        for number in (road.shen.number, nobody):
            who = {"identifier": {"system": "urn:oid:2.16.156.10011.1.3", "value": number}}
            before = await events(road)
            answer = await http.post(
                "/Consent", content=json.dumps({"resourceType": "Consent", "patient": who})
            )
            assert answer.status_code == 422
            assert await events(road) > before


@pytest.mark.parametrize(
    "patient", [[], "x", None, {"reference": 5}, {}, {"reference": "Patient/"}]
)
async def test_a_consent_is_not_moved_to_a_patient_that_is_none(road, patient):
    token = await road.token("county-desk", "registrar")
    form = next(one for one in road.county.forms if one.kind == "broad")
    text = story.consent_text(form, road.services.settings.canonical)
    async with fhir(road, token) as http:
        http.headers["content-type"] = "application/fhir+json"
        made = await http.post("/Consent", content=text)
        body = json.dumps({"resourceType": "Consent", "patient": patient})
        answer = await http.put(
            f"/Consent/{made.json()['id']}",
            content=body,
            headers={"if-match": made.headers["etag"]},
        )
    assert answer.status_code == 422


# Exhaustion


async def test_a_body_of_very_many_values_is_refused_before_it_is_taken_apart(road, speak):
    token = (await speak("mch-fhir")).json()["access_token"]
    async with fhir(road, token) as http:
        started = time.perf_counter()
        answer = await http.post(
            "/$process-message",
            content=b'{"resourceType":[' + b"1," * 3_000_000 + b"1]}",
            headers={"content-type": "application/fhir+json"},
        )
        took = time.perf_counter() - started
    assert answer.status_code == 400
    assert took < 5


async def test_nobody_waits_while_a_large_message_is_read(road, speak):
    token = (await speak("mch-fhir")).json()["access_token"]
    raw = next(one.raw for one in road.county.messages if one.channel == "fhir")
    bundle = json.loads(raw)
    one = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "Observation")
    bundle["id"] = "attack-large"
    bundle["entry"] += [one] * 3_000
    slowest = 0.0
    async with fhir(road, token) as http, httpx.AsyncClient(base_url=road.base) as other:
        sending = asyncio.create_task(
            http.post(
                "/$process-message",
                content=json.dumps(bundle).encode(),
                headers={"content-type": "application/fhir+json"},
            )
        )
        while not sending.done():
            started = time.perf_counter()
            await other.get("/healthz")
            slowest = max(slowest, time.perf_counter() - started)
            await asyncio.sleep(0.01)
        assert (await sending).status_code in {200, 422}
    assert slowest < 2  # several seconds when it was read on the loop
