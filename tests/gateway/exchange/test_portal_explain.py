"""The explaining pages' stories over the real county, on both engines."""

from __future__ import annotations

from datetime import date

from gateway.demo.residents import resident_number
from gateway.portal.county import stories
from gateway.portal.explain_stories import Explained, Question
from gateway.portal.stories import Identifier
from tests.gateway.exchange.house import House, person
from tests.gateway.exchange.test_explaining import DESK, OFFICER

SHEN = person()
NUMBER = Identifier("resident-id", SHEN.number)
NOBODY = Identifier("resident-id", resident_number("330421", date(1980, 1, 2)))
LI = Question("Organization/tcm", "TREAT")


async def told(house: House, number: Identifier = NUMBER, question: Question = LI) -> Explained:
    return await stories(house.services).explain(number, question, "zh", OFFICER)


async def test_an_answer_its_steps_and_everybody_else(house: House) -> None:
    await house.file(house.adt(SHEN), house.oru(SHEN))
    signed = await house.sign()

    found = await told(house)

    assert not found.permitted
    assert found.steps[0] == "没有登记的诊疗关系"
    assert found.steps[-1].startswith("拒绝，并告知请求者：没有有效的诊疗关系")
    first = found.seers[0]
    assert first.who == "县内所有医疗机构"
    shared = next(one for one in first.lines if one.contents.startswith("基本信息"))
    assert (shared.reach, shared.because) == ("treating", "患者的知情同意")
    assert shared.rules == (f"Consent/{signed.id}/_history/{signed.version}",)
    assert shared.since is not None
    assert [way.needs for way in shared.ways] == [("treatment-relationship",), ("emergency",)]


async def test_nobody_and_somebody_who_signed_nothing_are_told_alike(house: House) -> None:
    await house.file(house.adt(SHEN))

    known, unknown = await told(house), await told(house, NOBODY)

    assert known.steps == unknown.steps
    assert known.seers == unknown.seers


async def test_what_is_offered_can_be_asked(house: House) -> None:
    await house.file(house.adt(SHEN))
    offered = await stories(house.services).explain_offered(OFFICER)

    assert "Organization/tcm" in {one.code for one in offered.askers}
    assert {"TREAT", "HRESCH"} <= set(offered.purposes)
    assert not {"PATRQT", "HMARKT"} & set(offered.purposes)
    for purpose in offered.purposes:
        for category in ("", offered.categories[0].code):
            question = Question("Organization/tcm", purpose, category)
            assert (await told(house, question=question)).steps


async def test_each_form_of_the_desk_is_previewed(house: House) -> None:
    await house.file(house.adt(SHEN))
    portal = stories(house.services)

    async def effects(number: Identifier = NUMBER, **draft: str) -> tuple[str, ...] | None:
        return await portal.consent_effects(number, draft, "zh", DESK)

    assert (await effects(kind="share") or ("",))[0].startswith(
        "县内所有医疗机构给您看病时，不用您出示凭证就可以看到您在其他医院的"
    )
    assert await effects(kind="category", organization="tcm", category="PSY") == (
        "云溪县中医医院给您看病时，将可以看到您在其他医院的精神卫生记录。",
    )
    assert (await effects(kind="refuse-all") or ("",))[0].startswith("县内所有医疗机构将不再看到")
    one = await effects(kind="refuse-organization", organization="Organization/tcm")
    assert (one or ("",))[0].startswith("云溪县中医医院将不再看到")
    assert await effects(NOBODY, kind="refuse-all") == await effects(kind="refuse-all")
    assert await effects(kind="refuse-organization", organization="nowhere") is None


async def test_taking_back_is_previewed(house: House) -> None:
    await house.file(house.adt(SHEN))
    signed = await house.sign()

    found = await stories(house.services).withdrawal_effects(NUMBER, signed.id, "en", DESK)

    assert found[0].startswith("All hospitals of the county will see your basics")
    assert found[0].endswith("only when you are there and show your code.")


async def test_a_newer_form_takes_the_place_of_the_older_one_in_the_preview_too(
    house: House,
) -> None:
    await house.file(house.adt(SHEN))
    await house.sign()
    portal = stories(house.services)

    found = await portal.consent_effects(NUMBER, {"kind": "share"}, "zh", DESK)

    assert found == ()
