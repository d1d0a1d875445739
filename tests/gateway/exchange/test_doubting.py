"""A folder's number is set right after somebody signed on it, broke the glass or said that they treat:
what opened opens nothing more, for the bearer of either number, and what refuses refuses for both."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from itertools import permutations
from typing import Any, get_args

import pytest

from consent.fhir import Choice, Form, write_consent
from consent.model import Reason
from consent.tracing import State
from consent.tracing_words import lines
from gateway.demo.residents import Resident
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import (
    consents,
    desk,
    doubting,
    emergency,
    justifying,
    standing_consents,
    telling,
)
from gateway.exchange.justifying import Question
from gateway.exchange.patients import county_id
from gateway.identity.systems import RESIDENT_ID
from gateway.portal import mine_words, words
from gateway.store import charts as rows
from gateway.store import emergencies, notices
from tests.gateway.exchange.house import REGISTRAR, House, person
from tests.gateway.exchange.residents_at_desk import account
from tests.gateway.exchange.test_correcting import OTHER, TRUE
from tests.gateway.exchange.test_emergency import ASKED, LI, break_for, gate
from tests.gateway.exchange.test_explaining import OFFICER
from tests.gateway.exchange.test_identities import (
    DR_LI,
    answer,
    events,
    grouped,
    seen,
    visited,
)
from tests.gateway.exchange.test_joining import GONE, KEPT, SHEN, UNKNOWN, said

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
THIRD = person("third", "王珅", date(1990, 3, 3))
MARK = "number-corrected"


async def corrected(house: House, who: Resident = OTHER, mrn: str = KEPT, hour: int = 8) -> None:
    """The hospital sends this folder with that person's number; on the 22nd."""
    house.sent += 1
    at = f"2026-02-22T{hour:02}:00"
    raw = house.adt(who, mrn, event="A08", visit=f"C{house.sent}", at=at)
    assert await house.file(raw) == ["filed"]


async def by_number(
    house: House, who: Resident, choice: Choice = Choice.PERMIT_TREATMENT, day: str = "2026-01-05"
) -> consents.Recorded:
    """A Consent by FHIR that names its patient by the number on the card."""
    form = Form(
        choice,
        "x",
        "Patient/x",
        "Patient/x",
        "Organization/county",
        f"{day}T10:00:00+08:00",
        "b" * 64,
    )
    plain = json.loads(write_consent(form, house.services.settings.canonical))
    named = {"identifier": {"system": RESIDENT_ID, "value": who.number}}
    text = json.dumps(plain | {"patient": named, "performer": [named]}).encode()
    return await consents.create(text, REGISTRAR, house.services)


async def on_file(house: House, who: Resident) -> list[tuple[str, str]]:
    """What the registrar reads of this person's consents, oldest first."""
    found = await desk.at_desk(RESIDENT_ID, who.number, REGISTRAR, house.services)
    return [(one.kind, one.state) for one in reversed(found.on_file)]


async def told(house: House, mrn: str = "", who: Resident | None = None) -> list[str]:
    """The notices on one chart: a folder's, or the county's of a person."""
    chart = county_id(who.number, house.services) if who else house.chart(mrn)
    found = await notices.of_charts(house.services.db, [chart], house.services.now())
    return [one.kind for one in found]


async def two_persons(house: House) -> None:
    """KEPT and GONE under Shen's number, TRUE under the other's."""
    await visited(house, SHEN, KEPT, "ALT", "HAMD")
    await house.file(
        house.adt(SHEN, GONE, visit="V2"),
        house.oru(SHEN, GONE, ("AST", "9", "F"), report="R2", visit="V2"),
    )
    await house.file(
        house.adt(OTHER, TRUE, visit="V3"),
        house.oru(OTHER, TRUE, ("HAMA", "9", "F"), report="R3", visit="V3"),
    )


