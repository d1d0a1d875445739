"""The portal's stories over the real county: pages' questions in, pages' values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Literal, cast

from consent.model import Reason
from gateway.exchange import (
    comparing,
    decide,
    desk,
    feeds,
    inspecting,
    oversight,
    quality,
    releases,
    residents,
    reviewing,
    staff,
    unmapped,
)
from gateway.exchange.inspecting import Inspected
from gateway.identity import resident_id
from gateway.identity.systems import HEALTH_CARD, RESIDENT_ID
from gateway.portal.catalogue_county import CatalogueCounty
from gateway.portal.chart_county import ChartCounty
from gateway.portal.county_desk_county import CountyDeskCounty
from gateway.portal.decisions_county import DecisionCounty
from gateway.portal.emergency_county import EmergencyCounty
from gateway.portal.explain_county import ExplainCounty
from gateway.portal.identity_county import IdentityCounty
from gateway.portal.image_county import ImageCounty
from gateway.portal.label_county import LabelCounty
from gateway.portal.mine_county import MineCounty
from gateway.portal.operators_county import OperatorCounty
from gateway.portal.policy_county import PolicyCounty
from gateway.portal.presence_county import PresenceCounty
from gateway.portal.printing_county import PrintingCounty
from gateway.portal.prompt_county import PromptCounty
from gateway.portal.releases import Release, SiteReleases, difference
from gateway.portal.shown import (
    PERSON,
    Shown,
    detected,
    issue,
    quality_alarm,
    sex,
    unmapped_code,
)
from gateway.portal.signing_county import SigningCounty, signed
from gateway.portal.statistics_county import StatisticsCounty
from gateway.portal.stories import (
    Access,
    Accesses,
    AccessFilter,
    Alarm,
    Choice,
    ConsentChoice,
    ConsentDesk,
    Evidence,
    Held,
    Identifier,
    IssueCount,
    LogCheck,
    NeedsClaim,
    Refused,
    Resident,
    Said,
    SourceQuality,
    SourceRow,
    Stories,
    Target,
    UnmappedCode,
    Verdict,
)
from gateway.portal.verdicts import verdict_of
from gateway.records import facts as facts_
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store.maps import ReleaseRow

_FINDINGS = 20  # listed on the page of the log's verification
_SYSTEMS = {"resident-id": RESIDENT_ID, "health-card": HEALTH_CARD}


def stories(services: Services) -> Stories:
    """Everything the portal asks for, over these services."""
    return _County(services)


class _County(
    ChartCounty,
    DecisionCounty,
    EmergencyCounty,
    ExplainCounty,
    IdentityCounty,
    ImageCounty,
    LabelCounty,
    MineCounty,
    OperatorCounty,
    PolicyCounty,
    PresenceCounty,
    PrintingCounty,
    CountyDeskCounty,
    PromptCounty,
    SigningCounty,
    CatalogueCounty,
    StatisticsCounty,
):
    """`Stories`, told by the exchange."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._shown = Shown(services)

    # The clinician

    async def open_resident(
        self, identifier: Identifier, caller: Caller, claim: str | None
    ) -> Resident | NeedsClaim | Refused:
        found = await residents.open_resident(
            _SYSTEMS[identifier.kind], identifier.number, caller, self._services, claim or ""
        )
        match found:
            case None:
                return NeedsClaim()
            case Reason():
                return Refused(found.value)
            case residents.InHand():
                return self._shown.resident(found)

    async def decide(
        self, report: str, targets: tuple[Target, ...], verdict: Verdict, caller: Caller
    ) -> None:
        said = verdict_of(verdict, caller, self._services)
        pinned = [(target.id, target.version) for target in targets]
        await decide.decide(report, pinned, said, caller, self._services)

    # The registration desk

    async def consents(self, identifier: Identifier, caller: Caller) -> ConsentDesk:
        system = _SYSTEMS[identifier.kind]
        found = await desk.at_desk(system, identifier.number, caller, self._services)
        known = found.facts
        number = resident_id.read(known.number)
        birth = facts_.days(known.birth) if known.birth else None
        born, known_sex = birth[0] if birth else None, known.sex
        if isinstance(number, resident_id.ResidentId):
            born, known_sex = born or number.birth, known_sex or number.sex
        people = await staff.clinicians(self._services)
        named = {login: self._shown.person(name, at) for login, name, at in people}
        logins = {w.recorder for c in found.on_file for w in (c.recorded, c.withdrawn) if w}
        names = await staff.names(logins, self._services)
        return ConsentDesk(
            resident=Resident(
                chart=found.chart,
                name=known.name,
                sex=sex(known_sex),
                age=self._shown.age(born),
                number=resident_id.masked(known.number or identifier.number),
                hospitals=(),
            ),
            consents=tuple(self._shown.consent(one, names, named) for one in found.on_file),
            organizations=(
                *self._shown.hospitals(),
                *(Choice(PERSON + login, name) for login, name in named.items()),
            ),
            categories=self._shown.restricted(),
            by_default=self._shown.by_default(),
        )

    async def record_consent(
        self, identifier: Identifier, choice: ConsentChoice, evidence: Evidence, caller: Caller
    ) -> str:
        return await desk.record(
            _SYSTEMS[identifier.kind],
            identifier.number,
            signed(choice),
            desk.Scan(evidence.media_type, evidence.content),
            caller,
            self._services,
        )

    async def withdraw_consent(self, id: str, witness: str, caller: Caller) -> None:
        await desk.withdraw(id, witness, caller, self._services)

    # The auditor

    async def accesses(self, filter: AccessFilter, caller: Caller) -> Accesses:
        found = await oversight.accesses(
            oversight.Filter(
                number=filter.number,
                actor=filter.actor,
                organization=filter.organization,
                kind=filter.kind,
                outcome=filter.outcome,
                since=self._shown.midnight(filter.since),
                until=self._shown.midnight(filter.until + timedelta(days=1))
                if filter.until
                else None,
                page=filter.page,
            ),
            caller,
            self._services,
        )
        return Accesses(
            rows=tuple(
                Access(
                    number=one.number,
                    at=moment(one.at),
                    kind=one.kind,
                    outcome=cast(Literal["permit", "deny", "error"], one.outcome),
                    actor=one.actor,
                    role=one.role,
                    organization=self._shown.organization(one.organization),
                    purpose=one.purpose,
                    person=one.person,
                    shown=one.shown,
                    reason=one.reason,
                    claimed=one.claimed,
                )
                for one in found.rows
            ),
            total=found.total,
            more=found.more,
            organizations=tuple(Choice(one.id, one.zh) for one in self._services.register),
            kinds=found.kinds,
        )

    async def inspect(self, number: int, caller: Caller) -> Inspected:
        found = await inspecting.inspect(number, caller, self._services)
        return replace(found, organization=self._shown.organization(found.organization))

    async def alarms(self, caller: Caller) -> tuple[Alarm, ...]:
        return tuple(
            Alarm(
                kind=one.kind,
                at=moment(one.at),
                organization=self._shown.organization(one.organization),
                actor=one.actor,
                source=one.source,
                person=one.person,
                words=one.words,
                settled=self._shown.at(one.settled),
                says=quality_alarm(one.kind),
                id=one.id,
                mine=one.mine,
            )
            for one in await oversight.alarms(caller, self._services)
        )

    async def settle(self, id: int, caller: Caller) -> None:
        await oversight.settle(id, caller, self._services)

    async def verify(self, caller: Caller) -> LogCheck:
        report, at = await oversight.verify(caller, self._services)
        newest = report.newest
        bad = [one for one in report.findings if not one.warning]
        return LogCheck(
            sound=report.ok,
            size=report.entries,
            root=newest.root.hex() if newest else "",
            signed_at=moment(newest.at) if newest else None,
            signed_by=newest.origin if newest else "",
            signature=newest is not None,
            checked_at=moment(at),
            pending=report.unsigned,
            first_failure=bad[0].entry if bad else None,
            failures=tuple(Said(one.zh, one.en) for one in bad[:_FINDINGS]),
            unlisted=max(0, len(bad) - _FINDINGS),
        )

    # The IT office

    async def sources(self, caller: Caller) -> tuple[SourceRow, ...]:
        return tuple(
            SourceRow(
                name=one.tally.name,
                organization=self._shown.organization(one.tally.organization),
                speaks=one.speaks,
                state="active" if one.tally.state == "active" else "paused",
                received=one.tally.received,
                filed=one.tally.filed,
                quarantined=one.tally.quarantined,
                duplicates=one.tally.duplicates,
                waiting=one.tally.waiting,
                last=self._shown.at(one.tally.last_at or None),
            )
            for one in await feeds.feeds(caller, self._services)
        )

    async def quarantine(self, source: str, caller: Caller) -> tuple[Held, ...]:
        return tuple(
            Held(
                id=one.id,
                source=one.source,
                organization=self._shown.organization(one.organization),
                arrived=moment(one.arrived),
                size=one.size,
                arrivals=one.arrivals,
                issues=tuple(map(issue, one.issues)),
                lost=reviewing.awaits(one, caller),
            )
            for one in await feeds.quarantine(source, caller, self._services)
        )

    async def replay(self, id: str, caller: Caller) -> Literal["filed", "quarantined", "waiting"]:
        return await feeds.replay(id, caller, self._services)

    async def review(self, id: str, verdict: Literal["withdraw", "keep"], caller: Caller) -> None:
        await reviewing.review(id, verdict, caller, self._services)

    async def issues(self, caller: Caller) -> tuple[IssueCount, ...]:
        return tuple(
            IssueCount(
                source=one.source,
                organization=self._shown.organization(one.organization),
                issue=issue(one.issue),
                messages=one.messages,
                last=moment(one.last),
            )
            for one in await feeds.issues(caller, self._services)
        )

    async def quality(self, caller: Caller) -> tuple[SourceQuality, ...]:
        return tuple(
            SourceQuality(
                source=one.source,
                organization=self._shown.organization(one.organization),
                detected=tuple(map(detected, one.found)),
                messages=one.scanned,
                unreadable=one.unreadable,
                last=date.fromisoformat(one.last) if one.last else None,
            )
            for one in await quality.overview(caller, self._services)
        )

    async def unmapped(self, ignored: bool, caller: Caller) -> tuple[UnmappedCode, ...]:
        states = ("ignored",) if ignored else unmapped.WAITING
        found = await unmapped.queue("", caller, self._services, states)
        return tuple(unmapped_code(one, caller.user) for one in found)

    async def propose_code(
        self, id: int, cells: Mapping[str, str], knowing: bool, caller: Caller
    ) -> Said | None:
        try:
            await unmapped.propose(id, cells, caller, self._services, knowing=knowing)
        except unmapped.Doubtful as doubt:
            return Said(f"{doubt.zh}。", doubt.text)
        return None

    async def approve_code(self, id: int, caller: Caller) -> None:
        await unmapped.approve(id, caller, self._services)

    async def decline_code(self, id: int, caller: Caller) -> None:
        await unmapped.decline(id, caller, self._services)

    async def ignore_code(self, id: int, reason: str, caller: Caller) -> None:
        await unmapped.ignore(id, reason, caller, self._services)

    async def reopen_code(self, id: int, caller: Caller) -> None:
        await unmapped.reopen(id, caller, self._services)

    async def releases(self, caller: Caller) -> tuple[SiteReleases, ...]:
        found = await releases.overview(caller, self._services)
        logins = [
            by for one in found for row in one.rows for by in (row.proposed_by, row.decided_by)
        ]
        names = await staff.names(filter(None, logins), self._services)
        return tuple(
            SiteReleases(
                one.site,
                one.sources,
                tuple(self._release(row, names, caller) for row in reversed(one.rows)),
            )
            for one in found
        )

    def _release(self, row: ReleaseRow, names: dict[str, str], caller: Caller) -> Release:
        return Release(
            number=row.number,
            state=cast(Literal["proposed", "in-force", "retired", "refused"], row.state),
            note=row.note,
            proposed_by=names.get(row.proposed_by, row.proposed_by),
            proposed_at=moment(row.proposed_at),
            mine=row.proposed_by == caller.user,
            decided_by=names.get(row.decided_by, row.decided_by),
            since=self._shown.at(row.since or None),
            difference=difference(comparing.decode(row.report)) if row.report else None,
        )

    async def decide_release(self, number: int, approve: bool, caller: Caller) -> None:
        act = releases.approve if approve else releases.refuse
        await act(number, caller, self._services)
