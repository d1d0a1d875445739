"""Evidence from feeds: each kind opens at its first instant, closes at its last, and only for whom it is.

Every case goes the whole way: a message is filed, a clinician searches, and the clock is what decides.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import Any, Literal

import pytest

from gateway.demo import people
from gateway.exchange import relations
from gateway.exchange.person import meet
from gateway.exchange.receive import receive
from gateway.fhir.door import VERSIONED
from gateway.services.caller import Caller
from gateway.store import tables
from gateway.store.statements import Statement
from tests.gateway.exchange.house import SECOND, House, clinician, person

SHEN = person()
MRN = "0000000001"
LX = "LX000101"
DAY = 86_400 * SECOND
HOME, TCM, TOWN, MCH = "people", "tcm", "township", "mch"


def us(text: str) -> int:
    """Microseconds of a county time."""
    return int(datetime.fromisoformat(f"{text}+08:00").timestamp()) * SECOND


def stamp(text: str) -> str:
    return people.stamp(datetime.fromisoformat(text))


def siu(
    event: str, *, at: str, start: str = "", end: str = "", place: str = "", state: str = ""
) -> bytes:
    """An appointment YY1; `place` is the facility code of where it will be."""
    when = datetime.fromisoformat(at)
    times = f"^^^{stamp(start)}^{stamp(end or start)}" if start else ""
    lines = [f"SCH||YY1{'|' * 9}{times}{'|' * 14}{state}", people.patient(SHEN, MRN)]
    if place:
        lines.append(f"AIL|1|A|0203^^^{place}")
    return people.message("HIS", f"SIU^{event}", when, f"S{event}{stamp(at)}", lines)


def ref(
    event: str, state: str, *, at: str, effective: str, until: str = "", to: str = "330421B"
) -> bytes:
    """A referral ZZ1 by the people's hospital."""
    lines = [
        f"RF1|{state}|||||ZZ1|{effective}|{until}",
        f"PRD|RT|||^^^{to}",
        people.patient(SHEN, MRN),
    ]
    when = datetime.fromisoformat(at)
    return people.message("HIS", f"REF^{event}", when, f"R{event}{state}{stamp(at)}", lines)


def contracts(house: House, **cells: str) -> bytes:
    options = house.services.maps.draft("township-contracts").source.options
    columns = options["columns"].split(",")
    row = {
        "BRID": LX, "XM": SHEN.name, "XB": "男", "CSRQ": "1980-01-01", "SFZH": SHEN.number,
        "XYBH": "QY1", "QYRQ": "2026-02-01", "DQRQ": "2026-03-31", "ZT": "履约中",
        "GXSJ": "2026-02-01 09:00:00",
    }  # fmt: skip
    row |= cells
    base = {own: name for name, own in options["rename"].items()}
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerow([row.get(base[name], "") for name in columns])
    return text.getvalue().encode()


def org(code: str) -> dict[str, Any]:
    return {"type": "Organization", "identifier": {"value": code}}


def bundle(*resources: dict[str, Any], at: str = "2026-02-20T09:00:00+08:00") -> bytes:
    """A message of the maternal and child hospital about the same person."""
    base = "https://his.mch.yunxi.example/fhir"
    patient = {
        "resourceType": "Patient", "id": "M1", "name": [{"text": SHEN.name}], "gender": "male",
        "birthDate": "1980-01-01",
        "identifier": [
            {"system": f"{base}/sid/patient", "value": "M1"},
            {"system": "urn:oid:2.16.156.10011.1.3", "value": SHEN.number},
        ],
    }  # fmt: skip
    head = {
        "resourceType": "MessageHeader",
        "id": f"H{at}".replace(":", "").replace("+", ""),
        "eventCoding": {"system": f"{base}/events", "code": "care"},
        "source": {"endpoint": base},
    }
    entries = [
        {"fullUrl": f"{base}/{one['resourceType']}/{one['id']}", "resource": one}
        for one in (head, patient, *({"meta": {"lastUpdated": at}, **one} for one in resources))
    ]
    whole = {"resourceType": "Bundle", "type": "message", "timestamp": at, "entry": entries}
    return json.dumps(whole).encode()


SUBJECT = {"subject": {"reference": "Patient/M1"}}


