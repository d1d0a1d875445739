"""What one decision writes: Task, duplicate, copy for the record, evidence, events; nothing is stored here.

Everything of one act (one doctor, one patient, one moment) goes into the folder the doctor's
hospital keeps on the person, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from consent.model import Permit, PermitEmergency, Redact
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import issued, ledger, staff, write_back
from gateway.exchange.ask import Gathering, Opened
from gateway.exchange.ledger import Visit
from gateway.exchange.person import ALL_TIERS
from gateway.exchange.planning import Plan, Planned, inherited, prepare
from gateway.exchange.recognise import Decided, Judged
from gateway.exchange.results import Report, Result
from gateway.recognition import bundle as bundles
from gateway.recognition import filed
from gateway.recognition.bundle import Bundle, Doctor, Said, Shown, Times, Where
from gateway.recognition.decisions import Choice, Decision, Pin, decision_task, fault_of
from gateway.recognition.eligibility import encode, written
from gateway.recognition.ledger import Event, Happened
from gateway.recognition.reasons import Declined, LocalReason
from gateway.records import merge
from gateway.records.entry import Links, Nature
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft
from gateway.store.decisions import EvidenceRow
from gateway.store.write_backs import MessageRow
from gateway.vault import ChartTier, Grant, RecordName, Tier
from mappings.engine import Mapped

EVIDENCE = "DecisionEvidence"
"""The type by which sealed evidence is bound to its id."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the clinician said. `informed`: the patient was told why a test is repeated, `acknowledged`
    is what they signed to that; `local` is the hospital's own word for `reason`."""

    choice: Choice
    reason: Declined | None = None
    words: str = ""
    informed: bool = False
    local: LocalReason | None = None
    acknowledged: str = ""

    @property
    def code(self) -> str:
        """The reason as the hospital's form names it; empty for none."""
        return self.local.code if self.local else self.reason.value if self.reason else ""


class Made(NamedTuple):
    """A decision on file. `task` is its Task's id, `target` and `version` (tag) what was decided on."""

    task: str
    target: str
    version: str
    choice: Choice
    new: bool  # False where the same person had said just that already
    evidence: str = ""  # empty where nothing was written


@dataclass(frozen=True, slots=True)
class Thing:
    """What can be decided on: one result, or an examination as a whole, in the report it is of."""

    opened: Opened
    judged: Judged
    decided: Decided | None
    report: Report
    result: Result | None

    @property
    def reported(self) -> str:
        """The id of the report it was shown in; its own where there is none."""
        return self.report.opened.id


@dataclass(frozen=True, slots=True)
class Work:
    """One decision, ready to be written but for its evidence's seal."""

    made: Made
    chart: str
    source: str  # the chart of the result
    version: int  # the one decided on
    before: int  # the version of the Task that was seen, 0 for none
    decision: Decision
    bundle: Bundle
    resources: tuple[Planned, ...]
    draft: Draft
    event: Event


