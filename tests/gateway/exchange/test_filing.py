"""Filing: by business clock and not by arrival, once however often, whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace as replaced
from sqlalchemy import func, select

from gateway.demo import story
from gateway.exchange import ask, filing, receive, upkeep
from gateway.exchange.patients import charts_of
from gateway.exchange.person import meet
from gateway.identity.systems import RESIDENT_ID
from gateway.jobs.worker import Worker
from gateway.records import facts as facts_
from gateway.records.entry import unpack_segment
from gateway.services import Services
from gateway.store import charts as rows
from gateway.store import inbox, tables
from gateway.store.statements import Statement
from gateway.vault import ChartTier, Grant, Tier
from tests.gateway.exchange.house import HOUR, SEGMENTS, TIERS, House, clinician, person
from tests.gateway.exchange.house import Stored as Record

SHEN = person()
MRN = "0000000001"


def value_of(record: Record) -> Any:
    return record.plain.get("valueQuantity", {}).get("value")


# Which version stands


async def test_digits_come_out_as_they_came_in(house: House) -> None:
    await house.file(house.oru(SHEN, MRN, ("ALT", "62.40", "F")))
    assert b'"value":62.40' in (await house.only("Observation")).text


async def test_an_older_message_that_comes_late_changes_nothing(house: House) -> None:
    states = await house.file(
        house.oru(SHEN, MRN, ("ALT", "2", "F"), at="2026-02-20T12:00"),
        house.oru(SHEN, MRN, ("ALT", "1", "P"), at="2026-02-20T10:00"),
    )
    assert states == ["filed", "filed"]
    assert value_of(await house.only("Observation")) == 2
    assert ("note", "older-than-stored") in await house.issues()


async def test_a_correction_makes_a_version_and_the_old_one_is_kept(house: House) -> None:
    await house.file(
        house.oru(SHEN, MRN, ("ALT", "884.0", "F"), at="2026-02-20T10:00"),
        house.oru(SHEN, MRN, ("ALT", "88.40", "C"), at="2026-02-20T12:00"),
    )
    old, new = [one for one in await house.everything() if one.type == "Observation"]
    assert (old.version, old.current, new.version, new.current) == (1, False, 2, True)
    assert b"884.0" in old.text
    assert new.plain["status"] == "corrected"
    assert new.plain["meta"]["versionId"] != old.plain["meta"]["versionId"]


async def test_of_one_clock_the_later_arrival_wins_in_whatever_order_they_are_filed(
    house: House,
) -> None:
    one = house.oru(SHEN, MRN, ("ALT", "1", "F"))
    two = house.oru(SHEN, MRN, ("ALT", "2", "F"))
    (first,), (second,) = await house.send(one), await house.send(two)
    await filing.file_message(second.id, house.services)
    await filing.file_message(first.id, house.services)
    assert value_of(await house.only("Observation")) == 2
    await house.file(house.oru(SHEN, MRN, ("ALT", "3", "F")))
    assert value_of(await house.only("Observation")) == 3
    assert ("note", "same-clock-other-content") in await house.issues()


async def test_equal_content_makes_no_version(house: House) -> None:
    await house.file(
        house.oru(SHEN, MRN, ("ALT", "1", "F")),
        house.oru(SHEN, MRN, ("ALT", "1", "F"), control="another"),
    )
    assert (await house.only("Observation")).version == 1


async def test_what_was_said_again_later_is_not_undone_by_what_was_said_between(
    house: House,
) -> None:
    """A phone number said on Monday and on Wednesday stands against Tuesday's that comes late."""
    home, away = replace(SHEN, phone="10011111111"), replace(SHEN, phone="10022222222")
    await house.file(
        house.adt(home, at="2026-02-16T08:00"),
        house.adt(home, at="2026-02-18T08:00", event="A08"),
        house.adt(away, at="2026-02-17T08:00", event="A08"),
    )
    assert b"10011111111" in (await house.only("Patient")).text


