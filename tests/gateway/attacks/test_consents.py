"""Attacks on consents: as they are written, signed, kept, taken back (attack list B and E).

Each is refused with the element named, nothing is stored, and nothing opens.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import literal, select, update

from consent.fhir import Choice, Form, write_consent
from gateway.errors import Kind, Problem
from gateway.exchange import (
    ask,
    consents,
    directives,
    evidence,
    mandates,
    residents,
    standing_consents,
    telling,
)
from gateway.exchange.patients import county_id
from gateway.identity.systems import RESIDENT_ID
from gateway.portal import emergency_words as words
from gateway.portal import words as portal_words
from gateway.services.caller import OPERATOR, Caller
from gateway.services.messenger import KeptMessenger
from gateway.store import notices, tables
from gateway.store.statements import Statement
from tests.gateway.exchange.conftest import clock, house
from tests.gateway.exchange.house import NOON, REGISTRAR, House, clinician, person
from tests.gateway.exchange.residents_at_desk import CHILD, MOTHER, Post, account, guardian

__all__ = ["clock", "house"]

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
SHEN = person()
LI = clinician("dr-li", "tcm")
DIRECTIVE = tables.Directive.__table__  # type: ignore[attr-defined]
CHART = tables.Chart.__table__  # type: ignore[attr-defined]
PHONE = evidence.Phone("13800001234", "source")


@pytest.fixture
async def here(house: House) -> House:
    """A resident whom dr-li of another hospital says she is treating."""
    await house.file(house.adt(SHEN), house.oru(SHEN))
    await residents.open_resident(
        RESIDENT_ID, SHEN.number, LI, house.services, claim="急诊抢救室接诊"
    )
    return house


def consent(here: House, choice: Choice = Choice.PERMIT_TREATMENT, **more: Any) -> dict[str, Any]:
    chart = f"Patient/{here.chart()}"
    given_ = {
        "choice": choice,
        "id": "x",
        "patient": chart,
        "performer": chart,
        "organization": "Organization/county",
        "at": "2026-02-01T10:00:00+08:00",
        "evidence_sha256": "a" * 64,
    } | more
    form = Form(**given_)
    plain: dict[str, Any] = json.loads(write_consent(form, here.services.settings.canonical))
    return plain


def text(plain: dict[str, Any]) -> bytes:
    return json.dumps(plain, ensure_ascii=False).encode()


async def kept(here: House) -> list[Any]:
    return list(await here.services.db.read(Statement(DIRECTIVE.select())))


async def total(here: House, who: Caller = LI) -> int:
    return (await here.search("Observation", who)).total


async def refused(here: House, plain: dict[str, Any] | bytes, who: Caller = REGISTRAR) -> list[str]:
    """The places complained of; nothing was stored."""
    before = await kept(here)
    given_ = plain if isinstance(plain, bytes) else text(plain)
    with pytest.raises(Problem) as told:
        await consents.create(given_, who, here.services)
    assert told.value.kind in (Kind.UNPROCESSABLE, Kind.MALFORMED)
    assert await kept(here) == before
    return [one.place for one in told.value.complaints]


async def signed_by_code(
    here: House, plain: dict[str, Any], signer: str = "", who: Caller = REGISTRAR
) -> bytes:
    """The consent with a code answered for it."""
    plain = {k: v for k, v in plain.items() if k not in ("sourceAttachment", "sourceReference")}
    signer = signer or here.chart()
    pending = await evidence.begin_code(text(plain), signer, PHONE, who, here.services)
    assert isinstance(here.services.messenger, KeptMessenger)
    words = here.services.messenger.sent[-1][1]
    code = "".join(c for c in words.partition("，")[0] if c.isdigit())
    return (await evidence.confirm_code(pending.id, code, who, here.services)).text


# B5, B7, B10, E5-E7: what is written


def element(name: str, value: Any) -> Callable[[dict[str, Any], str], Any]:
    def change(plain: dict[str, Any], other: str) -> None:
        plain[name] = value

    return change


def _other(plain: dict[str, Any], other: str) -> None:
    plain["patient"]["identifier"] = {"system": RESIDENT_ID, "value": other}


def _contained(plain: dict[str, Any], other: str) -> None:
    plain["contained"] = [{"resourceType": "Patient", "id": "p"}]
    plain["patient"] = {"reference": "#p"}


def _deep(plain: dict[str, Any], other: str) -> None:
    place = plain["provision"]
    for _ in range(9):
        place["provision"] = [{"type": "deny"}]
        place = place["provision"][0]


def _wide(plain: dict[str, Any], other: str) -> None:
    plain["provision"]["provision"] = [{"type": "deny"}] * 101


def _nodes(plain: dict[str, Any], other: str) -> None:
    leaves = [{"type": "deny"} for _ in range(99)]
    plain["provision"]["provision"] = [{"type": "deny", "provision": leaves}] * 3


def _in_provision(plain: dict[str, Any], other: str) -> None:
    plain["provision"]["actor"] = [
        {
            "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "CST"}]},
            "reference": {"reference": "Organization/tcm"},
        }
    ]  # fmt: skip


ATTACKS: list[tuple[str, Callable[[dict[str, Any], str], Any], str]] = [
    ("B5 unknown modifier", element("modifierExtension", [{"url": "urn:x"}]), "Consent.modifierExtension"),
    ("B5 implicit rules", element("implicitRules", "urn:x"), "Consent.implicitRules"),
    ("B5 hidden modifier", element("meta", {"tag": [{"modifierExtension": []}]}), "Consent.meta.tag[0].modifierExtension"),
    ("B5 unknown actor role", _in_provision, "Consent.provision.actor[0].role.coding[0]"),
    ("B7 in the future", element("dateTime", "2026-03-02T10:00:00+08:00"), "Consent.dateTime"),
    ("B7 year 0001", element("dateTime", "0001-01-01"), "Consent.dateTime"),
    ("B7 no zone", element("dateTime", "2026-02-01T10:00:00"), "Consent.dateTime"),
    ("B7 24:00", element("dateTime", "2026-02-01T24:00:00+08:00"), "Consent.dateTime"),
    ("B7 leap second", element("dateTime", "2026-02-01T23:59:60+08:00"), "Consent.dateTime"),
    ("B7 30 February", element("dateTime", "2026-02-30"), "Consent.dateTime"),
    ("B10 identifier against reference", _other, "Consent.patient"),
    ("B10 contained patient", _contained, "Consent.contained"),
    ("B10 somebody's chart that is none", element("patient", {"reference": "Patient/" + "0" * 32}), "Consent.patient"),
    ("E6 too deep", _deep, "Consent.provision" + ".provision[0]" * 9),
    ("E6 too wide", _wide, "Consent.provision.provision"),
    ("E6 too many nodes", _nodes, "Consent.provision.provision[2].provision[57]"),
    ("E7 look-alike status", element("status", "ａctive"), "Consent.status"),
    ("E7 zero-width", element("dateTime", "2026-02-01\u200b"), "Consent.dateTime"),
]  # fmt: skip


@ON_SQLITE
async def test_what_must_not_be_understood_is_refused_by_name_and_not_stored(here: House) -> None:
    """B5, B7, B10, E5, E6, E7."""
    for name, change, place in ATTACKS:
        plain = consent(here)
        change(plain, MOTHER.number)
        assert place in await refused(here, plain), name
    assert await total(here) == 0


@ON_SQLITE
async def test_text_that_parsers_read_differently_is_refused(here: House) -> None:
    """E5, E6: repeated members, depth, lone surrogates, numbers beyond all range."""
    whole = text(consent(here)).decode()
    for bad in (
        whole.replace('"status": "active"', '"status": "inactive", "status": "active"'),
        whole[:-1] + ', "extension": ' + "[" * 10_000 + "]" * 10_000 + "}",
        whole.replace("active", "\\ud800"),
        whole[:-1] + ', "x": 1e999999}',
        whole + "}",
    ):
        assert await refused(here, bad.encode())


@ON_SQLITE
async def test_a_number_typed_in_full_width_or_with_unseen_letters_finds_its_owner(
    here: House,
) -> None:
    """E7: normalised for matching; the text that is kept names the chart."""
    wide = "".join(chr(ord(c) + 0xFEE0) for c in SHEN.number[:6]) + "\u200b\u202e" + SHEN.number[6:]
    plain = consent(here)
    who = {"identifier": {"system": RESIDENT_ID, "value": wide}}
    recorded = await consents.create(
        text(plain | {"patient": who, "performer": [who]}), REGISTRAR, here.services
    )
    own = county_id(SHEN.number, here.services)
    assert json.loads(recorded.text)["patient"] == {"reference": f"Patient/{own}"}
    cyrillic = {"identifier": {"system": RESIDENT_ID, "value": SHEN.number[:-1] + "Х"}}
    assert await refused(here, plain | {"patient": cyrillic}) == ["Consent.patient"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["reference", "coding", "system", "code", "type", "extension", "id", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, one in inner:
        found += _places(one, (*path, key))
    return found


def _edited(plain: dict[str, Any], draw: Any) -> dict[str, Any]:
    for _ in range(draw(st.integers(1, 3))):
        *steps, last = draw(st.sampled_from(_places(plain)))
        place: Any = plain
        for step in steps:
            place = place[step]
        match draw(st.sampled_from(["set", "drop", "add", "twice"])):
            case "set":
                place[last] = draw(VALUES)
            case "drop":
                place.pop(last)
            case "add" if isinstance(place, dict):
                place[draw(st.text(min_size=1, max_size=6))] = draw(VALUES)
            case _ if isinstance(place, list):
                place.append(draw(VALUES))
        if not _places(plain):
            break
    return plain


@ON_SQLITE
async def test_random_edits_are_refused_or_mean_what_an_unedited_one_could(here: House) -> None:
    """E6: nothing but a refusal is ever raised, and a refused consent leaves no trace."""
    runs: list[dict[str, Any]] = []

    @settings(max_examples=120, deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])  # fmt: skip
    @given(st.data())
    def collect(data: Any) -> None:
        runs.append(_edited(consent(here), data.draw))

    collect()
    stored, kinds = 0, set()
    for plain in runs:
        given_ = json.dumps(plain).encode()
        before = len(await kept(here))
        try:
            await consents.create(given_, REGISTRAR, here.services)
            stored += 1
        except Problem as problem:
            kinds.add(problem.kind)
            if len(await kept(here)) != before:
                pytest.fail("a refused consent was stored")
    assert kinds <= {Kind.UNPROCESSABLE, Kind.MALFORMED}
    assert len(runs) > 100
    assert stored < len(runs) / 2


# B6, B9: what is signed


async def test_a_code_signs_one_text_once_and_raises_what_it_is_worth(here: House) -> None:
    """B6: assurance is derived from evidence, which cannot be claimed, moved or used again."""
    one = await signed_by_code(here, consent(here))
    recorded = await consents.create(one, REGISTRAR, here.services)
    [row] = await kept(here)
    assert row[1] == recorded.id
    assert await total(here) > 0

    moved = json.loads(one)
    moved["provision"]["purpose"].append(
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}
    )
    assert await refused(here, moved) == ["Consent.sourceReference"]
    later = json.loads(one) | {"dateTime": "2026-02-20T10:00:00+08:00"}
    assert await refused(here, later) == ["Consent.sourceReference"]
    again = json.loads(one) | {"language": "zh-CN"}
    assert await refused(here, again) == ["Consent.source[x]"]
    unknown = consent(here)
    unknown.pop("sourceAttachment")
    unknown["sourceReference"] = {"reference": "DocumentReference/" + "0" * 32}
    assert await refused(here, unknown) == ["Consent.sourceReference"]


@ON_SQLITE
async def test_a_telephone_of_somebody_else_does_not_sign_for_the_patient(here: House) -> None:
    """B6: the code went to another person's telephone."""
    await here.file(here.adt(MOTHER, "0000000009", visit="V9"))
    stranger = await signed_by_code(here, consent(here), here.chart("0000000009"))
    assert await refused(here, stranger) == ["Consent.source[x]"]


