"""The FHIR door from the other side: hostile input, hidden against absent, addresses that betray."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from gateway.exchange import quality
from gateway.identity.systems import RESIDENT_ID
from tests.gateway.fhir.conftest import SHEN, Door
from tests.gateway.fhir.test_offered import outcome

pytestmark = pytest.mark.asyncio(loop_scope="module")

ABSENT = "0" * 32
PASSING = {"date", "x-request-id"}  # differ from request to request, and may


def seen(answer: httpx.Response) -> tuple[Any, ...]:
    """All that a caller can compare, but for the clock and the request's own name."""
    headers = [(k, v) for k, v in answer.headers.raw if k.decode().lower() not in PASSING]
    return answer.status_code, headers, answer.content


async def test_hidden_and_absent_are_the_same_to_the_byte(shared: Door) -> None:
    headers = await shared.li()
    stored = await shared.house.current()
    hidden = [one for one in stored if one.nature.sensitivities]
    assert len(hidden) >= 4
    absent = seen(await shared.web.get(f"/fhir/Observation/{ABSENT}", headers=headers))
    assert absent[0] == 404
    tag = shared.house.services.vault.version_tag(hidden[0].id, 1)
    for one in hidden:
        for address in (f"/fhir/{one.type}/{one.id}", f"/fhir/{one.type}/{one.id}/_history/{tag}"):
            assert seen(await shared.web.get(address, headers=headers)) == absent
        gone = await shared.web.head(f"/fhir/{one.type}/{one.id}", headers=headers)
        assert gone.status_code == 404
    conditional = {**headers, "if-none-match": f'W/"{tag}"'}
    answer = await shared.web.get(f"/fhir/{hidden[0].type}/{hidden[0].id}", headers=conditional)
    assert seen(answer) == absent
    shown = next(
        one for one in stored if one.type == "Observation" and not one.nature.sensitivities
    )
    assert (
        await shared.web.get(f"/fhir/Observation/{shown.id}", headers=headers)
    ).status_code == 200
    assert seen(await shared.web.get(f"/fhir/Condition/{shown.id}", headers=headers)) == absent


async def test_a_refusal_that_is_told_says_nothing_about_the_person(full: Door) -> None:
    headers = await full.li()
    known = await full.web.get(f"/fhir/Observation?patient={full.chart}", headers=headers)
    unknown = await full.web.get(f"/fhir/Observation?patient={ABSENT}", headers=headers)
    assert seen(known) == seen(unknown)
    assert known.status_code == 403
    bodies = [
        {"identifier": f"{RESIDENT_ID}|{number}"} for number in (SHEN.number, "330421190001010007")
    ]
    one, two = [
        await full.web.post("/fhir/Patient/_search", data=body, headers=headers) for body in bodies
    ]
    assert seen(one) == seen(two)
    everything = [
        await full.web.get(f"/fhir/Patient/{id}/$everything", headers=headers)
        for id in (full.chart, ABSENT)
    ]
    assert seen(everything[0]) == seen(everything[1])


async def test_a_system_that_names_nobody_cannot_probe_for_people(full: Door) -> None:
    """Bodies and header names are one; only the receipt's number counts on."""
    headers = {"authorization": f"Bearer {await full.token('mch-fhir')}"}
    found = []
    for number in (SHEN.number, "330421190001010007"):
        answer = await full.web.post(
            "/fhir/Patient/_search",
            data={"identifier": f"{RESIDENT_ID}|{number}"},
            headers=headers,
        )
        assert answer.json()["total"] == 0
        found.append((answer.status_code, sorted(answer.headers), answer.content))
    for id in (full.chart, ABSENT):
        answer = await full.web.get(f"/fhir/Observation?patient={id}&_count=1", headers=headers)
        body = answer.content.replace(id.encode(), b"")
        found.append((answer.status_code, sorted(answer.headers), body))
    assert found[0] == found[1]
    assert found[2] == found[3]