@pytest.mark.parametrize("state", ["X", "D"])
async def test_what_was_withdrawn_stays_until_a_newer_clock_says_otherwise(
    house: House, state: str
) -> None:
    await house.file(
        house.oru(SHEN, MRN, ("ALT", "1", "F"), at="2026-02-20T10:00"),
        house.oru(SHEN, MRN, ("ALT", "", state), at="2026-02-20T12:00", status="C"),
        house.oru(SHEN, MRN, ("ALT", "1", "F"), at="2026-02-20T12:00", control="again"),
    )
    assert (await house.only("Observation")).plain["status"] in {"cancelled", "entered-in-error"}
    assert ("note", "withdrawn-stays") in await house.issues()
    await house.file(house.oru(SHEN, MRN, ("ALT", "2", "C"), at="2026-02-20T13:00"))
    assert (await house.only("Observation")).plain["status"] == "corrected"


@pytest.mark.parametrize("at", ["2026-02-20T12:00", "2026-02-20T13:00"])
async def test_a_final_result_that_turns_preliminary_is_held(house: House, at: str) -> None:
    states = await house.file(
        house.oru(SHEN, MRN, ("ALT", "1", "F"), at="2026-02-20T12:00"),
        house.oru(SHEN, MRN, ("ALT", "9", "P"), at=at, status="P"),
    )
    assert states == ["filed", "quarantined"]
    assert ("hold", "status-goes-back") in await house.issues()
    found = await house.only("Observation")
    assert (value_of(found), found.plain["status"]) == (1, "final")


# Stubs, patches


async def test_a_result_does_not_overwrite_who_the_patient_is(house: House) -> None:
    await house.file(house.adt(SHEN), house.oru(replace(SHEN, name="王坤", phone="1")))
    assert "王珅" in (await house.only("Patient")).text.decode()


async def test_a_visit_known_from_a_result_is_filled_when_it_comes(house: House) -> None:
    await house.file(house.oru(SHEN))
    stub = await house.only("Encounter")
    assert stub.plain["status"] == "unknown"
    assert (await house.grounds(house.chart())).relationships == (), "a result is no visit"
    await house.file(house.adt(SHEN, at="2026-02-19T08:00"))
    filled = await house.only("Encounter")
    assert (filled.id, filled.version) == (stub.id, 2)
    assert filled.plain["status"] == "in-progress"
    assert len((await house.grounds(house.chart())).relationships) == 1


async def test_a_patch_changes_what_it_says_and_keeps_the_bytes_of_the_rest(house: House) -> None:
    first = house.adt(SHEN, at="2026-02-16T08:00")
    await house.file(first)
    before = (await house.only("Patient")).plain
    silent = replace(SHEN, phone="10099999999")
    empty_name = house.adt(silent, at="2026-02-17T08:00", event="A08").replace(
        SHEN.name.encode("gb18030"), b"", 1
    )
    await house.file(empty_name)
    after = (await house.only("Patient")).plain
    assert after["name"] == before["name"]
    assert after["telecom"] != before["telecom"]
    assert {k: v for k, v in after.items() if k not in {"telecom", "meta"}} == {
        k: v for k, v in before.items() if k not in {"telecom", "meta"}
    }


async def test_two_quotes_delete(house: House) -> None:
    await house.file(house.adt(SHEN, at="2026-02-16T08:00"))
    raw = house.adt(SHEN, at="2026-02-17T08:00", event="A08")
    await house.file(raw.replace(b"|19800101|", b'|""|', 1))
    assert "birthDate" not in (await house.only("Patient")).plain


async def test_an_older_message_does_not_bring_back_older_facts(house: House) -> None:
    """The birth date decides who is a child and who is one with whom."""
    await house.file(
        house.adt(SHEN, at="2026-02-18T08:00"),
        house.adt(replace(SHEN, born=date(2015, 5, 5)), at="2026-02-10T08:00", event="A08"),
    )
    assert (await facts(house)).birth == "1980-01-01"
    await house.file(house.adt(replace(SHEN, born=date(1981, 1, 1)), at="2026-02-19T08:00"))
    assert (await facts(house)).birth == "1981-01-01"


