"""Values of the page a HIS opens for one prompt: what was measured where, to recognise or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.stories import Report, Resident, Result, Target, Verdict


@dataclass(frozen=True, slots=True)
class Asked:
    """One result the prompt asks about, or an examination as a whole, and the report that shows it."""

    report: Report
    result: Result | None


@dataclass(frozen=True, slots=True)
class PromptView:
    """A prompt as it stands now: results that may not be shown any more are not among `asked`.

    `orders` are the HIS's own names of the orders that met them. Not `open`: it only told, and asks
    nothing.
    """

    resident: Resident
    asked: tuple[Asked, ...]
    orders: tuple[str, ...]
    open: bool

    @property
    def images(self) -> bool:
        """Whether images are asked about, of which a new reading may be wanted."""
        return any((one.result or one.report).recognition.reread for one in self.asked)


class PromptStories(Protocol):
    """The story behind the page."""

    async def prompt(self, card: str, caller: Caller) -> PromptView:
        """The prompt that was given for this doctor; Problem UNKNOWN for anybody else's."""

    async def decide_prompt(
        self, card: str, targets: tuple[Target, ...], verdict: Verdict, caller: Caller
    ) -> None:
        """Decide on results of the prompt, in the visit it was given in."""