async def send(house: House, raw: bytes, source: str = "people-his") -> str:
    if source in ("people-his", "mch-fhir"):
        (state,) = await house.file(raw, source=source)
        return state
    site = house.services.maps.draft(source)
    await receive(source, site.units(raw), house.services)
    await house.work()
    return "filed"


async def known(house: House) -> str:
    """A chart of the people's hospital from a visit too old to be evidence of anything."""
    await house.file(
        house.adt(SHEN, MRN, event="A03", begun="2025-01-01T08:00", left="2025-01-02T08:00",
                  at="2025-01-02T08:00")
    )  # fmt: skip
    return house.chart(MRN)


async def opens(house: House, chart: str, who: Caller, at: int) -> bool:
    """Does the relationship gate let the caller through at this instant?"""
    house.clock.at = at
    found = await meet(chart, who, house.services, at, action="read", named=True)
    return found.gate is None or str(getattr(found.gate, "reason", "")) != "no-relationship"


async def window(
    house: House, chart: str, organization: str, first: int, after: int | None
) -> None:
    """Open from `first` up to but not at `after`; never for another hospital."""
    who = clinician(f"dr-{organization}", organization)
    at = {
        "before": await opens(house, chart, who, first - 1),
        "first": await opens(house, chart, who, first),
        "last": await opens(house, chart, who, (after or first + 4_000 * DAY) - 1),
        "after": await opens(house, chart, who, after) if after else False,
    }
    assert at == {"before": False, "first": True, "last": True, "after": False}
    for other in {HOME, TCM, TOWN, MCH} - {organization}:
        assert not await opens(house, chart, clinician("dr-x", other), first)


async def closed(house: House, chart: str, organization: str, at: int) -> bool:
    return not await opens(house, chart, clinician("dr", organization), at)


# Visits


async def test_an_admission_counts_until_thirty_days_after_discharge(house: House) -> None:
    inpatient = house.adt(SHEN, MRN, event="A01", begun="2026-02-01T08:00", at="2026-02-01T08:00")
    await house.file(inpatient.replace(b"|O|", b"|I|"))
    chart = house.chart(MRN)
    await window(house, chart, HOME, us("2026-02-01T08:00"), None)
    left = house.adt(
        SHEN, MRN, event="A03", begun="2026-02-01T08:00", left="2026-02-10T09:30",
        at="2026-02-10T09:31",
    )  # fmt: skip
    await house.file(left.replace(b"|O|", b"|I|"))
    out = us("2026-02-10T09:30") + SECOND
    await window(house, chart, HOME, us("2026-02-01T08:00"), out + 30 * DAY)
    back = house.adt(SHEN, MRN, event="A13", begun="2026-02-01T08:00", at="2026-02-10T10:00")
    await house.file(back.replace(b"|O|", b"|I|"))
    await window(house, chart, HOME, us("2026-02-01T08:00"), None)
    await house.file(house.adt(SHEN, MRN, event="A11", at="2026-02-11T10:00"))
    assert await closed(house, chart, HOME, us("2026-02-11T10:01"))


async def test_a_visit_to_the_clinic_that_nobody_closes_is_over_with_its_day(house: House) -> None:
    await house.file(house.adt(SHEN, MRN, begun="2026-02-20T08:00"))
    midnight = us("2026-02-21T00:00")
    await window(house, house.chart(MRN), HOME, us("2026-02-20T08:00"), midnight + 30 * DAY)


async def test_a_finished_visit_of_which_no_end_is_told_ended_when_that_was_said(
    house: House,
) -> None:
    inpatient = house.adt(SHEN, MRN, event="A03", begun="2026-02-01T08:00", at="2026-02-05T08:00")
    await house.file(inpatient.replace(b"|O|", b"|I|"))
    end = us("2026-02-05T08:00")
    await window(house, house.chart(MRN), HOME, us("2026-02-01T08:00"), end + 30 * DAY)


@pytest.mark.parametrize("event", ["A05", "A14"])
async def test_a_visit_that_is_planned_proves_nothing(house: House, event: str) -> None:
    await house.file(house.adt(SHEN, MRN, event=event))
    assert await closed(house, house.chart(MRN), HOME, us("2026-02-20T08:00"))


# Referrals


