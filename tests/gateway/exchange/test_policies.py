"""The county's policy over real stores: two persons change it, nobody brings an older one back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from consent import policy as policy_files
from consent.difference import Effect
from consent.model import Tier
from gateway.errors import Kind, Problem
from gateway.exchange import ask, policies
from gateway.jobs.worker import Worker
from gateway.portal.county import stories
from gateway.portal.policy_stories import PolicyView
from gateway.services import Services, open_services
from gateway.services.caller import OPERATOR, Caller
from gateway.services.log import AccessLog
from gateway.services.versions import Signed
from gateway.settings import Settings
from gateway.store import tables
from gateway.store.statements import Statement
from tests.gateway.exchange.house import House, clinician
from tests.gateway.exchange.test_ask import LI, claim, filled, interrupted

VERSION: Any = tables.PolicyVersion.__table__  # type: ignore[attr-defined]
KEPT: Any = tables.WrappedKey.__table__  # type: ignore[attr-defined]
OPT_OUT = policy_files.preset("opt-out")
OPT_IN = policy_files.preset("cn-optin")


def officer(user: str, organization: str = "county", role: str = "privacy") -> Caller:
    return Caller(client="portal", organization=organization, role=role, user=user, name=user)


LIN, HE = officer("p-lin"), officer("p-he", "people")


async def told(work: Awaitable[Any]) -> Kind:
    with pytest.raises(Problem) as caught:
        await work
    return caught.value.kind


async def put_in_force(services: Services, text: bytes, by: Caller = LIN, and_: Caller = HE) -> int:
    number = await policies.propose(text, "why", by, services)
    row = await policies.named(number, services)
    await policies.approve(number, "right", and_, services, seen=row.hash)
    return number


def kept(version: str, text: bytes = OPT_OUT) -> bytes:
    """A policy of its own, told apart by a comment."""
    return text + f"\n# {version}\n".encode()


async def states(services: Services) -> list[str]:
    return [row.state for row in await policies.versions(services)]


# Founding and changing


async def test_a_county_begins_with_the_shipped_preset_and_says_who_took_it_up(
    services: Services,
) -> None:
    (row,) = await policies.versions(services)
    checked = await policies.verify(services)

    assert (row.number, row.state, row.proposed_by, row.decided_by) == (
        1, "in-force", "operator", "",
    )  # fmt: skip
    assert bytes(row.text) == OPT_IN
    assert services.policy.name == "cn-optin"
    assert checked.findings == ()
    assert [one.founding for one in checked.charters] == [True]


async def test_what_two_persons_agree_to_is_in_force_in_a_process_that_was_running(
    services: Services, settings: Settings
) -> None:
    other = await open_services(settings)
    try:
        before = other.policy
        number = await policies.propose(OPT_OUT, "the council decided", LIN, services)
        assert (await other.policies.current()) is before
        row = await policies.named(number, services)
        assert policies.told(row) == await policies.changes(row, services)
        assert any(one.effect is Effect.OPENS for one in policies.told(row))

        await policies.approve(number, "as decided", HE, services, seen=row.hash)

        assert services.policy.default(Tier.GENERAL, "TREAT") == "permit"
        assert await Worker(other).look_at_policy() == 0
        assert other.policy.name == "opt-out"
        assert await states(services) == ["retired", "in-force"]
        checked = await policies.verify(services)
        assert checked.findings == ()
        first, second = checked.charters
        assert second.previous == first.digest()
        assert (second.proposed_by, second.approved_by) == ("p-lin", "p-he")
        assert second.since > first.since
    finally:
        await other.close()


async def test_who_may_propose_and_who_may_approve(services: Services) -> None:
    for by in (officer("x", role="it"), officer("x", role="clinician"), officer(""), OPERATOR):
        assert await told(policies.propose(OPT_OUT, "why", by, services)) is Kind.REFUSED
    assert await told(policies.propose(OPT_OUT, "  ", LIN, services)) is Kind.REQUIRED
    number = await policies.propose(OPT_OUT, "why", HE, services)
    seen = (await policies.named(number, services)).hash

    def approve(by: Caller, reason: str = "right", seen: str = seen) -> Awaitable[None]:
        return policies.approve(number, reason, by, services, seen=seen)

    assert await told(approve(HE)) is Kind.REFUSED
    assert await told(approve(officer("p-wu", "tcm"))) is Kind.REFUSED, "nobody of the authority"
    assert await told(approve(officer("it-2", role="it"))) is Kind.REFUSED
    assert await told(approve(officer("op", role="operator"))) is Kind.REFUSED
    assert await told(approve(LIN, reason=" ")) is Kind.REQUIRED
    assert await told(approve(LIN, seen="0" * 64)) is Kind.CONFLICT
    assert await told(policies.approve(99, "x", LIN, services, seen=seen)) is Kind.UNKNOWN
    assert await states(services) == ["in-force", "proposed"]
    await approve(LIN)
    assert await told(approve(LIN)) is Kind.CONFLICT


async def test_of_two_who_approve_at_once_one_puts_it_in_force(services: Services) -> None:
    number = await policies.propose(OPT_OUT, "why", HE, services)
    seen = (await policies.named(number, services)).hash
    both = (LIN, officer("p-xu"))

    answers = await asyncio.gather(
        *(policies.approve(number, "right", by, services, seen=seen) for by in both),
        return_exceptions=True,
    )

    assert sorted(type(one) for one in answers if one) == [Problem]
    assert (await policies.verify(services)).findings == ()


async def test_a_proposal_made_before_another_came_in_force_is_made_again(
    services: Services,
) -> None:
    early = await policies.propose(kept("a"), "why", LIN, services)
    late = await policies.propose(kept("b"), "why", LIN, services)
    assert await told(policies.propose(kept("b"), "again", HE, services)) is Kind.CONFLICT
    seen = {n: (await policies.named(n, services)).hash for n in (early, late)}
    await policies.approve(late, "right", HE, services, seen=seen[late])

    again = policies.approve(early, "right", HE, services, seen=seen[early])
    assert await told(again) is Kind.CONFLICT
    await policies.refuse(early, "out of date", LIN, services)
    assert await told(policies.refuse(early, "again", LIN, services)) is Kind.CONFLICT
    assert await states(services) == ["retired", "refused", "in-force"]
    # Back to the first one: its text again, as a version of its own.
    number = await put_in_force(services, OPT_IN)
    assert number == 4
    assert services.policy.name == "cn-optin"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"name =", Kind.UNPROCESSABLE),
        (OPT_OUT.replace(b'"county"]', b'"nowhere"]', 1), Kind.UNPROCESSABLE),
        (OPT_OUT + b"#" * policies.LARGEST, Kind.TOO_LARGE),
        (OPT_IN, Kind.CONFLICT),
    ],
)
async def test_a_file_that_cannot_be_meant_is_not_proposed(
    services: Services, text: bytes, kind: Kind
) -> None:
    assert await told(policies.propose(text, "why", LIN, services)) is kind
    assert await states(services) == ["in-force"]


# The page


async def test_the_page_tells_who_proposed_what_it_changes_and_who_may_approve(
    services: Services,
) -> None:
    portal = stories(services)
    await portal.propose_policy(OPT_OUT, "as decided", HE)

    def first(shown: PolicyView) -> tuple[bool, bool]:
        return shown.versions[0].mine, shown.versions[0].may

    for by, mine, may in (
        (HE, True, False),
        (LIN, False, True),
        (officer("p-wu", "tcm"), False, False),
    ):
        assert first(await portal.policy(by)) == (mine, may), by.user
    shown = await portal.policy(LIN)
    proposal, founding = shown.versions
    assert any(one.effect is Effect.OPENS for one in proposal.changes)
    assert (founding.founding, founding.proposed_by, founding.decided_by) == (True, "operator", "")
    assert await portal.policy_file(LIN) == OPT_IN
    for refused in (portal.policy(officer("x", role="it")), portal.policy_file(LI)):
        assert await told(refused) is Kind.REFUSED

    await portal.approve_policy(2, proposal.seen, "right", LIN)

    assert (await portal.policy(HE)).name == "opt-out"
    assert await portal.policy_file(HE) == OPT_OUT
    await portal.propose_policy(OPT_IN, "back", LIN)
    await portal.refuse_policy(3, "not yet", HE)
    assert (await portal.policy(HE)).versions[0].reason == "not yet"


# In the middle of a request


async def test_a_change_between_decision_and_leaf_sends_the_request_back(house: House) -> None:
    await filled(house, 1)
    await claim(house)
    await put_in_force(house.services, OPT_OUT)
    assert (await house.search("Observation", LI)).total > 0

    async def change() -> None:
        await put_in_force(house.services, OPT_IN)

    services = interrupted(house, change)
    page = await ask.search(house.query("Observation"), LI, services)

    assert (page.total, page.records) == (0, ())
    assert services.vault.asked == [], "no record was opened under the policy that had gone"


async def test_a_running_process_changes_over_between_two_requests(
    house: House, settings: Settings
) -> None:
    """Under each preset: what nobody signed is closed by the one and open by the other."""
    await filled(house, 1)
    await claim(house)
    opened = await open_services(settings)
    log = AccessLog(opened.db, opened.vault, "second", house.clock)
    other = replace(opened, now=house.clock, log=log)
    try:

        async def seen() -> int:
            return (await ask.search(house.query("Observation"), LI, other)).total

        assert await seen() == 0
        await put_in_force(house.services, OPT_OUT)
        assert await seen() > 0
        stranger = clinician("dr-x", "mch")
        refused = ask.search(house.query("Observation"), stranger, other)
        assert await told(refused) is Kind.REFUSED
        await put_in_force(house.services, OPT_IN)
        assert await seen() == 0
    finally:
        await opened.close()


async def test_a_consent_is_read_by_the_policy_in_force_not_by_the_one_at_hand(
    house: House, settings: Settings
) -> None:
    await filled(house, 1)
    opened = await open_services(settings)
    log = AccessLog(opened.db, opened.vault, "second", house.clock)
    other = House(replace(opened, now=house.clock, log=log), house.clock)
    ahead = "2026-03-06T10:00:00+08:00"  # five days ahead of the clock
    try:
        assert await told(other.sign(at=ahead)) is Kind.UNPROCESSABLE
        lenient = OPT_IN.replace(b'clock_skew = "5m"', b'clock_skew = "30d"')
        await put_in_force(house.services, lenient)
        assert (await other.sign(at=ahead)).id
    finally:
        await opened.close()


# Tampering


def rewrite(table: Any, where: Any = None, **values: Any) -> Callable[[Services], Awaitable[None]]:
    """Somebody at the database alters rows; without values they are gone."""
    work = update(table).values(**values) if values else delete(table)
    statement = Statement(work if where is None else work.where(where))

    async def act(services: Services) -> None:
        db = services.keyring if table is KEPT else services.db
        await db.do(lambda tx: tx.run(statement))

    return act


def both(*acts: Callable[[Services], Awaitable[None]]) -> Callable[[Services], Awaitable[None]]:
    async def act(services: Services) -> None:
        for one in acts:
            await one(services)

    return act


async def signatures_swapped(services: Services) -> None:
    one, two = (await policies.versions(services))[:2]
    await rewrite(VERSION, VERSION.c.number == 1, signature=bytes(two.signature))(services)
    await rewrite(VERSION, VERSION.c.number == 2, signature=bytes(one.signature))(services)


TWO, ONE = VERSION.c.number == 2, VERSION.c.number == 1
COPY = (KEPT.c.name == "policy") & (KEPT.c.generation == 2)
RECOVERABLE = {
    "the keyring's copy": rewrite(KEPT, COPY, wrapped=b"\xc1"),
    "a byte of the text": rewrite(VERSION, TWO, text=OPT_OUT.replace(b'"permit"', b'"permut"', 1)),
    "a text that reads": rewrite(VERSION, TWO, text=OPT_OUT.replace(b"3 ", b"9 ", 1)),
    "the row gone": rewrite(VERSION, TWO),
    "every row gone": rewrite(VERSION),
    "the older one again": both(
        rewrite(VERSION, TWO), rewrite(VERSION, ONE, state="in-force", until=0)
    ),
    "the older one beside it": rewrite(VERSION, ONE, state="in-force"),
    "another state": rewrite(VERSION, TWO, state="retired"),
    "signatures swapped": signatures_swapped,
    "no signature": rewrite(VERSION, TWO, signature=b""),
    "another who approved": rewrite(VERSION, TWO, decided_by="p-lin"),
    "another hash": rewrite(VERSION, TWO, hash="00"),
    "a proposal put in force": rewrite(VERSION, VERSION.c.number == 3, state="in-force"),
}


@pytest.fixture
async def changed(services: Services) -> Services:
    """Version 2 is in force, version 3 is proposed."""
    await put_in_force(services, OPT_OUT)
    await policies.propose(kept("three"), "why", LIN, services)
    return services


@pytest.mark.parametrize("how", RECOVERABLE)
async def test_records_altered_alone_stop_the_start_and_every_decision(
    changed: Services, settings: Settings, how: str
) -> None:
    await RECOVERABLE[how](changed)

    with pytest.raises(Problem, match="policy recover") as stopped:
        await open_services(settings)
    assert stopped.value.kind is Kind.BUSY
    if how in ("the older one again", "the row gone", "every row gone", "a proposal put in force"):
        assert await told(changed.policies.current()) is Kind.BUSY, "the running process notices"
    assert (await policies.verify(changed)).findings
    seen = sha256(kept("three")).hexdigest()
    with pytest.raises(Problem):
        await policies.approve(3, "right", HE, changed, seen=seen)

    looking = await open_services(settings, policy=False)
    assert await policies.recover(OPERATOR, looking) == (1, 2)
    await looking.close()

    again = await open_services(settings)
    assert again.policy.name == "opt-out"
    assert (await policies.verify(again)).findings == ()
    await again.close()


HOPELESS = {
    "the copy altered and the row gone": both(
        rewrite(KEPT, COPY, wrapped=b"\xc1"), rewrite(VERSION, TWO)
    ),
    "text and copy altered": both(
        rewrite(VERSION, TWO, text=kept("x")),
        rewrite(KEPT, COPY),
    ),
    "both gone, known by the log alone": both(rewrite(VERSION, TWO), rewrite(KEPT, COPY)),
    "the signing key": rewrite(KEPT, KEPT.c.name == "county/policy"),
}


@pytest.mark.parametrize("how", HOPELESS)
async def test_what_only_backups_cure_is_said_so(
    changed: Services, settings: Settings, how: str
) -> None:
    await HOPELESS[how](changed)

    with pytest.raises(Problem, match="policy recover"):
        await open_services(settings)
    looking = await open_services(settings, policy=False)
    with pytest.raises(Problem, match="restore the records and the keyring"):
        await policies.recover(OPERATOR, looking)
    await looking.close()


async def test_a_version_taken_out_of_both_databases_is_told_by_the_access_log(
    changed: Services,
) -> None:
    await both(
        RECOVERABLE["the older one again"],
        rewrite(KEPT, COPY),
    )(changed)

    (finding,) = (await policies.verify(changed)).findings

    assert "access log tells that policy 2" in finding


async def test_a_proposal_altered_in_the_records_is_not_approved_in_its_authors_name(
    changed: Services,
) -> None:
    other = kept("another text", OPT_IN)
    digest = sha256(other).hexdigest()
    await rewrite(VERSION, VERSION.c.number == 3, text=other, hash=digest)(changed)

    approving = policies.approve(3, "right", HE, changed, seen=digest)

    assert await told(approving) is Kind.CONFLICT
    assert changed.policy.name == "opt-out"


async def test_a_process_that_died_before_the_copy_was_kept_is_made_good(
    changed: Services, settings: Settings
) -> None:
    await rewrite(KEPT, COPY)(changed)

    again = await open_services(settings)
    line = await again.policies.line()
    await again.close()

    assert line.lacking == frozenset()
    assert line.signed[2] == Signed(line.signed[2].note, OPT_OUT)


async def test_a_forged_row_that_follows_the_newest_is_refused(
    changed: Services, settings: Settings
) -> None:
    """Who can write the databases but does not hold the key makes a version of their own."""
    row = (await policies.versions(changed))[1]
    await rewrite(VERSION, TWO, state="retired")(changed)
    forged = row._asdict() | {"number": 9, "text": OPT_IN, "hash": "0" * 64}
    await changed.db.do(lambda tx: tx.run(Statement(insert(VERSION).values(**forged))))

    with pytest.raises(Problem, match="nobody signed it"):
        await open_services(settings)


@pytest.mark.parametrize(
    ("preset", "starts"), [("", True), ("cn-optin", True), ("opt-out", True), ("other", False)]
)
async def test_the_setting_is_what_the_county_was_founded_with_or_has_now(
    changed: Services, settings: Settings, preset: str, starts: bool
) -> None:
    wanted = replace(settings, policy=preset)  # type: ignore[arg-type]
    if starts:
        await (await open_services(wanted)).close()
        return
    with pytest.raises(Problem, match=r"GATEWAY_POLICY is other.*policy propose"):
        await open_services(wanted)