async def test_posting_a_search_is_getting_it(shared: Door) -> None:
    headers = await shared.li()
    given = {"patient": shared.chart, "code": "ALT", "_count": "2"}
    got = await shared.web.get("/fhir/Observation", params=given, headers=headers)
    posted = await shared.web.post("/fhir/Observation/_search", data=given, headers=headers)
    strip = re.compile(rb'"url":"[^"]*"')
    assert strip.sub(b"", got.content) == strip.sub(b"", posted.content)
    assert got.json()["total"] == 3
    hidden = {"patient": shared.chart, "code": "HAMD"}
    assert (
        await shared.web.post("/fhir/Observation/_search", data=hidden, headers=headers)
    ).json()["total"] == 0
    link = next(one["url"] for one in got.json()["link"] if one["relation"] == "next")
    assert (await shared.web.get(link, headers=headers)).json()["total"] == 3
    assert (await shared.web.get(link, headers=await shared.wang())).status_code == 404
    other_route = link.replace("/Observation?", "/Condition?")
    assert (await shared.web.get(other_route, headers=headers)).status_code == 404


# Addresses


async def test_no_resident_number_in_an_address_however_it_is_sent(full: Door) -> None:
    headers = await full.wang()
    number = f"{RESIDENT_ID}|{SHEN.number}"
    for answer in (
        await full.web.get("/fhir/Patient", params={"identifier": number}, headers=headers),
        await full.web.post(
            "/fhir/Patient/_search", params={"identifier": number}, headers=headers
        ),
        await full.web.get("/fhir/Patient", params={"identifier:of-type": number}, headers=headers),
        await full.web.get(
            "/fhir/Observation", params={"patient.identifier": number}, headers=headers
        ),
        await full.web.get(
            "/fhir/Observation", params={"patient": SHEN.number, "x": "1"}, headers=headers
        ),
    ):
        told = outcome(answer, 400)
        assert SHEN.number not in answer.text
        assert told.issue
    # Who does so is counted, and told to the authority's IT office.
    counted = await quality.of_sources({"people-his": "people"}, 14, full.house.services)
    assert [(one.detector, one.struck) for one in counted[0].found] == [("identifiers-in-urls", 3)]
    found = await full.web.post(
        "/fhir/Patient/_search", data={"identifier": number}, headers=headers
    )
    assert found.json()["total"] == 1
    links = " ".join(one["url"] for one in found.json()["link"])
    assert SHEN.number not in links


@pytest.mark.parametrize(
    "address",
    [
        "/fhir/observation/{id}",
        "/fhir/OBSERVATION/{id}",
        "/FHIR/Observation/{id}",
        "/fhir/Observation/{id}/",
        "/fhir//Observation/{id}",
        "/fhir/Observation//{id}",
        "/fhir/Patient/../Observation/{id}",
        "/fhir/Patient/%2e%2e/Observation/{id}",
        "/fhir/%2e%2e/fhir/Observation/{id}",
        "/fhir/Observation/{id}%00",
        "/fhir/Observation/{id}%20",
        "/fhir/Observation/{id};x=1",
        "/fhir/Observation/{id}/_history",
        "/fhir/Observation%252F{id}",
        "/fhir/Observation/{upper}",
        "/fhir/Observation/_search/{id}",
        "/fhir/Observation/$x/{id}",
    ],
)
async def test_crooked_addresses_lead_nowhere(full: Door, address: str) -> None:
    headers = await full.wang()
    one = (await full.house.current("Observation"))[0]
    path = address.format(id=one.id, upper=one.id.upper())
    status, body = await raw(full, f"GET {path} HTTP/1.1", headers)
    assert status in {404, 405}, path
    assert one.id.encode() not in body


async def test_an_encoded_slash_is_a_slash_with_the_same_decision(shared: Door) -> None:
    one = next(o for o in await shared.house.current("Observation") if o.nature.sensitivities)
    path = f"/fhir/Observation%2F{one.id}"
    assert (await raw(shared, f"GET {path} HTTP/1.1", await shared.li()))[0] == 404
    assert (await raw(shared, f"GET {path} HTTP/1.1", await shared.wang()))[0] in {200, 404}


