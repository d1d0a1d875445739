"""Signing at the desk over a real county: by a code, by a guardian, and what was handed in."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from gateway.errors import Kind, Problem
from gateway.exchange import desk_signing, mandates
from gateway.exchange.event_bodies import bodies
from gateway.portal.county import stories
from gateway.portal.stories import ConsentChoice, Evidence, Identifier
from gateway.services import Services
from gateway.services.messenger import KeptMessenger
from gateway.store import oversight as listed
from tests.gateway.exchange.house import NOON, REGISTRAR, House, clinician, person
from tests.gateway.exchange.residents_at_desk import CHILD, MOTHER, Post, account, guardian

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
SHEN = replace(person(), phone="13912345678")
DAY = 24 * 3600
TODAY = date(2026, 3, 1)
SCAN = b"%PDF-1.4 " + "沈青".encode() + b"x" * 3_000_000


def choice(**more: object) -> ConsentChoice:
    given = {"kind": "share", "signed": TODAY, "witness": "周立"} | more
    return ConsentChoice(**given)  # type: ignore[arg-type]


def number(who: object) -> Identifier:
    return Identifier("resident-id", who.number)  # type: ignore[attr-defined]


def messenger(services: Services) -> KeptMessenger:
    assert isinstance(services.messenger, KeptMessenger)
    return services.messenger


async def worth(house: House) -> list[tuple[str, str]]:
    """(evidence, assurance) of each consent recorded, from the log."""
    narrow = listed.Narrow(kind="consent-create")
    page = await house.services.db.session(listed.events, narrow, 0, 100)
    found = await bodies(page.rows, house.services)
    return [(b.details["evidence"].partition(":")[0], b.details["assurance"]) for b in found if b]


async def test_a_code_to_the_telephone_a_hospital_has_known_for_a_day_signs_at_the_desk(
    house: House,
) -> None:
    await house.file(house.adt(SHEN))
    portal = stories(house.services)
    assert (await portal.signing_ways(number(SHEN), REGISTRAR)).phone == ""
    with pytest.raises(Problem) as told:
        await portal.send_signing_code(number(SHEN), choice(), REGISTRAR)
    assert (told.value.kind, told.value.place) == (Kind.UNPROCESSABLE, "phone")

    house.clock.forward(DAY)
    assert (await portal.signing_ways(number(SHEN), REGISTRAR)).phone == "139****5678"
    today = choice(signed=date(2026, 3, 2))
    sent = await portal.send_signing_code(number(SHEN), today, REGISTRAR)
    assert messenger(house.services).sent[-1][0] == SHEN.phone
    with pytest.raises(Problem) as told:
        await portal.sign_with_code(sent.id, "wrong", REGISTRAR)
    assert told.value.place == "code"
    id = await portal.sign_with_code(sent.id, Post(house.services).code(SHEN.phone), REGISTRAR)

    desk = await portal.consents(number(SHEN), REGISTRAR)
    assert [(one.id, one.state, one.witness) for one in desk.consents] == [(id, "active", "周立")]
    assert await worth(house) == [("reference", "2")]
    proof = await portal.consent_evidence(id, REGISTRAR)
    assert b'"statement"' in proof.content
    assert SHEN.phone.encode() not in proof.content


@ON_SQLITE
async def test_a_number_typed_in_today_is_not_one_that_was_known(house: House) -> None:
    await house.file(house.adt(SHEN))
    house.clock.forward(DAY)
    await house.file(
        house.adt(replace(SHEN, phone="13800000000"), event="A08", at="2026-02-21T08:00")
    )
    ways = await desk_signing.ways(
        "urn:oid:2.16.156.10011.1.3", SHEN.number, REGISTRAR, house.services
    )
    assert ways.phone == ""


@ON_SQLITE
async def test_the_scan_is_kept_whole_and_sealed_and_given_out_as_an_event(house: House) -> None:
    await house.file(house.adt(SHEN))
    portal = stories(house.services)
    given = Evidence("application/pdf", SCAN)
    id = await portal.record_consent(number(SHEN), choice(), given, REGISTRAR)
    assert await worth(house) == [("sha-256", "1")]
    assert await portal.consent_evidence(id, REGISTRAR) == given
    with pytest.raises(Problem) as told:
        await portal.consent_evidence(id, clinician())
    assert told.value.kind is Kind.REFUSED
    assert house.clock.at > NOON


@ON_SQLITE
async def test_a_guardian_signs_for_a_child_on_paper_and_by_a_code_of_their_own(
    house: House,
) -> None:
    await house.file(
        house.adt(CHILD, "0000000005", visit="V5"), house.adt(MOTHER, "0000000006", visit="V6")
    )
    own = await account(MOTHER, house.services)
    await mandates.record(CHILD.number, guardian(own.user), REGISTRAR, house.services)
    portal = stories(house.services)
    ways = await portal.signing_ways(number(CHILD), REGISTRAR)
    assert [one.name for one in ways.guardians] == [MOTHER.name]
    right = ways.guardians[0].code
    scan = Evidence("application/pdf", SCAN)

    with pytest.raises(Problem) as told:
        await portal.record_consent(number(CHILD), choice(), scan, REGISTRAR)
    assert [one.place for one in told.value.complaints] == ["Consent.performer[0]"]
    house.clock.forward(2)
    await portal.record_consent(number(CHILD), choice(guardian=right), scan, REGISTRAR)
    house.clock.forward(2)
    refusal = choice(kind="refuse-all", guardian=right)
    sent = await portal.send_signing_code(number(CHILD), refusal, REGISTRAR)
    assert messenger(house.services).sent[-1][0] == MOTHER.phone
    await portal.sign_with_code(sent.id, Post(house.services).code(MOTHER.phone), REGISTRAR)

    desk = await portal.consents(number(CHILD), REGISTRAR)
    assert {(one.kind, one.state) for one in desk.consents} == {
        ("refuse-all", "active"),
        ("share", "superseded"),
    }
    with pytest.raises(Problem) as told:
        await portal.send_signing_code(number(CHILD), choice(guardian="0" * 32), REGISTRAR)
    assert told.value.place == "guardian"