@dataclass(frozen=True, slots=True)
class Act:
    """One doctor decides on some results of one person, in one visit, at one moment (µs UTC)."""

    seen: Gathering
    verdict: Verdict
    caller: Caller
    visit: Visit
    at: int
    doctor: Doctor

    async def prepared(self, thing: Thing, services: Services) -> Work:
        """One decision of the act; Problem UNPROCESSABLE where the verdict is not whole."""
        opened, judged, caller, at = thing.opened, thing.judged, self.caller, self.at
        nature, entry = opened.match.pair
        judgement, case = judged.judgement, judged.case
        assert judgement is not None and case is not None, "what is eligible was judged"  # noqa: PT018
        id = services.ids(caller.organization)("recognition", "Task", (opened.id, opened.version))
        decision = self._decision(thing, id, services)
        fault = fault_of(decision)
        if fault:
            raise Problem(Trouble.UNPROCESSABLE, " ".join(fault), "reason")
        if judgement.choices and decision.choice.value not in judgement.choices:
            raise Problem(Trouble.UNPROCESSABLE, "This may not be decided here.", "choice")
        asked = ledger.Asked(
            caller, person_of(self.seen, caller), opened.id, nature.source, judgement.item,
            judgement.rules, self.visit, side=judgement.side,
        )  # fmt: skip
        event = ledger.event(
            Happened.DECISION, asked, at, services,
            choice=str(decision.choice), reason=self.verdict.code, task=id,
        )  # fmt: skip
        evidence = services.ids(caller.organization)("recognition", EVIDENCE, (id, str(at)))
        found = Bundle(
            id=evidence,
            task=id,
            issuer=nature.source,
            target=decision.result.reference,
            content=decision.result.content,
            shown=shown_of(thing, self.visit, services),
            judgement=written(judgement).decode(),
            case=encode(case).decode(),
            catalogue=judgement.rules["catalogue"],
            rules=judgement.rules["rules"],
            entitlement=judgement.evidence,
            register=judgement.rules.get("register", services.catalogue.register),
            leaf=f"{self.seen.leaf.writer}/{self.seen.leaf.counter}",
            basis=_basis(opened),
            said=Said(
                str(decision.choice), str(decision.reason or ""),
                decision.local.code if decision.local else "", decision.note.strip(),
                decision.informed, decision.acknowledged.strip(),
            ),
            doctor=self.doctor,
            times=await _times(event, services),
            where=Where(
                self.visit.encounter, self.visit.department, self.visit.patient_class,
                self.visit.hook, self.visit.order, self.visit.number,
            ),
            received=opened.filed,
            report=thing.reported,
            signatures=_signatures(self.seen, opened.id, thing.reported),
        )  # fmt: skip
        charts = tuple(dict.fromkeys((opened.match.chart, decision.chart)))
        return Work(
            made=Made(id, opened.id, opened.version, decision.choice, True, evidence),
            chart=decision.chart,
            source=opened.match.chart,
            version=entry.version,
            before=next((o.match.pair[1].version for o in self.seen.records if o.id == id), 0),
            decision=decision,
            bundle=found,
            resources=self._resources(decision, thing, services),
            draft=await services.log.draft(
                Kind.RECOGNITION_DECISION, Outcome.PERMIT, caller, at,
                self._body(decision, judgement.rules, judgement.item, evidence), charts,
            ),
            event=event,
        )  # fmt: skip

    def _decision(self, thing: Thing, id: str, services: Services) -> Decision:
        opened, caller, verdict = thing.opened, self.caller, self.verdict
        nature, entry = opened.match.pair
        return Decision(
            id=id,
            result=Pin(opened.type, opened.id, opened.version, entry.digest.hex()),
            chart=folder(self.seen, id, opened.match.chart, caller, services),
            organization=caller.organization,
            practitioner=caller.user,
            choice=verdict.choice,
            at=self.at,
            reason=verdict.reason,
            note=verdict.words,
            informed=verdict.informed,
            issuer=nature.source,
            local=verdict.local,
            acknowledged=verdict.acknowledged,
            name=caller.name,
            licence=self.doctor.licence,
            order=on_file(self.visit.order, "ServiceRequest", self.seen, caller),
            encounter=on_file(self.visit.encounter, "Encounter", self.seen, caller),
        )

    def _resources(
        self, decision: Decision, thing: Thing, services: Services
    ) -> tuple[Planned, ...]:
        """Task and DetectedIssue; where a new reading is asked for, a draft of it too."""
        settings, judgement = services.settings, thing.judged.judgement
        assert judgement is not None, "what is eligible was judged"
        base, zone = settings.canonical, settings.zone
        ids = services.ids(decision.organization)
        key = (thing.opened.id, thing.opened.version)
        issue = ids("recognition", "DetectedIssue", key)
        made = [
            ("Task", decision.id, decision_task(decision, judgement, base=base, zone=zone)),
            ("DetectedIssue", issue, filed.duplicate(issue, decision, base=base, zone=zone)),
        ]
        if decision.choice is Choice.ACCEPT_REREAD:
            request = ids("recognition", "ServiceRequest", key)
            what = issued.words(thing.report.resource.get("code"))
            text = filed.reread(request, decision, what, base=base, zone=zone)
            made.append(("ServiceRequest", request, text))
        return tuple(own(type, id, text, self.at, decision.organization, services)
                     for type, id, text in made)  # fmt: skip

    def _body(self, decision: Decision, rules: Mapping[str, str], item: str, evidence: str) -> Body:
        caller = self.caller
        return Body(
            request=f"recognition.{self.at}",
            policies=dict(rules),
            note=decision.note,
            details={
                "task": decision.id,
                "target": decision.result.reference,
                "content": decision.result.content,
                "item": item,
                "choice": str(decision.choice),
                "reason": self.verdict.code,
                "informed": "yes" if decision.informed else "no",
                "hook": self.visit.hook,
                "evidence": evidence,
                "licence": "on-file" if decision.licence else "not-on-file",
            },
        ).asked_by(caller)