async def test_what_was_permitted_on_the_folder_opens_nothing_for_either(house: House) -> None:
    await two_persons(house)
    await house.sign()
    await house.sign(Choice.PERMIT_CATEGORY, category="PSY", recipients=("Organization/tcm",))
    assert await seen(house) == {"ALT", "AST", "HAMD"}
    assert await seen(house, mrn=TRUE) == set()

    await corrected(house)

    for mrn in (KEPT, GONE, TRUE):
        assert await seen(house, mrn=mrn) == set(), mrn
    assert await on_file(house, SHEN) == []
    assert sorted(await on_file(house, OTHER)) == [("category", "doubted"), ("share", "doubted")]
    ended = [one for one in await events(house, "consent-withdraw") if one.get("why") == MARK]
    assert [one["status"] for one in ended] == ["inactive", "inactive"]
    assert await standing_consents.contradictions(house.services) == []
    assert await told(house, KEPT) == await told(house, GONE) == [doubting.DOUBTED]
    assert doubting.DOUBTED in await house.alarms()

    # Signed anew, by the number on the card, it opens what is theirs: nothing of the other's.
    await by_number(house, OTHER, day="2026-01-06")
    assert await seen(house, mrn=TRUE) == {"ALT", "HAMA"}
    assert await seen(house, mrn=GONE) == set()
    await by_number(house, SHEN)
    assert await seen(house, mrn=GONE) == {"AST"}


async def test_what_was_refused_on_the_folder_holds_for_both_until_each_says_otherwise(
    house: House,
) -> None:
    await two_persons(house)
    await by_number(house, SHEN)
    await by_number(house, OTHER)
    await house.sign(Choice.REFUSE_ALL)
    assert await seen(house, mrn=GONE) == set()
    assert await seen(house, mrn=TRUE) == {"HAMA"}

    await corrected(house)

    assert await seen(house, mrn=GONE) == set(), "the bearer of the old number keeps it"
    urgent = replace(DR_LI, purpose="ETREAT")
    assert await seen(house, urgent, GONE) == set(), "their own word, which an emergency hears"
    assert await seen(house, mrn=TRUE) == set(), "the folder brings it along"
    both = [("share", "active"), ("refuse-all", "refusing")]
    assert (await on_file(house, SHEN), await on_file(house, OTHER)) == (both, both)
    copy = [one for one in await events(house, "consent-create") if "copy-of" in one]
    assert [(one["why"], one["status"]) for one in copy] == [(MARK, "active")]
    assert await standing_consents.contradictions(house.services) == []
    assert await told(house, who=SHEN) == await told(house, KEPT) == [doubting.DOUBTED]

    # Each takes back their own, at the desk, and it is nobody else's.
    found = await desk.at_desk(RESIDENT_ID, SHEN.number, REGISTRAR, house.services)
    mine = [one.id for one in found.on_file if one.state == "refusing"]
    await desk.withdraw(mine[0], "周敏", REGISTRAR, house.services)
    assert await seen(house, mrn=GONE) == {"AST"}
    assert await seen(house, mrn=TRUE) == set()
    await by_number(house, OTHER, day="2026-02-23")
    assert await seen(house, mrn=TRUE) == {"ALT", "HAMA"}, "a later permit, no weaker"


@ON_SQLITE
async def test_who_is_named_by_number_signs_on_the_countys_own_chart(house: House) -> None:
    await two_persons(house)
    made = await by_number(house, SHEN)
    chart = county_id(SHEN.number, house.services)
    assert json.loads(made.text)["patient"] == {"reference": f"Patient/{chart}"}
    assert (await by_number(house, SHEN)).id == made.id, "sent again it is the same"
    assert await seen(house) == {"ALT", "AST"}
    await corrected(house)
    assert await seen(house, mrn=GONE) == {"AST"}, "it stays with who signed"
    assert await seen(house, mrn=TRUE) == set()
    assert await on_file(house, SHEN) == [("share", "active")]


@ON_SQLITE
async def test_of_somebody_without_a_name_the_folder_is_all_there_is(house: House) -> None:
    await house.file(house.adt(replace(SHEN, name=""), KEPT))
    made = await by_number(house, SHEN)
    assert json.loads(made.text)["patient"] == {"reference": f"Patient/{house.chart(KEPT)}"}