@pytest.mark.parametrize(
    "more",
    [
        {"x-http-method-override": "DELETE"},
        {"x-forwarded-user": "dr-wang", "x-user": "dr-wang"},
        {
            "btg": "true",
            "x-break-glass": "1",
            "category": "http://hl7.org/fhir/security-label; btg",
        },
        {"x-purpose": "BTG", "purpose": "HRESCH"},
        {"x-original-url": "/fhir/metadata", "x-rewrite-url": "/fhir/metadata"},
        {"range": "bytes=0-1,0-1,0-1"},
        {"x-request-id": "a-name-of-the-callers-own"},
        {"prefer": "handling=lenient; return=minimal"},
    ],
)
async def test_headers_change_nothing(shared: Door, more: dict[str, str]) -> None:
    headers = await shared.li()
    hidden = next(o for o in await shared.house.current("Observation") if o.nature.sensitivities)
    plain = await shared.web.get(f"/fhir/Observation/{hidden.id}", headers=headers)
    tricked = await shared.web.get(f"/fhir/Observation/{hidden.id}", headers={**headers, **more})
    assert seen(plain) == seen(tricked)
    assert "a-name-of-the-callers-own" not in str(tricked.headers)


async def test_two_tokens_at_once_are_none(full: Door) -> None:
    wang, li = await full.wang(), await full.li()
    doubled = [("authorization", wang["authorization"]), ("authorization", li["authorization"])]
    outcome(await full.web.get(f"/fhir/Patient/{full.chart}", headers=doubled), 401)
    outcome(await full.web.get(f"/fhir/Patient/{full.chart}"), 401)
    told = await full.web.get(f"/fhir/Patient/{full.chart}", headers={"authorization": "Bearer x"})
    outcome(told, 401)
    assert told.headers["www-authenticate"].startswith("Bearer")


# What is asked for


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("code=x", 400, "required"),
        ("patient={chart}&unknown=1", 400, "not-supported"),
        ("patient={chart}&_has:Observation:patient:code=x", 400, "not-supported"),
        ("patient={chart}&date=never", 400, "invalid"),
        ("patient={chart}&date=2026-02-30", 400, "invalid"),
        ("patient={chart}&date=", 400, "invalid"),
        ("patient={chart}&_count=x", 400, "invalid"),
        ("patient={chart}&_sort=value", 400, "not-supported"),
        ("patient={chart}&_include=*", 400, "not-supported"),
        ("patient={chart}&_revinclude=Provenance:target", 400, "not-supported"),
        ("patient={chart}&code=%FF%FE", 400, "invalid"),
        ("patient={chart}&&&;", 400, "invalid"),
        ("patient", 400, "invalid"),
        ("patient={chart}&_format=xml", 406, "not-supported"),
        ("patient={chart}&_format=application/fhir%2Bxml", 406, "not-supported"),
        ("_page=", 404, "not-found"),
        ("_page=forged", 404, "not-found"),
        ("_page=%E7%8E%8B", 404, "not-found"),
    ],
)
async def test_a_bad_question_is_answered_in_fhirs_words(
    full: Door, query: str, status: int, code: str
) -> None:
    headers = await full.wang()
    address = f"/fhir/Observation?{query.format(chart=full.chart)}"
    told = outcome(await full.web.get(address, headers=headers), status)
    assert told.issue[0].code == code


async def test_unknown_parameters_are_ignored_when_that_is_preferred(full: Door) -> None:
    headers = {**await full.wang(), "prefer": "handling=lenient"}
    address = f"/fhir/Observation?patient={full.chart}&unknown=1"
    answer = await full.web.get(address, headers=headers)
    assert answer.status_code == 200
    assert "unknown" not in answer.text, "the self link tells what was used (R4 3.1.1.1)"


async def test_a_query_without_end_is_refused(full: Door) -> None:
    headers = await full.wang()
    many = "&".join(["code=x"] * 500)
    outcome(
        await full.web.get(f"/fhir/Observation?patient={full.chart}&{many}", headers=headers), 400
    )
    form = {"patient": full.chart, "code": "x" * 100_000}
    outcome(await full.web.post("/fhir/Observation/_search", data=form, headers=headers), 413)


