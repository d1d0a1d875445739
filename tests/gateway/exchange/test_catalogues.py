"""The catalogue and the register over real stores: founded once, followed by every process, nothing taken back."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, update

from gateway.errors import Kind, Problem
from gateway.services import Services, open_services
from gateway.settings import Settings
from gateway.store import recognition_tables as tables
from gateway.store.statements import Statement

VERSION: Any = tables.CatalogueVersion.__table__  # type: ignore[attr-defined]
EVENT: Any = tables.EntitlementEvent.__table__  # type: ignore[attr-defined]


async def run(services: Services, clause: Any) -> None:
    await services.db.do(lambda tx: tx.run(Statement(clause)))


# Founding


async def test_a_county_begins_with_the_shipped_list_and_its_own_files(
    services: Services, settings: Settings
) -> None:
    from gateway.services import founding_catalogue

    files, held = founding_catalogue(settings), services.catalogue

    assert held.version == files.version
    assert (held.items, held.scopes) == (files.items, files.scopes)
    assert {(one.organization, one.scope, one.valid) for one in held.members} == {
        (one.organization, one.scope, one.valid) for one in files.members
    }
    assert {
        (one.organization, one.item, one.group, one.status, one.valid, one.evidence, one.decided_by)
        for one in held.entitled
    } == {
        (one.organization, one.item, one.group, one.status, one.valid, one.evidence, one.decided_by)
        for one in files.entitled
    }
    assert int(held.register) == services.catalogues.event > len(files.entitled)
    again = await open_services(settings)
    try:
        assert again.catalogue.version == held.version
        assert again.catalogues.event == services.catalogues.event
        assert await again.catalogues.of(held.version, held.register) is again.catalogue
    finally:
        await again.close()


@pytest.mark.parametrize(
    ("clause", "words"),
    [
        (update(VERSION).values(content=b"{}"), "altered after it was signed"),
        (update(VERSION).values(since=1), "altered after it was signed"),
        (update(VERSION).values(state="draft"), "not in the records"),
        (delete(VERSION), "not in the records"),
        (update(EVENT).where(EVENT.c.number == 3).values(reason="better"), "Step 3"),
        (update(EVENT).where(EVENT.c.number == 2).values(organization="tcm"), "Step 2"),
        (delete(EVENT).where(EVENT.c.number == 4), "Step 5"),
        (delete(EVENT).where(EVENT.c.number > 20), "is lost"),
        (delete(EVENT), "is lost"),
    ],
)
async def test_a_row_that_was_altered_or_taken_away_stops_the_start_and_is_named(
    services: Services, settings: Settings, clause: Any, words: str
) -> None:
    await run(services, clause)

    with pytest.raises(Problem) as caught:
        await open_services(settings)

    assert caught.value.kind is Kind.BUSY
    assert words in caught.value.text
