"""What the pages of signing at the desk need: how somebody can sign, a code on its way, the evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.stories import Choice, ConsentChoice, Evidence, Identifier


@dataclass(frozen=True, slots=True)
class SigningWays:
    """How a resident can sign. `phone` is masked, empty where none was known before; `guardians` are
    those who may sign for them, by the id of their right."""

    phone: str = ""
    guardians: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeSent:
    """A code on its way to a telephone."""

    id: str
    phone: str  # masked
    until: datetime = field(repr=False)


class SigningStories(Protocol):
    """Signing without paper, and looking at what was handed in."""

    async def signing_ways(self, identifier: Identifier, caller: Caller) -> SigningWays:
        """How this resident can sign at the desk."""

    async def send_signing_code(
        self, identifier: Identifier, choice: ConsentChoice, caller: Caller
    ) -> CodeSent:
        """Send the code that signs the choice; Problem UNPROCESSABLE where no telephone is known."""

    async def sign_with_code(self, id: str, code: str, caller: Caller) -> str:
        """Record what the code signs; Problem UNPROCESSABLE when the code does not."""

    async def consent_evidence(self, id: str, caller: Caller) -> Evidence:
        """What proves a consent, as handed in; UNKNOWN where only its hash is on file."""
