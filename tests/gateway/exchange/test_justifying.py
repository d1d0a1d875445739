"""One decision with its way, for an officer, against what the same person is really answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consent.model import DenyHide, DenyTell, Permit, Reason
from consent.tracing import State
from consent.tracing_words import lines
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import ask, justifying, residents
from gateway.exchange.justifying import Question
from gateway.identity.systems import RESIDENT_ID
from gateway.store import oversight as listed
from tests.gateway.exchange.house import House, clinician, person
from tests.gateway.exchange.test_explaining import OFFICER

SHEN = person()
LI = clinician("dr-li", "tcm")
CLOSED = "0601^精神心理科"


async def known(house: House) -> None:
    await house.file(
        house.adt(SHEN),
        house.oru(SHEN),
        house.adt(SHEN, visit="V9", clinic=CLOSED, diagnosis="F32.100^中度抑郁发作"),
    )
    await residents.open_resident(
        RESIDENT_ID, SHEN.number, LI, house.services, claim="急诊抢救室接诊"
    )


async def test_each_record_is_explained_as_it_is_answered(house: House) -> None:
    await known(house)
    await house.sign()
    question = Question("tcm", "TREAT")
    by_login = replace(LI, user="")

    answers = set()
    for one in await house.current():
        if one.type in {"Observation", "Condition", "Encounter"}:
            found = await justifying.justify(
                "", replace(question, record=one.id), OFFICER, house.services
            )
            try:
                await ask.read(one.type, one.id, by_login, house.services)
                answered: type[object] = Permit
            except Problem:
                answered = DenyHide
            assert isinstance(found.decision, answered), one.type
            assert found.whole
            answers.add(type(found.decision))
    assert answers == {DenyHide}  # a claim is one person's, not the house's


async def test_a_person_s_own_claim_counts_for_them(house: House) -> None:
    await known(house)
    signed = await house.sign()
    asked = replace(LI, role="clinician")

    found = await justifying.justify(
        house.chart(), Question("tcm", "TREAT"), OFFICER, house.services
    )

    assert isinstance(found.decision, DenyTell)
    assert found.decision.reason is Reason.NO_RELATIONSHIP
    assert asked.user not in str(found.decision)
    assert signed.active


async def test_the_words_name_the_rule_and_the_state_in_both_languages(house: House) -> None:
    await house.file(house.adt(SHEN), house.oru(SHEN))
    signed = await house.sign()
    question = Question("people", "TREAT", source="tcm")

    found = await justifying.justify(house.chart(), question, OFFICER, house.services)

    assert isinstance(found.decision, Permit)
    assert [one.state for one in found.consents] == [State.PERMITS]
    zh = list(lines(found, house.services.policy, "zh"))
    en = list(lines(found, house.services.policy, "en"))
    rule = f"Consent/{signed.id}/_history/{signed.version}"
    assert zh[0].startswith("诊疗关系：就诊，")
    assert f"{rule}：许可" in zh
    assert "  许可：用途 = 是" in zh
    assert en[0].endswith(": counts")
    assert en[-1].startswith(f"Permitted: the patient's directive (by {rule})")


async def test_a_protected_category_needs_no_record_of_it(house: House) -> None:
    await house.file(house.adt(SHEN))
    await house.sign()
    question = Question("people", "TREAT", source="tcm", categories=frozenset({"PSY"}))

    found = await justifying.justify(house.chart(), question, OFFICER, house.services)

    assert found.decision.reason is Reason.RESTRICTED_OPT_IN
    assert "  许可：用途 = 是，敏感标签 = 否" in list(lines(found, house.services.policy))


async def test_an_instant_before_the_encounter_has_no_relationship(house: House) -> None:
    await house.file(house.adt(SHEN))
    question = Question("people", "TREAT", at=house.services.now() - 400 * 86_400_000_000)

    found = await justifying.justify(house.chart(), question, OFFICER, house.services)

    assert found.decision.reason is Reason.NO_RELATIONSHIP


async def test_it_is_noted_before_it_is_told_and_for_nobody_else(house: House) -> None:
    await house.file(house.adt(SHEN))
    question = Question("people", "TREAT")

    for role in ("registrar", "auditor", "clinician", "it", "patient"):
        with pytest.raises(Problem) as refused:
            await justifying.justify(
                house.chart(), question, replace(OFFICER, role=role), house.services
            )
        assert refused.value.kind is Trouble.REFUSED
    await justifying.justify(house.chart(), question, OFFICER, house.services)

    narrow = listed.Narrow(kind="consent-explain")
    found = await house.services.db.session(listed.events, narrow, 0, 10)
    assert [(row.actor, bool(row.charts)) for row in found.rows] == [("officer", True)]


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        (Question("nobody", "TREAT"), Trouble.MALFORMED),
        (Question("people", "NOTHING"), Trouble.MALFORMED),
        (Question("people", "TREAT", categories=frozenset({"NOTHING"})), Trouble.MALFORMED),
        (Question("people", "TREAT", record="0" * 32), Trouble.UNKNOWN),
    ],
)
async def test_what_does_not_exist_is_said(house: House, question: Question, kind: Trouble) -> None:
    await house.file(house.adt(SHEN))

    with pytest.raises(Problem) as refused:
        await justifying.justify(house.chart(), question, OFFICER, house.services)

    assert refused.value.kind is kind
