"""Asking: decided before anything is opened, noted before anything leaves, and never by hints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from consent.fhir import Choice
from gateway.errors import Kind, Problem
from gateway.exchange import ask, consents, patients, residents
from gateway.exchange.person import Person, meet
from gateway.identity.systems import RESIDENT_ID
from gateway.records import query as queries
from gateway.records.query import Query
from gateway.services.caller import Caller
from gateway.store import log as rows_log
from tests.gateway.exchange.house import REGISTRAR, House, clinician, person

SHEN = person()
MRN = "0000000001"
PSYCHIATRY = "0601^精神心理科"
WANG, LI = clinician(), clinician("dr-li", "tcm")
SYSTEM = Caller(client="people-his", organization="people", role="system")
STRANGE_SYSTEM = Caller(client="mch-fhir", organization="mch", role="system")
NOBODY = "0" * 32


async def told(work: Awaitable[Any]) -> tuple[Kind, str, Any]:
    """What a refused caller hears."""
    with pytest.raises(Problem) as caught:
        await work
    return caught.value.kind, caught.value.text, caught.value.complaints


async def filled(house: House, reports: int = 5) -> None:
    """A visit and some reports at the people's hospital, one of them psychiatric."""
    await house.send(house.adt(SHEN))
    await house.send(
        *(
            house.oru(
                SHEN,
                MRN,
                ("ALT", f"{n}.10", "F"),
                ("AST", f"{n}", "F"),
                report=f"R{n}",
                at=f"2026-02-20T1{n}:00",
            )
            for n in range(reports)
        ),
        house.adt(SHEN, visit="V9", clinic=PSYCHIATRY, diagnosis="F32.100^中度抑郁发作"),
        house.oru(SHEN, MRN, ("HAMD", "21", "F"), report="R9", visit="V9", clinic=PSYCHIATRY),
    )
    await house.work()


async def claim(house: House, who: Caller = LI) -> None:
    """The caller says that they are treating."""
    await residents.open_resident(
        RESIDENT_ID, SHEN.number, who, house.services, claim="急诊抢救室接诊"
    )


@pytest.fixture
async def full(house: House) -> House:
    await filled(house)
    return house


@pytest.fixture
async def shared(full: House) -> House:
    """The patient has signed the broad form, and dr-li says she is treating."""
    await full.sign()
    await claim(full)
    return full


async def pages(
    house: House, who: Caller, query: Query, between: Callable[[int], Awaitable[None]] | None = None
) -> list[ask.Page]:
    """Every page of a search, with something happening before each next one."""
    found = [await ask.search(query, who, house.services)]
    while found[-1].next:
        if between:
            await between(len(found))
        cursor = await ask.more(found[-1].next, who, house.services)
        found.append(await ask.search(query, who, house.services, query.type, cursor))
    return found


# What is told


async def test_somebody_unknown_and_somebody_not_treated_are_one_refusal(full: House) -> None:
    known = await told(full.search("Observation", LI))
    unknown = await told(full.search("Observation", LI, mrn="nobody"))
    assert known == unknown
    assert known[0] is Kind.REFUSED
    number = await told(patients.find(RESIDENT_ID, SHEN.number, LI, full.services))
    nobody = await told(patients.find(RESIDENT_ID, "330421190001010007", LI, full.services))
    assert number == nobody == known


async def test_hidden_absent_of_another_type_and_never_existed_are_one_answer(
    shared: House,
) -> None:
    stored = await shared.current()
    hidden = next(one for one in stored if one.nature.sensitivities)
    shown = next(one for one in stored if one.type == "Observation" and one.tier == 0)
    answers = [
        await told(ask.read(hidden.type, hidden.id, LI, shared.services)),
        await told(ask.read("Observation", NOBODY, LI, shared.services)),
        await told(ask.read("Condition", shown.id, LI, shared.services)),
        await told(ask.read("Observation", shown.id, LI, shared.services, "0" * 16)),
        await told(ask.read("Observation", shown.id, clinician("dr-x", "mch"), shared.services)),
    ]
    assert answers == [(Kind.UNKNOWN, answers[0][1], answers[0][2])] * 5
    assert (await ask.read(hidden.type, hidden.id, WANG, shared.services)).id == hidden.id


