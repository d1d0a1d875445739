"""Attacks by who may write to the database: what opens a record must be seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from gateway.audit.verify import Fault
from gateway.demo import check
from gateway.exchange.verification import verify_log

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def rows(road) -> Iterator[sqlite3.Connection]:
    """The records database as its operator has it; put back as it was afterwards."""
    database = sqlite3.connect(road.services.settings.data / "records.sqlite", timeout=20)
    kept = {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
    yield database
    for name, was in kept.items():
        database.execute(f"DELETE FROM {name}")
        marks = ",".join("?" * len(was[0]))
        database.executemany(f"INSERT INTO {name} VALUES ({marks})", was)
    database.commit()
    database.close()


TABLES = ("relationship", "directive")


async def test_evidence_of_one_hospitals_visit_is_not_anothers(road, rows):
    browser = await road.browser("dr-zhou")
    page = await check._open(browser, road.shen.number, claim=False)
    assert page.path.endswith("/claim")

    rows.execute("UPDATE relationship SET organization = 'township', kind = 'encounter'")
    rows.commit()

    page = await check._open(browser, road.shen.number, claim=False)
    assert page.path.endswith("/claim")


@pytest.mark.parametrize(
    ("done", "fault"),
    [
        ("DELETE FROM directive", Fault.MISSING),
        ("UPDATE directive SET active = 1 - active", Fault.CHANGED),
        ("UPDATE directive SET version = version - 1", Fault.CHANGED),
    ],
)
async def test_a_consent_taken_away_or_put_back_is_found(road, rows, done, fault):
    assert Fault.MISSING not in (await verify_log(road.services)).counts
    assert (await verify_log(road.services)).ok

    rows.execute(done)
    rows.commit()

    report = await verify_log(road.services)
    assert not report.ok
    assert fault in report.counts
