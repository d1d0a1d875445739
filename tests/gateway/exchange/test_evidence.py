"""What proves a signature: codes are good once, scans are kept sealed, and nothing is claimed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from consent.fhir import Choice, Form, write_consent
from gateway.errors import Kind, Problem
from gateway.exchange import evidence
from gateway.services.messenger import KeptMessenger, NoMessenger
from gateway.store import evidence as rows
from tests.gateway.exchange.house import NOON, REGISTRAR, House, clinician, person

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
PHONE = evidence.Phone("13800001234", "source")


@pytest.fixture
async def here(house: House) -> House:
    await house.file(house.adt(person()))
    return house


def text(house: House, **more: object) -> bytes:
    chart = f"Patient/{house.chart()}"
    form = Form(
        Choice.PERMIT_TREATMENT,
        id="x",
        patient=chart,
        performer=chart,
        organization="Organization/county",
        at="2026-03-01T11:59:00+08:00",
        evidence_sha256="",
        **more,  # type: ignore[arg-type]
    )
    return write_consent(form, house.services.settings.canonical)


def code_of(house: House) -> str:
    assert isinstance(house.services.messenger, KeptMessenger)
    phone, words = house.services.messenger.sent[-1]
    assert phone == PHONE.number
    return "".join(c for c in words.partition("，")[0] if c.isdigit())


async def begin(house: House) -> evidence.Pending:
    return await evidence.begin_code(text(house), house.chart(), PHONE, REGISTRAR, house.services)


async def test_a_code_that_is_answered_becomes_kept_evidence_of_what_was_signed(
    here: House,
) -> None:
    pending = await begin(here)
    assert pending.phone == "138****1234"
    assert pending.ends - here.clock.at <= 600_000_000
    code = code_of(here)
    assert len(code) == 6

    signed = await evidence.confirm_code(
        pending.id, f" {code[:3]} {code[3:]}", REGISTRAR, here.services
    )

    said = json.loads(signed.text)
    assert said["sourceReference"] == {"reference": signed.kept.reference}
    assert evidence.statement(said) == evidence.statement(json.loads(text(here)))
    assert (signed.kept.kind, signed.kept.assurance) == ("code", 2)
    opened = await evidence.read(signed.kept.id, REGISTRAR, here.services)
    transcript = json.loads(opened.content)
    assert (transcript["signer"], transcript["attempts"]) == (here.chart(), 1)
    assert code not in opened.content.decode()
    assert PHONE.number not in opened.content.decode()


async def refused(house: House, id: str, code: str) -> None:
    with pytest.raises(Problem) as told:
        await evidence.confirm_code(id, code, REGISTRAR, house.services)
    assert (told.value.kind, told.value.place) == (Kind.UNPROCESSABLE, "code")


async def test_a_code_is_good_once_even_for_two_answers_at_the_same_moment(here: House) -> None:
    pending = await begin(here)
    code = code_of(here)
    answers = await asyncio.gather(
        *(evidence.confirm_code(pending.id, code, REGISTRAR, here.services) for _ in range(3)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, evidence.Signed) for one in answers) == 1
    await refused(here, pending.id, code)


@ON_SQLITE
async def test_a_code_ends_after_five_attempts_and_after_ten_minutes(here: House) -> None:
    pending = await begin(here)
    code = code_of(here)
    for _ in range(evidence.TRIES):
        await refused(here, pending.id, "wrong!")
    await refused(here, pending.id, code)

    late = await begin(here)
    code = code_of(here)
    here.clock.forward(600)
    await refused(here, late.id, code)
    await refused(here, "0" * 32, code)


@ON_SQLITE
async def test_a_code_signs_for_no_other_question(here: House) -> None:
    first, code = await begin(here), code_of(here)
    second = await begin(here)
    if code != code_of(here):
        await refused(here, second.id, code)
    assert await evidence.confirm_code(first.id, code, REGISTRAR, here.services)


@ON_SQLITE
async def test_five_codes_an_hour_and_no_more(here: House) -> None:
    for _ in range(evidence.SENT_AN_HOUR):
        await begin(here)
    with pytest.raises(Problem) as told:
        await begin(here)
    assert told.value.kind is Kind.THROTTLED
    here.clock.forward(3601)
    assert await begin(here)


@ON_SQLITE
async def test_a_message_that_was_not_taken_is_said(here: House) -> None:
    here.services = replace(here.services, messenger=NoMessenger())
    with pytest.raises(Problem) as told:
        await begin(here)
    assert told.value.kind is Kind.BUSY


async def test_a_scan_is_kept_sealed_once_and_read_as_an_event(here: House) -> None:
    scan = b"%PDF-1.7 " + "沈青".encode() + b"x" * 3_000_000
    kept = await evidence.keep(
        here.chart(), "scan", scan, "application/pdf", REGISTRAR, here.services
    )
    again = await evidence.keep(
        here.chart(), "scan", scan, "application/pdf", REGISTRAR, here.services
    )
    assert (again.id, kept.assurance) == (kept.id, 1)
    row = await evidence.find(kept.id, here.services)
    assert isinstance(row, rows.EvidenceRow)
    assert "沈青".encode() not in row.sealed
    opened = await evidence.read(kept.id, REGISTRAR, here.services)
    assert (opened.content, opened.recorded_by) == (scan, "registrar")
    for who, id, kind in (
        (clinician(), kept.id, Kind.REFUSED),
        (REGISTRAR, "0" * 32, Kind.UNKNOWN),
    ):
        with pytest.raises(Problem) as told:
            await evidence.read(id, who, here.services)
        assert told.value.kind is kind
    assert here.clock.at > NOON