async def test_a_clerks_word_does_not_undo_what_the_resident_signed(here: House) -> None:
    """B9: a refusal signed by code is not superseded, replaced or withdrawn by a form of less worth."""
    refusal = consent(here, Choice.REFUSE_ALL)
    strong = await consents.create(await signed_by_code(here, refusal), REGISTRAR, here.services)
    await here.sign(at="2026-02-20T10:00:00+08:00")
    assert await total(here) == 0
    states = {row[1]: row[3] for row in await kept(here)}
    assert states[strong.id] == 1

    with pytest.raises(Problem) as told:
        await consents.withdraw(strong.id, REGISTRAR, here.services)
    assert [one.place for one in told.value.complaints] == ["Consent.source[x]"]
    permit = consent(here) | {"dateTime": "2026-02-21T10:00:00+08:00"}
    with pytest.raises(Problem) as told:
        await consents.replace(strong.id, text(permit), strong.version, REGISTRAR, here.services)
    assert [one.place for one in told.value.complaints] == ["Consent.source[x]"]
    assert await total(here) == 0

    taken_back = await signed_by_code(here, refusal | {"status": "inactive"})
    await consents.replace(strong.id, taken_back, strong.version, REGISTRAR, here.services)
    assert await total(here) > 0


async def test_a_newer_form_for_the_same_policy_takes_the_place_of_the_older_one(
    here: House,
) -> None:
    """B9: the older one stays on file, inactive, and names the newer one; it is not revived."""
    old = await here.sign()
    new = await here.sign(Choice.REFUSE_ALL, at="2026-02-20T10:00:00+08:00")
    stands = await consents.read(old.id, REGISTRAR, here.services)
    said = json.loads(stands.text)
    assert (stands.active, said["status"]) == (False, "inactive")
    assert said["extension"][-1]["valueReference"] == {"reference": f"Consent/{new.id}"}
    assert {row[1]: row[3] for row in await kept(here)} == {old.id: 0, new.id: 1}

    said.pop("meta")
    with pytest.raises(Problem) as told:
        await consents.replace(
            old.id, text(said | {"status": "active"}), stands.version, REGISTRAR, here.services
        )
    assert [one.place for one in told.value.complaints] == ["Consent.status"]
    await here.sign(at="2026-02-10T10:00:00+08:00")
    assert await total(here) == 0, "an older permit handed in later undoes nothing"


