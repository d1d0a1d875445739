"""What pages ask when they explain consent: who can see what and why, what a choice would change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.stories import Choice, Identifier, Language

Reach = Literal["now", "treating", "present", "consent", "emergency", "closed"]


@dataclass(frozen=True, slots=True)
class Question:
    """Who would ask ("Organization/…" or "Practitioner/…"), for what, about which category (empty: a
    plain record)."""

    who: str
    purpose: str
    category: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """What would have to be there for a yes, as codes; nothing when it is there already."""

    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeenLine:
    """What somebody reaches in one way, by which rules, since and until when."""

    contents: str
    reach: Reach
    ways: tuple[Way, ...]
    because: str
    rules: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    varies: bool = False  # a consent tells single records apart


@dataclass(frozen=True, slots=True)
class Seers:
    """Those with the same answers, and what they are."""

    who: str
    role: str
    purpose: str
    lines: tuple[SeenLine, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """The answer to one question with each step to it, and beside it what everybody else reaches."""

    permitted: bool
    steps: tuple[str, ...]
    seers: tuple[Seers, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Offered:
    """What the question can be made of."""

    askers: tuple[Choice, ...]
    purposes: tuple[str, ...]
    categories: tuple[Choice, ...]


class ExplainStories(Protocol):
    """Stories that explain; each is one audited act of one caller."""

    async def explain_offered(self, caller: Caller) -> Offered:
        """Who could ask, for what, about which categories."""

    async def explain(
        self, identifier: Identifier, question: Question, language: Language, caller: Caller
    ) -> Explained:
        """Rules only: the same whether or not anything of a category is on file."""

    async def consent_effects(
        self,
        identifier: Identifier,
        draft: Mapping[str, str],
        language: Language,
        caller: Caller,
    ) -> tuple[str, ...] | None:
        """What the chosen form would change, in plain sentences; None when it could not be signed so."""

    async def withdrawal_effects(
        self, identifier: Identifier, id: str, language: Language, caller: Caller
    ) -> tuple[str, ...]:
        """What taking a consent back would change, in plain sentences."""