async def facts(house: House, mrn: str = MRN) -> Any:
    chart = house.chart(mrn)
    row = next(row for row in (await house.grounds(chart)).charts if row.id == chart)
    want = ChartTier(chart, Tier.GENERAL)
    keys = await house.services.vault.manifests(Grant("job", "test", TIERS), [want])
    return facts_.unpack(keys[want].open(row.facts, f"facts/{chart}".encode()))


# Visits as evidence of treatment


async def relations(house: House) -> list[Any]:
    met = await meet(
        house.chart(), clinician(), house.services, house.clock(), action="read", named=True
    )
    return list(met.request.relationships)


async def test_a_visit_that_ended_is_not_opened_again_by_an_older_message(house: House) -> None:
    await house.file(
        house.adt(SHEN, at="2026-02-20T18:00", event="A03", left="2026-02-20T17:00"),
        house.adt(SHEN, at="2026-02-20T08:00", event="A01"),
    )
    (one,) = await relations(house)
    assert one.end is not None


async def test_a_cancelled_visit_is_no_evidence_any_more(house: House) -> None:
    await house.file(house.adt(SHEN, at="2026-02-20T08:00", event="A01"))
    assert len(await relations(house)) == 1
    epoch = (await house.grounds(house.chart())).charts[0].epoch
    await house.file(house.adt(SHEN, at="2026-02-20T09:00", event="A11"))
    assert await relations(house) == []
    assert (await house.grounds(house.chart())).charts[0].epoch > epoch


async def test_an_end_without_a_beginning_ends(house: House) -> None:
    """A discharge that does not repeat the admission time must not leave the visit open."""
    await house.file(house.adt(SHEN, at="2026-02-20T08:00", event="A01"))
    raw = house.adt(SHEN, at="2026-02-20T18:00", event="A03", left="2026-02-20T17:00")
    await house.file(raw.replace(b"|20260220080000|20260220170000", b"||20260220170000"))
    (one,) = await relations(house)
    assert one.end is not None


# Tiers and labels

PSYCHIATRY = "0601^精神心理科"


async def test_a_raised_label_moves_the_record_and_all_its_versions_to_the_closer_tier(
    house: House,
) -> None:
    await house.file(house.adt(SHEN, at="2026-02-20T08:00"))
    chart = house.chart()
    epoch = (await house.grounds(chart)).charts[0].epoch
    await house.file(house.adt(SHEN, at="2026-02-20T09:00", event="A08", clinic=PSYCHIATRY))
    versions = [one for one in await house.everything() if one.type == "Encounter"]
    assert [one.tier for one in versions] == [Tier.RESTRICTED, Tier.RESTRICTED]
    assert versions[-1].nature.sensitivities
    assert (await house.grounds(chart)).charts[0].epoch > epoch, "requests in flight decide again"

    # With the general key alone there is nothing of it but that something moved.
    want = ChartTier(chart, Tier.GENERAL)
    keys = await house.services.vault.manifests(Grant("job", "t", TIERS), [want])
    gone = []
    for row in await house.services.db.read(SEGMENTS):
        _, _, tier, number, _, sealed = row
        if tier == Tier.GENERAL:
            segment = unpack_segment(
                keys[want].open(sealed, f"segment/{chart}/0/{number}".encode())
            )
            gone += [(segment.natures[e.nature], e) for e in segment.entries if e.gone]
    (nature, entry) = gone[0]
    assert entry.hex == versions[0].id
    assert (nature.type, nature.codes, nature.sensitivities, nature.confidentiality) == (
        "",
        (),
        (),
        "N",
    )
    assert (entry.start, entry.links, entry.digest) == (None, (), b"")