async def test_an_empty_answer_has_a_receipt_whether_the_person_is_known_or_not(
    full: House,
) -> None:
    known = await full.search("Observation", STRANGE_SYSTEM)
    unknown = await full.search("Observation", STRANGE_SYSTEM, mrn="nobody")
    for page in (known, unknown):
        assert (page.records, page.total, page.next) == ((), 0, "")
        assert page.leaf is not None
    by_number = await patients.find(RESIDENT_ID, SHEN.number, STRANGE_SYSTEM, full.services)
    nobody = await patients.find(RESIDENT_ID, "330421190001010007", STRANGE_SYSTEM, full.services)
    assert by_number.leaf is not None
    assert nobody.leaf is not None
    assert by_number.records == nobody.records == ()


# What is shown


async def test_the_broad_form_opens_what_is_general_and_never_what_is_restricted(
    full: House,
) -> None:
    await claim(full)
    assert (await full.search("Observation", LI)).total == 0, "nothing without a consent"
    await full.sign()
    theirs = await full.search("Observation", LI, ("_count", "200"))
    own = await full.search("Observation", WANG, ("_count", "200"))
    assert (theirs.total, own.total) == (10, 11)
    assert len(theirs.records) == 10
    for kind in ("Condition", "Encounter", "DiagnosticReport"):
        page = await full.search(kind, LI, ("_count", "200"))
        assert all(not one.match.pair[0].sensitivities for one in page.records)
        assert page.total == len(page.records)
    everything = await ask.search(
        Query("", patient=full.chart(), count=1_000), LI, full.services, "everything"
    )
    assert all(not one.match.pair[0].sensitivities for one in everything.records)
    assert b"HAMD" not in b"".join(one.text for one in everything.records)


async def test_totals_and_pages_count_only_what_may_be_known(shared: House) -> None:
    found = await pages(shared, LI, shared.query("Observation", ("_count", "3")))
    assert [page.total for page in found] == [10, 10, 10, 10]
    assert [len(page.records) for page in found] == [3, 3, 3, 1], "short only at the end"
    for given_ in ((("code", "HAMD"),), (("_sort", "date"), ("code", "HAMD"))):
        assert (await shared.search("Observation", LI, *given_)).total == 0
        assert (await shared.search("Observation", WANG, *given_)).total == 1


@pytest.mark.parametrize("given_", [("_count", "0"), ("_summary", "count")])
async def test_only_the_total_opens_nothing(shared: House, given_: tuple[str, str]) -> None:
    watched = Watched(shared.services.vault)
    services = replace(shared.services, vault=watched)  # type: ignore[arg-type]
    page = await ask.search(shared.query("Observation", given_), LI, services)
    assert (page.total, page.records, page.next) == (10, (), "")
    assert watched.asked == []


async def test_what_comes_along_is_decided_as_what_is_asked_for(shared: House) -> None:
    given_ = (("_include", "DiagnosticReport:result"), ("_count", "50"))
    own = await shared.search("DiagnosticReport", WANG, *given_)
    theirs = await shared.search("DiagnosticReport", LI, *given_)
    assert (len(own.records), len(own.included)) == (6, 11)
    assert (len(theirs.records), len(theirs.included)) == (5, 10)
    # Refuse one laboratory value by its code: its report stays, the value does not come along.
    hidden = next(one for one in await shared.current("Observation") if one.tier == 0)
    assert hidden.id in {one.id for one in theirs.included}


async def test_a_patient_is_shown_only_where_something_else_is(full: House) -> None:
    chart = full.chart()
    await claim(full)
    query = queries.parse("Patient", [("_id", chart)], full.services.settings.zone, lenient=False)
    assert (await ask.search(query, LI, full.services)).total == 0
    assert (await told(ask.read("Patient", chart, LI, full.services)))[0] is Kind.UNKNOWN
    assert (await ask.read("Patient", chart, WANG, full.services)).id == chart
    await full.sign()
    assert (await ask.search(query, LI, full.services)).total == 1
    assert (await ask.read("Patient", chart, LI, full.services)).id == chart


async def test_a_patient_whose_records_are_all_restricted_is_not_shown(house: House) -> None:
    await house.file(house.adt(SHEN, clinic=PSYCHIATRY, diagnosis="F32.100^中度抑郁发作"))
    await house.sign()
    await claim(house)
    chart = house.chart()
    assert (await told(ask.read("Patient", chart, LI, house.services)))[0] is Kind.UNKNOWN


async def test_a_system_that_names_nobody_reads_what_its_own_organisation_sent(
    shared: House,
) -> None:
    own = await shared.search("Observation", SYSTEM, ("_count", "50"))
    assert own.total == 11
    assert {one.match.pair[0].source for one in own.records} == {"people"}
    assert (await shared.search("Observation", STRANGE_SYSTEM)).total == 0
    one = own.records[0]
    assert (await told(ask.read(one.type, one.id, STRANGE_SYSTEM, shared.services)))[
        0
    ] is Kind.UNKNOWN


