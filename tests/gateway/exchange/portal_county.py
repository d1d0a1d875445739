"""A few residents of the pretend county, filed for real, and the people who ask about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from sqlmodel import Session

from gateway.demo import story
from gateway.demo.residents import Resident as Invented
from gateway.demo.residents import resident_number
from gateway.exchange import receive
from gateway.jobs.worker import Worker
from gateway.portal.county import stories
from gateway.portal.stories import (
    ConsentChoice,
    Evidence,
    Identifier,
    Report,
    Resident,
    Result,
    Results,
    Stories,
)
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import accounts
from gateway.store import oversight as listed

SCAN = b"%PDF-1.4 a signed form"
REASON = "急诊抢救室接诊，尚未建档"
STRANGER = resident_number("330421", date(1950, 2, 3))  # valid, nobody's


def caller(login: str) -> Caller:
    """A demo account as the portal's session makes it."""
    one = next(account for account in story.ACCOUNTS if account.login == login)
    return Caller(
        client="portal",
        organization=one.organization,
        role=one.role,
        user=one.login,
        name=one.name,
        purpose="TREAT" if one.role == "clinician" else "",
        session="0123456789abcdef",
        address="127.0.0.1",
    )


WANG, LI, CHEN, ZHOU = map(caller, ("dr-wang", "dr-li", "dr-chen", "dr-zhou"))
REGISTRAR, AUDITOR, OFFICE = map(caller, ("registrar", "auditor", "it-office"))
COLLEAGUE = caller("it-second")


@dataclass
class Town:
    """Some residents with everything sent about them, and the portal over it."""

    services: Services
    pretend: story.County
    portal: Stories

    def resident(self, key: str) -> Invented:
        return self.pretend.resident(key)

    def number(self, key: str) -> Identifier:
        return Identifier("resident-id", self.resident(key).number)

    async def sign(self, key: str, kind: Any = "share", **more: Any) -> str:
        """Record a form at the desk; signed a month ago unless it says else."""
        given = {"signed": self.pretend.today.replace(day=1), "witness": "周立"} | more
        choice = ConsentChoice(kind=kind, **given)
        evidence = Evidence("application/pdf", SCAN)
        return await self.portal.record_consent(self.number(key), choice, evidence, REGISTRAR)

    async def open(self, key: str, who: Caller, claim: str | None = None) -> Resident:
        found = await self.portal.open_resident(self.number(key), who, claim)
        assert isinstance(found, Resident), found
        return found

    async def results(self, key: str, who: Caller, claim: str | None = REASON) -> Results:
        """Open (claiming where needed) and read."""
        found = await self.portal.open_resident(self.number(key), who, claim)
        assert isinstance(found, Resident), found
        shown = await self.portal.results(found.chart, who)
        assert isinstance(shown, Results), shown
        return shown

    async def events(self) -> Counter[str]:
        """How many events of each kind there are."""
        found = await self.services.db.session(listed.events, listed.Narrow(), 0, 100_000)
        return Counter(row.kind for row in found.rows)

    async def last_event(self, kind: str) -> listed.EventRow:
        found = await self.services.db.session(listed.events, listed.Narrow(kind=kind), 0, 1)
        return found.rows[0]


async def town(services: Services, *keys: str, rows: bool = True) -> Town:
    """Everything that is sent about these residents, filed; rows tell of others too."""
    today = moment(services.now(), services.settings.zone).date()
    pretend = story.county(today, size=30)
    numbers = [pretend.resident(key).number.encode() for key in keys]
    for delivery in pretend.messages:
        of_many = delivery.source in {"tcm-lis", "township-csv", "people-pacs"}
        if rows if of_many else any(number in delivery.raw for number in numbers):
            await receive.receive(delivery.source, [receive.Unit(delivery.raw)], services)
    await Worker(services).drain()
    for one in story.ACCOUNTS:
        sealed = services.vault.seal_field(
            "account", one.login, msgspec.msgpack.encode((one.name, ""))
        )
        await services.db.session(_account, one, sealed)
    return Town(services, pretend, stories(services))


def _account(session: Session, one: story.Account, sealed: bytes) -> None:
    accounts.put(
        session,
        login=one.login,
        organization=one.organization,
        sealed=sealed,
        password="nobody signs in here",
        roles=(one.role,),
        at=0,
    )


def every(shown: Results) -> list[Result]:
    """All results of a page."""
    return [result for report in shown.reports for result in report.results]


def panel(shown: Results, title: str) -> Report:
    return next(report for report in shown.reports if report.title == title)