@ON_SQLITE
async def test_set_back_or_set_on_it_stays_so_and_what_is_signed_later_counts(
    house: House,
) -> None:
    """In every order of three numbers, and back to the first: who never signed is never opened."""
    await two_persons(house)
    await house.file(house.adt(THIRD, "0000000004", visit="V5"))
    await house.sign()
    before = len(await house.current("Consent"))
    for number, order in enumerate(permutations([OTHER, THIRD, SHEN])):
        for step, who in enumerate(order):
            await corrected(house, who, hour=number * 3 + step)
            for mrn in (KEPT, GONE, TRUE, "0000000004"):
                assert await seen(house, mrn=mrn) == set(), (number, who.key, mrn)
    assert len(await house.current("Consent")) == before, "put in doubt once"
    state = await house.state()
    await house.again()
    assert await house.state() == state
    await house.sign(at="2026-02-28T10:00:00+08:00")
    assert await seen(house, mrn=TRUE) == {"ALT", "HAMA"}


@ON_SQLITE
async def test_along_a_chain_each_keeps_what_they_refused(house: House) -> None:
    await two_persons(house)
    for who in (SHEN, OTHER, THIRD):
        await house.file(house.adt(who, f"8{who.key:.>9}", visit=f"X{who.key}"))
        await by_number(house, who)
    await house.sign(Choice.REFUSE_ALL)
    await corrected(house, OTHER, hour=8)
    await house.sign(Choice.REFUSE_ALL, at="2026-02-25T10:00:00+08:00")
    await corrected(house, THIRD, hour=9)
    refused = [("share", "active"), ("refuse-all", "refusing")]
    assert await on_file(house, SHEN) == refused
    assert await on_file(house, OTHER) == refused, "their own; the one before was Shen's or theirs"
    assert [state for _, state in await on_file(house, THIRD)].count("refusing") == 1
    for mrn in (KEPT, GONE, TRUE):
        assert await seen(house, mrn=mrn) == set(), mrn


async def test_the_bearer_of_the_old_number_keeps_it_where_nobody_else_knew_them(
    house: House,
) -> None:
    """The folder was all that carried the number: the county's own chart is made to keep it."""
    await visited(house, SHEN, KEPT, "ALT", "HAMD")
    await house.sign(Choice.REFUSE_ALL)
    await corrected(house)
    assert await on_file(house, SHEN) == [("refuse-all", "refusing")]

    await house.file(
        house.adt(SHEN, GONE, visit="V2"),
        house.oru(SHEN, GONE, ("AST", "9", "F"), report="R2", visit="V2"),
    )
    await by_number(house, SHEN)
    assert await seen(house, mrn=GONE) == set(), "no earlier permit opens it"
    chart = county_id(SHEN.number, house.services)
    [patient] = [one for one in await house.current("Patient") if one.chart == chart]
    assert patient.plain["name"] == [{"text": SHEN.name}]


NESTED = [
    # type of the root, of its exception for the TCM hospital; state; what TCM sees of the old, of
    # the new, both of whom permitted at the desk before
    ("permit", "deny", "refusing", set(), set()),
    ("deny", "permit", "refusing", set(), set()),
    ("permit", "permit", "doubted", {"AST"}, {"ALT", "HAMA"}),
    ("deny", "deny", "refusing", set(), set()),
]


@ON_SQLITE
@pytest.mark.parametrize(("root", "exception", "state", "old", "new"), NESTED)
async def test_of_a_consent_with_exceptions_what_refuses_is_left(
    house: House, root: str, exception: str, state: str, old: set[str], new: set[str]
) -> None:
    await two_persons(house)
    await by_number(house, SHEN)
    await by_number(house, OTHER)
    form = Form(
        Choice.PERMIT_TREATMENT,
        "x",
        f"Patient/{house.chart()}",
        f"Patient/{house.chart()}",
        "Organization/county",
        "2026-02-01T10:00:00+08:00",
        "c" * 64,
    )
    plain = json.loads(write_consent(form, house.services.settings.canonical))
    role = {
        "coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}
        ]
    }
    actor = {"role": role, "reference": {"reference": "Organization/tcm"}}
    plain["provision"] = {"type": root, "provision": [{"type": exception, "actor": [actor]}]}
    await consents.create(json.dumps(plain).encode(), REGISTRAR, house.services)
    await corrected(house)
    assert (await on_file(house, OTHER))[-1] == ("other", state)
    assert (await seen(house, mrn=GONE), await seen(house, mrn=TRUE)) == (old, new)


