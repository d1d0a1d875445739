"""The SOAP façade, called by an ordinary SOAP client over a real socket, and the page it opens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import zeep
from lxml import etree
from requests import Session
from zeep.exceptions import Fault
from zeep.transports import Transport

from gateway.auth import people
from gateway.cds import soap
from gateway.errors import Kind, Problem
from gateway.recognition.ledger import Happened
from gateway.services.caller import OPERATOR
from tests.gateway.cds.ordering import ALP, ALT, AST, LOINC, events
from tests.gateway.fhir.conftest import Door

pytestmark = pytest.mark.asyncio(loop_scope="module")
PASSWORD = "eleven-chars"
DOCTOR = {"id": "dr-li", "name": "李明轩"}


def root(door: Door) -> str:
    return door.house.services.settings.base_url


class His:
    """A hospital system that knows SOAP and nothing of us but the description."""

    def __init__(self, door: Door, token: str) -> None:
        session = Session()
        session.headers["authorization"] = f"Bearer {token}"
        self.client = zeep.Client(
            f"{root(door)}/cds-soap?wsdl", transport=Transport(session=session)
        )

    async def __call__(self, operation: str, **said: Any) -> Any:
        return await asyncio.to_thread(self.client.service[operation], **said)


async def his(door: Door, client: str = "tcm-his", user: str = "") -> His:
    """With a token of the system itself, unless it speaks for somebody."""
    token = await door.token(client, user)
    return await asyncio.to_thread(His, door, token)


def order(id: str, *codes: str, name: str = "", **more: str) -> dict[str, Any]:
    coded = [{"system": LOINC, "value": one} for one in codes]
    return {"id": id, "code": coded, **({"name": name} if name else {}), **more}


def asked(door: Door, *orders: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "moment": "select",
        "doctor": DOCTOR,
        "patient": {"id": door.chart},
        "visit": "V88",
        "order": list(orders),
    } | more


async def test_prompts_come_as_from_cds_hooks_and_are_answered_once(ward: Door) -> None:
    system = await his(ward)
    liver = order("1001", ALT, AST, ALP, name="肝功能")
    (prompt,) = await system("CheckOrders", **asked(ward, liver))
    assert prompt["level"] == "info"
    assert "云溪县人民医院" in prompt["summary"]
    assert "62.40" in prompt["detail"]
    (suggestion,) = prompt["suggestion"]
    assert suggestion["remove"] == ["1001"]
    assert suggestion["place"]
    assert {"01", "07", "08", "98", "99"} <= {one["code"] for one in prompt["reason"]}
    again = await system("CheckOrders", **asked(ward, liver))
    assert again[0]["id"] == prompt["id"]
    assert len([e for e in await events(ward, Happened.PROMPT) if e.hook == "order-select"]) == 2
    said = {"moment": "select", "doctor": DOCTOR, "prompt": prompt["id"]}
    await system("Answer", **said, outcome="accepted", suggestion=[suggestion["id"]])
    await system("Answer", **said, outcome="accepted", suggestion=[suggestion["id"]])
    made = await events(ward, Happened.DECISION)
    assert {(e.item, e.choice) for e in made} == {
        ("HR-L-0001", "accept"),
        ("HR-L-0002", "accept"),
    }
    assert not await system("CheckOrders", **asked(ward, liver))


async def test_the_hospitals_own_reason_is_offered_and_answered(ward: Door) -> None:
    system = await his(ward)
    (prompt,) = await system("CheckOrders", **asked(ward, order("1", ALT), visit="V89"))
    (own,) = [one for one in prompt["reason"] if one["code"] == "Z1"]
    assert own["text"] == "中药治疗后需复查肝肾功能"
    said = {"moment": "select", "doctor": DOCTOR, "prompt": prompt["id"]}
    await system("Answer", **said, outcome="overridden", reason="Z1")
    assert (await events(ward, Happened.DECISION))[-1].reason == "Z1"


@pytest.mark.parametrize(
    ("change", "place", "zh"),
    [
        ({"patient": {"id": "no such patient !"}}, "patient", "不符合"),
        ({"visit": "a b"}, "visit", "不符合"),
        ({"order": [order("7", ALT), order("7", AST)]}, "order[2]/id", "不符合"),
        ({"order": [{"id": "9", "code": []}]}, "order/code", "缺少"),
    ],
)
async def test_what_is_wrong_is_said_in_the_callers_terms(
    ward: Door, change: dict[str, Any], place: str, zh: str
) -> None:
    system = await his(ward)
    with pytest.raises(Fault) as told:
        await system("CheckOrders", **(asked(ward, order("1", ALT)) | change))
    assert zh in str(told.value)
    assert told.value.detail is not None
    text = "".join(told.value.detail.itertext())
    assert place in text
    assert "no such patient" not in text


async def test_a_token_for_one_doctor_is_not_good_for_another(ward: Door) -> None:
    system = await his(ward, user="dr-li")
    with pytest.raises(Fault, match="不能这样调用"):
        await system("CheckOrders", **asked(ward, order("1", ALT), doctor={"id": "dr-chen"}))
    await open_account(ward, "dr-wang", "people")  # a login of another hospital
    anybody, wang = await his(ward), asked(ward, order("1", ALT), doctor={"id": "dr-wang"})
    with pytest.raises(Fault, match="不能这样调用"):
        await anybody("CheckOrders", **wang)


async def open_account(ward: Door, login: str, organization: str) -> None:
    services = ward.house.services
    await people.open_account(
        services, login=login, name=login, organization=organization, password=PASSWORD,
        roles=("clinician",), by=OPERATOR,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"<not-soap/>", "text/xml", 500),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "text/xml", 500),
        (b"{}", "application/json", 415),
        (b"x" * 600_000, "text/xml", 413),
        (b"<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body/></s:Envelope>",
         "application/soap+xml", 400),
        (b"<not-soap/>", "application/soap+xml", 400),
    ],
)  # fmt: skip
async def test_what_is_not_a_call_is_refused_as_a_fault(
    ward: Door, body: bytes, kind: str, status: int
) -> None:
    answer = await ward.web.post("/cds-soap", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert "Fault" in answer.text
    if status == 400:  # SOAP 1.2 part 2, 7.5.2.2
        assert "s:Sender" in answer.text
        assert answer.headers["content-type"].startswith(kind)


async def test_a_fault_of_ours_is_500_in_either_envelope() -> None:
    for envelope in soap.ENVELOPES:
        broken = soap._fault(envelope, Problem(Kind.BUSY, "Something broke here."))
        assert broken.status_code == 500


async def test_without_a_token_nothing_is_said(ward: Door) -> None:
    system = await his(ward)
    made = system.client.create_message(
        system.client.service, "CheckOrders", **asked(ward, order("1", ALT))
    )
    text = etree.tostring(made)
    bare = await ward.web.post("/cds-soap", content=text, headers={"content-type": "text/xml"})
    assert bare.status_code == 401
    token = await ward.token("tcm-his", "dr-li")
    wsse = (
        '<s:Header xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><w:Security xmlns:w="http://docs.oasis-open.org/'
        'wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><w:BinarySecurityToken>'
        f"{token}</w:BinarySecurityToken></w:Security></s:Header>"
    ).encode()
    inside = re.sub(rb"(<[a-z-]+:Envelope[^>]*>)", lambda m: m[1] + wsse, text, count=1)
    good = await ward.web.post("/cds-soap", content=inside, headers={"content-type": "text/xml"})
    assert good.status_code == 200, good.text


async def prompted(ward: Door, user: str, visit: str) -> tuple[His, str]:
    """A hospital's system and the prompt it was given for a doctor who has an account here."""
    await open_account(ward, user, "tcm")
    system = await his(ward)
    (prompt,) = await system(
        "CheckOrders", **asked(ward, order("5", ALT), doctor={"id": user}, visit=visit)
    )
    return system, prompt["id"]