async def test_both_charts_of_a_person_answer_to_either_id(shared: House) -> None:
    await shared.file(shared.oru(SHEN, "0000000002", ("TC", "6.10", "F"), report="Q1", visit="W1"))
    one = await shared.search("Observation", LI, ("_count", "50"))
    two = await shared.search("Observation", LI, ("_count", "50"), mrn="0000000002")
    assert one.total == two.total == 11
    assert [r.id for r in one.records] == [r.id for r in two.records]


# Pages


async def test_every_record_appears_once_though_others_arrive_between_pages(
    shared: House,
) -> None:
    expected = await shared.search("Observation", LI, ("_count", "50"))

    async def meanwhile(turn: int) -> None:
        await shared.file(
            shared.oru(SHEN, MRN, ("ALT", "99", "F"), report=f"N{turn}", at="2026-02-20T09:00"),
            shared.oru(
                SHEN, MRN, ("ALT", f"7{turn}", "C"), report="R0", at=f"2026-02-21T1{turn}:00", status="C",
            ),
        )  # fmt: skip

    query = shared.query("Observation", ("_count", "3"), ("_sort", "_id"))
    found = await pages(shared, LI, query, meanwhile)
    ids = [(one.id, one.version) for page in found for one in page.records]
    assert sorted(ids) == sorted((one.id, one.version) for one in expected.records)
    assert [page.total for page in found] == [10] * 4
    fresh = await shared.search("Observation", LI, ("_count", "50"))
    assert fresh.total == 10 + 3


async def test_a_page_link_is_good_for_one_asker_one_purpose_and_a_while(shared: House) -> None:
    page = await shared.search("Observation", LI, ("_count", "3"))
    assert (await ask.more(page.next, LI, shared.services)).params
    strangers = (
        WANG,
        replace(LI, user="dr-chen"),
        replace(LI, purpose="ETREAT"),
        replace(LI, organization="mch"),
        replace(LI, client="other"),
        replace(LI, role="registrar"),
    )
    answers = [await told(ask.more(page.next, one, shared.services)) for one in strangers]
    forged = [page.next[:-1] + ("A" if page.next[-1] != "A" else "B"), "", "x", "é", page.next * 2]
    answers += [await told(ask.more(token, LI, shared.services)) for token in forged]
    shared.clock.forward(29 * 60)
    assert await ask.more(page.next, LI, shared.services)
    shared.clock.forward(2 * 60)
    answers.append(await told(ask.more(page.next, LI, shared.services)))
    assert answers == [(Kind.UNKNOWN, answers[0][1], answers[0][2])] * len(answers)


async def test_a_page_link_tells_nothing(shared: House) -> None:
    page = await shared.search("Observation", LI, ("_count", "3"), ("code", "ALT"))
    for secret in (shared.chart(), "dr-li"):  # a shorter one may stand there by chance
        assert secret not in page.next


async def test_what_is_withdrawn_between_two_pages_is_not_on_the_second(full: House) -> None:
    form = await full.sign()
    await claim(full)
    query = full.query("Observation", ("_count", "3"))
    first = await ask.search(query, LI, full.services)
    assert len(first.records) == 3
    await consents.withdraw(form.id, REGISTRAR, full.services)
    cursor = await ask.more(first.next, LI, full.services)
    second = await ask.search(query, LI, full.services, "Observation", cursor)
    assert (second.total, second.records, second.next) == (0, (), "")


async def test_what_is_relabelled_between_two_pages_is_not_on_the_second(shared: House) -> None:
    """The link's high-water number would otherwise bring back the version before the label."""
    visits = [f"V{n}" for n in range(2, 6)]
    for visit in visits:
        await shared.file(shared.adt(SHEN, visit=visit))
    query = shared.query("Encounter", ("_count", "1"), ("_sort", "_id"))
    first = await ask.search(query, LI, shared.services)
    assert first.total == 5
    for visit in ("V1", *visits):
        raised = shared.adt(
            SHEN, visit=visit, event="A08", at="2026-02-21T08:00", clinic=PSYCHIATRY
        )
        await shared.file(raised)
    cursor = await ask.more(first.next, LI, shared.services)
    second = await ask.search(query, LI, shared.services, "Encounter", cursor)
    assert (second.total, second.records) == (0, ())
    own = await ask.search(query, WANG, shared.services)
    assert own.total == 6