async def test_a_referral_counts_for_the_receiver_for_ninety_days_from_acceptance(
    house: House,
) -> None:
    chart = await known(house)
    await house.file(ref("I12", "P", at="2026-02-01T09:00", effective="20260202"))
    assert await closed(house, chart, TCM, us("2026-02-02T12:00"))
    await house.file(ref("I13", "A", at="2026-02-01T15:00", effective="20260202"))
    first = us("2026-02-02T00:00")
    await window(house, chart, TCM, first, first + 90 * DAY)
    await house.file(ref("I14", "A", at="2026-02-03T15:00", effective="20260202"))
    assert await closed(house, chart, TCM, first)


async def test_a_referral_that_runs_out_earlier_ends_earlier(house: House) -> None:
    chart = await known(house)
    await house.file(ref("I12", "A", at="2026-02-01T09:00", effective="20260202", until="20260210"))
    await window(house, chart, TCM, us("2026-02-02T00:00"), us("2026-02-11T00:00"))


@pytest.mark.parametrize(
    ("to", "said"), [("330421A", False), ("people", False), ("330421X", True), ("", False)]
)
async def test_nobody_is_referred_to_himself_or_to_whom_nobody_knows(
    house: House, to: str, said: bool
) -> None:
    chart = await known(house)
    await house.file(ref("I12", "A", at="2026-02-01T09:00", effective="20260202", to=to))
    for organization in (HOME, TCM, TOWN, MCH):
        assert await closed(house, chart, organization, us("2026-02-02T12:00"))
    assert (("note", "organization-unknown") in await house.issues()) is said


async def test_a_referral_that_changes_its_receiver_leaves_the_first_without(house: House) -> None:
    chart = await known(house)
    await house.file(
        ref("I12", "A", at="2026-02-01T09:00", effective="20260202"),
        ref("I13", "A", at="2026-02-01T10:00", effective="20260202", to="330421D"),
    )
    assert await closed(house, chart, TCM, us("2026-02-02T12:00"))
    assert not await closed(house, chart, TOWN, us("2026-02-02T12:00"))


async def test_an_older_word_that_comes_late_does_not_bring_a_referral_back(house: House) -> None:
    chart = await known(house)
    await house.file(
        ref("I14", "A", at="2026-02-03T09:00", effective="20260202"),
        ref("I12", "A", at="2026-02-01T09:00", effective="20260202"),
    )
    assert await closed(house, chart, TCM, us("2026-02-03T12:00"))


# Appointments


async def test_an_appointment_counts_from_a_day_before_to_a_week_after(house: House) -> None:
    chart = await known(house)
    await house.file(
        siu("S12", at="2026-02-01T09:00", start="2026-02-20T08:30", end="2026-02-20T08:45")
    )
    first, last = us("2026-02-19T08:30"), us("2026-02-27T08:45")
    await window(house, chart, HOME, first, last)
    await house.file(
        siu("S13", at="2026-02-02T09:00", start="2026-03-20T08:30", end="2026-03-20T08:45")
    )
    assert await closed(house, chart, HOME, first)
    await window(house, chart, HOME, us("2026-03-19T08:30"), us("2026-03-27T08:45"))
    await house.file(siu("S15", at="2026-02-03T09:00", state="Booked"))
    assert await closed(house, chart, HOME, us("2026-03-20T08:30"))


@pytest.mark.parametrize("state", ["Pending", "Waitlist", "Cancelled", "已退号", "爽约"])
async def test_an_appointment_that_does_not_stand_proves_nothing(house: House, state: str) -> None:
    chart = await known(house)
    await house.file(siu("S12", at="2026-02-01T09:00", start="2026-02-20T08:30", state=state))
    assert await closed(house, chart, HOME, us("2026-02-20T08:30"))


async def test_an_appointment_elsewhere_counts_there_and_not_for_whom_booked_it(
    house: House,
) -> None:
    chart = await known(house)
    await house.file(siu("S12", at="2026-02-01T09:00", start="2026-02-20T08:30", place="330421B"))
    start = us("2026-02-20T08:30")
    await window(house, chart, TCM, start - DAY, start + 7 * DAY)


async def test_an_appointment_at_a_place_nobody_knows_counts_for_nobody(house: House) -> None:
    chart = await known(house)
    await house.file(siu("S12", at="2026-02-01T09:00", start="2026-02-20T08:30", place="999999Z"))
    assert await closed(house, chart, HOME, us("2026-02-20T08:30"))
    assert ("note", "organization-unknown") in await house.issues()


