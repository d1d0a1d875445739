"""What a doctor is told while ordering: once, of what counts here, and nothing of what is hidden."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.exchange import unmapped_orders
from gateway.recognition.ledger import Happened
from gateway.store import charts as rows
from gateway.store import oversight as listed
from tests.gateway.cds.conftest import CLOSED
from tests.gateway.cds.hooks import claims, signed
from tests.gateway.cds.ordering import (
    ALP,
    ALT,
    AST,
    CREA,
    KEY,
    SELECT,
    SIGN,
    VIEW,
    call,
    events,
    hook,
    order,
    post,
    recent,
)
from tests.gateway.fhir.conftest import SHEN, Door

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOTHING = {"cards": []}


async def audited(door: Door, kind: str) -> list[listed.EventRow]:
    found = await door.house.services.db.session(listed.events, listed.Narrow(), 0, 50)
    return [row for row in found.rows if row.kind == kind]


# What is said


async def test_an_order_that_was_measured_elsewhere_gets_one_card(ward: Door) -> None:
    (card,) = await hook(ward, SELECT, order("a", ALT, AST, text="转氨酶两项"), encounterId="V1")

    assert card["indicator"] == "info"
    assert card["summary"] == "丙氨酸氨基转移酶等2项：云溪县人民医院 2 天前已有可互认结果"
    detail = card["detail"]
    for said in ("62.40 U/L", "&lt;31.0 U/L", "9--50", "2026-02-27 07:58", "LAB01", "全国HR"):
        assert said in detail
    assert "云溪县妇幼保健院" in detail  # has never sent: what is missing is said
    (suggestion,) = card["suggestions"]
    assert suggestion["isRecommended"] is True
    assert [(one["type"], one["resourceId"]) for one in suggestion["actions"]] == [
        ("delete", "ServiceRequest/a")
    ]
    codes = [one["code"] for one in card["overrideReasons"]]
    assert sorted(codes)[:11] == ["01", "02", "03", "04", "05", "06", "07", "08", "09", "98", "99"]
    assert {one["item"] for one in card["extension"][KEY]["items"]} == {"HR-L-0001", "HR-L-0002"}


async def test_in_english_too_and_as_a_warning_before_signing(ward: Door) -> None:
    (card,) = await hook(ward, SIGN, order("a", ALT), encounterId="V2", language="en-GB,en;q=0.9")

    assert card["indicator"] == "warning"
    assert card["summary"].startswith("Alanine aminotransferase: Yunxi County People's Hospital")
    assert "Why it counts" in card["detail"]
    chinese = [one for one in card["detail"] if "\u4e00" <= one <= "\u9fff"]
    assert "".join(chinese) == "全国"  # the mark, as it is printed


async def test_only_what_is_missing_is_proposed_in_the_drafts_own_words(ward: Door) -> None:
    """The rest keeps every digit of the draft; nothing is recommended that the doctor must read first."""
    more = {
        "priority": "urgent",
        "quantityQuantity": {"value": 1},
        "note": [{"text": "空腹"}],
        "subject": {"reference": f"Patient/{ward.chart}"},
    }
    body = call(ward, SELECT, order("p", ALT, CREA, ALP, **more), encounterId="V3")
    text = json.dumps(body, ensure_ascii=False).replace('"value": 1}', '"value": 1.50}')

    answer = await post(ward, SELECT, text.encode())

    assert answer.text.count('"value":1.50}') == 2
    (card,) = answer.json()["cards"]
    (suggestion,) = card["suggestions"]
    assert "isRecommended" not in suggestion
    first, *rest = suggestion["actions"]
    assert (first["type"], first["resourceId"]) == ("delete", "ServiceRequest/p")
    made = [one["resource"] for one in rest]
    assert [one["code"]["coding"][0]["code"] for one in made] == [CREA, ALP]
    for one in made:
        assert (one["priority"], one["note"], one["status"]) == (
            "urgent",
            [{"text": "空腹"}],
            "draft",
        )
        assert "id" not in one
    assert card["extension"][KEY]["missing"] == ["HR-L-0003", "HR-L-0013"]


async def test_a_panel_of_the_hospitals_own_is_compared_item_by_item(ward: Door) -> None:
    """Liver function has seven items here; five of them nobody has measured."""
    panels = f"{ward.house.services.settings.canonical}/CodeSystem/tcm-panels"
    own = {"coding": [{"system": panels, "code": "TCM-LFT"}], "text": "肝功能"}

    (card,) = await hook(ward, SELECT, order("a") | {"code": own}, encounterId="V3p")

    told = card["extension"][KEY]
    assert {one["item"] for one in told["items"]} == {"HR-L-0001", "HR-L-0002"}
    actions = card["suggestions"][0]["actions"]
    assert [one["type"] for one in actions] == ["delete", *["create"] * len(told["missing"])]
    assert len(told["missing"]) == 5


async def test_laboratory_orders_share_a_card_and_a_requisition_has_its_own(ward: Door) -> None:
    cards = await hook(
        ward,
        SELECT,
        order("a", ALT),
        order("b", CREA),
        order("c", AST, requisition={"value": "REQ-1"}),
        encounterId="V4",
    )

    removed = [
        [act["resourceId"] for s in card["suggestions"] for act in s["actions"]] for card in cards
    ]
    assert removed == [["ServiceRequest/a"], ["ServiceRequest/c"]]


async def test_patient_view_counts_what_may_be_recognised(ward: Door) -> None:
    (card,) = await hook(ward, VIEW)

    assert card["summary"] == "云溪县人民医院有 2 项结果可在本院互认"
    assert "丙氨酸氨基转移酶、天门冬氨酸氨基转移酶" in card["detail"]
    assert "suggestions" not in card


# What is not said


@pytest.mark.parametrize(
    "draft",
    [
        order("a", CREA),
        order("a", ALP),  # preliminary
        order("a", "99999-9"),
        order("a", ALT, bodySite=[{"text": "x"}], specimen=[{"display": "尿液"}]),
        order("a", ALT, doNotPerform=True),
        order("a", ALT, status="revoked"),
        {"resourceType": "NutritionOrder", "id": "a", "status": "draft"},
        {"resourceType": "ServiceRequest", "id": "a", "status": "draft", "intent": "order"},
    ],
    ids=[
        "not-measured",
        "not-final",
        "unknown",
        "urine",
        "not-to-do",
        "revoked",
        "food",
        "no-code",
    ],
)
async def test_no_card_where_nothing_counts(ward: Door, draft: dict[str, Any]) -> None:
    assert await hook(ward, SELECT, draft, encounterId="V5") == []


async def test_an_unknown_patient_and_a_stranger_are_one_answer(ward: Door) -> None:
    """No such id, no such number, and not treated by the caller: the same to the byte."""
    answers = [
        await post(
            ward, SELECT, call(ward, SELECT, order("a", ALT), patient=patient, user=user), user
        )
        for patient, user in (
            ("0" * 32, "dr-li"),
            ("no-such-number", "dr-li"),
            (ward.chart, "dr-x"),
        )
    ]

    assert {(one.status_code, one.content) for one in answers} == {(200, b'{"cards":[]}')}


async def test_a_hidden_result_changes_no_byte_of_an_answer(ward: Door) -> None:
    """A newer result of a protected department is filed between two calls of one visit."""
    body = call(ward, SELECT, order("a", ALT, AST, ALP), encounterId="V6")
    view = call(ward, VIEW)
    before = [(await post(ward, s, b)).content for s, b in ((SELECT, body), (VIEW, view))]
    house = ward.house

    states = await house.file(
        house.adt(SHEN, visit="V9", clinic=CLOSED, diagnosis="F32.100^中度抑郁发作"),
        recent(
            house, ("ALT", "99.9", "F"), ("ALP", "80", "F"), report="R9", visit="V9", clinic=CLOSED
        ),
    )

    assert states == ["filed", "filed"]
    hidden = [one for one in await house.current("Observation") if "99.9" in one.text.decode()]
    assert all(one.nature.sensitivities for one in hidden)
    assert hidden
    after = [(await post(ward, s, b)).content for s, b in ((SELECT, body), (VIEW, view))]
    assert after == before
    assert b"62.40" in after[0]


# Once


async def test_six_calls_are_one_prompt(ward: Door) -> None:
    drafts = [order("a", ALT, AST)]
    before = len(await events(ward, Happened.PROMPT))

    first = await asyncio.gather(
        *(hook(ward, SELECT, *drafts, encounterId="V10") for _ in range(3))
    )
    second = [await hook(ward, SELECT, *drafts, encounterId="V10") for _ in range(3)]

    assert {card["uuid"] for cards in (*first, *second) for card in cards} == {first[0][0]["uuid"]}
    prompts = (await events(ward, Happened.PROMPT))[before:]
    assert sorted(one.item for one in prompts) == ["HR-L-0001", "HR-L-0002"]
    assert {one.hook for one in prompts} == {"order-select"}
    assert {one.finding.partition(":")[0] for one in prompts} == {"flag"}
    assert len({one.question for one in await events(ward, Happened.ELIGIBLE)}) >= 2


async def test_signing_shows_it_again_and_counts_no_second_prompt(ward: Door) -> None:
    (selecting,) = await hook(ward, SELECT, order("a", ALT), encounterId="V11")
    before = len(await events(ward, Happened.PROMPT))

    (signing,) = await hook(ward, SIGN, order("a", ALT), encounterId="V11")

    assert signing["uuid"] != selecting["uuid"]  # feedback goes to the service that asked
    assert len(await events(ward, Happened.PROMPT)) == before


async def test_without_an_encounter_the_day_counts(ward: Door) -> None:
    body = call(ward, SELECT, order("a", ALT))
    del body["context"]["encounterId"]
    before = len(await events(ward, Happened.PROMPT))

    for _ in range(2):
        assert (await post(ward, SELECT, body)).json()["cards"]

    assert len(await events(ward, Happened.PROMPT)) == before + 1


# Before it leaves, and in time


async def test_the_event_is_durable_and_names_what_was_opened(ward: Door) -> None:
    before = {one.counter for one in await audited(ward, "recognition-prompt")}

    await hook(ward, SELECT, order("a", ALT), encounterId="V12")

    after = await audited(ward, "recognition-prompt")
    assert after[0].counter > max(before, default=0)
    assert (after[0].outcome, after[0].actor, after[0].client) == ("permit", "dr-li", "tcm-his")


@contextmanager
def cut_off(door: Door, milliseconds: int) -> Iterator[None]:
    """The setting, which nobody else may change, for as long as the block lasts."""
    settings = door.house.services.settings
    before = settings.cds_cutoff_ms
    object.__setattr__(settings, "cds_cutoff_ms", milliseconds)
    try:
        yield
    finally:
        object.__setattr__(settings, "cds_cutoff_ms", before)


async def test_over_the_cut_off_an_empty_answer_goes_out_and_is_counted(
    ward: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is slow for this one call; the doctor is not held up."""
    services = ward.house.services
    slow = rows.grounds

    async def grounds(*given: Any) -> Any:
        await asyncio.sleep(3)
        return await slow(*given)

    counted = services.counts["cds_unanswered"]
    with monkeypatch.context() as patched, cut_off(ward, 300):
        patched.setattr(rows, "grounds", grounds)
        answer = await post(ward, SELECT, call(ward, SELECT, order("a", ALT), encounterId="V13"))

    assert (answer.status_code, answer.json()) == (200, NOTHING)
    assert services.counts["cds_unanswered"] == counted + 1
    for _ in range(100):
        if found := [
            e for e in await events(ward, Happened.UNANSWERED) if e.hook == "order-select"
        ]:
            break
        await asyncio.sleep(0.02)
    assert found[-1].practitioner == "dr-li"
    assert not [e for e in await events(ward, Happened.PROMPT) if e.at > found[-1].at]
    metrics = (await ward.web.get("/metrics")).text
    assert f"gateway_cds_unanswered_total {counted + 1}" in metrics


