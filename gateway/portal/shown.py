"""What the exchange tells, as pages show it: names of organisations, ages, masked numbers, words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal, cast

from consent import wording
from consent.model import Tier
from gateway.exchange import desk, issued, quality, residents, staff, unmapped
from gateway.exchange import results as told
from gateway.exchange.measured import Detail, basis_of, detail
from gateway.exchange.recognise import Decided, Judged
from gateway.identity import resident_id
from gateway.portal.chart_stories import ReportView
from gateway.portal.stories import (
    Age,
    Amendment,
    Choice,
    CodeSuggestion,
    Consent,
    Decision,
    Detected,
    Flag,
    Issue,
    Recognition,
    Report,
    Resident,
    Result,
    ResultStatus,
    Said,
    Struck,
    UnmappedCode,
)
from gateway.portal.words import CATEGORIES
from gateway.recognition.decisions import Choice as Recognised
from gateway.records.instant import micros, moment
from gateway.services import Services
from gateway.services.caller import Caller
from mappings.engine import Issue as MapIssue
from mappings.quality import DETECTORS
from mappings.quality import told as place_told

FINGERPRINT = 12  # hexadecimal digits shown, in fours
PERSON = "Practitioner/"
OUTCOMES: dict[Recognised, Literal["accepted", "accepted-reread", "declined"]] = {
    Recognised.ACCEPT: "accepted",
    Recognised.ACCEPT_REREAD: "accepted-reread",
    Recognised.DECLINE: "declined",
}
ORGANIZATION = "Organization/"
_STATUSES: frozenset[str] = frozenset(
    {
        "registered",
        "preliminary",
        "final",
        "amended",
        "corrected",
        "cancelled",
        "entered-in-error",
    }
)
# R4 diagnostic-report-status and observation-status beyond what pages tell apart.
_OTHER_STATUS: dict[str, ResultStatus] = {"appended": "amended", "partial": "preliminary"}


def named(counts: Iterable[tuple[str, int]]) -> tuple[tuple[Said, int], ...]:
    """Counts by label, each label by its name and its code."""
    called = ((wording.label(code), count) for code, count in counts)
    return tuple((Said(words.zh, words.en), count) for words, count in called)


class Shown:
    """Values of the exchange as values of pages; ids of organisations become names."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._zone = services.settings.zone

    def organization(self, id: str) -> str:
        return self._services.register.get(id).zh if id else ""

    def at(self, at: int | None) -> datetime | None:
        return None if at is None else moment(at)

    def midnight(self, day: date | None) -> int | None:
        if day is None:
            return None
        return micros(datetime(day.year, day.month, day.day, tzinfo=self._zone))

    def age(self, born: date | None) -> Age | None:
        found = residents.age(born, moment(self._services.now(), self._zone).date())
        return Age(found.number, found.unit) if found else None

    def resident(self, found: residents.InHand) -> Resident:
        return Resident(
            chart=found.chart,
            name=found.name,
            sex=sex(found.sex),
            age=self.age(found.birth),
            number=resident_id.masked(found.number),
            hospitals=tuple(map(self.organization, found.organizations)),
            relationship="claimed" if found.claimed else "encounter",
            until=self.at(found.until),
        )

    async def names(self, reports: Iterable[told.Report]) -> dict[str, str]:
        """What those who decided are called."""
        things: list[told.Report | told.Result] = []
        for report in reports:
            things += [report, *report.results]
        decided = [one.decided.by for one in things if one.decided is not None]
        return await staff.names(decided, self._services)

    def report(
        self, one: told.Report, names: dict[str, str], caller: Caller | None = None
    ) -> Report:
        text = one.resource
        return Report(
            id=one.opened.id,
            version=one.opened.version,
            title=issued.words(text.get("code")),
            kind="laboratory" if _is_result(one) else issued.report_kind(text),
            organization=self.organization(one.organization),
            collected=one.collected,
            issued=issued.when(text.get("issued"), self._zone),
            status=status(text.get("status")),
            results=tuple(self.result(result, names, caller) for result in one.results),
            recognition=_recognition(one.judged),
            decision=self.decision(one.decided, names),
            conclusion=one.conclusion,
        )

    def whole(
        self, found: told.Issued, names: dict[str, str], caller: Caller | None = None
    ) -> ReportView:
        """A report by itself, with where it came from and what became of it."""
        one = found.report
        return ReportView(
            resident=self.resident(found.resident),
            report=self.report(one, names, caller),
            findings=one.findings,
            author=issued.people(one.resource, "performer"),
            verifier=issued.people(one.resource, "resultsInterpreter"),
            source=found.source,
            received=moment(found.received),
            fingerprint=fours(found.content),
            amendments=tuple(
                Amendment(version.tag, moment(version.filed), status(version.status))
                for version in found.versions
            ),
        )

    def result(
        self, one: told.Result, names: dict[str, str], caller: Caller | None = None
    ) -> Result:
        text = one.resource
        kind, raw = issued.flag(text)
        value = issued.value(text)
        earlier = issued.value(one.before) if one.before is not None else ""
        return Result(
            id=one.opened.id,
            version=one.opened.version,
            item=issued.words(text.get("code")),
            value=value,
            unit=issued.unit(text),
            range=issued.reference_range(text),
            flag=Flag(kind, raw),
            organization=self.organization(one.organization),
            collected=one.collected,
            status=status(text.get("status")),
            recognition=_recognition(one.judged),
            decision=self.decision(one.decided, names),
            earlier=earlier if earlier != value else "",
            specimen=issued.words(one.specimen.get("type")) if one.specimen else "",
            method=issued.words(text.get("method")),
            note="\n".join(str(n.get("text", "")) for n in issued.listed(text.get("note"))),
            detail=self._detail(one, caller),
        )

    def _detail(self, one: told.Result, caller: Caller | None) -> Detail:
        """What there is to compare it by; on what basis it counts only where somebody may say so."""
        at, catalogue = self._services.now(), self._services.catalogue
        judgement, case = one.judged.judgement, one.judged.case
        basis = (
            basis_of(one.organization, judgement.item, caller.organization, catalogue, at)
            if caller and judgement
            else None
        )
        facts = case.facts if case else None
        return detail(
            one.resource, one.specimen, one.organization, catalogue, at, self._zone, basis, facts
        )

    def decision(self, one: Decided | None, names: dict[str, str]) -> Decision | None:
        if one is None:
            return None
        return Decision(
            outcome=OUTCOMES[one.choice],
            reason=one.reason,
            words=one.words,
            by=names.get(one.by, one.by),
            organization=self.organization(one.organization),
            at=moment(one.at),
            version=one.version,
            task=one.task,
        )

    def hospitals(self) -> tuple[Choice, ...]:
        """The organisations that may ask, and that a consent may name."""
        return tuple(
            Choice(ORGANIZATION + one.id, one.zh)
            for one in self._services.register
            if one.kind != "authority"
        )

    def restricted(self) -> tuple[Choice, ...]:
        """The protected categories a consent may name."""
        return tuple(
            Choice(code, CATEGORIES.get(code, code))
            for code in sorted(self._services.policy.restricted)
        )

    def by_default(self) -> Literal["shared", "not-shared"]:
        """What holds where a resident said nothing."""
        permits = self._services.policy.default(Tier.GENERAL, "TREAT") == "permit"
        return "shared" if permits else "not-shared"

    def person(self, name: str, organization: str) -> str:
        return f"{self.organization(organization)} {name}"

    def consent(self, one: desk.OnFile, names: dict[str, str], people: dict[str, str]) -> Consent:
        bare = one.recipient.partition("/")[2]
        organization = ""
        if one.recipient:
            organization = (
                people.get(bare, bare)
                if one.recipient.startswith(PERSON)
                else self.organization(bare)
            )
        withdrawn = one.withdrawn
        return Consent(
            id=one.id,
            kind=one.kind,
            state=one.state,
            signed=one.signed or moment(one.recorded.at, self._zone).date(),
            organization=organization,
            category=CATEGORIES.get(one.category, one.category),
            until=one.until,
            recorded_by=names.get(one.recorded.recorder, one.recorded.recorder),
            recorded_at=self.at(one.recorded.at),
            witness=one.recorded.witness,
            evidence=fours(one.evidence),
            withdrawn_by=names.get(withdrawn.recorder, withdrawn.recorder) if withdrawn else "",
            withdrawn_at=self.at(withdrawn.at) if withdrawn else None,
        )


