"""Emergency access and privacy officers' cases over the real county, told as pages need them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gateway.exchange import casework, emergency, findings, staff, telling
from gateway.exchange.casework import Case
from gateway.exchange.findings import Findings
from gateway.identity.systems import HEALTH_CARD, RESIDENT_ID
from gateway.portal.emergency_stories import (
    CaseLine,
    CaseView,
    CaseWord,
    EmergencyAccess,
    HouseShare,
    Plea,
    PrivacyDesk,
    Sign,
    Terms,
    Untold,
)
from gateway.portal.shown import Shown, named
from gateway.portal.stories import Identifier
from gateway.records.instant import micros, moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import notices
from gateway.store.notices import NoticeRow

_SYSTEMS = {"resident-id": RESIDENT_ID, "health-card": HEALTH_CARD}
_HOUR = 3_600_000_000
SHORT = 8  # hexadecimal digits of a person's name in the log


class EmergencyCounty:
    """`EmergencyStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    # The clinician

    def emergency_terms(self) -> Terms:
        policy = self._services.policy
        return Terms(
            policy.emergency_life // _HOUR,
            policy.emergency_per_day,
            policy.emergency_reason_length,
            policy.emergency_notice // 60_000_000,
            policy.emergency_review // _HOUR,
        )

    async def break_glass(
        self, who: Identifier | str, plea: Plea, caller: Caller, approver: Caller | None
    ) -> EmergencyAccess:
        asked = emergency.Asked(plea.reason, plea.words, plea.keep_back)
        caller = self.in_emergency(caller)
        if isinstance(who, str):
            found = await emergency.break_glass(who, asked, caller, self._services, approver)
        else:
            system = _SYSTEMS[who.kind]
            found = await emergency.by_number(
                system, who.number, asked, caller, self._services, approver
            )
        return EmergencyAccess(found.id, found.chart, moment(found.end))

    async def emergency(self, chart: str, caller: Caller) -> EmergencyAccess | None:
        found = await emergency.standing(chart, caller, self._services)
        return EmergencyAccess(found.id, found.chart, moment(found.end)) if found else None

    async def end_emergency(self, grant: str, caller: Caller) -> None:
        await emergency.end(grant, self.in_emergency(caller), self._services)

    def in_emergency(self, caller: Caller) -> Caller:
        return replace(caller, purpose=self._services.policy.emergency_override)

    async def questions(self, caller: Caller) -> tuple[CaseView, ...]:
        found = await casework.asked(caller, self._services)
        return tuple([await self._view(one, None) for one in found])

    async def answer_question(self, case: str, words: str, caller: Caller) -> None:
        await casework.answer(case, words, caller, self._services)

    # The privacy officer

    async def privacy_desk(self, caller: Caller) -> PrivacyDesk:
        services = self._services
        found = await casework.queue(caller, services)
        logins = {login for one in found for login in (one.row.login, one.row.taken_by)}
        names = await staff.names(filter(None, logins), services)
        now = moment(services.now(), services.settings.zone)
        first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        month = await findings.shares(micros(first), services.now(), caller, services)
        return PrivacyDesk(
            cases=tuple(self._line(one, names) for one in found),
            untold=tuple(
                Untold(
                    one.kind,
                    one.person,
                    self._shown.organization(one.organization),
                    moment(one.at),
                    one.attempts,
                )
                for one in await telling.undelivered(caller, services)
            ),
            month=tuple(
                HouseShare(
                    self._shown.organization(one.organization),
                    one.accesses,
                    one.emergencies,
                    one.share,
                    one.reason,
                    one.times,
                )
                for one in month
            ),
        )

    async def privacy_case(self, id: str, caller: Caller) -> CaseView:
        found = await casework.case(id, caller, self._services)
        return await self._view(found, await findings.gathered(found.row, caller, self._services))

    async def take_case(self, id: str, caller: Caller) -> None:
        await casework.take(id, caller, self._services)

    async def ask_about_case(self, id: str, words: str, caller: Caller) -> None:
        await casework.ask(id, words, caller, self._services)

    async def decide_case(
        self, id: str, verdict: str, words: str, told: str, caller: Caller
    ) -> None:
        services = self._services
        found = await casework.case(id, caller, services)
        signs = await findings.gathered(found.row, caller, services)
        await casework.decide(
            id, verdict, words, caller, services,
            told=told, findings=signs.kept() if signs else None,
        )  # fmt: skip

    async def second_case(self, id: str, agrees: bool, words: str, caller: Caller) -> None:
        await casework.second(id, agrees, words, caller, self._services)

    async def hold_notice(self, id: str, days: int, reason: str, caller: Caller) -> None:
        until = self._services.now() + days * casework.DAY
        await telling.hold_back(id, until, reason, caller, self._services)

    # As values of pages

    def _line(self, one: Case, names: dict[str, str]) -> CaseLine:
        row = one.row
        state = (
            "closed"
            if row.closed
            else "second"
            if one.waits_for_second
            else "asked"
            if row.verdict == "needs-answer"
            else "taken"
            if row.taken_by
            else "open"
        )
        return CaseLine(
            id=row.id,
            kind=row.kind,
            by=names.get(row.login, row.login),
            organization=self._shown.organization(row.organization),
            person=self._services.log.tag(row.chart)[:SHORT] if row.chart else "",
            opened=moment(row.opened),
            due=moment(row.due),
            overdue=one.overdue,
            state=state,
            taken_by=names.get(row.taken_by, row.taken_by),
            mine=one.mine,
            free=one.free,
            verdict=row.verdict,
        )

    async def _view(self, one: Case, signs: Findings | None) -> CaseView:
        row = one.row
        logins = [row.login, row.taken_by, *(word.by for word in one.file.words)]
        names = await staff.names(filter(None, logins), self._services)
        told = [NoticeRow(*n) for n in await self._services.db.read(notices.ABOUT, row.id)]
        return CaseView(
            line=self._line(one, names),
            words=tuple(
                CaseWord(
                    word.role,
                    "" if word.role == "resident" else word.name or names.get(word.by, word.by),
                    moment(word.at),
                    word.words,
                )
                for word in one.file.words
            ),
            signs=tuple(_signs(signs)) if signs else (),
            reason=signs.reason if signs else "",
            opened=signs.opened if signs else 0,
            over=signs.over if signs else 0,
            kinds=tuple(
                (*name.partition("/")[::2], count) for name, count in (signs.kinds if signs else ())
            ),
            labels=named(signs.labels) if signs else (),
            verdicts=casework.VERDICTS[row.kind],
            may_ask=row.kind != "suspension" and bool(row.login),
            told=any(n.sent for n in told) if told else None,
        )


def _signs(found: Findings) -> list[Sign]:
    """Each sign with its tone: what speaks for the access, what against, what only tells."""
    signs = [
        Sign("encounter", "good") if found.encounter else Sign("no-encounter", "warn"),
    ]
    if found.reason:
        signs.append(Sign("ordinary", "warn") if found.ordinary else Sign("not-ordinary", "quiet"))
    for code, struck in (
        ("own-name", found.own_name),
        ("same-surname", found.same_surname and not found.own_name),
        ("colleague", found.colleague),
        ("out-of-hours", found.out_of_hours),
    ):
        if struck:
            signs.append(Sign(code, "warn"))
    for code, count in (
        ("by-person", found.by_person),
        ("same-reason", found.same_reason),
        ("by-unit", found.by_unit),
    ):
        signs.append(Sign(code, "warn" if code != "by-unit" and count >= 3 else "quiet", count))
    if found.second:
        signs.append(Sign("second", "quiet"))
    if found.reason and found.ended:
        signs.append(Sign("ended", "quiet"))
    return signs


def minutes_left(until: datetime, now: datetime) -> int:
    """Whole minutes until an emergency access ends, never less than none."""
    return max(0, int((until - now).total_seconds()) // 60)