# B2: withdrawal is seen by everything that is open


async def test_a_withdrawal_moves_every_chart_of_the_person(here: House) -> None:
    """B2: pages opened through another hospital's chart of the same person are decided anew."""
    await here.file(here.adt(SHEN, "0000000002", visit="V2"))
    before = {row.id: row.epoch for row in (await here.grounds(here.chart())).charts}
    assert len(before) == 2
    form = await here.sign()
    await consents.withdraw(form.id, REGISTRAR, here.services)
    after = {row.id: row.epoch for row in (await here.grounds(here.chart())).charts}
    assert {chart: epoch + 2 for chart, epoch in before.items()} == after


# B11, B12: who records, who signs


async def test_a_clerk_of_another_institution_is_recorded_with_an_alarm_and_a_notice(
    here: House,
) -> None:
    """B11."""
    elsewhere = replace(REGISTRAR, organization="mch", user="clerk")
    await consents.create(text(consent(here)), elsewhere, here.services)
    assert consents.ELSEWHERE in await here.alarms()
    told = await notices.of_charts(here.services.db, [here.chart()], here.clock.at)
    assert [one.kind for one in told] == [consents.ELSEWHERE]
    await account(SHEN, here.services)
    here.clock.forward(60)
    assert await telling.send_due(here.services) == 1
    assert Post(here.services).sent[-1] == (SHEN.phone, telling.TEXTS[consents.ELSEWHERE])
    assert consents.ELSEWHERE in words.NOTICE_KINDS.keys() & portal_words.ALARMS.keys()
    at_home = replace(REGISTRAR, organization="people", user="clerk-2")
    await consents.create(
        text(consent(here, at="2026-02-02T10:00:00+08:00")), at_home, here.services
    )
    assert (await here.alarms()).count(consents.ELSEWHERE) == 1


