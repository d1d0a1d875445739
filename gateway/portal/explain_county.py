"""Explaining over the real county: the exchange's answers in the portal's values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from consent.effects import Group, Line
from consent.explain import because
from consent.fhir import Choice as Chosen
from consent.fhir import Form
from consent.standing import Way as ConsentWay
from consent.standing import permits
from consent.tracing_words import lines
from gateway.errors import Kind, Problem
from gateway.exchange import desk, explaining, justifying, staff
from gateway.exchange.explaining import Change
from gateway.exchange.patients import charts_of
from gateway.identity import resident_id
from gateway.identity.systems import HEALTH_CARD, RESIDENT_ID
from gateway.portal.explain_stories import Explained, Offered, Question, SeenLine, Seers, Way
from gateway.portal.shown import ORGANIZATION, PERSON, Shown
from gateway.portal.stories import Choice, Identifier, Language
from gateway.portal.words import CATEGORIES
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller

_SYSTEMS: Final = {"resident-id": RESIDENT_ID, "health-card": HEALTH_CARD}
_FORMS: Final = {
    "share": Chosen.PERMIT_TREATMENT,
    "category": Chosen.PERMIT_CATEGORY,
    "refuse-all": Chosen.REFUSE_ALL,
    "refuse-organization": Chosen.REFUSE_ALL,
}


class ExplainCounty:
    """`ExplainStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    async def explain_offered(self, caller: Caller) -> Offered:
        services = self._services
        policy = services.policy
        people = await staff.clinicians(services)
        asserted = {purpose for may in policy.roles.values() for purpose in may}
        return Offered(
            askers=(
                *self._shown.hospitals(),
                *(
                    Choice(PERSON + login, self._shown.person(name, at))
                    for login, name, at in people
                ),
            ),
            purposes=tuple(sorted(asserted - policy.patient)),
            categories=tuple(
                Choice(code, CATEGORIES.get(code, code)) for code in sorted(policy.restricted)
            ),
        )

    async def explain(
        self, identifier: Identifier, question: Question, language: Language, caller: Caller
    ) -> Explained:
        services = self._services
        chart, born = await self._about(identifier)
        asked = justifying.Question(
            who=question.who.partition("/")[2],
            purpose=question.purpose,
            categories=frozenset({question.category} if question.category else ()),
        )
        found = await justifying.justify(chart, asked, caller, services)
        told = await explaining.standing(chart, caller, services, born)
        return Explained(
            permitted=permits(found.decision),
            steps=tuple(lines(found, services.policy, language)),
            seers=tuple(self._seers(group, language) for group in told.groups(language, "precise")),
            at=moment(told.standing.now),
        )

    async def consent_effects(
        self,
        identifier: Identifier,
        draft: Mapping[str, str],
        language: Language,
        caller: Caller,
    ) -> tuple[str, ...] | None:
        services = self._services
        recipient = draft.get("organization", "")
        if recipient and "/" not in recipient:
            recipient = ORGANIZATION + recipient
        form = Form(
            choice=_FORMS[draft["kind"]],
            id="previewed",
            patient="",
            performer="",
            organization=f"{ORGANIZATION}{desk.controller(services)}",
            at="",
            evidence_sha256="",
            category=draft.get("category") or None,
            recipients=(recipient,) if recipient else (),
        )
        chart, born = await self._about(identifier)
        try:
            seen = await explaining.preview(chart, Change((form,)), caller, services, born)
        except Problem as problem:
            if problem.kind is not Kind.UNPROCESSABLE:
                raise
            return None
        return seen.sentences(language)

    async def withdrawal_effects(
        self, identifier: Identifier, id: str, language: Language, caller: Caller
    ) -> tuple[str, ...]:
        chart, born = await self._about(identifier)
        change = Change(withdraw=(id,))
        seen = await explaining.preview(chart, change, caller, self._services, born)
        return seen.sentences(language)

    async def _about(self, identifier: Identifier) -> tuple[str, date | None]:
        """A chart of the one person with that number (empty: nobody, or not one person), and the
        birth day the number itself tells."""
        system = _SYSTEMS[identifier.kind]
        charts = await charts_of(system, identifier.number, self._services)
        read = resident_id.read(identifier.number) if system == RESIDENT_ID else None
        born = read.birth if isinstance(read, resident_id.ResidentId) else None
        return charts[0] if len(charts) == 1 else "", born

    def _seers(self, group: Group, language: Language) -> Seers:
        return Seers(
            group.who,
            group.role,
            group.purpose,
            tuple(self._seen(one, language) for one in group.lines),
        )

    def _seen(self, one: Line, language: Language) -> SeenLine:
        ways = one.cell.ways
        decision = ways[0].decision if ways else one.cell.now
        return SeenLine(
            contents=one.contents,
            reach=one.reach.value,
            ways=tuple(Way(tuple(need.value for need in way.needs)) for way in ways),
            because=because(decision.reason, language),
            rules=() if _supposed(ways) else decision.rules,
            since=self._shown.at(one.cell.since),
            until=None if _supposed(ways) else self._shown.at(decision.valid_until),
            varies=one.cell.varies,
        )


def _supposed(ways: tuple[ConsentWay, ...]) -> bool:
    """Whether even the least way needs what is not there: its rules and end are then not on file."""
    return bool(ways) and any(need.value != "treatment-relationship" for need in ways[0].needs)
