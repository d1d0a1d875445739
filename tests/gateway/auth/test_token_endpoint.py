"""Which assertions get a token: the attack list D1 to D5, B16 of the security design, and their siblings."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, OctKey
from starlette.applications import Starlette

from gateway.auth import systems
from gateway.services.register import Organization, Register
from gateway.store import clients

B2B = {
    "version": "1",
    "subject_name": "李医生",
    "subject_id": "D0012",
    "subject_role": "clinician",
    "organization_id": "people",
    "purpose_of_use": ["urn:oid:2.16.840.1.113883.5.8#TREAT"],
}


@pytest.fixture
async def door(services):
    app = Starlette(routes=systems.routes(services))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client


def b2b(**changed: Any) -> dict[str, Any]:
    person = {**B2B, **changed}
    return {"hl7-b2b": {name: value for name, value in person.items() if value is not None}}


def segment(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


async def ask(door, hospital, assertion: str, **changed: Any) -> httpx.Response:
    fields = {**hospital.form(assertion), **changed}
    return await door.post(
        "/auth/token", data={name: value for name, value in fields.items() if value is not None}
    )


async def test_a_registered_system_gets_a_token_for_what_it_asked_and_may(door, hospital):
    answer = await ask(
        door, hospital, hospital.assertion(), scope="system/Observation.rs system/Patient.cruds"
    )

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert set(told) == {"access_token", "token_type", "expires_in", "scope"}
    assert told["scope"] == "system/Observation.rs system/Patient.rs"
    assert told["expires_in"] == 300


async def test_both_required_algorithms_are_accepted(door, hospital, rsa):
    assert (await ask(door, hospital, hospital.assertion())).status_code == 200
    assert (await ask(door, hospital, hospital.assertion(key=rsa))).status_code == 200


async def test_a_key_in_the_header_is_not_looked_at(door, hospital, stranger):
    """An attacker's own key in the header proves nothing, and one's own does no harm."""
    planted = {"jwk": stranger.as_dict(private=False), "jku": "https://evil.example/jwks"}

    forged = await ask(door, hospital, hospital.assertion(key=stranger, header=planted))
    honest = await ask(door, hospital, hospital.assertion(header=planted))

    assert forged.json()["error"] == "invalid_client"
    assert honest.status_code == 200


FORGED_HEADERS = {
    "no typ but another": {"typ": "at+jwt"},
    "critical extension": {"crit": ["exp"], "exp": 1},
    "critical b64": {"crit": ["b64"], "b64": False},
    "critical nothing": {"crit": []},
    "no kid": {"kid": None},
    "another kid": {"kid": "rsa-1"},
    "kid as path": {"kid": "../../dev/null"},
    "kid as number": {"kid": 1},
    "header bomb": {"x": "a" * 20_000},
}


@pytest.mark.parametrize("header", FORGED_HEADERS.values(), ids=FORGED_HEADERS)
async def test_a_forged_header_is_refused(door, hospital, header):
    answer = await ask(door, hospital, hospital.assertion(header=header))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")


async def test_algorithms_that_prove_nothing_are_refused(door, hospital, ec):
    public = json.dumps(ec.as_dict(private=False))
    shared = OctKey.import_key({"kty": "oct", "k": segment(public.encode()), "kid": "ec-1"})
    p256 = ECKey.generate_key("P-256", {"kid": "ec-1"})
    payload = segment(hospital.claims())
    bad = [
        f"{segment({'alg': 'none', 'kid': 'ec-1'})}.{payload}.",
        f"{segment({'alg': 'None', 'kid': 'ec-1'})}.{payload}.AAAA",
        hospital.assertion(key=shared, header={"alg": "HS256", "kid": "ec-1"}),
        hospital.assertion(key=p256, header={"alg": "ES256"}),
        hospital.assertion().rpartition(".")[0] + ".",
        "x.y.z",
        "",
        "a" * 100_000,
    ]
    for assertion in bad:
        answer = await ask(door, hospital, assertion)
        assert answer.status_code in (400, 413)
        assert answer.json()["error"] in ("invalid_client", "invalid_request")


def wrong_claims(now: int) -> dict[str, dict[str, Any]]:
    token_url = "http://127.0.0.1:8080/auth/token"
    return {
        "another audience": {"aud": "http://127.0.0.1:8080/fhir"},
        "audience with a slash": {"aud": token_url + "/"},
        "several audiences": {"aud": [token_url, "https://other.example/token"]},
        "no audience": {"aud": None},
        "expired": {"iat": now - 300, "exp": now - 31},
        "no expiry": {"exp": None},
        "expiry as text": {"exp": str(now + 60)},
        "expiry true": {"exp": True},
        "lives too long": {"iat": now, "exp": now + 301},
        "lives too long without iat": {"iat": None, "exp": now + 331},
        "issued in the future": {"iat": now + 60, "exp": now + 120},
        "not yet valid": {"nbf": now + 60},
        "no jti": {"jti": None},
        "empty jti": {"jti": ""},
        "jti as number": {"jti": 7},
        "iss is not sub": {"sub": "tcm-lis"},
        "no sub": {"sub": None},
        "unknown client": {"iss": "nobody", "sub": "nobody"},
        "extensions as list": {"extensions": []},
    }


@pytest.mark.parametrize("name", wrong_claims(0))
async def test_wrong_claims_are_refused_and_the_answer_does_not_say_which(
    door, hospital, clock, name
):
    claims = wrong_claims(clock.at // 1_000_000)[name]

    answer = await ask(door, hospital, hospital.assertion(**claims))

    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_client",
        "error_description": "The client assertion was not accepted.",
    }


async def test_duplicate_members_are_not_settled_by_the_last_one(door, hospital, ec):
    from joserfc import jws

    claims = json.dumps(hospital.claims())
    twice = claims[:-1] + ', "iss": "people-his"}'
    header = {"alg": "ES384", "kid": "ec-1", "typ": "JWT"}
    assertion = jws.serialize_compact(header, twice, ec, algorithms=["ES384"])

    assert (await ask(door, hospital, assertion)).json()["error"] == "invalid_client"


async def test_an_assertion_is_good_once_even_when_sent_many_times_at_once(door, hospital):
    assertion = hospital.assertion()

    answers = await asyncio.gather(*(ask(door, hospital, assertion) for _ in range(12)))

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 11


async def test_the_same_jti_of_another_client_is_another_assertion(
    door, services, hospital, register_client
):
    await register_client(services, "tcm-lis", "tcm")
    first = await ask(door, hospital, hospital.assertion(jti="same"))
    hospital.id = "tcm-lis"
    second = await ask(door, hospital, hospital.assertion(jti="same"))

    assert (first.status_code, second.status_code) == (200, 200)


async def test_a_revoked_client_gets_nothing(door, services, hospital):
    await services.db.do(clients.revoke, "people-his")

    answer = await ask(door, hospital, hospital.assertion())

    assert answer.json()["error"] == "invalid_client"


REFUSED_PERSONS = {
    "organisation of others": b2b(organization_id="tcm"),
    "organisation above": b2b(organization_id="county"),
    "organisation that looks alike": b2b(organization_id="people/../tcm"),
    "no organisation": b2b(organization_id=None),
    "two purposes": b2b(purpose_of_use=["TREAT", "HRESCH"]),
    "no purpose": b2b(purpose_of_use=[]),
    "purpose as text": b2b(purpose_of_use="TREAT"),
    "purpose of another system": b2b(purpose_of_use=["urn:oid:1.2.3#TREAT"]),
    "two purposes in one text": b2b(purpose_of_use=["TREAT,HRESCH"]),
    "role not registered": b2b(subject_role="auditor"),
    "no role": b2b(subject_role=None),
    "roles as list": b2b(subject_role=["clinician"]),
    "nobody": b2b(subject_id=None),
    "a person with a line break": b2b(subject_id="D1\nD2"),
    "a number for a name": b2b(subject_name=7),
    "another version": b2b(version="2"),
    "no version": b2b(version=None),
    "not an object": {"hl7-b2b": "TREAT"},
    "null": {"hl7-b2b": None},
}


@pytest.mark.parametrize("extensions", REFUSED_PERSONS.values(), ids=REFUSED_PERSONS)
async def test_a_person_the_registration_does_not_cover_is_refused(door, hospital, extensions):
    answer = await ask(door, hospital, hospital.assertion(extensions=extensions))

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "organization",
    [
        "people",
        "Organization/people",
        "https://gateway.example/fhir/Organization/people",
        "http://127.0.0.1:8080/fhir/Organization/people",
    ],
)
async def test_a_hospital_may_write_its_own_id_in_several_ways(
    services, hospital, organization, access
):
    who = await access(services, hospital, extensions=b2b(organization_id=organization))

    assert (who.organization, who.role, who.user) == ("people", "clinician", "D0012")
    assert (who.purpose, who.name) == ("TREAT", "李医生")


async def test_a_hospital_speaks_for_what_is_part_of_it_and_for_nobody_else(
    services, hospital, access
):
    campus = Organization("people-east", "东院区", part_of="people")
    known = Register({one.id: one for one in (*services.register, campus)})
    services.register = known

    who = await access(services, hospital, extensions=b2b(organization_id="people-east"))

    assert who.organization == "people-east"
    with pytest.raises(systems.Refusal):
        await access(services, hospital, extensions=b2b(organization_id="township"))


async def test_without_a_person_a_system_has_no_purpose(services, hospital, access):
    who = await access(services, hospital)

    assert (who.role, who.user, who.purpose, who.organization) == ("system", "", "", "people")


SCOPES = {
    "letters out of order": "system/Observation.sr",
    "version 1 words": "system/*.read",
    "user scope": "user/*.rs",
    "patient scope without a patient": "patient/*.rs",
    "search parameters": "system/Observation.rs?category=laboratory",
    "encoded": "system/Observation%2Ers",
    "no letters": "system/Observation.",
    "one good, one bad": "system/Observation.rs system/Observation.dus",
    "nothing registered": "system/Observation.cud",
    "none": "",
    "ten thousand": " ".join(["system/Observation.rs"] * 10_000),
}


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
async def test_scopes_that_are_not_understood_are_refused_not_guessed(door, hospital, scope):
    answer = await ask(door, hospital, hospital.assertion(), scope=scope or None)

    assert answer.status_code in (400, 413)
    assert answer.json()["error"] in ("invalid_scope", "invalid_request")


async def test_what_is_not_a_token_request_is_told_so(door, hospital):
    cases = [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": "urn:other"}, "invalid_request"),
        ({"client_assertion": None}, "invalid_request"),
        ({"client_id": "somebody-else"}, "invalid_client"),
    ]
    for changed, error in cases:
        answer = await ask(door, hospital, hospital.assertion(), **changed)
        assert (answer.status_code, answer.json()["error"]) == (400, error), changed

    as_json = await door.post("/auth/token", json=hospital.form(hospital.assertion()))
    assert as_json.json()["error"] == "invalid_request"
    form = httpx.QueryParams(hospital.form(hospital.assertion()))
    twice = await door.post(
        "/auth/token",
        content=f"{form}&scope=system/*.cruds",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert twice.json()["error"] == "invalid_request"


async def test_every_token_and_every_refusal_is_noted(door, hospital, noted):
    await ask(door, hospital, hospital.assertion(extensions=b2b()))
    await ask(door, hospital, hospital.assertion(aud="https://other.example"))
    await ask(door, hospital, hospital.assertion(iss="nobody", sub="nobody"))

    assert await noted() == [
        ("token", "permit", "D0012", "people-his"),
        ("token", "deny", "", "people-his"),
        ("token", "deny", "", ""),
    ]


async def test_discovery_says_where_and_how(door):
    for address in ("/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration"):
        told = (await door.get(address)).json()
        assert told["token_endpoint"] == "http://127.0.0.1:8080/auth/token"
        assert told["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
        assert set(told["token_endpoint_auth_signing_alg_values_supported"]) == {"ES384", "RS384"}
