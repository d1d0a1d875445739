"""Raw messages over HTTP where a conversation in text cannot show it: sizes, streams, trouble."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from starlette.requests import Request

from gateway.errors import Kind, Problem
from gateway.exchange import loading
from gateway.intake import er7, http
from gateway.store.inbox import ALARMS

ER7 = "x-application/hl7-v2+er7"
ADT = b"MSH|^~\\&|HIS|330421A|G|C|20260301||ADT^A01|M1|P|2.4\rPID|1||2\r"


async def post(doors, content, kind=ER7, source="people-his", **headers):
    authorization = f"Bearer {await doors.token(source)}"
    return await doors.web.post(
        f"/intake/{source}",
        content=content,
        headers={"authorization": authorization, "content-type": kind, **headers},
    )


async def test_an_endless_body_is_not_read_past_the_limit(doors):
    """In process the transport gathers the body first, so the room itself is asked."""
    sent = 0

    async def receive():
        nonlocal sent
        sent += 1_000
        return {"type": "http.request", "body": b"x" * 1_000, "more_body": True}

    scope = {"type": "http", "method": "POST", "headers": [], "path": "/"}
    body = http._Body(Request(scope, receive), 20_000)
    with pytest.raises(Problem) as caught:
        await body.whole()
    assert caught.value.kind is Kind.TOO_LARGE
    assert sent <= 21_000
    assert await body.beginning() == b"x" * 8_192


async def test_a_declared_length_over_the_limit_is_refused_without_reading(doors):
    async def receive():
        raise AssertionError("the body was read")

    headers = [(b"content-length", b"50000000000")]
    scope = {"type": "http", "method": "POST", "headers": headers, "path": "/"}
    with pytest.raises(Problem):
        await http._Body(Request(scope, receive), 20_000).whole()


async def test_a_refusal_does_not_wait_for_a_slow_body(monkeypatch):
    monkeypatch.setattr(http, "_SOON", 0.05)
    pieces = [{"type": "http.request", "body": ADT, "more_body": True}]

    async def receive():
        if pieces:
            return pieces.pop()
        return await asyncio.sleep(60)

    scope = {"type": "http", "method": "POST", "headers": [], "path": "/"}
    assert await http._Body(Request(scope, receive), 20_000).beginning() == ADT


async def test_a_sender_that_hangs_up_leaves_nothing_behind():
    pieces = [{"type": "http.disconnect"}, {"type": "http.request", "body": ADT, "more_body": True}]

    async def receive():
        return pieces.pop()

    scope = {"type": "http", "method": "POST", "headers": [], "path": "/"}
    body = http._Body(Request(scope, receive), 20_000)
    with pytest.raises(Problem) as caught:
        await body.whole()
    assert caught.value.kind is Kind.MALFORMED
    assert await body.beginning() == ADT


async def test_too_large_is_told_in_the_senders_terms(doors):
    told = await post(doors, ADT + b"x" * 30_000)
    assert told.status_code == 413
    assert b"MSA|AR|M1" in told.content

    told = await post(doors, b"[" + b" " * 30_000 + b"]", "application/json", "tcm-lis")
    assert told.status_code == 413
    assert told.json()["issue"][0]["code"] == "too-long"


@pytest.mark.parametrize("trouble", [Problem(Kind.BUSY, "The disk is full."), MemoryError("x")])
async def test_what_could_not_be_kept_is_to_be_sent_again(doors, monkeypatch, trouble):
    async def fails(*given):
        raise trouble

    monkeypatch.setattr(er7, "receive", fails)
    told = await post(doors, ADT)
    assert told.status_code == 503
    assert told.headers["retry-after"]
    assert b"MSA|AE|M1" in told.content
    monkeypatch.undo()
    assert (await post(doors, ADT)).status_code == 200


async def test_rows_that_could_not_be_kept_are_transient_trouble(doors, monkeypatch):
    async def fails(*given):
        raise Problem(Kind.BUSY, "The disk is full.")

    monkeypatch.setattr(loading, "receive", fails)
    told = await post(doors, b'[{"BRID": "T1"}]', "application/json", "tcm-lis")
    assert (told.status_code, told.json()["issue"][0]["code"]) == (503, "transient")


async def test_a_batch_that_lost_messages_is_kept_and_alarmed(doors):
    batch = b"BHS|^~\\&|HIS\r" + ADT + b"BTS|3\r"
    assert (await post(doors, batch)).status_code == 200

    alarms = await doors.services.db.read(ALARMS, 10)
    assert [(row[1], row[2]) for row in alarms] == [("batch-short", "people-his")]


async def test_deep_json_is_refused_and_the_process_lives(doors):
    for kind in ("application/json", "application/x-ndjson"):
        told = await post(doors, b"[" * 9_000 + b"]" * 9_000, kind, "tcm-lis")
        assert told.status_code == 400


async def test_the_reports_of_a_delivery_are_kept_apart_and_found_again(doors):
    site = doors.services.maps.draft("tcm")
    columns = site.source.options["columns"].split(",")
    rows = [dict.fromkeys(columns, "") | {"BRID": f"T{n}", "BGDH": f"B{n}"} for n in range(3)]
    body = orjson.dumps(rows)

    first = await post(doors, body, "application/json", "tcm-lis")
    again = await post(doors, body, "application/json", "tcm-lis")

    assert [one["outcome"] for one in first.json()["received"]] == ["new"] * 3
    assert [one["outcome"] for one in again.json()["received"]] == ["again"] * 3
    for unit in site.units(body):
        assert await doors.keeps("tcm-lis", unit.raw)