async def test_a_search_by_ids_is_paged_too_and_crosses_persons(shared: House) -> None:
    other = person("other", "李玘", date(1996, 4, 18))
    await shared.file(
        shared.adt(other, "0000000002", visit="W1"),
        shared.oru(other, "0000000002", ("TC", "6.1", "F"), report="W1", visit="W1"),
    )
    ids = [one.id for one in await shared.current("Observation")]
    zone = shared.services.settings.zone
    query = queries.parse(
        "Observation", [("_id", ",".join([*ids, NOBODY])), ("_count", "4")], zone, lenient=False
    )
    found = await pages(shared, WANG, query)
    assert [len(page.records) for page in found] == [4, 4, 4]
    assert {page.total for page in found} == {12}
    assert {one.id for page in found for one in page.records} == set(ids)
    theirs = await pages(shared, LI, query)
    assert {page.total for page in theirs} == {10}


async def test_a_wrong_type_of_earlier_ids_does_not_lend_its_decision_to_later_ones(
    shared: House,
) -> None:
    """Decisions are remembered per nature in memory: a freed nature's place must not be reused."""
    ids = sorted(one.id for one in await shared.current())
    zone = shared.services.settings.zone
    query = queries.parse("Observation", [("_id", ",".join(ids))], zone, lenient=False)
    for _ in range(5):
        page = await ask.search(query, LI, shared.services)
        assert page.total == 10
        assert all(not one.match.pair[0].sensitivities for one in page.records)


# Versions


async def test_an_older_less_labelled_version_is_as_closed_as_the_current_one(
    shared: House,
) -> None:
    visit = next(one for one in await shared.current("Encounter") if not one.nature.sensitivities)
    tag = shared.services.vault.version_tag(visit.id, 1)
    assert (await ask.read("Encounter", visit.id, LI, shared.services, tag)).version == tag
    await shared.file(shared.adt(SHEN, event="A08", at="2026-02-21T08:00", clinic=PSYCHIATRY))
    newer = shared.services.vault.version_tag(visit.id, 2)
    for version in ("", tag, newer):
        answer = await told(ask.read("Encounter", visit.id, LI, shared.services, version))
        assert answer[0] is Kind.UNKNOWN
    old = await ask.read("Encounter", visit.id, WANG, shared.services, tag)
    assert b"\xe5\xbf\x83\xe5\x86\x85\xe7\xa7\x91" in old.text  # 心内科
    assert (await ask.read("Encounter", visit.id, WANG, shared.services, newer)).version == newer


async def test_a_version_that_was_in_error_is_gone_with_all_its_past(shared: House) -> None:
    await shared.file(
        shared.oru(SHEN, MRN, ("ALT", "", "D"), report="R0", at="2026-02-21T10:00", status="C")
    )
    gone = next(one for one in await shared.current() if one.nature.status == "entered-in-error")
    tag = shared.services.vault.version_tag(gone.id, 1)
    for version in ("", tag):
        answer = await told(ask.read("Observation", gone.id, LI, shared.services, version))
        assert answer[0] is Kind.UNKNOWN
    assert (await shared.search("Observation", LI)).total == 9


# No leaf, no bytes; decided again when something moved


class Watched:
    """A vault that remembers for what record keys were asked."""

    def __init__(self, vault: Any) -> None:
        self._vault = vault
        self.asked: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault, name)

    async def records(self, grant: Any, wants: Any) -> Any:
        if grant.kind != "job":  # labels that changed are looked through before anything is shown
            self.asked.append((grant, wants))
        return await self._vault.records(grant, wants)


class Interrupting:
    """A store in which something happens just before an event is written."""

    def __init__(self, store: Any, what: Callable[[], Awaitable[None]], times: int = 1) -> None:
        self._store = store
        self._what = what
        self.left = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def do(self, work: Any, *given: Any) -> Any:
        if work.__name__ == "_append_fresh" and self.left:
            self.left -= 1
            await self._what()
        return await self._store.do(work, *given)


def interrupted(house: House, what: Callable[[], Awaitable[None]], times: int = 1) -> Any:
    """The county's services in which `what` happens before the next events are durable."""
    store = Interrupting(house.services.db, what, times)
    log = type(house.services.log)(store, house.services.vault, "other", house.clock)  # type: ignore[arg-type]
    return replace(house.services, db=store, log=log, vault=Watched(house.services.vault))  # type: ignore[arg-type]


