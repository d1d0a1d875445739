"""Emergency access over HTTP: an operation asks for it, and nothing a request says of itself does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.auth import factors
from gateway.identity.systems import RESIDENT_ID
from gateway.services.caller import OPERATOR
from gateway.store import accounts, cases, inbox
from gateway.store import oversight as listed
from tests.gateway.fhir.conftest import SHEN, Door
from tests.gateway.fhir.test_attacks import ABSENT, seen

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "application/fhir+json"
STRANGER = "330421195002030009"
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # of RFC 6238


def asked(**more: Any) -> dict[str, Any]:
    """The Parameters of the operation; None leaves a part out."""
    given = {
        "reason": {"valueCode": "unconscious"},
        "words": {"valueString": "抢救室昏迷病人，身份证在身，家属联系不上"},
        **more,
    }
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, **value} for name, value in given.items() if value],
    }


async def code(door: Door, user: str = "dr-li") -> dict[str, str]:
    """A code of the clinician's own, not used yet."""
    door.house.clock.forward(31)
    return {"valueString": factors.code_at(SECRET, door.house.services.now())}


async def btg(door: Door, user: str = "dr-li", client: str = "tcm-his") -> dict[str, str]:
    """A token for an emergency; its clinician has an account here, and a second factor."""
    services = door.house.services
    name = services.vault.seal_field("account", user, msgspec.msgpack.encode((user, "")))

    def put(session: Any) -> None:
        accounts.put(
            session, login=user, organization=client.partition("-")[0], sealed=name, password="",
            roles=("clinician",), at=1,
        )  # fmt: skip

    await services.db.session(put)
    await factors.enrol(services, user, SECRET, by=OPERATOR)
    token = await door.token(client, user, purpose="BTG")
    return {"authorization": f"Bearer {token}", "content-type": JSON}


async def test_a_grant_is_asked_for_and_then_looked_up(full: Door) -> None:
    headers = await btg(full)
    search = f"/fhir/Observation?patient={full.chart}"
    assert (await full.web.get(search, headers=headers)).status_code == 403

    granted = await full.web.post(
        f"/fhir/Patient/{full.chart}/$break-glass",
        json=asked(code=await code(full)),
        headers=headers,
    )
    assert granted.status_code == 200, granted.text
    names = [one["name"] for one in granted.json()["parameter"]]
    assert names == ["grant", "end"]

    found = await full.web.get(search, headers=headers)
    assert found.status_code == 200
    assert found.json()["total"] > 0
    other = await full.web.get(search, headers=await btg(full, "dr-he"))
    assert other.status_code == 403
    everything = f"/fhir/Patient/{full.chart}/$everything"
    assert (await full.web.get(everything, headers=headers)).status_code == 200
    lines = {**headers, "accept": "application/fhir+ndjson"}
    export = await full.web.get(everything, headers=lines)
    assert export.status_code == 403, "it is for reading, not for taking away"
    assert "grant-scope" in export.text


async def test_by_number_known_and_unknown_are_answered_alike(full: Door) -> None:
    headers = await btg(full, "dr-fan")

    async def ask(number: str) -> Any:
        one = {"valueIdentifier": {"system": RESIDENT_ID, "value": number}}
        return await full.web.post(
            "/fhir/Patient/$break-glass",
            json=asked(identifier=one, code=await code(full)),
            headers=headers,
        )

    known, unknown = await ask(SHEN.number), await ask(STRANGER)
    assert known.status_code == unknown.status_code == 200
    assert len(known.content) == len(unknown.content)
    form = {**headers, "content-type": "application/x-www-form-urlencoded"}
    shown = await full.web.post(
        "/fhir/Patient/_search", data={"identifier": f"{RESIDENT_ID}|{SHEN.number}"}, headers=form
    )
    assert shown.json()["total"] == 1
    nobody = await full.web.post(
        "/fhir/Patient/_search", data={"identifier": f"{RESIDENT_ID}|{STRANGER}"}, headers=form
    )
    assert (nobody.status_code, nobody.json()["total"]) == (200, 0)


async def test_only_a_named_clinician_with_that_purpose_may_ask(full: Door) -> None:
    address = f"/fhir/Patient/{full.chart}/$break-glass"
    treating = {**await full.li(), "content-type": JSON}
    assert (await full.web.post(address, json=asked(), headers=treating)).status_code == 403
    system = {"authorization": f"Bearer {await full.token('tcm-his')}", "content-type": JSON}
    assert (await full.web.post(address, json=asked(), headers=system)).status_code == 403
    assert (await full.web.post(address, json=asked())).status_code == 401


