"""Decisions over the real county: the exchange's answers in the portal's values."""

from __future__ import annotations

from typing import Literal, cast

from gateway.exchange import alerts, proving, reasons, revoking
from gateway.identity import resident_id
from gateway.portal.decisions_stories import (
    DecisionFile,
    DeclineReason,
    Evidence,
    ReliedAlert,
    Today,
)
from gateway.portal.shown import Shown
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller


class DecisionCounty:
    """`DecisionStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    async def decline_reasons(self, caller: Caller) -> tuple[DeclineReason, ...]:
        found = await reasons.offered(caller.organization, self._services)
        return tuple(map(_reason, found))

    async def decision_file(self, task: str, caller: Caller) -> DecisionFile:
        told = await proving.proofs(task, caller, self._services)
        known = reasons.of(caller.organization, self._services)
        resident = told.resident
        return DecisionFile(
            task=task,
            patient=resident.name if resident else "",
            number=resident_id.masked(resident.number) if resident else "",
            found=tuple(self._evidence(one, known) for one in reversed(told.found)),
        )

    def _evidence(self, one: proving.Proof, known: dict[str, reasons.Reason]) -> Evidence:
        bundle, times = one.bundle, one.bundle.times
        said = known.get(bundle.said.local or bundle.said.reason)
        return Evidence(
            bundle=bundle,
            fingerprint=one.fingerprint,
            standing=one.standing,
            issuer=self._shown.organization(bundle.issuer),
            organization=self._shown.organization(bundle.doctor.organization),
            decided=moment(times.decided),
            prompted=self._shown.at(times.prompted or None),
            viewed=self._shown.at(times.viewed or None),
            received=self._shown.at(bundle.received or None),
            reason=_reason(said) if said else None,
            now=Today(**(one.now._asdict() | {"at": moment(one.now.at)})) if one.now else None,
        )

    async def revoke_decision(self, task: str, words: str, caller: Caller) -> None:
        await revoking.revoke(task, words, caller, self._services)

    async def relied_alerts(self, caller: Caller, *, looked: bool) -> tuple[ReliedAlert, ...]:
        story = alerts.look if looked else alerts.waiting
        return tuple(
            ReliedAlert(
                one.task,
                cast(Literal["corrected", "replaced", "withdrawn", "identity"], one.change),
                moment(one.at),
                moment(one.decided),
                not one.seen,
            )
            for one in await story(caller, self._services)
        )


def _reason(one: reasons.Reason) -> DeclineReason:
    return DeclineReason(one.code, one.zh, one.en, one.needs_words)
