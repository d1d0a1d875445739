"""Residents' own pages over the real county."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import groupby
from typing import NamedTuple, cast

from consent.model import Reason
from gateway.auth import first_password
from gateway.errors import Kind, Problem
from gateway.exchange import (
    acting,
    ask,
    authority,
    casework,
    desk,
    explaining,
    looked,
    mandates,
    own_accounts,
    own_consents,
    results,
    staff,
)
from gateway.exchange.patients import charts_of
from gateway.identity.systems import RESIDENT_ID
from gateway.portal.chart_stories import ReportView
from gateway.portal.mine_stories import (
    ActsFor,
    CodeSent,
    DeskAccount,
    Me,
    MyConsent,
    MyConsents,
    MyLook,
    MyLooks,
    MyNotice,
    MyVisit,
    NewMandate,
    Wish,
)
from gateway.portal.shown import PERSON, Shown
from gateway.portal.stories import Choice, Evidence, Report, Said
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import cases, notices
from gateway.store import charts as rows
from gateway.store.engine import Tx


class _Whom(NamedTuple):
    """Whom a request is about, and the caller as they ask for them."""

    chart: str
    name: str
    caller: Caller
    held: tuple[mandates.Held, ...]


class MineCounty:
    """`MineStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    async def _whom(self, right: str, caller: Caller) -> _Whom | None:
        """The person of the account, or, by a right that runs now, whom it acts for."""
        account = await acting.own_account(caller.user, self._services)
        if account is None:
            return None
        held = await mandates.of_actor(caller.user, self._services)
        if not right:
            name = acting.identity_of(account, self._services).name
            return _Whom(account.chart, name, caller, held)
        for one in held:
            if one.id == right and one.state == "running":
                asking = replace(caller, role="representative", purpose="FAMRQT")
                return _Whom(one.chart, one.person, asking, held)
        return None

    async def _must(self, right: str, caller: Caller) -> _Whom:
        whom = await self._whom(right, caller)
        if whom is None:
            raise ask.nothing()
        return whom

    async def me(self, acting_: str, caller: Caller) -> Me | None:
        whom = await self._whom(acting_, caller)
        account = await acting.own_account(caller.user, self._services)
        if whom is None or account is None:
            return None
        decides = await authority.may_decide(whom.chart, whom.caller, self._services)
        helpers = () if acting_ else await mandates.of_person(whom.chart, self._services)
        phone = acting.identity_of(account, self._services).phone
        return Me(
            name=whom.name,
            acting=acting_,
            decides=decides,
            others=tuple(self._acts(one, one.person) for one in whom.held),
            helpers=tuple(self._acts(one, one.actor) for one in helpers),
            notices=await self._notices(whom) if decides else (),
            login=account.login,
            phone=f"{phone[:3]}****{phone[-4:]}",
            since=moment(account.at),
        )

    def _acts(self, one: mandates.Held, name: str) -> ActsFor:
        last = one.terms.end
        return ActsFor(
            id=one.id,
            name=name,
            ground=one.ground,
            state=one.state,
            since=moment(one.at),
            recorded_by=one.recorded_by,
            until=self._services.policy.day(last - 1) if last else None,
            document=one.terms.document,
        )

    async def _charts(self, whom: _Whom) -> list[str]:
        known = await rows.grounds(self._services.db, whom.chart, "")
        return list(rows.alongside(known.charts, whom.chart))

    async def _notices(self, whom: _Whom) -> tuple[MyNotice, ...]:
        charts = await self._charts(whom)
        found = await notices.of_charts(self._services.db, charts, self._services.now())
        told = []
        for row in found:
            house, says = "", ""
            if row.kind == "answer":
                case = await self._services.db.read(cases.ONE, row.about)
                house = cases.CaseRow(*case[0]).organization if case else ""
                says = await casework.answer_to(row.about, charts, self._services)
            told.append(
                MyNotice(
                    row.kind, moment(row.at), not row.read, self._shown.organization(house), says
                )
            )
        return tuple(told)

    async def seen_notices(self, acting_: str, caller: Caller) -> None:
        whom = await self._must(acting_, caller)
        if await authority.may_decide(whom.chart, whom.caller, self._services):
            charts = await self._charts(whom)
            await self._services.db.do(_mark_read, charts, self._services.now())

    # Consents

    async def my_consents(self, acting_: str, caller: Caller) -> MyConsents:
        whom = await self._must(acting_, caller)
        found = await own_consents.papers(whom.chart, whom.caller, self._services)
        people = await staff.clinicians(self._services)
        return MyConsents(
            consents=tuple([await self._paper(one) for one in found]),
            organizations=(
                *self._shown.hospitals(),
                *(Choice(PERSON + who, self._shown.person(name, at)) for who, name, at in people),
            ),
            categories=self._shown.restricted(),
            by_default=self._shown.by_default(),
        )

    async def my_consent(self, id: str, caller: Caller) -> MyConsent:
        asking = caller
        if caller.role == "patient":
            asking = await self._who_may_read(id, caller)
        return await self._paper(await own_consents.paper(id, asking, self._services))

    async def _who_may_read(self, id: str, caller: Caller) -> Caller:
        """The caller as they may read this consent: for themselves, or for whom they decide."""
        row = await rows.current(self._services.db, id)
        whom = await self._must("", caller)
        if row is not None and row.chart not in await self._charts(whom):
            for one in whom.held:
                other = await self._whom(one.id, caller)
                if other is not None and row.chart in await self._charts(other):
                    return other.caller
        return caller

    async def _paper(self, one: own_consents.Paper) -> MyConsent:
        people = await staff.clinicians(self._services)
        named = {login: self._shown.person(name, at) for login, name, at in people}
        words = (one.on_file.recorded, one.on_file.withdrawn)
        names = await staff.names({w.recorder for w in words if w}, self._services)
        return MyConsent(
            self._shown.consent(one.on_file, names, named),
            one.on_file.category,
            one.version,
            moment(one.filed),
            one.proof,
            one.digest,
        )

    async def preview_wish(self, acting_: str, wish: Wish, caller: Caller) -> tuple[Said, ...]:
        whom = await self._must(acting_, caller)
        found = await own_consents.preview(whom.chart, _wish(wish), whom.caller, self._services)
        return _said(found)

    async def sign_wish(self, acting_: str, wish: Wish, caller: Caller) -> CodeSent:
        whom = await self._must(acting_, caller)
        sent = await own_consents.begin(whom.chart, _wish(wish), whom.caller, self._services)
        return CodeSent(sent.id, sent.phone)

    async def confirm_wish(
        self, acting_: str, code_id: str, code: str, caller: Caller
    ) -> str | None:
        whom = await self._must(acting_, caller)
        try:
            recorded = await own_consents.confirm(code_id, code, whom.caller, self._services)
        except Problem as problem:
            if problem.kind is Kind.UNPROCESSABLE and problem.place == "code":
                return None
            raise
        return recorded.id

    async def preview_taking_back(self, acting_: str, id: str, caller: Caller) -> tuple[Said, ...]:
        whom = await self._must(acting_, caller)
        return _said(
            await own_consents.preview_withdrawal(whom.chart, id, whom.caller, self._services)
        )

    async def take_back(self, acting_: str, id: str, caller: Caller) -> CodeSent | None:
        whom = await self._must(acting_, caller)
        sent = await own_consents.withdraw(whom.chart, id, whom.caller, self._services)
        return CodeSent(sent.id, sent.phone) if sent else None

    async def confirm_taking_back(
        self, acting_: str, id: str, code_id: str, code: str, caller: Caller
    ) -> bool:
        whom = await self._must(acting_, caller)
        try:
            await own_consents.confirm_withdrawal(
                whom.chart, id, code_id, code, whom.caller, self._services
            )
        except Problem as problem:
            if problem.kind is Kind.UNPROCESSABLE and problem.place == "code":
                return False
            raise
        return True

    # Who looked

    async def my_looks(self, acting_: str, before: date | None, caller: Caller) -> MyLooks:
        whom = await self._must(acting_, caller)
        found = await looked.looks(whom.chart, before, whom.caller, self._services)
        return MyLooks(
            people=self._visits(found.people),
            program=self._visits(found.program),
            own=self._visits(found.self),
            since=found.since,
            last=date.fromordinal(found.until.toordinal() - 1),
            more=found.more,
        )

    def _visits(self, found: Sequence[looked.Visit]) -> tuple[MyVisit, ...]:
        names = self._services.settings.show_viewer_names
        return tuple(
            MyVisit(
                day=visit.day,
                organization=self._shown.organization(visit.organization),
                treated=visit.treated,
                emergency=visit.emergency,
                looks=tuple(_run(list(some), names) for _, some in groupby(visit.looks, _alike)),
            )
            for visit in found
        )

    async def question_look(
        self, acting_: str, ref: str, day: date, words: str, caller: Caller
    ) -> None:
        whom = await self._must(acting_, caller)
        await looked.question(whom.chart, ref, day, words, whom.caller, self._services)

    # Results

    async def my_results(self, acting_: str, caller: Caller) -> tuple[Report, ...]:
        whom = await self._must(acting_, caller)
        try:
            found = await results.results(whom.chart, whom.caller, self._services)
        except Problem as problem:
            if problem.kind is Kind.UNKNOWN:
                return ()
            raise
        if isinstance(found, Reason):
            return ()
        return tuple(self._shown.report(one, {}) for one in found.reports)

    async def my_report(self, acting_: str, id: str, caller: Caller) -> ReportView:
        whom = await self._must(acting_, caller)
        found = await results.report(id, whom.caller, self._services)
        return self._shown.whole(found, {})

    # The account

    async def end_acting(self, id: str, caller: Caller) -> None:
        whom = await self._must("", caller)
        given = await mandates.of_person(whom.chart, self._services)
        for one in (*whom.held, *given):
            if one.id == id:
                await mandates.end(one.chart, id, caller, self._services)
                return
        raise ask.nothing()

    async def end_account(self, caller: Caller) -> None:
        await own_accounts.end(caller.user, caller, self._services)

    async def first_password(self, login: str, code: str, password: str, address: str) -> bool:
        try:
            await first_password.first_password(
                self._services, login=login, code=code, password=password, address=address
            )
        except Problem as problem:
            if problem.kind is Kind.UNAUTHENTICATED:
                return False
            raise
        return True

    # The desk

    async def _at_desk(self, number: str, caller: Caller) -> str:
        if caller.role != "registrar":
            raise Problem(Kind.REFUSED, "Another role's work.")
        charts = await charts_of(RESIDENT_ID, number, self._services)
        return charts[0] if charts else ""

    async def desk_account(self, number: str, caller: Caller) -> DeskAccount:
        chart = await self._at_desk(number, caller)
        if not chart:
            return DeskAccount("", "", None, False, ())
        account = await own_accounts.of_person(chart, self._services)
        helpers = await mandates.of_person(chart, self._services)
        return DeskAccount(
            login=account.login if account else "",
            phone=account.phone if account else "",
            since=moment(account.at) if account else None,
            waiting=account.waiting if account else False,
            helpers=tuple(self._acts(one, one.actor or one.login) for one in helpers),
        )

    async def ask_account(self, number: str, name: str, phone: str, caller: Caller) -> str:
        return await own_accounts.ask(number, name, phone, caller, self._services)

    async def confirm_account(self, login: str, code: str, caller: Caller) -> None:
        await own_accounts.confirm(login, code, caller, self._services)

    async def renew_account(self, number: str, caller: Caller) -> None:
        account = await self.desk_account(number, caller)
        await own_accounts.renew(account.login, caller, self._services)

    async def close_account(self, number: str, caller: Caller) -> None:
        account = await self.desk_account(number, caller)
        await own_accounts.end(account.login, caller, self._services)

    async def record_mandate(
        self, number: str, new: NewMandate, evidence: Evidence, caller: Caller
    ) -> None:
        given = mandates.Given(
            ground=cast(mandates.Ground, new.ground),
            login=new.login,
            relation=cast(mandates.Relation, new.relation),
            document=new.document,
            witness=new.witness,
            scan=evidence.content,
            until=new.until,
            restricted=new.restricted,
            categories=new.categories,
        )
        await mandates.record(number, given, caller, self._services)

    async def stop_mandate(self, number: str, id: str, why: str, caller: Caller) -> None:
        held = await self._held(number, id, caller)
        await mandates.stop(held.chart, id, why, caller, self._services)

    async def end_mandate(self, number: str, id: str, caller: Caller) -> None:
        held = await self._held(number, id, caller)
        await mandates.end(held.chart, id, caller, self._services)

    async def _held(self, number: str, id: str, caller: Caller) -> mandates.Held:
        chart = await self._at_desk(number, caller)
        for one in await mandates.of_person(chart, self._services) if chart else ():
            if one.id == id:
                return one
        raise ask.nothing()


def _alike(one: looked.Look) -> tuple[object, ...]:
    """What makes two looks one line when they follow one another."""
    return (one.login, one.role, one.kind, one.refused, one.ground, one.purpose, one.shown)


def _run(some: Sequence[looked.Look], names: bool) -> MyLook:
    last = some[0]  # newest first
    return MyLook(
        ref=last.ref,
        at=moment(last.at),
        first=moment(some[-1].at),
        times=len(some),
        kind=last.kind,
        refused=last.refused,
        role="system" if last.who == "program" else last.role,
        name=last.name if names else "",
        purpose=last.purpose,
        ground=last.ground,
        shown=last.shown,
        emergency=last.emergency,
    )


def _mark_read(tx: Tx, charts: list[str], at: int) -> None:
    notices.mark_read(tx, charts, at)


def _wish(wish: Wish) -> own_consents.Wish:
    recipient = wish.organization
    return own_consents.Wish(cast(desk.SignedKind, wish.kind), recipient, wish.category, wish.until)


def _said(preview: explaining.Preview) -> tuple[Said, ...]:
    pairs = zip(preview.sentences("zh"), preview.sentences("en"), strict=True)
    return tuple(Said(zh, en) for zh, en in pairs)