async def test_labels_do_not_fall_when_the_text_no_longer_gives_them(house: House) -> None:
    """Otherwise a recoded message would open what was closed."""
    states = await house.file(
        house.adt(SHEN, at="2026-02-20T08:00", clinic=PSYCHIATRY),
        house.adt(SHEN, at="2026-02-20T09:00", event="A08"),
        house.adt(SHEN, at="2026-02-20T10:00", event="A08", left="2026-02-20T09:30"),
    )
    assert states == ["filed", "filed", "filed"]
    found = await house.only("Encounter")
    assert (found.version, found.tier) == (3, Tier.RESTRICTED)
    assert "PSY" in found.nature.sensitivities


async def test_the_same_result_first_in_a_closed_clinic_then_in_an_open_one_is_filed(
    house: House,
) -> None:
    """A later version from the laboratory knows nothing of the clinic: it must not wait for ever."""
    states = await house.file(
        house.oru(SHEN, MRN, ("ALT", "1", "F"), clinic=PSYCHIATRY, at="2026-02-20T10:00"),
        house.oru(SHEN, MRN, ("ALT", "2", "C"), at="2026-02-20T12:00", status="C"),
    )
    assert states == ["filed", "filed"]
    found = await house.only("Observation")
    assert (value_of(found), found.tier) == (2, Tier.RESTRICTED)


# The wrong patient


async def test_an_id_under_another_chart_is_held_alarmed_and_the_standing_one_disputed(
    house: House,
) -> None:
    other = person("other", "李玘", date(1996, 4, 18))
    states = await house.file(
        house.oru(SHEN, MRN, ("ALT", "1", "F"), at="2026-02-20T10:00"),
        house.oru(other, "0000000002", ("ALT", "9", "F"), at="2026-02-20T12:00"),
    )
    assert states == ["filed", "quarantined"]
    assert ("hold", "other-chart") in await house.issues()
    assert "other-chart" in await house.alarms()
    (found,) = await house.current("Observation")
    assert (found.chart, value_of(found), found.entry.disputed) == (house.chart(), 1, True)
    await house.file(house.oru(SHEN, MRN, ("ALT", "2", "C"), at="2026-02-20T13:00", status="C"))
    (found,) = await house.current("Observation")
    assert (value_of(found), found.entry.disputed) == (2, True), "until a person decides"


# Who is one with whom


async def persons(house: House, *mrns: str) -> list[str]:
    found = []
    for mrn in mrns:
        chart = house.chart(mrn)
        rows_ = (await house.grounds(chart)).charts
        found.append(next(row.person for row in rows_ if row.id == chart))
    return found


async def test_one_number_and_name_are_one_person_and_a_search_finds_both_charts(
    house: House,
) -> None:
    await house.file(
        house.adt(SHEN, "0000000001"),
        house.oru(SHEN, "0000000002", ("ALT", "1", "F"), report="R2", visit="V2"),
    )
    one, two = await persons(house, "0000000001", "0000000002")
    assert one == two == min(house.chart("0000000001"), house.chart("0000000002"))
    assert len(await charts_of(RESIDENT_ID, SHEN.number, house.services)) == 1


async def test_two_residents_of_one_name_stay_two(house: House) -> None:
    elder = person("elder", "王芳", date(1961, 3, 2))
    younger = person("younger", "王芳", date(1992, 11, 23))
    nobody = person("nobody", "王芳", date(1961, 3, 2), number="")
    await house.file(
        house.adt(elder, "0000000001"),
        house.adt(younger, "0000000002", visit="V2"),
        house.adt(nobody, "0000000003", visit="V3"),
    )
    assert len(set(await persons(house, "0000000001", "0000000002", "0000000003"))) == 3


async def test_a_newborn_under_its_mothers_number_is_not_its_mother(house: House) -> None:
    mother = person("mother", "李玘", date(1996, 4, 18), sex="female")
    child = person("child", "李玘之女", date(2026, 2, 20), number=mother.number, sex="female")
    await house.file(
        house.adt(child, "0000000002", visit="V2"),
        house.adt(mother, "0000000001"),
    )
    one, two = await persons(house, "0000000001", "0000000002")
    assert one != two
    assert await charts_of(RESIDENT_ID, mother.number, house.services) == [one]


