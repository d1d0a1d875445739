"""Only an answer: the consult story on both engines, against what a reader of records gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import consents, consulting, residents
from gateway.exchange.consulting import Answer, Matter, Subject
from gateway.identity.systems import RESIDENT_ID
from gateway.services.log import Moved
from gateway.store import oversight as listed
from tests.gateway.exchange.house import REGISTRAR, House, clinician, person

SHEN = person()
BY_NUMBER = Subject(identifiers=((RESIDENT_ID, SHEN.number),))
LI = clinician("dr-li", "tcm")


async def consult(house: House, *matters: Matter) -> Answer:
    return await consulting.consult(BY_NUMBER, matters or (Matter(),), LI, house.services)


async def known(house: House) -> None:
    await house.file(house.adt(SHEN), house.oru(SHEN))
    await residents.open_resident(
        RESIDENT_ID, SHEN.number, LI, house.services, claim="急诊抢救室接诊"
    )


async def test_the_answer_follows_what_is_signed_and_withdrawn(house: House) -> None:
    await known(house)
    assert not (await consult(house)).permit
    signed = await house.sign()
    assert (await consult(house)).permit

    await consents.withdraw(signed.id, REGISTRAR, house.services)

    assert not (await consult(house)).permit


async def test_one_no_among_several_is_a_no_and_nothing_more(house: House) -> None:
    await known(house)
    await house.sign()

    no = await consult(
        house, Matter(), Matter(confidentiality="R", sensitivities=frozenset({"PSY"}))
    )

    assert (no.permit, no.obligations, no.valid_until) == (False, (), None)


async def test_the_event_names_the_person_and_the_reason_and_the_answer_does_not(
    house: House,
) -> None:
    await known(house)

    await consult(house)

    found = await house.services.db.session(listed.events, listed.Narrow(kind="decision"), 0, 1)
    (event,) = found.rows
    assert (event.outcome, event.actor, event.organization) == ("deny", "dr-li", "tcm")
    assert event.charts


async def test_without_a_durable_event_there_is_no_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await known(house)

    async def never(draft: object) -> None:
        raise Moved

    monkeypatch.setattr(house.services.log, "write", never)

    with pytest.raises(Problem) as busy:
        await consult(house)
    assert busy.value.kind is Trouble.BUSY


async def test_a_system_without_a_person_is_refused(house: House) -> None:
    alone = replace(LI, user="", purpose="", role="system")

    with pytest.raises(Problem) as refused:
        await consulting.consult(BY_NUMBER, (Matter(),), alone, house.services)

    assert refused.value.kind is Trouble.REFUSED
