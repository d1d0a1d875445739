"""The page a HIS opens, over the real county: a prompt's results, looked at and decided on."""

from __future__ import annotations

from gateway.errors import Kind, Problem
from gateway.exchange import prompting, results
from gateway.portal.prompt_stories import Asked, PromptView
from gateway.portal.shown import Shown
from gateway.portal.stories import Resident, Target, Verdict
from gateway.portal.verdicts import verdict_of
from gateway.services import Services
from gateway.services.caller import Caller


class PromptCounty:
    """`PromptStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    async def prompt(self, card: str, caller: Caller) -> PromptView:
        kept = await prompting.shown_to(card, caller, self._services)
        wanted = {one.result for one in kept.targets}
        asked: list[Asked] = []
        resident: Resident | None = None
        for id in kept.reports:
            try:
                found = await results.report(id, caller, self._services)
            except Problem as problem:
                if problem.kind is not Kind.UNKNOWN:
                    raise
                continue  # withdrawn meanwhile: nothing is said of it
            resident = resident or self._shown.resident(found.resident)
            names = await self._shown.names([found.report])
            report = self._shown.report(found.report, names)
            if report.id in wanted or not wanted:
                asked.append(Asked(report, None))
            asked += [Asked(report, one) for one in report.results if one.id in wanted]
        if resident is None:
            raise Problem(Kind.UNKNOWN, "There is no such card.")
        return PromptView(resident, tuple(asked), tuple(kept.order.split()), bool(kept.targets))

    async def decide_prompt(
        self, card: str, targets: tuple[Target, ...], verdict: Verdict, caller: Caller
    ) -> None:
        pins = [(target.id, target.version) for target in targets]
        said = verdict_of(verdict, caller, self._services)
        await prompting.decide(card, pins, said, caller, self._services)
