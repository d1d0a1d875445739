"""Who can see what and what a consent would change, asked by an officer and at the desk, on both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consent.effects import Language, Reach
from consent.fhir import Choice, Form
from gateway.audit.events import Kind
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import explaining
from gateway.exchange.explaining import Change, Told
from gateway.services.caller import Caller
from gateway.store import oversight as listed
from tests.gateway.exchange.house import House, clinician, person
from tests.gateway.exchange.residents_at_desk import account

OFFICER = Caller("portal", "county", role="privacy", user="officer", name="周宁")
DESK = Caller("portal", "people", role="registrar", user="desk", name="陈静")
SHEN = person()


def form(choice: Choice = Choice.REFUSE_ALL, *recipients: str) -> Form:
    return Form(choice, "x", "", "", "Organization/county", "", "", None, recipients)


def shown(told: Told, language: Language = "zh") -> list[tuple[str, list[tuple[object, ...]]]]:
    """What a page can tell of a standing: everything but the instant it was asked at."""
    return [
        (
            group.who,
            [
                (
                    line.contents,
                    line.count,
                    line.reach,
                    line.emergency,
                    line.cell.varies,
                    line.cell.since,
                    line.cell.now.reason,
                    [(w.needs, w.decision.reason, w.decision.rules) for w in line.cell.ways],
                )
                for line in group.lines
            ],
        )
        for group in told.groups(language)
    ]


async def events(house: House) -> int:
    found = await house.services.db.session(
        listed.events, listed.Narrow(kind=Kind.CONSENT_EXPLAIN), 0, 10
    )
    return found.total


async def test_an_officer_is_told_the_rules_and_it_is_noted(house: House) -> None:
    await house.file(house.adt(SHEN), house.oru(SHEN))
    await house.sign()

    told = await explaining.standing(house.chart(), OFFICER, house.services)

    (first, *_) = told.groups("zh")
    assert first.who == "县内所有医疗机构"
    reached = {line.contents: line.reach for line in first.lines}
    elsewhere = "您在其他医院的基本信息（过敏、用药、疫苗、血型）、就诊和检查检验结果"
    assert reached[elsewhere] is Reach.TREATING
    assert await events(house) == 1


async def test_what_is_on_file_changes_nothing_an_officer_is_told(house: House) -> None:
    await house.file(house.adt(SHEN), house.oru(SHEN))
    before = await explaining.standing(house.chart(), OFFICER, house.services)
    closed = "0601^精神心理科"
    await house.file(
        house.adt(SHEN, visit="V9", clinic=closed, diagnosis="F32.100^中度抑郁发作"),
        house.oru(SHEN, report="R9", visit="V9", clinic=closed),
    )

    after = await explaining.standing(house.chart(), OFFICER, house.services)

    assert shown(after) == shown(before)
    assert shown(after, "en") == shown(before, "en")


async def test_somebody_nobody_knows_is_told_like_somebody_who_signed_nothing(
    house: House,
) -> None:
    await house.file(house.adt(SHEN))

    known = await explaining.standing(house.chart(), OFFICER, house.services)
    unknown = await explaining.standing("", OFFICER, house.services)

    assert shown(unknown) == shown(known)
    for register in ("plain", "precise"):
        refusal = Change((form(),))
        one = await explaining.preview(house.chart(), refusal, DESK, house.services)
        other = await explaining.preview("", refusal, DESK, house.services)
        assert one.sentences("zh", register) == other.sentences("zh", register)


async def test_a_preview_says_what_recording_the_form_then_does(house: House) -> None:
    await house.file(house.adt(SHEN), house.oru(SHEN))
    await house.sign()
    refusal = form(Choice.REFUSE_ALL, "Organization/tcm")

    seen = await explaining.preview(house.chart(), Change((refusal,)), DESK, house.services)

    assert seen.sentences("zh")[0].startswith("云溪县中医医院将不再看到您的基本信息")
    assert seen.sentences("en")[0].startswith(
        "Yunxi County Hospital of Traditional Chinese Medicine will no longer see your basics"
    )
    assert any("Consent/previewed/_history/1" in one for one in seen.sentences("zh", "precise"))
    await house.sign(
        Choice.REFUSE_ALL, at="2026-03-01T11:59:00+08:00", recipients=("Organization/tcm",)
    )
    now = await explaining.standing(house.chart(), OFFICER, house.services)
    assert [(g.who, [(one.contents, one.reach) for one in g.lines]) for g in now.groups("zh")] == [
        (g.who, [(one.contents, one.reach) for one in g.lines]) for g in seen.after.groups("zh")
    ]


async def test_nothing_is_recorded_by_a_preview(house: House) -> None:
    await house.file(house.adt(SHEN))
    before = await house.state()

    await explaining.preview(house.chart(), Change((form(),)), DESK, house.services)

    assert await house.state() == before
    assert await events(house) == 1


async def test_taking_a_consent_back_is_previewed(house: House) -> None:
    await house.file(house.adt(SHEN))
    signed = await house.sign()

    seen = await explaining.preview(
        house.chart(), Change(withdraw=(signed.id,)), DESK, house.services
    )

    assert seen.sentences("zh")[0].startswith("只有您在场并出示凭证时，县内所有医疗机构才能看到")


async def test_a_consent_of_somebody_else_is_not_there(house: House) -> None:
    await house.file(house.adt(SHEN))

    with pytest.raises(Problem) as refused:
        await explaining.preview(house.chart(), Change(withdraw=("0" * 32,)), DESK, house.services)

    assert refused.value.kind is Trouble.UNKNOWN


async def test_a_form_that_would_be_refused_names_the_element(house: House) -> None:
    await house.file(house.adt(SHEN))
    stranger = form(Choice.REFUSE_ALL, "Organization/nowhere")

    with pytest.raises(Problem) as refused:
        await explaining.preview(house.chart(), Change((stranger,)), DESK, house.services)

    assert refused.value.kind is Trouble.UNPROCESSABLE
    assert refused.value.complaints[0].place == "Consent.provision.actor[0].reference"


@pytest.mark.parametrize("role", ["clinician", "auditor", "it", "system", ""])
async def test_nobody_else_is_told(house: House, role: str) -> None:
    await house.file(house.adt(SHEN))

    with pytest.raises(Problem) as refused:
        await explaining.standing(house.chart(), replace(clinician(), role=role), house.services)

    assert refused.value.kind is Trouble.REFUSED
    assert await events(house) == 0


async def test_a_resident_who_is_somebody_else_is_told_nothing(house: House) -> None:
    await house.file(house.adt(SHEN))
    stranger = Caller("portal", "county", role="patient", user="someone", purpose="PATRQT")

    for chart in (house.chart(), "f" * 32):
        with pytest.raises(Problem) as refused:
            await explaining.standing(chart, stranger, house.services)
        assert refused.value.kind is Trouble.UNKNOWN


async def test_residents_are_told_of_what_is_on_file_as_far_as_they_may_read_it(
    house: House,
) -> None:
    closed = "0601^精神心理科"
    await house.file(
        house.adt(SHEN),
        house.oru(SHEN),
        house.adt(SHEN, visit="V9", clinic=closed, diagnosis="F32.100^中度抑郁发作"),
    )
    resident = await account(SHEN, house.services)

    told = await explaining.standing(house.chart(), resident, house.services)

    contents = [line.contents for group in told.groups("zh") for line in group.lines]
    assert any("您在云溪县人民医院的就诊和检查检验结果" in one for one in contents)
    assert any("精神卫生记录" in one for one in contents)
    assert not any("艾滋病" in one for one in contents)
    assert all(line.count for group in told.groups("zh") for line in group.lines)
    seen = await explaining.preview(
        house.chart(),
        Change((form(Choice.REFUSE_ALL, "Organization/people"),)),
        resident,
        house.services,
    )
    assert seen.sentences("zh")[0].startswith("云溪县人民医院将不再看到您在云溪县人民医院的")
