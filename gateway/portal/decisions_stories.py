"""What the portal asks about decisions on results: reasons, evidence, alerts, taking one back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from gateway.recognition.bundle import Bundle
from gateway.services.caller import Caller


@dataclass(frozen=True, slots=True)
class DeclineReason:
    """One line of the list: a code, and its sentence in both languages."""

    code: str
    zh: str
    en: str
    needs_words: bool

    def in_(self, language: str) -> str:
        """The sentence in a language."""
        return self.en if language == "en" else self.zh


@dataclass(frozen=True, slots=True)
class Today:
    """What stands where the decision was made; `changed`: since `at`, in another version."""

    changed: bool
    at: datetime
    status: str
    value: str
    unit: str
    range: str
    flag: str
    conclusion: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of one decision with the names it needs; times are zoned by the page."""

    bundle: Bundle
    fingerprint: str
    standing: bool
    issuer: str
    organization: str
    decided: datetime
    prompted: datetime | None
    viewed: datetime | None
    received: datetime | None
    reason: DeclineReason | None
    now: Today | None = None  # None: not there any more, or not to be seen


@dataclass(frozen=True, slots=True)
class DecisionFile:
    """Everything that was decided in one Task, newest first, and about whom (as masked as a banner)."""

    task: str
    patient: str
    number: str
    found: tuple[Evidence, ...]

    @property
    def stands(self) -> bool:
        """Whether there is a decision that can be taken back."""
        return any(one.standing for one in self.found)

    @property
    def moved(self) -> tuple[Evidence, ...]:
        """Those standing whose result is not what was decided on any more."""
        return tuple(one for one in self.found if one.standing and (not one.now or one.now.changed))


@dataclass(frozen=True, slots=True)
class ReliedAlert:
    """A result the doctor decided on has changed since."""

    task: str
    change: Literal["corrected", "replaced", "withdrawn", "identity"]
    at: datetime
    decided: datetime
    new: bool


class DecisionStories(Protocol):
    """Decisions as pages ask for them."""

    async def decline_reasons(self, caller: Caller) -> tuple[DeclineReason, ...]:
        """What the caller's hospital may choose from, the usual ones first."""

    async def decision_file(self, task: str, caller: Caller) -> DecisionFile:
        """The evidence of a decision of the caller's hospital; Problem UNKNOWN when not theirs."""

    async def revoke_decision(self, task: str, words: str, caller: Caller) -> None:
        """Take a decision back with a reason; UNPROCESSABLE without one."""

    async def relied_alerts(self, caller: Caller, *, looked: bool) -> tuple[ReliedAlert, ...]:
        """The caller's alerts; `looked`: they count as seen from now on."""