@ON_SQLITE
async def test_who_has_no_right_at_that_time_signs_for_nobody(here: House) -> None:
    """B12: a parent signs from the recorded right on, not before, and not once it was stopped."""
    await here.file(
        here.adt(CHILD, "0000000005", visit="V5"), here.adt(MOTHER, "0000000006", visit="V6")
    )
    child, mother = here.chart("0000000005"), here.chart("0000000006")
    own = await account(MOTHER, here.services)
    given_ = {"patient": f"Patient/{child}", "performer": f"Patient/{mother}"}
    at = "2026-03-01T12:30:00+08:00"
    assert await refused(here, consent(here, **given_)) == ["Consent.performer[0]"]

    id = await mandates.record(CHILD.number, guardian(own.user), REGISTRAR, here.services)
    assert await refused(here, consent(here, **given_)) == ["Consent.performer[0]"]
    here.clock.forward(3600)
    signed = consent(here, at=at, **given_)
    for proof in (text(signed), await signed_by_code(here, signed | {"language": "zh"}, mother)):
        assert (await consents.create(proof, REGISTRAR, here.services)).active
    himself = consent(here, at=at, patient=f"Patient/{child}", performer=f"Patient/{child}")
    assert await refused(here, himself) == ["Consent.performer[0]"]

    [(chart, *_)] = [row for row in await kept(here) if row[3] == 1]
    held = await mandates.of_actor(own.user, here.services)
    await mandates.stop(held[0].chart, id, "法院裁定书", REGISTRAR, here.services)
    later = consent(here, at="2026-03-01T12:40:00+08:00", **given_)
    assert await refused(here, later) == ["Consent.performer[0]"]
    assert chart == child