async def doctor_of(caller: Caller, services: Services) -> Doctor:
    """Who decides, with the licence number of their account; empty when it is not on file."""
    name, licence = await staff.named(caller.user, services)
    client = "" if caller.client == "portal" else caller.client
    return Doctor(caller.user, caller.name or name, caller.organization, licence, client)


def person_of(seen: Gathering, caller: Caller) -> str:
    """Whom the events of recognition are about."""
    return ledger.person_name(seen.person, caller)


def folder(seen: Gathering, task: str, source: str, caller: Caller, services: Services) -> str:
    """The deciding organisation's folder on the person: where the Task already is, else its first
    chart, else one that is made for it, named after the chart of the result and linked with it."""
    for opened in seen.records:
        if opened.id == task:
            return opened.match.chart
    mine = [row.id for row in seen.person.charts if row.organization == caller.organization]
    made = services.ids(caller.organization)("recognition", "Patient", (source,))
    return min(mine, default=made)


def on_file(said: str, type: str, seen: Gathering, caller: Caller) -> str:
    """ "Type/id" where the hospital's own record of that id was opened, else the bare number."""
    bare = said.removeprefix(f"{type}/")
    for one in seen.records:
        if (one.type, one.id, one.match.pair[0].source) == (type, bare, caller.organization):
            return f"{type}/{bare}"
    return bare


def own(type: str, id: str, text: bytes, at: int, organization: str, services: Services) -> Planned:
    """A resource of our own, ready to be written."""
    head, tail = merge.renamed(text, id)
    return prepare(Mapped(type, id, (), head, tail, clock=at), organization, services)


def copy_of(work: Sequence[Work], act: Act, services: Services) -> list[tuple[str, Planned]]:
    """The copy for the medical record, one for each folder the act writes to."""
    made = []
    settings = services.settings
    for chart in sorted({one.chart for one in work}):
        mine = [one for one in work if one.chart == chart]
        key = (mine[0].made.task, str(act.at))
        id = services.ids(act.caller.organization)("recognition", "DocumentReference", key)
        hospital = services.register.get(act.caller.organization).zh
        when = f"{moment(act.at, settings.zone):%Y-%m-%d %H:%M}"
        text = bundles.as_text([one.bundle for one in mine], hospital, when)
        title = f"互认结果存档 {mine[0].bundle.shown.report}"
        document = filed.copy_of(
            id, [one.decision for one in mine], text, title,
            base=settings.canonical, zone=settings.zone,
        )  # fmt: skip
        made.append(
            (
                chart,
                own("DocumentReference", id, document, act.at, act.caller.organization, services),
            )
        )
    return made


async def plans_of(
    work: Sequence[tuple[str, Planned]],
    organization: str,
    services: Services,
    at: int,
    seen: Gathering | None = None,
) -> list[Plan]:
    """Resources of our own by the folder they go to, with its keys, labelled at least as closely as
    what was `seen` of the records they tell of."""
    about: dict[bytes, tuple[Nature, Links]] = {
        one.match.pair[1].id: (one.match.pair[0], one.match.pair[1].links)
        for one in (seen.records if seen else ())
    }
    plans = []
    year = moment(at).year
    for chart in sorted({chart for chart, _ in work}):
        mine = {one.mapped.id: one for whose, one in work if whose == chart}
        others = {id: stood for id, stood in about.items() if id.hex() not in mine}
        planned = inherited(tuple(mine.values()), services, others)
        wants = [ChartTier(chart, t) for t in sorted({Tier.GENERAL, *(p.tier for p in planned)})]
        await services.vault.ensure(wants, [(chart, year)])
        grant = Grant("filing", f"recognition.{at}", ALL_TIERS)
        plans.append(
            Plan(
                chart=chart,
                organization=organization,
                inbox="",
                at=at,
                resources=planned,
                facts=None,
                facts_mode="",
                identifiers=(),
                shelves=await services.vault.manifests(grant, wants),
                bodies=await services.vault.records(grant, wants),
                neighbours=frozenset(),
            )
        )
    return plans