async def test_three_charts_become_one_person_in_whatever_order_they_come(house: House) -> None:
    await house.send(*(house.adt(SHEN, f"000000000{n}", visit=f"V{n}") for n in (3, 1, 2)))
    await house.work()
    assert len(set(await persons(house, "0000000001", "0000000002", "0000000003"))) == 1


# Once however often, whole or not at all


class Fails:
    """A transaction that breaks at its nth call."""

    def __init__(self, tx: Any, at: int) -> None:
        self._tx = tx
        self.left = at

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._tx, name)

        def counted(*given: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise LookupError("the process ended here")
            return call(*given)

        return counted


class FailingStore:
    """A store whose transactions break at their nth statement."""

    def __init__(self, store: Any, at: int) -> None:
        self._store = store
        self.at = at
        self.broke = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def do(self, work: Any, *given: Any) -> Any:
        def broken(tx: Any, *more: Any) -> Any:
            return work(Fails(tx, self.at), *more)

        try:
            return await self._store.do(broken, *given)
        except LookupError:
            self.broke = True
            raise


async def test_a_crash_at_any_statement_leaves_nothing_and_filing_again_gives_the_same_end(
    house: House,
) -> None:
    """Four messages: a chart's first, a correction with a raised label, a link, a wrong patient."""
    other = person("other", "李玘", date(1996, 4, 18))
    messages = [
        house.adt(SHEN, at="2026-02-20T08:00"),
        house.adt(SHEN, at="2026-02-20T09:00", event="A08", clinic=PSYCHIATRY),
        house.oru(SHEN, "0000000002", ("ALT", "1", "F"), report="R2", visit="V2"),
        house.oru(other, "0000000003", ("ALT", "9", "F"), report="R2", visit="V2"),
    ]
    breaks = 0
    for raw in messages:
        (receipt,) = await house.send(raw)
        before = await house.state()
        counts = await counted(house)
        for at in range(1_000):
            failing = FailingStore(house.services.db, at)
            broken = replace(house.services, db=failing)  # type: ignore[arg-type]
            try:
                await filing.file_message(receipt.id, broken)
            except LookupError:
                breaks += 1
                if at % 7 == 0:
                    assert await house.state() == before
                assert await counted(house) == counts
                continue
            break
        assert not failing.broke
        assert await filing.file_message(receipt.id, house.services) is None
    assert breaks > 60, "the test did not break anything"
    await house.work()
    ended = await house.state()
    assert len(set(await persons(house, "0000000001", "0000000002"))) == 1

    await house.again()
    assert await house.state() == ended


COUNTED = (
    "record",
    "segment",
    "chart",
    "link",
    "blind_index",
    "relationship",
    "audit_event",
    "alarm",
)


async def counted(house: House) -> list[int]:
    found = []
    for name in COUNTED:
        table = tables.Base.metadata.tables[name]
        statement = Statement(select(func.count()).select_from(table))
        found.append((await house.services.db.read(statement))[0][0])
    return found


async def test_filing_a_whole_county_twice_is_filing_it_once(services: Services) -> None:
    house = House(services, None)  # type: ignore[arg-type]
    for delivery in story.county(date(2026, 2, 20), size=24).messages:
        await receive.receive(
            delivery.source, [receive.Unit(delivery.raw, delivery.control_id)], services
        )
    await Worker(services).drain()
    ended = await house.state()
    versions = len(await house.everything())
    assert len(ended) > 300
    await house.again()
    assert await house.state() == ended
    assert len(await house.everything()) == versions
    assert await services.db.read(inbox.JOBS_WAITING, "file") == [(0,)]


async def test_our_own_fault_sets_a_message_aside_and_not_the_line_behind_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = filing.plan_of

    async def fails(message: Any, *given: Any) -> Any:
        if message.control_id == "BAD":
            raise ZeroDivisionError
        return await prepared(message, *given)

    monkeypatch.setattr(filing, "plan_of", fails)
    await house.send(house.adt(SHEN, control="BAD"), house.adt(SHEN, "0000000002", visit="V2"))
    for _ in range(8):
        await house.work()
        house.clock.forward(600)
    assert len(await house.current("Patient")) == 1
    assert "gateway-fault" in await house.alarms()
    assert await house.services.db.read(inbox.JOBS_WAITING, "file") == [(0,)]


async def test_setting_aside_what_has_been_filed_meanwhile_changes_nothing(house: House) -> None:
    (receipt,) = await house.send(house.adt(SHEN))
    await house.work()
    await upkeep.set_aside(receipt.id, house.services)
    assert inbox.RawRow(*(await house.services.db.read(inbox.RAW, receipt.id))[0]).state == "filed"


# Merging segments


async def test_merging_segments_changes_nothing_that_can_be_seen(house: House) -> None:
    await house.file(house.adt(SHEN, at="2026-02-20T08:00"))
    for n in range(12):
        hour = f"2026-02-20T{10 + n}:00"
        await house.file(house.oru(SHEN, MRN, ("ALT", str(n), "F"), report=f"R{n % 5}", at=hour))
    await house.file(house.adt(SHEN, at="2026-02-21T09:00", event="A08", clinic=PSYCHIATRY))
    await house.file(
        house.adt(
            SHEN, at="2026-02-21T10:00", event="A08", clinic=PSYCHIATRY, left="2026-02-21T09:59"
        )
    )

    async def seen() -> Any:
        found = []
        for kind in ("Observation", "DiagnosticReport", "Encounter", "Provenance"):
            page = await house.search(kind, clinician(), ("_count", "200"))
            found.append(
                [
                    (one.match.pair[0], replaced(one.match.pair[1], nature=0), one.text)
                    for one in page.records
                ]
            )
        return found

    await seen()  # the visit is protected by now, and so is what was found on it
    for n in range(12):
        hour = f"2026-02-22T{10 + n}:00"
        await house.file(
            house.oru(SHEN, MRN, ("ALT", str(n), "F"), report=f"S{n % 5}", visit="V2", at=hour)
        )
    before = await seen()
    segments = len(await house.services.db.read(SEGMENTS))
    for hours in (0, 2, 2):
        house.clock.at += hours * HOUR
        await upkeep.merge_segments(house.services)
        assert await seen() == before
    assert len(await house.services.db.read(SEGMENTS)) < segments


async def test_a_standing_entry_stays_for_an_hour_after_it_was_superseded(house: House) -> None:
    """A page link made before the new version still finds the old one, however old that is."""
    await house.file(house.adt(SHEN, at="2026-02-20T08:00"))
    for n in range(10):
        await house.file(house.oru(SHEN, MRN, ("ALT", str(n), "F"), report=f"R{n}"))
    house.clock.forward(24 * 3600)
    query = house.query("Observation", ("_count", "4"), ("_sort", "_id"))
    page = await ask.search(query, clinician(), house.services)
    seen = [one.id for one in page.records]
    for n in range(10):
        await house.file(
            house.oru(
                SHEN, MRN, ("ALT", f"1{n}", "C"), report=f"R{n}", at="2026-02-21T10:00", status="C"
            )
        )
    assert await upkeep.merge_segments(house.services)
    while page.next:
        cursor = await ask.more(page.next, clinician(), house.services)
        page = await ask.search(query, clinician(), house.services, "Observation", cursor)
        seen += [one.id for one in page.records]
    assert len(seen) == len(set(seen)) == 10


async def test_a_chart_that_grows_keeps_its_sequence_numbers(house: House) -> None:
    await house.file(house.adt(SHEN))
    await house.file(
        *(house.oru(SHEN, MRN, ("ALT", str(n), "F"), report=f"R{n}") for n in range(3))
    )
    found = sorted(one.entry.seq for one in await house.everything())
    assert len(set(found)) == len(found)
    row = (await house.grounds(house.chart())).charts[0]
    assert row.seq >= max(found)
    assert rows.bucket_of(row.id) < 256
