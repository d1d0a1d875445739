"""The consult hook from the other side: what it answers, who is heard, and what it never tells."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.demo.residents import resident_number
from gateway.identity.systems import RESIDENT_ID
from gateway.records.instant import micros
from gateway.store import oversight as listed
from tests.gateway.cds.hooks import (
    ID,
    ask,
    audience,
    call,
    claims,
    decision,
    number,
    signed,
)
from tests.gateway.exchange.house import HOUR
from tests.gateway.fhir.conftest import KEY, SHEN, Door, register
from tests.public import folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

PSYCHIATRY = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def seen(answer: httpx.Response) -> tuple[Any, ...]:
    headers = [(k, v) for k, v in answer.headers.raw if k.lower() != b"date"]
    return answer.status_code, headers, answer.content


async def newest(door: Door) -> listed.EventRow:
    """The newest event that a call wrote; the policy was founded by another clock."""
    found = await door.house.services.db.session(listed.events, listed.Narrow(), 0, 10)
    return next(row for row in found.rows if row.kind != "config")


# What it answers


async def test_discovery_lists_the_service(shared: Door) -> None:
    answer = await shared.web.get("/cds-services")

    (service,) = (one for one in answer.json()["services"] if one["id"] == ID)
    assert service["hook"] == ID
    assert service["description"]
    assert answer.headers["content-type"] == "application/json"


async def test_a_yes_says_what_is_owed_and_until_when(shared: Door) -> None:
    told = decision(await ask(shared))

    assert told["decision"] == "permit"
    assert {"purpose-bound", "alert-self-claim"} <= set(told["obligations"])
    until = micros(datetime.fromisoformat(told["validUntil"]))
    assert 0 < until - shared.house.services.now() <= 24 * HOUR  # the claim's life
    event = await newest(shared)
    assert (event.kind, event.outcome, event.actor) == ("decision", "permit", "dr-li")


async def test_a_protected_category_is_refused_and_so_is_everything_with_it(shared: Door) -> None:
    assert decision(await ask(shared, call(securityLabel=PSYCHIATRY)))["decision"] == "deny"
    sealed = [{"system": CONFIDENTIALITY, "code": "V"}]
    assert decision(await ask(shared, call(category=sealed)))["decision"] == "deny"
    event = await newest(shared)
    assert (event.kind, event.outcome) == ("decision", "deny")


async def test_a_token_of_ours_serves_as_well(shared: Door) -> None:
    told = decision(await ask(shared, headers=await shared.li()))

    assert told["decision"] == "permit"


async def test_a_patient_may_be_named_by_our_id(shared: Door) -> None:
    assert decision(await ask(shared, call(patientId=shared.chart)))["decision"] == "permit"


async def test_what_a_context_may_say_too(shared: Door) -> None:
    body = call(
        scope={
            "system": "http://terminology.hl7.org/CodeSystem/consentscope",
            "code": "patient-privacy",
        },
        purposeOfUse=["TREAT"],
        actor=[{"system": "urn:x", "value": "dr-li"}, "Organization/tcm", "clinician"],
        category=[{"system": "http://loinc.org", "code": "59284-0"}],
        custodian="people",
        **{
            "class": [
                "Observation",
                {"system": "http://hl7.org/fhir/resource-types", "code": "Condition"},
            ]
        },
    )

    assert decision(await ask(shared, body))["decision"] == "permit"


# Nobody learns who is known


async def test_unknown_refused_hidden_and_not_treated_are_one_answer(shared: Door) -> None:
    nobody = resident_number("330421", SHEN.born.replace(year=1950)) if SHEN.born else ""
    hidden = await ask(shared, call(securityLabel=PSYCHIATRY))
    same = [
        await ask(shared, call(patientId=number(nobody))),
        await ask(shared, call(patientId="0" * 32)),
        await ask(shared, call(patientId=number() + number(nobody))),
        await ask(shared, headers=signed(claims(shared, "mch-fhir", "dr-zhou"))),
        await ask(
            shared,
            call(patientId=number(nobody)),
            headers=signed(claims(shared, "mch-fhir", "dr-zhou")),
        ),
    ]

    assert decision(hidden)["decision"] == "deny"
    assert all(seen(answer) == seen(hidden) for answer in same)


# A caller cannot steer


@pytest.mark.parametrize(
    "steering",
    [
        {"consents": [{"resourceType": "Consent", "status": "active"}]},
        {"content": {"resourceType": "Bundle"}},
        {"threshold": 0, "bypass": True, "btg": True, "redact": False, "audit": False},
        {"relationships": [{"kind": "encounter"}], "grant": {"id": "g"}, "assurance": 3},
    ],
)
async def test_switches_and_consents_in_a_context_change_nothing(
    shared: Door, steering: dict[str, Any]
) -> None:
    for context in ({"securityLabel": PSYCHIATRY}, {}):
        plain = decision(await ask(shared, call(**context)))
        steered = decision(await ask(shared, call(**context, **steering)))
        assert steered.pop("note") == "Members this service does not know were ignored."
        assert steered == plain


async def test_what_stands_beside_the_context_changes_nothing(shared: Door) -> None:
    body = call(securityLabel=PSYCHIATRY) | {
        "fhirServer": "http://127.0.0.1:1/fhir",
        "fhirAuthorization": {"access_token": "x", "scope": "system/*.*", "subject": "admin"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": "x"}},
        "extension": {"consents": [], "emergency": True},
    }

    assert decision(await ask(shared, body))["decision"] == "deny"


@pytest.mark.parametrize(
    ("context", "place"),
    [
        ({"purposeOfUse": "HRESCH"}, "context.purposeOfUse"),
        ({"purposeOfUse": ["TREAT", "BTG"]}, "context.purposeOfUse"),
        ({"actor": [{"system": "urn:x", "value": "dr-wang"}]}, "context.actor"),
        ({"actor": ["Organization/people"]}, "context.actor"),
        ({"actor": ["dr-li", "dr-chen"]}, "context.actor"),
        ({"actor": [""]}, "context.actor"),
    ],
)
async def test_a_context_that_says_somebody_else_asks_is_refused_and_noted(
    shared: Door, context: dict[str, Any], place: str
) -> None:
    answer = await ask(shared, call(**context))

    assert answer.status_code == 403
    assert answer.json()["at"] == place
    event = await newest(shared)
    assert (event.kind, event.outcome, event.actor) == ("refused", "deny", "dr-li")


async def test_a_system_that_speaks_for_nobody_is_refused_before_anybody_is_looked_up(
    shared: Door,
) -> None:
    alone = signed(claims(shared, "people-his", ""))
    known = await ask(shared, headers=alone)
    alone = signed(claims(shared, "people-his", ""))
    unknown = await ask(shared, call(patientId="0" * 32), headers=alone)

    assert known.status_code == 403
    assert seen(known) == seen(unknown)


async def test_scopes_reach_here_too(shared: Door) -> None:
    await register(shared.house, "tcm-narrow", "system/Condition.r", ("clinician",))
    narrow = claims(shared, "tcm-narrow")

    assert (await ask(shared, headers=signed(narrow))).status_code == 403


# Who is heard


def hostile(door: Door) -> list[tuple[str, dict[str, str]]]:
    good = claims(door)
    now = good["iat"]
    other = ECKey.generate_key("P-384", {"kid": "1"})
    public = json.dumps(KEY.as_dict(private=False), sort_keys=True).encode()

    def raw(header: dict[str, Any], said: dict[str, Any], key: bytes | None) -> dict[str, str]:
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
            for part in (header, said)
        ]
        mac = b"" if key is None else hmac.new(key, b".".join(parts), hashlib.sha256).digest()
        parts.append(base64.urlsafe_b64encode(mac).rstrip(b"="))
        return {"authorization": "Bearer " + b".".join(parts).decode()}

    def by(key: ECKey, **header: Any) -> dict[str, str]:
        text = jwt.encode(
            {"alg": "ES384", "kid": "1", "typ": "JWT"} | header, good, key, algorithms=["ES384"]
        )
        return {"authorization": f"Bearer {text}"}

    def but(**more: Any) -> dict[str, str]:
        return signed(good | more)

    without = {name: value for name, value in good.items() if name != "iat"}
    base = door.house.services.settings.base_url
    other_org = {**good["extensions"]["hl7-b2b"], "organization_id": "people"}
    other_role = {**good["extensions"]["hl7-b2b"], "subject_role": "privacy"}
    return [
        ("nothing", {}),
        ("basic", {"authorization": "Basic eDp5"}),
        ("alg none", raw({"alg": "none", "typ": "JWT"}, good, None)),
        ("alg none with kid", raw({"alg": "none", "kid": "1", "typ": "JWT"}, good, None)),
        ("HS256 with the public key", raw({"alg": "HS256", "kid": "1"}, good, public)),
        ("another key", by(other)),
        ("its own key in the header", by(other, jwk=other.as_dict(private=False))),
        ("a key somewhere else", by(other, jku="http://127.0.0.1:1/keys")),
        ("another kid", by(KEY, kid="2")),
        ("crit", raw({"alg": "ES384", "kid": "1", "crit": ["x"], "x": 1}, good, b"x")),
        ("another endpoint", but(aud=f"{base}/cds-services/other")),
        ("the discovery endpoint", but(aud=f"{base}/cds-services")),
        ("the token endpoint", but(aud=f"{base}/auth/token")),
        ("two audiences", but(aud=[audience(door), "x"])),
        ("expired", but(iat=now - 400, exp=now - 100)),
        ("too long", but(exp=now + 3_600)),
        ("not yet", but(iat=now + 200, exp=now + 300)),
        ("no iat", signed(without)),
        ("no jti", but(jti="")),
        ("nobody's client", but(iss="unknown-his")),
        ("another subject", but(sub="people-his")),
        ("another's organisation", but(extensions={"hl7-b2b": other_org})),
        ("a role it may not give", but(extensions={"hl7-b2b": other_role})),
        ("garbage", {"authorization": "Bearer a.b.c"}),
    ]


async def test_who_is_not_proved_is_refused_with_one_answer(shared: Door) -> None:
    expected = seen(await ask(shared, headers={}))[2]
    for name, headers in hostile(shared):
        answer = await ask(shared, headers=headers)
        assert answer.status_code == 401, name
        assert answer.headers["www-authenticate"] == 'Bearer realm="cds-services"'
        if "Bearer" in headers.get("authorization", ""):
            assert set(answer.json()) == set(json.loads(expected)), name


async def test_a_signature_is_used_once_however_many_try_at_once(shared: Door) -> None:
    headers = signed(claims(shared))

    answers = await asyncio.gather(*(ask(shared, headers=headers) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]


async def test_an_assertion_for_the_token_endpoint_and_one_for_this_spend_the_same_id(
    shared: Door,
) -> None:
    said = claims(shared)
    assert (await ask(shared, headers=signed(said))).status_code == 200
    base = shared.house.services.settings.base_url

    answer = await shared.web.post(
        "/auth/token",
        data={
            "grant_type": "client_credentials",
            "scope": "system/*.rs",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": signed(said | {"aud": f"{base}/auth/token", "sub": said["iss"]})[
                "authorization"
            ].removeprefix("Bearer "),
        },
    )

    assert answer.json()["error"] == "invalid_client"


# Bad input


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        (b"", 400, "line 1"),
        (b"[]", 400, None),
        (b'{"hook":"patient-view","hook":"patient-consent-consult"}', 400, "line 1"),
        (b"[" * 2_000, 400, "line 1"),
        (b'{"hook":"\xff"}', 400, "line 1"),
        (call() | {"hook": "patient-view"}, 400, "hook"),
        (call() | {"hookInstance": "1"}, 400, "hookInstance"),
        (call() | {"hookInstance": None}, 400, "hookInstance"),
        (call() | {"context": []}, 400, "context"),
        (call(patientId=None), 400, "context.patientId"),
        (call(patientId=[]), 400, "context.patientId"),
        (call(patientId=[{"system": RESIDENT_ID}]), 400, "context.patientId"),
        (call(patientId=number() * 9), 400, "context.patientId"),
        (call(patientId="Patient/x"), 400, "context.patientId"),
        (call(patientId=number("9" * 300)), 400, "context.patientId"),
        (call(scope="research"), 400, "context.scope"),
        (call(scope=7), 400, "context.scope"),
        (call(purposeOfUse=[{"code": "TREAT"}]), 400, "context.purposeOfUse"),
        (call(actor=["dr-li"] * 9), 400, "context.actor"),
        (call(category=[{"system": "urn:x", "code": "PSY"}]), 400, "context.category"),
        (call(securityLabel=["PSY"]), 400, "context.securityLabel"),
        (call(custodian="nowhere"), 400, "context.custodian"),
        (call(custodian=["people"]), 400, "context.custodian"),
        (call(**{"class": "../x"}), 400, "context.class"),
    ],
)
async def test_bad_input_is_refused_with_the_element_named(
    shared: Door, body: Any, status: int, place: str | None
) -> None:
    answer = await ask(shared, body if isinstance(body, bytes) else json.dumps(body).encode())

    assert answer.status_code == status, answer.text
    assert answer.json().get("at") == place
    assert SHEN.number not in answer.text


async def test_a_huge_body_is_not_read_to_its_end(shared: Door) -> None:
    answer = await ask(shared, b'{"hook":"' + b"x" * 70_000 + b'"}')

    assert answer.status_code == 413


async def test_other_kinds_of_body_methods_and_addresses(shared: Door) -> None:
    assert (await ask(shared, **{"content-type": "text/json"})).status_code == 415
    assert (await ask(shared, **{"content-encoding": "gzip"})).status_code == 415
    assert (await shared.web.get(f"/cds-services/{ID}")).status_code == 405
    other = await shared.web.post("/cds-services/other", headers=signed(claims(shared)))
    assert other.status_code == 404
    assert other.json()["error"] == "not-supported"


async def test_published_calls_of_other_hooks_are_refused_by_name(shared: Door) -> None:
    for path in sorted(folder("fhir-test-cases/cdshooks").glob("*.json")):
        if "-request-" in path.name:
            answer = await ask(shared, path.read_bytes())
            assert answer.status_code == 400
            assert answer.json().get("at") == "hook", path.name