@pytest.mark.parametrize("wrong", ["none", "guessed", "used", "anybody's", "nobody's"])
async def test_a_systems_word_for_a_person_is_not_enough(full: Door, wrong: str) -> None:
    """Or whoever holds a hospital's key would read everybody, three patients for each name it invents."""
    user = {"nobody's": "dr-invented"}.get(wrong, "dr-shu")
    headers = await btg(full, "dr-shu")
    address = f"/fhir/Patient/{full.chart}/$break-glass"
    given: dict[str, str] | None = await code(full)
    match wrong:
        case "none":
            given = None
        case "guessed":
            given = {"valueString": "000000"}
        case "used":
            first = await full.web.post(address, json=asked(code=given), headers=headers)
            assert first.status_code == 200
        case "anybody's":
            secret = factors.new_secret()
            given = {"valueString": factors.code_at(secret, full.house.services.now())}
        case _:
            token = await full.token("tcm-his", user, purpose="BTG")
            headers |= {"authorization": f"Bearer {token}"}
    answer = await full.web.post(address, json=asked(code=given), headers=headers)
    assert answer.status_code == 403, answer.text
    assert answer.json()["issue"][0]["expression"] == ["code"]
    noted = await full.house.services.db.session(listed.events, listed.Narrow(kind="step-up"), 0, 1)
    assert [(row.outcome, row.actor) for row in noted.rows] == [("deny", user)]


async def test_the_fourth_of_a_day_is_refused_and_says_what_is_lacking(full: Door) -> None:
    headers = await btg(full, "dr-gu")
    answers = [
        await full.web.post(
            f"/fhir/Patient/{n:032x}/$break-glass",
            json=asked(code=await code(full)),
            headers=headers,
        )
        for n in range(4)
    ]
    assert [one.status_code for one in answers] == [200, 200, 200, 403]
    assert answers[3].json()["issue"][0]["expression"] == ["second"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (asked(words={"valueString": "急诊"}), 422),
        (asked(reason={"valueCode": "curious"}), 422),
        (asked(words=None), 422),
        (asked(words={"valueString": ["急诊"]}), 400),
        (asked(extra={"valueString": "x"}), 400),
        (asked(words={"valueCode": "抢救室昏迷病人，身份证在身，家属联系不上"}), 400),
        (asked(identifier={"valueIdentifier": {"system": RESIDENT_ID, "value": "1"}}), 400),
        ({"resourceType": "Parameters"}, 400),
        ({"resourceType": "Bundle", "parameter": []}, 400),
        (
            {
                "resourceType": "Parameters",
                "parameter": asked()["parameter"] + asked()["parameter"][:1],
            },
            400,
        ),
        ([], 400),
    ],
)
async def test_what_is_not_whole_is_refused(shared: Door, body: Any, status: int) -> None:
    headers = await btg(shared)
    address = f"/fhir/Patient/{shared.chart}/$break-glass"
    if status == 422:
        body["parameter"].append({"name": "code", **await code(shared)})
    answer = await shared.web.post(address, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    opened = [cases.CaseRow(*row) for row in await shared.house.services.db.read(cases.OPEN)]
    assert "emergency" not in {one.kind for one in opened}


@pytest.mark.parametrize(
    "claim",
    [
        {"category": 'btg; scheme="http://example.org/ActReason"'},
        {"x-break-glass": "true"},
        {"x-consent-scope": "btg"},
        {"x-bypass-consent": "yes"},
        {"x-purpose-of-use": "BTG"},
    ],
)
async def test_a_claim_by_header_is_ignored_and_noted(shared: Door, claim: dict[str, str]) -> None:
    headers = await shared.li()
    stored = await shared.house.current()
    hidden = next(one for one in stored if one.nature.sensitivities)
    for address in (f"/fhir/{hidden.type}/{hidden.id}", f"/fhir/Observation/{ABSENT}"):
        plain = seen(await shared.web.get(address, headers=headers))
        assert seen(await shared.web.get(address, headers={**headers, **claim})) == plain
        assert plain[0] == 404
    services = shared.house.services
    alarms = [row for row in await services.db.read(inbox.ALARMS, 100)
              if row[1] == "emergency-claimed"]  # fmt: skip
    assert [row[3] for row in alarms] == ["tcm-his"], "one alarm while none was settled"
    refused = await services.db.session(listed.events, listed.Narrow(kind="refused"), 0, 1)
    assert refused.rows[0].client == "tcm-his"


async def test_a_purpose_in_the_address_is_no_purpose(shared: Door) -> None:
    headers = await shared.li() | {"prefer": "handling=lenient"}
    address = f"/fhir/Observation?patient={shared.chart}"
    plain = await shared.web.get(address, headers=headers)
    claimed = await shared.web.get(f"{address}&_breakTheGlass=true&btg=1", headers=headers)
    assert claimed.status_code == plain.status_code == 200
    assert claimed.json()["total"] == plain.json()["total"]