@ON_SQLITE
async def test_a_folder_that_goes_along_takes_no_permit_with_it(house: House) -> None:
    """A merge confirmed by the resident joins a folder without a number to the one that is corrected."""
    await two_persons(house)
    other = "0000000005"
    await house.file(house.adt(UNKNOWN, other, visit="V7"))
    await house.file(said("A40", KEPT, other, "2026-02-21T08:00"))
    await answer(house, "one")
    await house.sign(mrn=other)
    assert await seen(house) == {"ALT", "AST"}
    await corrected(house)
    assert (await seen(house, mrn=TRUE), await seen(house, mrn=GONE)) == (set(), set())
    assert await on_file(house, OTHER) == [("share", "doubted")]


@ON_SQLITE
async def test_a_merge_after_it_brings_nothing_back(house: House) -> None:
    await two_persons(house)
    await house.file(house.adt(replace(UNKNOWN, key="later"), "0000000006", visit="V8"))
    await house.sign(Choice.PERMIT_TREATMENT)
    await corrected(house)
    await house.file(said("A40", KEPT, "0000000006", "2026-02-23T08:00"))
    assert await seen(house) == set()
    await house.file(said("A37", KEPT, "0000000006", "2026-02-24T08:00"))
    assert await seen(house) == set()


@ON_SQLITE
async def test_it_is_given_again_by_a_new_signature_and_by_nothing_less(house: House) -> None:
    await two_persons(house)
    await by_number(house, OTHER)
    refusal = await house.sign(Choice.REFUSE_ALL)
    await corrected(house)
    now = await consents.read(refusal.id, REGISTRAR, house.services)
    assert (now.active, now.doubt) == (True, "refuses")
    plain = json.loads(now.text)
    plain.pop("meta")

    async def put(version: str, **more: Any) -> consents.Recorded:
        text = json.dumps(plain | {"provision": {"type": "permit"}} | more).encode()
        return await consents.replace(refusal.id, text, version, REGISTRAR, house.services)

    again = await put(now.version)
    assert again.doubt == "ended", "the day under it is still the old one"
    assert await seen(house, mrn=TRUE) == {"HAMA", "ALT"}, "what was said at the desk, alone"
    await consents.withdraw((await by_number(house, OTHER)).id, REGISTRAR, house.services)
    assert await seen(house, mrn=TRUE) == set()
    house.clock.forward(60)
    fresh = await put(again.version, dateTime="2026-03-01T12:01:00+08:00")
    assert fresh.doubt == ""
    assert await seen(house, mrn=TRUE) == {"HAMA", "ALT"}
    assert await seen(house, mrn=GONE) == set()


@ON_SQLITE
async def test_who_was_let_in_by_the_folder_is_let_in_no_more(house: House) -> None:
    """A clinician broke the glass, and another said they treat, for whom the folder was said to be."""
    await two_persons(house)
    await by_number(house, OTHER)
    await by_number(house, SHEN)
    granted = await break_for(house, LI, KEPT)
    assert await seen(house, mrn=KEPT) == {"ALT", "AST"}
    assert await gate(house, LI, KEPT) is None

    await corrected(house)

    treating = replace(LI, purpose="TREAT")
    for mrn in (KEPT, GONE, TRUE):
        assert await gate(house, LI, mrn) is Reason.NO_GRANT, mrn
        assert await gate(house, treating, mrn) is Reason.NO_RELATIONSHIP, mrn
    [row] = await house.services.db.read(emergencies.ONE, granted.id)
    assert emergencies.GrantRow(*row).closed
    ended = {"act": "ended", "grant": granted.id, "why": MARK}
    assert ended in await events(house, "break-glass")
    assert sum(one.get("why") == MARK for one in await events(house, "update")) == 1
    again = await emergency.break_glass(house.chart(TRUE), ASKED, LI, house.services)
    assert again.id != granted.id


