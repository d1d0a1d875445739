"""What the presence pages ask of the house: a question on one screen, an answer on another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from gateway.services.caller import Caller


@dataclass(frozen=True, slots=True)
class PresenceAsked:
    """A question just asked: `token` goes into the QR code, `code` is typed by hand."""

    token: str
    code: str
    until: datetime


@dataclass(frozen=True, slots=True)
class PresenceQuestion:
    """Who asks, as a resident reads it; `purpose` is a code."""

    asker: str
    organization: str
    purpose: str
    until: datetime


@dataclass(frozen=True, slots=True)
class PresenceSubject:
    """Whom an account may answer for: its owner, or somebody it acts for."""

    chart: str
    name: str
    own: bool


@dataclass(frozen=True, slots=True)
class PresenceState:
    """Where a question stands for who asked it; `chart` is told once, after yes."""

    state: Literal["waiting", "yes", "no", "over"]
    chart: str = ""


class PresenceStories(Protocol):
    """The part of `Stories` about patients who are there."""

    async def ask_presence(self, caller: Caller) -> PresenceAsked:
        """Ask whoever is in front of the screen; what this screen asked before ends."""

    async def presence_state(self, token: str, caller: Caller) -> PresenceState:
        """What became of it; a yes is told once, and only to the session that asked."""

    async def presence_question(self, name: str, caller: Caller) -> PresenceQuestion:
        """Who asks, by token or code; Problem UNKNOWN, or THROTTLED after wrong ones."""

    async def presence_subjects(self, caller: Caller) -> tuple[PresenceSubject, ...]:
        """For whom this account may answer; its owner first."""

    async def answer_presence(self, name: str, yes: bool, chart: str, caller: Caller) -> None:
        """Say yes or no for the person of `chart`."""