async def test_a_page_opens_once_for_the_doctor_and_takes_the_decision(ward: Door) -> None:
    system, card = await prompted(ward, "dr-li", "V90")
    opened = await system("OpenPage", doctor={"id": "dr-li"}, prompt=card)
    address = opened["address"]
    assert ward.chart not in address
    async with httpx.AsyncClient(follow_redirects=False) as browser:
        first = await browser.get(address)
        assert first.status_code == 200
        assert first.headers["refresh"] == f"0; url=/portal/cards/{card}"
        page = await browser.get(f"{root(ward)}/portal/cards/{card}")
        assert page.status_code == 200, page.text
        assert "62.40" in page.text
        token = found(r'name="csrf" value="([^"]+)"', page.text)
        target = found(r'name="target" value="([^"]+)"', page.text)
        done = await browser.post(
            f"{root(ward)}/portal/cards/{card}",
            data={"csrf": token, "target": target, "outcome": "declined", "reason": "Z1"},
            headers={"origin": root(ward)},
        )
        assert done.status_code == 303, done.text
        assert "重新阅片" not in page.text, "nothing here is an image"
    made = (await events(ward, Happened.DECISION))[-1]
    assert (made.choice, made.reason, made.hook) == ("decline", "Z1", "order-select")
    async with httpx.AsyncClient() as another:
        late = await another.get(address)
        assert (late.status_code, "已经用过" in late.text) == (404, True)
        assert not another.cookies.get("__Host-session")


async def test_two_browsers_at_once_and_one_gets_in(ward: Door) -> None:
    system, card = await prompted(ward, "dr-li", "V91")
    address = (await system("OpenPage", doctor={"id": "dr-li"}, prompt=card))["address"]
    async with httpx.AsyncClient() as browser:
        answers = await asyncio.gather(*(browser.get(address) for _ in range(6)))
    assert sorted(one.status_code for one in answers) == [200, *[404] * 5]


async def test_no_page_opens_for_others_or_too_late(ward: Door) -> None:
    system, card = await prompted(ward, "dr-li", "V92")
    for who in ("dr-chen", "dr-nobody"):
        with pytest.raises(Fault):
            await system("OpenPage", doctor={"id": who}, prompt=card)
    address = (await system("OpenPage", doctor={"id": "dr-li"}, prompt=card))["address"]
    ward.house.clock.forward(121)
    assert (await ward.web.get(address)).status_code == 404
    assert (await ward.web.get(f"{root(ward)}/portal/launch/{'x' * 43}")).status_code == 404


async def test_somebody_elses_card_is_not_there(ward: Door) -> None:
    await open_account(ward, "dr-chen", "tcm")
    _, card = await prompted(ward, "dr-li", "V93")
    async with httpx.AsyncClient() as browser:
        page = (await browser.get(f"{root(ward)}/portal/sign-in")).text
        token = found(r'name="csrf" value="([^"]+)"', page)
        await browser.post(
            f"{root(ward)}/portal/sign-in",
            data={"csrf": token, "login": "dr-chen", "password": PASSWORD},
            headers={"origin": root(ward)},
        )
        for id in (card, "00000000-0000-4000-8000-000000000000", "x"):
            assert (await browser.get(f"{root(ward)}/portal/cards/{id}")).status_code == 404


def found(pattern: str, text: str) -> str:
    hit: Callable[..., Any] = re.search
    got = hit(pattern, text)
    assert got, pattern
    return str(got[1])