# Contracts


async def test_a_contract_counts_on_each_of_its_days(house: House) -> None:
    await send(house, contracts(house, JGDM="330421D", YSGH="T0003"), "township-contracts")
    chart = house.chart(LX, TOWN)
    await window(house, chart, TOWN, us("2026-02-01T00:00"), us("2026-04-01T00:00"))
    ended = contracts(house, ZT="已解约", DQRQ="2026-02-10", GXSJ="2026-02-10 15:00:00")
    await send(house, ended, "township-contracts")
    await window(house, chart, TOWN, us("2026-02-01T00:00"), us("2026-02-11T00:00"))
    void = contracts(house, ZT="作废", GXSJ="2026-02-11 15:00:00")
    await send(house, void, "township-contracts")
    assert await closed(house, chart, TOWN, us("2026-02-05T00:00"))


async def test_a_contract_without_an_end_is_no_contract_for_ever(house: House) -> None:
    await send(house, contracts(house, DQRQ=""), "township-contracts")
    first = us("2026-02-01T00:00")
    await window(house, house.chart(LX, TOWN), TOWN, first, first + 366 * DAY)


@pytest.mark.parametrize("code", ["330421A", "330421B"])
async def test_primary_care_signs_for_itself_only(house: House, code: str) -> None:
    await send(house, contracts(house, JGDM=code), "township-contracts")
    for organization in (HOME, TCM, TOWN):
        assert await closed(house, house.chart(LX, TOWN), organization, us("2026-02-05T00:00"))
    assert ("note", "contract-not-theirs") in await house.issues()


EPISODE = {
    "resourceType": "EpisodeOfCare", "id": "E1", "status": "active",
    "type": [{"coding": [{"system": "https://x.example/contract-type", "code": "family-doctor"}]}],
    "patient": {"reference": "Patient/M1"}, "period": {"start": "2026-02-01", "end": "2026-03-31"},
}  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"managingOrganization": org("330421D")}])
async def test_a_hospital_signs_no_contracts_for_itself_or_another(
    house: House, more: dict[str, Any]
) -> None:
    assert await send(house, bundle({**EPISODE, **more}), "mch-fhir") == "filed"
    for organization in (MCH, TOWN):
        assert await closed(house, house.chart("M1", MCH), organization, us("2026-02-05T00:00"))


async def test_another_episode_of_care_is_no_contract(house: House) -> None:
    await send(house, contracts(house), "township-contracts")
    pregnancy = {**EPISODE, "type": [{"coding": [{"system": "https://x.example/t", "code": "p"}]}]}
    assert await send(house, bundle(pregnancy), "mch-fhir") == "filed"
    assert await closed(house, house.chart("M1", MCH), MCH, us("2026-02-05T00:00"))


# FHIR: teams, referrals, appointments


TEAM: dict[str, Any] = {
    "resourceType": "CareTeam", "id": "T1", "status": "active", **SUBJECT,
    "period": {"start": "2026-02-01", "end": "2026-02-28"},
}  # fmt: skip


async def test_a_care_team_counts_for_its_organisations_while_it_works(house: House) -> None:
    team = {**TEAM, "participant": [{"member": org("330421B")}]}
    assert await send(house, bundle(team), "mch-fhir") == "filed"
    chart = house.chart("M1", MCH)
    await window(house, chart, TCM, us("2026-02-01T00:00"), us("2026-03-01T00:00"))
    over = bundle({**team, "status": "inactive"}, at="2026-02-21T09:00:00+08:00")
    assert await send(house, over, "mch-fhir") == "filed"
    assert await closed(house, chart, TCM, us("2026-02-20T00:00"))


