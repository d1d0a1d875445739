"""A stored record explained: the message, field, rule and release of each element, and who may ask."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.errors import Kind, Problem
from gateway.exchange import tracing
from gateway.store import log_tables
from gateway.store.statements import Statement
from tests.gateway.exchange.house import House, person
from tests.gateway.exchange.map_office import AUTHORITY, LI, ZHOU, Office, office

BY_HAND = '"method" = "\'by hand\' | codeable_text"'


@pytest.fixture
def here(house: House, tmp_path: Path) -> Office:
    return office(house, tmp_path / "sites")


async def events(here: Office) -> Counter[tuple[str, str, str]]:
    table = log_tables.AuditEvent.__table__  # type: ignore[attr-defined]
    found = await here.services.db.read(
        Statement(select(table.c.kind, table.c.actor, table.c.charts))
    )
    return Counter((row[0], row[1], row[2]) for row in found)


async def test_a_result_is_told_with_its_field_its_rule_and_its_release(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    record = await here.house.only("Observation")

    traced = await tracing.trace(record.id, "valueQuantity", LI, here.services)

    ((origin, element),) = [one for one in traced.elements if not one[1].offered]
    assert (traced.type, traced.version, traced.untold) == ("Observation", 1, ())
    assert element.line.startswith("base/oru_r01.toml:")
    assert (element.sources[0].place, element.sources[0].text) == ("OBX[1]-5 (line 5)", "62.40")
    assert [step.function for step in element.steps] == ["lab_value"]
    running = await here.services.maps.in_force("people")
    assert (origin.release, origin.hash) == (running.number, running.map.release)
    assert origin.source == "people-his"


async def test_each_element_of_a_patched_record_is_told_by_the_message_that_said_it(here: Office):
    """The A08 says nothing of the telephone, and changes the name."""
    first = here.house.adt(person())
    second = here.house.adt(person(name="王玘"), event="A08", at="2026-02-21T08:00")
    lines = second.split(b"\r")
    (at,) = (n for n, line in enumerate(lines) if line.startswith(b"PID"))
    fields = lines[at].split(b"|")
    assert fields[13]
    fields[13] = b""
    lines[at] = b"|".join(fields)
    await here.house.file(first, b"\r".join(lines))
    record = await here.house.only("Patient")
    assert (record.version, record.plain["name"][0]["text"]) == (2, "王玘")
    assert record.plain["telecom"]

    traced = await tracing.trace(record.id, "", LI, here.services)

    versions = {element.path.partition("[")[0]: o.version for o, element in traced.elements}
    assert (versions["name"], versions["telecom"]) == (2, 1)
    assert traced.untold == ()


async def test_a_remapped_record_names_the_release_of_each_version(here: Office):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    record = await here.house.only("Observation")
    first = await here.in_force()
    here.add_rule("Observation", BY_HAND)
    second = await here.release()
    await here.replay()

    new = await tracing.trace(record.id, "method", LI, here.services)
    old = await tracing.trace(record.id, "status", LI, here.services, version=1)
    none = await tracing.trace(record.id, "method", LI, here.services, version=1)

    assert [(o.release, e.value) for o, e in new.elements] == [(second, '{"text":"by hand"}')]
    assert {o.release for o, _ in old.elements} == {first}
    assert (none.elements, [one.why for one in none.silent]) == ((), ["empty"])


async def test_the_event_names_the_chart_before_anything_is_opened(
    here: Office, monkeypatch: pytest.MonkeyPatch
):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    record = await here.house.only("Observation")
    seen: list[Any] = []
    opened = type(here.services.vault).open_raw
    before = await events(here)

    async def watched(*given: Any) -> bytes:
        seen.append(await events(here) - before)
        return await opened(*given)

    monkeypatch.setattr(type(here.services.vault), "open_raw", watched)
    await tracing.trace(record.id, "", LI, here.services)

    told = Counter({("read", "li", here.services.log.tag(record.chart)): 1})
    assert seen[0] == told


@pytest.mark.parametrize(
    ("who", "kind"),
    [
        (ZHOU, Kind.UNKNOWN),
        (AUTHORITY, Kind.UNKNOWN),
        (replace(LI, role="clinician"), Kind.REFUSED),
        (replace(LI, role="auditor"), Kind.REFUSED),
        (replace(LI, user=""), Kind.REFUSED),
    ],
)
async def test_only_the_it_office_of_the_sender_is_told(here: Office, who: Any, kind: Kind):
    await here.house.file(here.house.adt(person()), here.house.oru(person()))
    record = await here.house.only("Observation")
    before = await events(here)

    with pytest.raises(Problem) as caught:
        await tracing.trace(record.id, "", who, here.services)

    assert caught.value.kind is kind
    assert await events(here) == before


async def test_what_is_not_there_is_unknown(here: Office):
    await here.house.file(here.house.adt(person()))
    record = await here.house.only("Patient")

    for id, version in (("0" * 32, 0), (record.id, 9)):
        with pytest.raises(Problem) as caught:
            await tracing.trace(id, "", LI, here.services, version=version)
        assert caught.value.kind is Kind.UNKNOWN


async def test_a_record_whose_messages_were_destroyed_is_unknown(here: Office):
    await here.house.file(here.house.adt(person()))
    record = await here.house.only("Patient")
    await here.services.vault.shred(record.chart)

    with pytest.raises(Problem) as caught:
        await tracing.trace(record.id, "", LI, here.services)
    assert caught.value.kind is Kind.UNKNOWN
