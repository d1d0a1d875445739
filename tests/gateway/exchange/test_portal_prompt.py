"""The page of a prompt over a real county: an order meets a panel and a CT, and both are decided on there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any

import pytest

from gateway.cds import order_select
from gateway.cds.call import Call
from gateway.errors import Kind, Problem
from gateway.exchange import image_probes
from gateway.exchange.image_probes import Known
from gateway.portal.stories import Target, Verdict
from gateway.recognition.images import Images
from gateway.services import Services
from tests.gateway.exchange.house import clinician
from tests.gateway.exchange.portal_county import CHEN, LI, Town, town

CHEST_CT, ALT = "29252-4", "1742-6"
REREAD = Verdict("accepted-reread", "", "", False)


def order(loinc: str) -> dict[str, Any]:
    """One line of a requisition, so that all of them share a card."""
    return {
        "resourceType": "ServiceRequest", "id": loinc, "status": "draft", "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "requisition": {"value": "S1"},
    }  # fmt: skip


async def prompted(here: Town, *codes: str) -> str:
    chart = (await here.results("shen", LI)).resident.chart
    orders = [order(one) for one in codes]
    context = {
        "userId": "Practitioner/dr-li",
        "patientId": chart,
        "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": o} for o in orders]},
        "selections": list(codes),
    }
    body = json.dumps({"context": context}).encode()
    told = await order_select.answer(
        Call(context, clinician("dr-li", "tcm"), here.services, (), body)
    )
    (card,) = told["cards"]
    return str(uuid.UUID(card["uuid"]))


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_images_are_accepted_and_read_anew_and_a_panel_beside_them_is_not(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def held(studies: Iterable[Known], services: Services) -> dict[str, Images]:
        return {one.id: "reachable" for one in studies}

    monkeypatch.setattr(image_probes, "_told", held)  # the archive has them
    here = await town(services, "shen")
    await here.sign("shen")
    card = await prompted(here, CHEST_CT, ALT)

    view = await here.portal.prompt(card, LI)
    assert view.open
    assert view.images
    things = [one.result or one.report for one in view.asked]
    both = tuple(Target(one.id, one.version) for one in things)
    with pytest.raises(Problem) as told:
        await here.portal.decide_prompt(card, both, REREAD, LI)
    assert (told.value.kind, told.value.place) == (Kind.UNPROCESSABLE, "choice")
    things = [one.result or one.report for one in (await here.portal.prompt(card, LI)).asked]
    assert [one.decision for one in things] == [None, None]

    [image] = [one.report for one in view.asked if one.result is None]
    await here.portal.decide_prompt(card, (Target(image.id, image.version),), REREAD, LI)
    own = Verdict("declined", "Z1", "", True)
    rest = tuple(one for one in both if one.id != image.id)
    await here.portal.decide_prompt(card, rest, own, LI)

    said = {
        one.decision.outcome: one.recognition.reread
        for asked in (await here.portal.prompt(card, LI)).asked
        if (one := asked.result or asked.report).decision
    }
    assert said == {"accepted-reread": True, "declined": False}
    with pytest.raises(Problem):
        await here.portal.prompt(card, CHEN)