# Codes nobody knows


async def test_an_unknown_order_waits_for_the_it_office_and_is_counted_when_signed(
    ward: Door,
) -> None:
    own = {"coding": [{"system": "urn:tcm:order", "code": "YZ-17"}], "text": "肝功十一项"}
    draft = order("a") | {"code": own}

    assert await hook(ward, SELECT, draft) == []
    assert await hook(ward, SIGN, draft) == []
    assert await hook(ward, SIGN, draft) == []

    found = await unmapped_orders.standing("tcm", ward.house.services)
    (line,) = [one for one in found if one.name == "肝功十一项"]
    assert (line.codings, line.signed) == ((("urn:tcm:order", "YZ-17"),), 2)
    assert await unmapped_orders.standing("people", ward.house.services) == ()


# Bad input


def broken(door: Door, name: str) -> tuple[dict[str, Any], str]:
    """A call that is wrong in one way, and the place that is named."""
    body = call(door, SELECT, order("a", ALT))
    context = body["context"]
    entry = context["draftOrders"]["entry"][0]
    match name:
        case "hook":
            body["hook"] = "order-sign"
            return body, "hook"
        case "instance":
            body["hookInstance"] = "1"
            return body, "hookInstance"
        case "no context":
            del body["context"]
            return body, "context"
        case "no user":
            del context["userId"]
            return body, "context.userId"
        case "user without type":
            context["userId"] = "dr-li"
            return body, "context.userId"
        case "no patient":
            del context["patientId"]
            return body, "context.patientId"
        case "patient with type":
            context["patientId"] = f"Patient/{door.chart}"
            return body, "context.patientId"
        case "patient an object":
            context["patientId"] = {"reference": "x"}
            return body, "context.patientId"
        case "encounter with type":
            context["encounterId"] = "Encounter/1"
            return body, "context.encounterId"
        case "no selections":
            del context["selections"]
            return body, "context.selections"
        case "selection of nothing":
            context["selections"] = ["ServiceRequest/a", "ServiceRequest/b"]
            return body, "context.selections[1]"
        case "selection a number":
            context["selections"] = [7]
            return body, "context.selections[0]"
        case "no orders":
            del context["draftOrders"]
            return body, "context.draftOrders"
        case "orders a list":
            context["draftOrders"] = []
            return body, "context.draftOrders"
        case "entry a number":
            context["draftOrders"]["entry"] = [1]
            return body, "context.draftOrders.entry[0].resource"
        case "too many":
            context["draftOrders"]["entry"] = [entry] * 201
            return body, "context.draftOrders.entry"
        case "order twice":
            context["draftOrders"]["entry"] = [entry, entry]
            return body, "context.draftOrders.entry[1].resource.id"
        case "code a text":
            entry["resource"]["code"] = "ALT"
            return body, "context.draftOrders.entry[0].resource.code"
    raise AssertionError(name)