@pytest.mark.parametrize("accept", ["application/fhir+xml", "text/html", "application/xml;q=0.9"])
async def test_we_speak_json_only(full: Door, accept: str) -> None:
    headers = {**await full.wang(), "accept": accept}
    outcome(await full.web.get(f"/fhir/Patient/{full.chart}", headers=headers), 406)


@pytest.mark.parametrize("kind", ["application/fhir+xml", "text/xml", "text/plain", ""])
async def test_we_read_json_only(full: Door, kind: str) -> None:
    desk = await full.token("county-desk", "registrar", "registrar")
    headers = {"authorization": f"Bearer {desk}", "content-type": kind}
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
    outcome(await full.web.post("/fhir/Consent", content=bomb, headers=headers), 415)
    if kind:
        wang = {**await full.wang(), "content-type": kind}
        outcome(await full.web.post("/fhir/Observation/_search", content=bomb, headers=wang), 415)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"resourceType":"Consent","resourceType":"Patient"}',
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":1} trailing',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        '{"姓名":"王珅"'.encode(),
    ],
)
async def test_bad_json_is_refused_without_repeating_it(full: Door, body: bytes) -> None:
    desk = await full.token("county-desk", "registrar", "registrar")
    headers = {"authorization": f"Bearer {desk}", "content-type": "application/fhir+json"}
    answer = await full.web.post("/fhir/Consent", content=body, headers=headers)
    assert answer.status_code in {400, 422}
    outcome(answer, answer.status_code)
    assert "王珅" not in answer.text


# Sizes and sockets


async def raw(
    door: Door, line: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, bytes]:
    """Send bytes as they are; the status and body that come back."""
    host = httpx.URL(door.url)
    reader, writer = await asyncio.open_connection(host.host, host.port)
    lines = [line, f"host: {host.host}", *(f"{k}: {v}" for k, v in headers.items())]
    if "content-length" not in headers:
        lines.append("connection: close")
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    try:
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            told = await reader.readexactly(int(length[1])) if length else b""
        return int(head.split(b" ")[1]), told
    finally:
        writer.close()


async def test_fifty_megabytes_are_refused_before_they_are_sent(full: Door) -> None:
    desk = await full.token("county-desk", "registrar", "registrar")
    headers = {
        "authorization": f"Bearer {desk}",
        "content-type": "application/fhir+json",
        "content-length": "52428800",
    }
    status, body = await raw(full, "POST /fhir/Consent HTTP/1.1", headers, b'{"resourceType":')
    assert status == 413
    OperationOutcome.model_validate_json(body)
    assert (await full.web.get("/fhir/metadata")).status_code == 200


async def test_a_body_without_a_length_is_cut_off_where_it_is_too_long(full: Door) -> None:
    desk = await full.token("county-desk", "registrar", "registrar")
    headers = {"authorization": f"Bearer {desk}", "content-type": "application/fhir+json"}
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        for _ in range(1_000):
            sent += 100_000
            yield b" " * 100_000

    try:
        answer = await full.web.post("/fhir/Consent", content=endless(), headers=headers)
    except httpx.HTTPError:
        answer = None  # the connection was closed on us, which is as good
    assert answer is None or answer.status_code == 413
    assert sent < 60_000_000
    assert (await full.web.get("/fhir/metadata")).status_code == 200


async def test_half_a_request_leaves_the_house_standing(full: Door) -> None:
    host = httpx.URL(full.url)
    for part in (
        b"GET /fhir/",
        b"\x00\xff\xfe",
        b"POST /fhir/Consent HTTP/1.1\r\ncontent-length: 50\r\n\r\n{",
    ):
        _, writer = await asyncio.open_connection(host.host, host.port)
        writer.write(part)
        await writer.drain()
        writer.close()
    assert (await full.web.get("/fhir/metadata")).status_code == 200