async def test_a_withdrawal_between_decision_and_leaf_sends_the_request_back(
    full: House,
) -> None:
    form = await full.sign()
    await claim(full)

    async def withdraw() -> None:
        await consents.withdraw(form.id, REGISTRAR, full.services)

    services = interrupted(full, withdraw)
    page = await ask.search(full.query("Observation"), LI, services)
    assert (page.total, page.records) == (0, ())
    assert services.vault.asked == [], "no record was opened for the first decision"


async def test_a_raised_label_between_decision_and_leaf_sends_the_request_back(
    shared: House,
) -> None:
    visit = next(one for one in await shared.current("Encounter") if not one.nature.sensitivities)

    async def relabel() -> None:
        await shared.file(shared.adt(SHEN, event="A08", at="2026-02-21T08:00", clinic=PSYCHIATRY))

    services = interrupted(shared, relabel)
    answer = await told(ask.read("Encounter", visit.id, LI, services))
    assert answer[0] is Kind.UNKNOWN
    assert services.vault.asked == []


async def test_a_chart_that_never_rests_is_told_so_and_shows_nothing(shared: House) -> None:
    turn = 0

    async def stir() -> None:
        nonlocal turn
        turn += 1
        await shared.file(shared.adt(SHEN, event="A08", at=f"2026-02-21T{turn:02}:00"))
        await shared.file(
            shared.adt(SHEN, event="A08", at=f"2026-02-22T{turn:02}:00", visit=f"W{turn}")
        )

    services = interrupted(shared, stir, times=100)
    answer = await told(ask.search(shared.query("Observation"), LI, services))
    assert answer[0] is Kind.BUSY
    assert services.vault.asked == []


async def test_without_a_durable_event_no_record_key_is_asked_for(shared: House) -> None:
    async def full_disk() -> None:
        raise Problem(Kind.BUSY, "the disk is full")

    one = (await shared.search("Observation", LI)).records[0]
    services = interrupted(shared, full_disk, times=100)
    asked = (
        ask.search(shared.query("Observation"), LI, services),
        ask.read("Observation", one.id, LI, services),
        ask.read("Observation", one.id, LI, services, one.version),
        ask.read("Observation", NOBODY, LI, services),
        ask.search(shared.query("Observation"), clinician("dr-x", "mch"), services),
        patients.find(RESIDENT_ID, SHEN.number, LI, services),
    )
    for work in asked:
        assert (await told(work))[0] is Kind.BUSY
    assert services.vault.asked == []


async def test_every_opened_record_has_its_own_event_before_it(shared: House) -> None:
    watched = Watched(shared.services.vault)
    services = replace(shared.services, vault=watched)  # type: ignore[arg-type]
    page = await ask.search(shared.query("Observation"), LI, services)
    ((grant, _),) = watched.asked
    assert (grant.leaf.writer, grant.leaf.counter) == (page.leaf.writer, page.leaf.counter)  # type: ignore[union-attr]
    (event,) = [
        row
        for row in await services.db.read(rows_log.EVENTS_AFTER, grant.leaf.writer, 0, 1_000)
        if row[1] == grant.leaf.counter
    ]
    assert event[3:6] == ("search", "permit", "dr-li")


async def test_a_gated_caller_opens_no_key_of_the_chart(full: House) -> None:
    class Locked:
        def __getattr__(self, name: str) -> Any:
            if name in {"manifests", "records"}:
                raise AssertionError(f"{name} was asked for")
            return getattr(full.services.vault, name)

    services = replace(full.services, vault=Locked())  # type: ignore[arg-type]
    assert (await told(ask.search(full.query("Observation"), LI, services)))[0] is Kind.REFUSED
    met: Person = await meet(full.chart(), LI, services, full.clock(), action="read", named=True)
    assert met.gate is not None
    assert met.keys == {}


async def test_a_refusal_of_everything_hides_everything_but_at_home(full: House) -> None:
    await full.sign(Choice.REFUSE_ALL)
    await claim(full)
    assert (await full.search("Observation", LI)).total == 0
    assert (await full.search("Observation", WANG)).total == 11


async def test_a_destroyed_key_is_as_if_it_had_never_been(shared: House) -> None:
    stored = (await shared.current("Observation"))[0]
    await shared.services.vault.shred(shared.chart(), audit=True)
    for who in (WANG, LI, SYSTEM):
        page = await shared.search("Observation", who)
        assert (page.total, page.records) == (0, ())
        answer = await told(ask.read("Observation", stored.id, who, shared.services))
        assert answer[0] is Kind.UNKNOWN
    refused = await told(shared.search("Observation", clinician("dr-x", "mch")))
    assert refused == await told(shared.search("Observation", clinician("dr-x", "mch"), mrn="x"))
