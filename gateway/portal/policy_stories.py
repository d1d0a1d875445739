"""Values of the page of the county's policy: what is in force, what was proposed and would change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from consent.difference import Sentence
from consent.wording import Fact, Words
from gateway.services.caller import Caller


@dataclass(frozen=True, slots=True)
class Default:
    """A row of what is shared when nothing was signed: a purpose, and a state for each tier."""

    purpose: Words
    states: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class RolePurposes:
    """The purposes a role may ask for."""

    role: Words
    purposes: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Category:
    """A protected category and what falls under it."""

    name: Words
    includes: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class RelationshipLife:
    """How long a kind of treatment relationship lasts; `personal` holds for the named person only."""

    name: Words
    before: Words
    after: Words
    life: Words
    personal: Words


@dataclass(frozen=True, slots=True)
class Chapter:
    """Facts of the policy under one heading."""

    title: Words
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A policy in plain words."""

    tiers: tuple[Words, ...]
    defaults: tuple[Default, ...]
    roles: tuple[RolePurposes, ...]
    categories: tuple[Category, ...]
    relationships: tuple[RelationshipLife, ...]
    short: tuple[Chapter, ...]  # ages, emergency access, …
    rest: tuple[Chapter, ...]  # everything else, for whoever wants it whole


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the policy. `seen` is the hash of its text; a founding version was taken up by the
    operator's command, without a second person. `may` the caller approve it."""

    number: int
    seen: str
    state: Literal["proposed", "in-force", "retired", "refused"]
    note: str
    proposed_by: str
    proposed_at: datetime | None
    founding: bool = False
    mine: bool = False
    may: bool = False
    decided_by: str = ""
    reason: str = ""
    since: datetime | None = None
    changes: tuple[Sentence, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The policy in force, and all versions, newest first."""

    name: str
    said: Said
    versions: tuple[Version, ...]


class PolicyStories(Protocol):
    """The stories behind the page of the policy."""

    async def policy(self, caller: Caller) -> PolicyView:
        """The policy in force and its versions, for a privacy officer."""

    async def policy_file(self, caller: Caller) -> bytes:
        """The file of the policy in force, to be edited and proposed."""

    async def propose_policy(self, text: bytes, note: str, caller: Caller) -> None:
        """Propose a file; Problem UNPROCESSABLE says what in it cannot be meant."""

    async def approve_policy(self, number: int, seen: str, reason: str, caller: Caller) -> None:
        """Put a proposal in force, as another person than who made it."""

    async def refuse_policy(self, number: int, reason: str, caller: Caller) -> None:
        """Turn a proposal down, or take one's own back."""
