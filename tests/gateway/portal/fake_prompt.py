"""A canned prompt that asks about two results and one examination; everybody in it is invented."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.errors import Kind, Problem
from gateway.portal.prompt_stories import Asked, PromptView
from gateway.portal.stories import Recognition, Report, Resident, Target, Verdict
from gateway.services.caller import Caller

CARD = "0c5a1f3e-8d1b-8c11-9a55-2f6f0e7b1d42"


class FakePrompt:
    """`PromptStories` for looking at pages; a new reading is refused for anything but images."""

    told: list[tuple[Any, ...]]
    resident: Resident
    reports: list[Report]
    asks: bool = True

    async def prompt(self, card: str, caller: Caller) -> PromptView:
        if card != CARD:
            raise Problem(Kind.UNKNOWN, "There is no such card.")
        lab = next(one for one in self.reports if one.kind == "laboratory" and one.results)
        asked = [Asked(lab, one) for one in lab.results[:2]] + [Asked(self._images, None)]
        orders = ("ServiceRequest/1001", "ServiceRequest/1002")
        return PromptView(self.resident, tuple(asked), orders, self.asks)

    @property
    def _images(self) -> Report:
        found = next(one for one in self.reports if one.kind == "ct")
        return replace(found, recognition=Recognition("eligible", "", "全国HR", None, True))

    async def decide_prompt(
        self, card: str, targets: tuple[Target, ...], verdict: Verdict, caller: Caller
    ) -> None:
        ticked = {one.id for one in targets}
        if verdict.outcome == "accepted-reread" and ticked != {self._images.id}:
            raise Problem(Kind.UNPROCESSABLE, "This may not be decided here.", "choice")
        self.told.append(("decide_prompt", card, targets, verdict))