@pytest.mark.parametrize(
    "name",
    [
        "hook",
        "instance",
        "no context",
        "no user",
        "user without type",
        "no patient",
        "patient with type",
        "patient an object",
        "encounter with type",
        "no selections",
        "selection of nothing",
        "selection a number",
        "no orders",
        "orders a list",
        "entry a number",
        "too many",
        "order twice",
        "code a text",
    ],
)
async def test_what_cannot_be_read_is_refused_with_its_place(ward: Door, name: str) -> None:
    body, place = broken(ward, name)

    answer = await post(ward, SELECT, body)

    assert (answer.status_code, answer.json()["at"]) == (400, place)
    assert SHEN.name not in answer.text


async def test_other_peoples_context_is_refused_and_logged(ward: Door) -> None:
    """Another doctor's hook, and an order for another patient within it."""
    other = call(ward, SELECT, order("a", ALT), user="dr-chen")
    mixed = call(ward, SELECT, order("a", ALT, subject={"reference": "Patient/" + "1" * 32}))
    before = len(await audited(ward, "refused"))

    answers = [await post(ward, SELECT, body) for body in (other, mixed)]

    assert [(one.status_code, one.json()["at"]) for one in answers] == [
        (403, "context.userId"),
        (403, "context.draftOrders.entry[0].resource.subject"),
    ]
    assert len(await audited(ward, "refused")) == before + 2


