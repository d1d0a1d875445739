"""What an auditor learns of a decision's evidence over a real county: whole or not, and nothing it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlmodel import Session

from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import proving
from gateway.exchange.inspecting import Inspected
from gateway.exchange.revoking import revoke
from gateway.exchange.sequence import sequence
from gateway.portal.stories import AccessFilter
from gateway.services import Services
from tests.gateway.exchange.portal_county import AUDITOR, LI, OFFICE, Town, town
from tests.gateway.exchange.test_proving import ALT, ON_SQLITE, decided

ATTACKS = {
    "DELETE FROM decision_evidence": "gone",
    "UPDATE decision_evidence SET standing = 0": "changed",
    "UPDATE decision_evidence SET at = at + 1": "changed",
    "UPDATE decision_evidence SET target = 'x'": "changed",
    "UPDATE decision_evidence SET login = 'dr-boss'": "altered",
    "UPDATE decision_evidence SET sealed = substr(sealed, 1, length(sealed) - 1)": "altered",
    "DELETE FROM audit_event WHERE kind = 'vouched'": "added",
}


@pytest.fixture
async def here(services: Services) -> Town:
    found = await town(services, "shen")
    await found.sign("shen")
    return found


async def entry(here: Town) -> int:
    """The place in the log of the decision that was made last."""
    await done(here, "UPDATE lease SET until = 0")  # the worker that filed has gone
    assert await sequence(here.services, "test")
    found = await here.portal.accesses(AccessFilter(kind="recognition-decision"), AUDITOR)
    number = found.rows[0].number
    assert number is not None
    return number


async def done(here: Town, *statements: str) -> None:
    def work(session: Session) -> None:
        for one in statements:
            session.execute(text(one))

    await here.services.db.session(work)


async def test_an_auditor_learns_versions_hash_and_standing_and_nothing_it_says(here: Town) -> None:
    task = await decided(here)
    number = await entry(here)

    found = await here.portal.inspect(number, AUDITOR)

    [proof] = (await proving.proofs(task, LI, here.services)).found
    assert found == Inspected(
        number, found.at, here.services.register.get(LI.organization).zh, LI.name,
        proof.bundle.id, proof.bundle.rules, proof.bundle.catalogue, proof.bundle.register,
        proof.fingerprint, "whole", True,
    )  # fmt: skip
    assert all((found.rules, found.catalogue, found.register))
    shown = proof.bundle.shown
    for secret in (ALT, shown.value, shown.report, here.resident("shen").name, proof.bundle.target):
        assert secret not in repr(found)
    last = await here.portal.accesses(AccessFilter(kind="recognition-evidence"), AUDITOR)
    assert AUDITOR.name in {row.actor for row in last.rows}

    await revoke(task, "选错了", LI, here.services)
    found = await here.portal.inspect(number, AUDITOR)
    assert (found.verdict, found.standing) == ("whole", False)
    await done(here, "UPDATE decision_evidence SET standing = 1")
    found = await here.portal.inspect(number, AUDITOR)
    assert (found.verdict, found.standing) == ("changed", None), "the old row was put back"


@ON_SQLITE
@pytest.mark.parametrize("attack", ATTACKS)
async def test_evidence_that_was_altered_says_so(here: Town, attack: str) -> None:
    await decided(here)
    number = await entry(here)
    await done(here, attack)
    found = await here.portal.inspect(number, AUDITOR)
    assert (found.verdict, found.standing) == (ATTACKS[attack], None)


@ON_SQLITE
async def test_evidence_put_in_the_place_of_anothers_says_so(here: Town) -> None:
    await decided(here)
    number = await entry(here)
    await done(here, "UPDATE decision_evidence SET id = 'moved'")
    assert (await here.portal.inspect(number, AUDITOR)).verdict == "gone"


@ON_SQLITE
async def test_another_hospitals_auditor_and_another_role_learn_nothing(here: Town) -> None:
    await decided(here)
    number = await entry(here)
    for place, caller in (
        (number, replace(AUDITOR, organization="people")),
        (number - 1, AUDITOR),
        (10**6, AUDITOR),
        (2**63, AUDITOR),
    ):
        with pytest.raises(Problem) as told:
            await here.portal.inspect(place, caller)
        assert told.value.kind is Trouble.UNKNOWN
    with pytest.raises(Problem) as told:
        await here.portal.inspect(number, OFFICE)
    assert told.value.kind is Trouble.REFUSED
    own = await here.portal.inspect(number, replace(AUDITOR, organization=LI.organization))
    assert own.verdict == "whole"