# The rows themselves


async def alter(here: House, statement: Any) -> None:
    await here.services.db.do(lambda tx: tx.run(Statement(statement)))


@pytest.mark.parametrize("how", ["deleted", "older", "inactive", "moved", "unreadable", "added"])
async def test_a_directive_that_is_not_what_was_recorded_closes_the_person_and_raises_an_alarm(
    here: House, how: str
) -> None:
    """B3: rows deleted, rolled back, switched, swapped or damaged refuse everything, never 500."""
    refusal = await here.sign(
        Choice.REFUSE_ALL, at="2026-02-20T10:00:00+08:00", recipients=("Organization/mch",)
    )
    permit = await here.sign()
    assert await total(here) > 0
    own = clinician()
    assert await total(here, own) > 0
    rows = {row[1]: row for row in await kept(here)}
    one = DIRECTIVE.c.id == literal(refusal.id)
    match how:
        case "deleted":
            await alter(here, DIRECTIVE.delete().where(one))
        case "inactive":
            await alter(here, update(DIRECTIVE).where(one).values(active=0))
        case "moved":
            await alter(here, update(DIRECTIVE).where(one).values(sealed=rows[permit.id][4]))
        case "unreadable":
            await alter(here, update(DIRECTIVE).where(one).values(sealed=b"\x00" * 60))
        case "older":
            newer = json.loads(refusal.text)
            newer.pop("meta")
            newer["provision"].pop("actor")
            newer["policy"][0]["uri"] = newer["policy"][0]["uri"].partition("#")[0] + "-psy"
            await consents.replace(
                refusal.id, text(newer), refusal.version, REGISTRAR, here.services
            )
            assert await total(here) == 0
            before = dict(zip(DIRECTIVE.columns.keys(), rows[refusal.id], strict=True))
            await alter(here, update(DIRECTIVE).where(one).values(**before))
        case "added":
            await consents.withdraw(refusal.id, REGISTRAR, here.services)
            await alter(here, update(DIRECTIVE).where(one).values(active=1))

    assert await total(here) == 0
    assert await total(here) == 0
    assert (await here.alarms()).count(directives.ALARM) == 1, "told once until it is settled"
    assert await total(here, own) > 0, "what the hospital itself recorded stays its own"

    await here.sign(at="2026-02-25T10:00:00+08:00")
    assert await total(here) == 0, "recording anew does not make an altered chart sound"


async def test_consents_from_before_there_were_sums_are_adopted_when_the_log_agrees(
    here: House,
) -> None:
    """B3: and a sum blanked by hand, with a refusal deleted, is not."""
    refusal = await here.sign(
        Choice.REFUSE_ALL, at="2026-02-20T10:00:00+08:00", recipients=("Organization/mch",)
    )
    await here.sign()
    blank = update(CHART).values(directives=b"")
    await alter(here, blank)
    assert await total(here) == 0
    assert await standing_consents.adopt(OPERATOR, here.services) == (1, 0)
    assert await total(here) > 0
    assert await standing_consents.adopt(OPERATOR, here.services) == (0, 0)

    await alter(here, DIRECTIVE.delete().where(DIRECTIVE.c.id == literal(refusal.id)))
    await alter(here, blank)
    assert await standing_consents.adopt(OPERATOR, here.services) == (0, 1)
    assert await total(here) == 0


async def test_charts_without_directives_have_no_sum_and_are_open_as_before(here: House) -> None:
    sums = await here.services.db.read(Statement(select(CHART.c.directives)))
    assert sums
    assert {row[0] for row in sums} == {b""}
    assert await total(here, clinician()) > 0
    assert directives.ALARM not in await here.alarms()
    assert here.clock.at > NOON
    with pytest.raises(Problem):
        await ask.read("Consent", "0" * 32, LI, here.services)