@ON_SQLITE
async def test_an_account_and_who_acts_stay_with_the_number_on_the_card(house: House) -> None:
    await two_persons(house)
    shen = await account(SHEN, house.services)
    other = await account(replace(OTHER, phone="10000000009"), house.services)
    permitted, refused = (
        await house.sign(),
        await house.sign(Choice.REFUSE_ALL, at="2026-01-31T10:00:00+08:00"),
    )
    assert await seen(house, shen, KEPT) == {"ALT", "AST", "HAMD"}
    await corrected(house)
    assert await seen(house, shen, KEPT) == set()
    assert await seen(house, shen, GONE) == {"AST"}
    assert await seen(house, other, KEPT) == {"ALT", "HAMD", "HAMA"}

    # What may be another's word is not told: what binds them is, for they can take it back.
    listed = await consents.on_file(house.chart(TRUE), other, house.services)
    assert [one.id for one in listed] == [refused.id]
    with pytest.raises(Problem) as caught:
        await consents.read(permitted.id, other, house.services)
    assert caught.value.kind is Trouble.UNKNOWN
    [copy] = await consents.on_file(county_id(SHEN.number, house.services), shen, house.services)
    assert copy.doubt == "refuses"


def test_every_state_and_notice_has_its_words() -> None:
    states = set(get_args(desk.ConsentState))
    assert states == words.CONSENT_STATES.keys() == mine_words.STATES.keys()
    assert telling.TEXTS.keys() <= mine_words.NOTICES.keys()
    assert doubting.DOUBTED in words.ALARMS


@ON_SQLITE
@pytest.mark.parametrize("what", ["permit", "grant", "claim"])
async def test_what_is_said_while_the_message_is_filed_is_doubted_too(
    house: House, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await two_persons(house)
    await by_number(house, OTHER)
    prepared, done = doubting.prepared, []

    async def slow(*given: Any) -> doubting.Doubt | None:
        found = await prepared(*given)
        if not done:
            done.append(what)
            match what:
                case "permit":
                    await house.sign()
                case "grant":
                    await break_for(house, LI, KEPT)
                case _:
                    await seen(house)
        return found

    monkeypatch.setattr(doubting, "prepared", slow)
    await corrected(house)
    assert done
    assert await gate(house, LI, TRUE) is Reason.NO_GRANT
    kind = {"permit": "consent-withdraw", "grant": "break-glass", "claim": "update"}[what]
    assert [one["why"] for one in await events(house, kind) if "why" in one] == [MARK]
    assert await gate(house, replace(LI, purpose="TREAT"), TRUE) is Reason.NO_RELATIONSHIP
    expected = [("share", "active"), ("share", "doubted")][: 2 if what == "permit" else 1]
    assert await on_file(house, OTHER) == expected


@ON_SQLITE
async def test_the_officer_reads_why_it_opens_nothing(house: House) -> None:
    await two_persons(house)
    refused = await house.sign(Choice.REFUSE_ALL)
    permitted = await house.sign(at="2026-01-31T10:00:00+08:00")
    await corrected(house)
    found = await justifying.justify(
        house.chart(TRUE), Question("people", "TREAT", source="tcm"), OFFICER, house.services
    )
    states = {one.directive.id: one.state for one in found.consents}
    assert states == {permitted.id: State.DOUBTED, refused.id: State.REFUSES}
    assert found.whole
    assert any("须重新签署" in line for line in lines(found, house.services.policy))


@ON_SQLITE
async def test_a_consent_that_cannot_be_opened_keeps_the_number_as_it_is(house: House) -> None:
    """Nothing is opened half: the message waits until operations have settled it."""
    await two_persons(house)
    made = await house.sign()
    table = rows._record
    await house.services.db.do(
        lambda tx: tx.run(
            rows.Statement(table.update().where(table.c.id == made.id).values(sealed=b"x"))
        )
    )
    before = await grouped(house)
    raw = house.adt(OTHER, KEPT, event="A08", visit="C9", at="2026-02-22T08:00")
    assert await house.file(raw) == ["waiting"]
    assert {c: r[:2] for c, r in (await grouped(house)).items()} == {
        c: r[:2] for c, r in before.items()
    }
    assert await seen(house, mrn=TRUE) == set()