async def test_a_person_of_a_care_team_counts_alone_and_each_for_their_own_time(
    house: House,
) -> None:
    member = {"type": "Practitioner", "identifier": {"value": "dr-zhou"}}
    team = {
        **TEAM,
        "participant": [
            {"member": member, "onBehalfOf": org("330421D"), "period": {"end": "2026-02-10"}},
            {"member": org("330421B"), "period": {"start": "2026-02-05"}},
            {"member": {"type": "Practitioner", "display": "周医生"}},
        ],
    }
    assert await send(house, bundle(team), "mch-fhir") == "filed"
    chart = house.chart("M1", MCH)
    zhou, other = clinician("dr-zhou", TOWN), clinician("dr-other", TOWN)
    assert await opens(house, chart, zhou, us("2026-02-10T23:59"))
    assert not await opens(house, chart, zhou, us("2026-02-11T00:00"))
    assert not await opens(house, chart, other, us("2026-02-05T00:00"))
    assert await closed(house, chart, TCM, us("2026-02-04T23:59"))
    assert not await closed(house, chart, TCM, us("2026-02-05T00:00"))
    assert await closed(house, chart, MCH, us("2026-02-05T00:00"))
    smaller = {**TEAM, "participant": [{"member": org("330421B")}]}
    await send(house, bundle(smaller, at="2026-02-21T09:00:00+08:00"), "mch-fhir")
    assert not await opens(house, chart, zhou, us("2026-02-05T00:00"))


@pytest.mark.parametrize("place", ["bundled", "logical"])
async def test_a_fhir_referral_names_its_receiver_either_way(
    house: House, place: Literal["bundled", "logical"]
) -> None:
    clinic = {
        "resourceType": "Organization", "id": "O1", "name": "县医院",
        "identifier": [{"system": "https://x.example/org", "value": "330421B"}],
    }  # fmt: skip
    asked = {
        "resourceType": "ServiceRequest", "id": "Z1", "status": "active", "intent": "order",
        **SUBJECT, "authoredOn": "2026-02-02T08:00:00+08:00",
        "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "3457005"}]}],
        "performer": [{"reference": "Organization/O1"} if place == "bundled" else org("tcm")],
    }  # fmt: skip
    more = [clinic] if place == "bundled" else []
    assert await send(house, bundle(*more, asked), "mch-fhir") in {"filed", "quarantined"}
    first = us("2026-02-02T08:00")
    chart = house.chart("M1", MCH)
    await window(house, chart, TCM, first, first + 90 * DAY)
    laboratory = {**asked, "category": [{"text": "检验"}]}
    await send(house, bundle(*more, laboratory, at="2026-02-21T09:00:00+08:00"), "mch-fhir")
    assert await closed(house, chart, TCM, first)


async def test_a_group_appointment_is_about_nobody(house: House) -> None:
    other = {"resourceType": "Patient", "id": "M2", "name": [{"text": "吴珇"}]}
    both = {
        "resourceType": "Appointment", "id": "Y1", "status": "booked",
        "start": "2026-02-20T08:30:00+08:00", "end": "2026-02-20T09:30:00+08:00",
        "participant": [
            {"actor": {"reference": f"Patient/{id}"}, "status": "accepted"} for id in ("M1", "M2")
        ],
    }  # fmt: skip
    assert await send(house, bundle(other, both), "mch-fhir") == "quarantined"
    assert await closed(house, house.chart("M1", MCH), MCH, us("2026-02-20T08:30"))


# What holds for all


async def test_evidence_that_is_moved_to_another_hospital_or_kind_proves_nothing(
    house: House,
) -> None:
    chart = await known(house)
    await house.file(siu("S12", at="2026-02-01T09:00", start="2026-02-20T08:30"))

    def forge(tx: Any) -> None:
        table = tables.Relationship.__table__  # type: ignore[attr-defined]
        tx.run(Statement(table.update().values(organization=TCM)))

    await house.services.db.do(forge)
    assert await closed(house, chart, TCM, us("2026-02-20T08:30"))


async def test_filing_everything_again_gives_the_same_evidence(house: House) -> None:
    chart = await known(house)
    await house.file(
        siu("S12", at="2026-02-01T09:00", start="2026-02-20T08:30", place="330421D"),
        ref("I12", "A", at="2026-02-01T09:00", effective="20260202"),
    )
    before = [
        (g[1], g[2]) for o in (TCM, TOWN) for g in (await house.grounds(chart, o)).relationships
    ]
    await house.again()
    after = [
        (g[1], g[2]) for o in (TCM, TOWN) for g in (await house.grounds(chart, o)).relationships
    ]
    assert before == after
    assert [kind for _, kind in before] == ["referral", "appointment"]


def test_what_is_kept_as_evidence_only_is_read_at_no_door() -> None:
    assert not relations.EVIDENCE_ONLY & {*VERSIONED}
