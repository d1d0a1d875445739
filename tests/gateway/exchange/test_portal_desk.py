"""The registration desk over a real county: who is asked, what is recorded, what it does."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import date, timedelta

import pytest

from gateway.demo.residents import resident_number
from gateway.errors import Kind, Problem
from gateway.exchange import consents
from gateway.portal.stories import (
    ConsentChoice,
    Evidence,
    Identifier,
    NeedsClaim,
)
from gateway.services import Services
from tests.gateway.exchange.portal_county import (
    LI,
    REASON,
    REGISTRAR,
    SCAN,
    STRANGER,
    WANG,
    Town,
    town,
)

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
async def here(services: Services) -> Town:
    return await town(services, "shen")


async def test_a_form_is_recorded_with_its_witness_and_its_scan_and_shown_again(here: Town) -> None:
    before = await here.events()
    id = await here.sign("shen", "category", organization="tcm", category="PSY", witness="周立")
    assert dict(await here.events() - before) == {"create": 1, "consent-create": 1}

    before = await here.events()
    desk = await here.portal.consents(here.number("shen"), REGISTRAR)

    assert dict(await here.events() - before) == {"search": 1, "read": 1}
    [one] = desk.consents
    assert (one.id, one.kind, one.state) == (id, "category", "active")
    assert (one.organization, one.category) == ("云溪县中医医院", "精神卫生")
    assert (one.recorded_by, one.witness) == ("孙文静", "周立")
    assert one.signed == here.pretend.today.replace(day=1)
    assert one.evidence
    assert hashlib.sha256(SCAN).hexdigest()[:12] not in one.evidence.replace(" ", "")
    assert desk.by_default == "not-shared"
    assert {"PSY", "HIV"} <= {choice.code for choice in desk.categories}
    assert "Organization/county" not in {choice.code for choice in desk.organizations}


@ON_SQLITE
async def test_the_scan_is_kept_beside_the_consent_and_its_hash_inside(here: Town) -> None:
    large = SCAN + b"x" * 2_000_000
    choice = ConsentChoice("share", here.pretend.today, "周立")
    for scan in (SCAN, large):
        given = Evidence("application/pdf", scan)
        id = await here.portal.record_consent(here.number("shen"), choice, given, REGISTRAR)
        recorded = await consents.read(id, REGISTRAR, here.services)
        assert b'"data"' not in recorded.text
        assert hashlib.sha256(scan).hexdigest().encode() in recorded.text
        assert await here.portal.consent_evidence(id, REGISTRAR) == given


@ON_SQLITE
async def test_a_second_form_needs_no_second_chart(here: Town) -> None:
    await here.sign("shen")
    before = await here.events()
    await here.sign("shen", "category", organization="tcm", category="HIV")
    assert dict(await here.events() - before) == {"consent-create": 1}


@ON_SQLITE
async def test_somebody_no_hospital_has_sent_yet_signs_and_is_joined_when_they_come(
    services: Services,
) -> None:
    """The desk's consent is there before the hospital's first message."""
    here = await town(services, "refused", rows=False)
    empty = await here.portal.consents(here.number("r0016"), REGISTRAR)
    assert (empty.resident.name, empty.consents) == ("", ())
    assert empty.resident.age is not None

    with pytest.raises(Problem) as told:
        await here.sign("r0016", name=" ")
    assert told.value.kind is Kind.UNPROCESSABLE
    await here.sign("r0016", name=here.resident("r0016").name)

    later = await town(services, "r0016", rows=False)
    shown = await later.results("r0016", LI)
    assert "云溪县人民医院" in {report.organization for report in shown.reports}


@ON_SQLITE
async def test_somebody_of_another_name_is_not_joined(services: Services) -> None:
    here = await town(services, "refused", rows=False)
    await here.sign("r0016", name="另一个人")
    later = await town(services, "r0016", rows=False)
    assert await later.portal.open_resident(later.number("r0016"), LI, REASON) == NeedsClaim()


@ON_SQLITE
async def test_refusing_everything_leaves_each_hospital_its_own(here: Town) -> None:
    await here.sign("shen")
    await here.sign("shen", "refuse-all", signed=here.pretend.today)
    shown = await here.results("shen", WANG, None)
    assert {report.organization for report in shown.reports} == {"云溪县人民医院"}


@ON_SQLITE
async def test_what_is_signed_in_the_afternoon_follows_what_was_signed_in_the_morning(
    here: Town,
) -> None:
    """Refused and permitted again on one day: the later word counts."""
    from dataclasses import replace

    day = here.services.now()
    await here.sign("shen", "refuse-all", signed=here.pretend.today)
    later = replace(here.services, now=lambda: day + 5_000_000)
    here.portal._services = later  # type: ignore[attr-defined]
    await here.sign("shen", "share", signed=here.pretend.today)
    afterwards = replace(here.services, now=lambda: day + 9_000_000)
    here.portal._services = afterwards  # type: ignore[attr-defined]

    shown = await here.results("shen", LI)
    assert "云溪县人民医院" in {report.organization for report in shown.reports}


@ON_SQLITE
async def test_refusing_one_hospital_leaves_the_others(here: Town) -> None:
    await here.sign("shen")
    await here.sign("shen", "refuse-organization", organization="mch", signed=here.pretend.today)
    desk = await here.portal.consents(here.number("shen"), REGISTRAR)
    assert Counter(one.kind for one in desk.consents) == {"share": 1, "refuse-organization": 1}
    shown = await here.results("shen", LI)
    assert "云溪县人民医院" in {report.organization for report in shown.reports}


async def test_a_withdrawal_names_its_witness_and_stays_on_file(here: Town) -> None:
    id = await here.sign("shen")
    before = await here.events()
    await here.portal.withdraw_consent(id, "吴见", REGISTRAR)
    assert dict(await here.events() - before) == {"read": 1, "consent-withdraw": 1}

    [one] = (await here.portal.consents(here.number("shen"), REGISTRAR)).consents
    assert (one.state, one.witness, one.withdrawn_by) == ("withdrawn", "周立", "孙文静")
    assert one.withdrawn_at is not None

    before = await here.events()
    await here.portal.withdraw_consent(id, "吴见", REGISTRAR)
    assert "consent-withdraw" not in await here.events() - before


@ON_SQLITE
async def test_a_child_cannot_sign(services: Services) -> None:
    here = await town(services, "refused", rows=False)
    born = here.pretend.today - timedelta(days=8 * 365)
    child = Identifier("resident-id", resident_number("330421", born))
    choice = ConsentChoice("share", here.pretend.today, "周立", name="小宝")
    with pytest.raises(Problem) as told:
        await here.portal.record_consent(
            child, choice, Evidence("application/pdf", SCAN), REGISTRAR
        )
    assert told.value.kind is Kind.UNPROCESSABLE


@ON_SQLITE
async def test_only_registrars_stand_at_the_desk(here: Town) -> None:
    before = await here.events()
    choice = ConsentChoice("share", date(2026, 1, 1), "周立")
    for asked in (
        here.portal.consents(here.number("shen"), LI),
        here.portal.record_consent(
            here.number("shen"), choice, Evidence("application/pdf", SCAN), LI
        ),
    ):
        with pytest.raises(Problem) as told:
            await asked
        assert told.value.kind is Kind.REFUSED
    assert await here.events() == before


@ON_SQLITE
async def test_a_resident_nobody_knows_looks_like_one_without_consents(here: Town) -> None:
    desk = await here.portal.consents(Identifier("resident-id", STRANGER), REGISTRAR)
    assert (desk.resident.name, desk.consents) == ("", ())
    assert STRANGER not in repr(desk)