def _is_result(one: told.Report) -> bool:
    return one.opened.type == "Observation"


def fours(digest: str) -> str:
    shown = digest[:FINGERPRINT]
    return " ".join(shown[at : at + 4] for at in range(0, len(shown), 4))


def sex(text: str) -> Literal["male", "female", "other", "unknown"]:
    match text:
        case "male" | "female" | "other":
            return text
        case _:
            return "unknown"


def status(text: object) -> ResultStatus:
    """A status pages know; whatever else it may be is not final."""
    if isinstance(text, str):
        if text in _STATUSES:
            return cast(ResultStatus, text)
        return _OTHER_STATUS.get(text, "preliminary")
    return "preliminary"


def _recognition(one: Judged) -> Recognition:
    choices = one.judgement.choices if one.judgement else ()
    reread = Recognised.ACCEPT_REREAD.value in choices
    return Recognition(one.state, one.reason, one.mark, one.until, reread)


def issue(one: MapIssue) -> Issue:
    """The sentence without its place, which a page shows beside it."""
    bare = MapIssue(one.severity, one.code, "")
    return Issue(one.severity, one.place, one.code, Said(bare.text("zh"), bare.text("en")))


def detected(one: quality.Found) -> Detected:
    """A detector's counts with its sentences."""
    says = DETECTORS[one.detector]
    return Detected(
        name=one.detector,
        number=says.number,
        says=Said(says.zh, says.en),
        means=Said(says.means_zh, says.means_en),
        do=Said(says.do_zh, says.do_en),
        seen=one.seen,
        struck=one.struck,
        crossed=one.crossed,
        days=tuple((date.fromisoformat(day), seen, struck) for day, seen, struck in one.days),
        places=tuple(
            Struck(Said(place_told(place), place_told(place, "en")), n)
            for place, n in one.detail.items()
        ),
    )


def quality_alarm(kind: str) -> Said | None:
    """The sentence of an alarm that a detector raised; None for every other."""
    says = DETECTORS.get(kind.removeprefix(quality.ALARM))
    return Said(says.zh, says.en) if says and kind.startswith(quality.ALARM) else None


def unmapped_code(one: unmapped.Waiting, user: str) -> UnmappedCode:
    """A line of the queue as its page shows it."""
    sent = one.unmapped
    return UnmappedCode(
        id=one.id,
        source=one.source,
        table=sent.table,
        code=sent.code,
        name=sent.name,
        specimen=sent.specimen,
        unit=sent.unit,
        messages=one.messages,
        last=moment(one.last),
        state=cast(Literal["open", "proposed", "approved", "ignored"], one.state),
        gives=one.gives or "",
        suggestions=tuple(
            CodeSuggestion(s.name, s.score, Said(s.text("zh"), s.text("en")), s.cells)
            for s in one.suggestions
        ),
        cells=one.cells,
        proposed_by=one.proposed_by,
        mine=bool(one.proposed_by) and one.proposed_by == user,
        reason=one.reason,
    )