async def test_without_a_person_without_a_call_and_signed_for_elsewhere_is_refused(
    ward: Door,
) -> None:
    body = call(ward, SELECT, order("a", ALT))

    alone = await post(ward, SELECT, body, user="")
    nobody = await ward.web.post(f"/cds-services/{SELECT}", json=body)
    elsewhere = await ward.web.post(  # signed for another service
        f"/cds-services/{SELECT}", json=body, headers=signed(claims(ward))
    )

    assert [one.status_code for one in (alone, nobody, elsewhere)] == [403, 401, 401]


async def test_what_is_sent_beside_the_context_is_never_looked_at(ward: Door) -> None:
    """A stale prefetch, another server and its token change nothing; nobody calls there."""
    body = call(ward, SELECT, order("a", ALT), encounterId="V14")
    plain = await post(ward, SELECT, body)
    asked: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    body |= {
        "fhirServer": f"http://127.0.0.1:{port}/fhir",
        "fhirAuthorization": {"access_token": "x", "token_type": "Bearer", "expires_in": 300},
        "prefetch": {
            "results": {"resourceType": "Bundle", "entry": [{"resource": order("x", ALT)}]}
        },
        "extension": {"override": True},
    }

    led = await post(ward, SELECT, body)

    server.close()
    assert led.content == plain.content
    assert asked == []


async def test_a_page_of_an_allowed_origin_may_call_and_no_other(ward: Door) -> None:
    body = call(ward, SELECT, order("a", ALT), encounterId="V16")

    for origin in ("https://his.example", "https://evil.example"):
        asked = await ward.web.options(f"/cds-services/{SELECT}", headers={"origin": origin})
        found = await post(ward, SELECT, body, origin=origin)

        allowed = origin if origin == "https://his.example" else None
        assert (asked.status_code, found.status_code) == (204, 200)
        for answer in (asked, found):
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert answer.headers["vary"] == "origin"
            assert "access-control-allow-credentials" not in answer.headers


async def test_hostile_text_in_every_field_a_sender_controls_is_inert(ward: Door) -> None:
    """In a result's range and flag, and in the draft's own texts."""
    house, bad = ward.house, "<img src=x onerror=alert(1)> [a](javascript:b) | c"
    raw = recent(house, ("AST", "31", "F"), report="R10").replace(b"20260227", b"20260228")
    hostile = raw.replace(b"9--50||||F", f"{bad.replace('|', '!')}|<b>H|||F".encode("gb18030"))
    assert await house.file(hostile) == ["filed"]

    (card,) = await hook(
        ward, SELECT, order("a", AST, text=bad, requisition={"value": bad}), encounterId="V15"
    )

    assert "onerror" in card["detail"]
    for live in ("<img", "<b>", " [a]", "javascript:"):
        assert live not in card["detail"] + card["summary"]
    assert all(line.count(" | ") == 6 for line in card["detail"].splitlines() if line[:2] == "| ")