def sealed(work: Iterable[Work], plans: Sequence[Plan]) -> list[EvidenceRow]:
    """The evidence of each decision as a row, sealed with the key of the folder it goes to."""
    keys = {plan.chart: plan.bodies[ChartTier(plan.chart, Tier.GENERAL)] for plan in plans}
    rows = []
    for one in work:
        found, decision = one.bundle, one.decision
        name = RecordName(EVIDENCE, found.id, 1)
        text = keys[one.chart].seal(bundles.encode(found), name, dictionary=False)
        rows.append(
            EvidenceRow(
                found.id, found.task, one.chart, one.made.target, one.version, one.source,
                found.report, decision.organization, decision.practitioner, decision.at, 1,
                int(bool(decision.licence)), text,
            )
        )  # fmt: skip
    return rows


async def messages(
    work: Sequence[Work],
    written: Sequence[tuple[str, Planned]],
    plans: Sequence[Plan],
    act: Act,
    services: Services,
) -> list[MessageRow]:
    """What the hospital's own system is told of an act, one message for each folder."""
    found = []
    organization = act.caller.organization
    for plan in plans:
        mine = [one for one in work if one.chart == plan.chart]
        hospital = services.register.get(organization).zh
        when = f"{moment(act.at, services.settings.zone):%Y-%m-%d %H:%M}"
        letter = write_back.Letter(
            "decision", act.at, organization, plan.chart, act.visit.encounter, act.visit.order,
            act.doctor.login, bundles.as_text([one.bundle for one in mine], hospital, when),
            tuple(one.mapped.text().decode() for chart, one in written if chart == plan.chart),
            visit=act.visit.number,
        )  # fmt: skip
        key = plan.bodies[ChartTier(plan.chart, Tier.GENERAL)]
        found += await write_back.message(letter, mine[0].made.task, key, services)
    return found


# What was on the screen


def shown_of(thing: Thing, visit: Visit, services: Services) -> Shown:
    """The result as its page showed it, word for word."""
    zone = services.settings.zone
    report, judged = thing.report, thing.judged
    one = thing.result
    text = thing.report.resource if one is None else one.resource
    until = judged.until.isoformat() if judged.until else ""
    judgement = judged.judgement
    result = one.resource if one is not None else {}
    before = issued.value(one.before) if one is not None and one.before is not None else ""
    return Shown(
        hospital=services.register.get(report.organization).zh,
        report=issued.words(report.resource.get("code")),
        item=issued.words(text.get("code")),
        value=issued.value(result),
        unit=issued.unit(result),
        range=issued.reference_range(result),
        flag=issued.flag(result)[1],
        status=str(text.get("status", "")),
        specimen=issued.words(one.specimen.get("type")) if one and one.specimen else "",
        method=issued.words(text.get("method")),
        note="\n".join(str(n.get("text", "")) for n in issued.listed(text.get("note"))),
        earlier=before if before != issued.value(result) else "",
        collected=_written(one.collected if one is not None else report.collected),
        issued=_written(issued.when(report.resource.get("issued"), zone)),
        findings=report.findings if one is None else "",
        conclusion=report.conclusion,
        mark=judged.mark,
        until=until,
        age_days=judgement.age_days if judgement else None,
        card=visit.card,
    )


def _written(at: date | datetime | None) -> str:
    if isinstance(at, datetime):
        return f"{at:%Y-%m-%d %H:%M}"
    return at.isoformat() if at else ""


def _basis(opened: Opened) -> tuple[str, ...]:
    decision = opened.match.decision
    if isinstance(decision, Permit | PermitEmergency | Redact):
        return (decision.reason.value, *decision.rules)
    return ()


async def _times(event: Event, services: Services) -> Times:
    """When the same question was put, and the result last looked at, before this decision."""
    before = [e for e in await ledger.of_question(event.question, services) if e.at <= event.at]
    prompted = [e.at for e in before if e.kind is Happened.PROMPT]
    viewed = [e.at for e in before if e.kind is Happened.VIEW]
    return Times(event.at, min(prompted, default=0), max(viewed, default=0))


def _signatures(seen: Gathering, *about: str) -> int:
    """Electronic signatures that came with these records, as their Provenance tells."""
    named = {bytes.fromhex(id) for id in about}
    return sum(
        len(issued.listed(issued.parsed(one.text).get("signature")))
        for one in seen.records
        if one.type == "Provenance" and any(to in named for _, to in one.match.pair[1].links)
    )
