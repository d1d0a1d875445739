"""County policy: who may ask for what, what is shared by default, which categories are protected.

The rules are data in `consent/policy/*.toml`; this file reads them strictly and answers questions.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from consent.model import (
    ACTIONS,
    CONFIDENTIALITY,
    COPIES,
    Obligation,
    Relationship,
    RelationshipKind,
    Tier,
)

DAY = 86_400_000_000
LEVELS = {letter: level for level, letter in enumerate(CONFIDENTIALITY)}
_UNITS = {"m": 60_000_000, "h": 3_600_000_000, "d": DAY}

Default = Literal["permit", "presence"]
Notice = Literal["always", "never"]


class PolicyFault(ValueError):
    """The policy file says something this program does not understand; the start must stop."""


# --- the file, as written ---------------------------------------------------------------------


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _Purposes(_Part, frozen=True):
    treatment: list[str]
    patient: list[str]
    emergency: list[str]
    emergency_override: str
    never: list[str]
    not_inherited: list[str]
    includes: dict[str, list[str]]


class _Tiers(_Part, frozen=True):
    basic_types: list[str]
    basic_codes: list[str]
    directory_types: list[str]


class _Labels(_Part, frozen=True):
    restricted: list[str]
    includes: dict[str, list[str]]


class _Defaults(_Part, frozen=True):
    basic: dict[str, Default]
    general: dict[str, Default]
    restricted: dict[str, Default]
    sealed: dict[str, Default]


class _Life(_Part, frozen=True):
    before: str = "0d"
    after: str | None = None
    life: str | None = None
    personal: bool = False


class _Ages(_Part, frozen=True):
    self_access: int
    guardian_limited: int
    adult: int
    court_review: str
    child_withheld: list[str]
    minor_withheld: list[str]


class _Death(_Part, frozen=True):
    treatment_ends: str


class _BreakGlass(_Part, frozen=True):
    life: str
    per_day: int
    review: str
    notice: str
    reason_length: int
    honour_refusal: bool
    actions: list[str]
    obligations: list[Obligation]


class _Answers(_Part, frozen=True):
    notice: Notice


class _Obligations(_Part, frozen=True):
    always: list[Obligation]
    restricted: list[Obligation]
    purposes: dict[str, list[Obligation]]
    labels: dict[str, list[Obligation]]


class Statute(_Part, frozen=True):
    """A duty to tell: these bodies, for this purpose, notifiable facts or the listed codes."""

    basis: str
    purpose: str
    bodies: frozenset[str]
    notifiable: bool = False
    codes: frozenset[str] = frozenset()  # "system|code"

    def names(self, codes: frozenset[tuple[str, str]]) -> bool:
        """Whether one of these codings is on its list."""
        return any(f"{system}|{code}" in self.codes for system, code in codes)


class _File(_Part, frozen=True):
    name: str
    controllers: list[str]
    clock_skew: str
    purposes: _Purposes
    roles: dict[str, list[str]]
    tiers: _Tiers
    labels: _Labels
    defaults: _Defaults
    relationships: dict[RelationshipKind, _Life]
    ages: _Ages
    death: _Death
    break_glass: _BreakGlass
    answers: _Answers
    obligations: _Obligations
    statutory: list[Statute]


# --- the policy, as asked -----------------------------------------------------------------------


class Tree:
    """Codes and what each includes; a code may stand under several others."""

    def __init__(self, includes: Mapping[str, Iterable[str]]) -> None:
        self._parents: dict[str, set[str]] = {}
        self._children: dict[str, set[str]] = {code: set() for code in includes}
        for parent, children in includes.items():
            for child in children:
                self._parents.setdefault(child, set()).add(parent)
                self._children[parent].add(child)
        for code in self._parents:
            if code in _closed(self._parents[code], self._parents):
                raise PolicyFault(f"includes: {code} includes itself")

    @property
    def codes(self) -> frozenset[str]:
        """Every code the tree speaks of."""
        return frozenset(self._parents) | frozenset(self._children)

    def up(self, code: str, stop: frozenset[str] = frozenset()) -> frozenset[str]:
        """The code and everything that includes it; nothing above a code in `stop`."""
        return _closed((code,), self._parents, stop)

    def children(self, code: str) -> frozenset[str]:
        """What the code includes, one step down."""
        return frozenset(self._children.get(code, ()))

    def down(self, code: str) -> frozenset[str]:
        """The code and everything it includes."""
        return _closed((code,), self._children)


def _closed(
    codes: Iterable[str], step: Mapping[str, set[str]], stop: frozenset[str] = frozenset()
) -> frozenset[str]:
    seen: set[str] = set()
    todo = list(codes)
    while todo:
        code = todo.pop()
        if code not in seen:
            seen.add(code)
            if code not in stop:
                todo.extend(step.get(code, ()))
    return frozenset(seen)


@dataclass(frozen=True, slots=True)
class Labelling:
    """What the labels of a record mean under this policy.

    `above`: its labels and all categories they fall under (what a permit may name).
    `around`: those and everything below (what a refusal may mean).
    `restricted`: for each restricted label present, the names that speak about it.
    """

    level: int
    tier: Tier
    above: frozenset[str]
    around: frozenset[str]
    restricted: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Life:
    """How long a kind of relationship lives around its recorded start and end."""

    before: int
    after: int | None
    life: int | None
    personal: bool


@dataclass(frozen=True)
class PolicySet:
    """One version of the county's rules. `version` is the SHA-256 of the file it was read from.

    Durations are microseconds but `treatment_after_death`, which is days. Of an emergency access:
    `emergency_life` is how long it lasts, `emergency_per_day` how many a person may open in a county
    day, `emergency_reason_length` how many characters its reason has at least, `emergency_notice`
    within which the patient is told, `emergency_review` within which it is looked at.
    `notice` is whether pages say that something may be withheld: on all of them or on none.
    """

    name: str
    version: str
    zone: ZoneInfo
    controllers: frozenset[str]
    clock_skew: int
    treatment: frozenset[str]
    patient: frozenset[str]
    emergency: frozenset[str]
    emergency_override: str
    never: frozenset[str]
    not_inherited: frozenset[str]
    purposes: Tree
    roles: Mapping[str, frozenset[str]]
    basic_types: frozenset[str]
    basic_codes: frozenset[tuple[str, str]]
    directory_types: frozenset[str]
    restricted: frozenset[str]
    labels: Tree
    defaults: Mapping[Tier, Mapping[str, Default]]
    lives: Mapping[RelationshipKind, Life]
    self_access_age: int
    guardian_limited_age: int
    adult_age: int
    court_review: int
    child_withheld: frozenset[str]
    minor_withheld: frozenset[str]
    treatment_after_death: int
    emergency_life: int
    emergency_per_day: int
    emergency_reason_length: int
    emergency_notice: int
    emergency_review: int
    honour_emergency_refusal: bool
    emergency_actions: frozenset[str]
    emergency_obligations: tuple[Obligation, ...]
    notice: Notice
    always_obligations: tuple[Obligation, ...]
    restricted_obligations: tuple[Obligation, ...]
    purpose_obligations: Mapping[str, tuple[Obligation, ...]]
    label_obligations: Mapping[str, tuple[Obligation, ...]]
    statutory: tuple[Statute, ...]

    @property
    def known_purposes(self) -> frozenset[str]:
        """The purposes a consent may speak about."""
        return self.purposes.codes | self.never

    @property
    def known_labels(self) -> frozenset[str]:
        """The sensitivities a consent may speak about."""
        return self.labels.codes | self.restricted

    def permitted_by(self, purpose: str) -> frozenset[str]:
        """The purposes a permit may name to cover this one."""
        return self.purposes.up(purpose, stop=self.not_inherited)

    def refused_by(self, purpose: str) -> frozenset[str]:
        """The purposes a refusal may name to cover this one."""
        return self.purposes.up(purpose)

    def default(self, tier: Tier, purpose: str) -> Default | None:
        """What holds when nobody signed anything; None is no."""
        table = self.defaults[tier]
        named = [name for name in self.permitted_by(purpose) if name in table]
        # The nearest name counts: ETREAT says more about ERTREAT than TREAT does.
        nearest = {n for n in named if not any(n != o and n in self.refused_by(o) for o in named)}
        answers = {table[name] for name in nearest}
        if not answers:
            return None
        return "presence" if "presence" in answers else "permit"

    def labelling(self, confidentiality: str, sensitivities: frozenset[str]) -> Labelling:
        """Read the labels of a record; `tier` here knows only labels, see `tier_of`."""
        level = LEVELS.get(confidentiality, LEVELS["V"])  # an unknown letter is the highest
        above = [self.labels.up(label) for label in sensitivities]
        restricted = tuple(names for names in above if names & self.restricted)
        if level >= LEVELS["V"]:
            tier = Tier.SEALED
        elif level >= LEVELS["R"] or restricted:
            tier = Tier.RESTRICTED
        else:
            tier = Tier.BASIC
        return Labelling(
            level=level,
            tier=tier,
            above=frozenset().union(*above),
            around=frozenset().union(*above, *(self.labels.down(s) for s in sensitivities)),
            restricted=restricted,
        )

    def tier_of(
        self,
        type: str,
        codes: frozenset[tuple[str, str]],
        confidentiality: str,
        sensitivities: frozenset[str],
    ) -> Tier:
        """The county category of a record, from its type, codes and labels."""
        tier = self.labelling(confidentiality, sensitivities).tier
        if tier > Tier.BASIC or type in self.basic_types or codes & self.basic_codes:
            return tier
        return Tier.GENERAL

    def life(self, relationship: Relationship) -> tuple[int, int | None]:
        """From when until when (None: open) this evidence counts."""
        rule = self.lives[relationship.kind]
        start, end = relationship.start, relationship.end
        if rule.life is not None:
            until = start + rule.life
            return start - rule.before, until if end is None else min(until, end)
        if end is None:
            # An appointment is a moment; an encounter or a contract without an end is open.
            moment = relationship.kind is RelationshipKind.APPOINTMENT
            end = start if moment else None
        return start - rule.before, None if end is None else end + (rule.after or 0)

    def day(self, instant: int) -> date:
        """The county day of an instant."""
        return datetime.fromtimestamp(instant // 1_000_000, self.zone).date()

    def midnight(self, day: date) -> int:
        """The first instant of a county day."""
        start = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        return int(start.timestamp()) * 1_000_000


def preset(name: str) -> bytes:
    """The text of a shipped preset: `cn-optin`, `opt-out`."""
    path = Path(__file__).parent / "policy" / f"{name}.toml"
    if not re.fullmatch(r"[a-z][a-z-]*", name) or not path.is_file():
        raise PolicyFault(f"no policy preset {name!r}")
    return path.read_bytes()


def load(name: str, zone: str, path: Path | None = None) -> PolicySet:
    """Read a shipped preset or the county's own file at `path`."""
    return parse(preset(name) if path is None else path.read_bytes(), zone)


def parse(text: bytes, zone: str) -> PolicySet:
    """Read a policy file; raises PolicyFault naming the key that is unknown, missing or wrong."""
    try:
        file = msgspec.convert(tomllib.loads(text.decode()), _File)
    except UnicodeDecodeError as fault:
        raise PolicyFault("the file is not UTF-8; save it as UTF-8") from fault
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as fault:
        raise PolicyFault(str(fault)) from fault
    purposes, labels = Tree(file.purposes.includes), Tree(file.labels.includes)
    _check(file, purposes, labels)
    return PolicySet(
        name=file.name,
        version=hashlib.sha256(text).hexdigest(),
        zone=ZoneInfo(zone),
        controllers=frozenset(file.controllers),
        clock_skew=_duration(file.clock_skew),
        treatment=frozenset(file.purposes.treatment),
        patient=frozenset(file.purposes.patient),
        emergency=frozenset(file.purposes.emergency),
        emergency_override=file.purposes.emergency_override,
        never=frozenset(file.purposes.never),
        not_inherited=frozenset(file.purposes.not_inherited),
        purposes=purposes,
        roles={role: frozenset(may) for role, may in file.roles.items()},
        basic_types=frozenset(file.tiers.basic_types),
        basic_codes=frozenset(_coding(code) for code in file.tiers.basic_codes),
        directory_types=frozenset(file.tiers.directory_types),
        restricted=frozenset(file.labels.restricted),
        labels=labels,
        defaults={tier: getattr(file.defaults, tier.name.lower()) for tier in Tier},
        lives={kind: _life(life) for kind, life in file.relationships.items()},
        self_access_age=file.ages.self_access,
        guardian_limited_age=file.ages.guardian_limited,
        adult_age=file.ages.adult,
        court_review=_duration(file.ages.court_review),
        child_withheld=frozenset(file.ages.child_withheld),
        minor_withheld=frozenset(file.ages.minor_withheld),
        treatment_after_death=_duration(file.death.treatment_ends) // DAY,
        emergency_life=_duration(file.break_glass.life),
        emergency_per_day=file.break_glass.per_day,
        emergency_reason_length=file.break_glass.reason_length,
        emergency_notice=_duration(file.break_glass.notice),
        emergency_review=_duration(file.break_glass.review),
        honour_emergency_refusal=file.break_glass.honour_refusal,
        emergency_actions=frozenset(file.break_glass.actions),
        emergency_obligations=tuple(file.break_glass.obligations),
        notice=file.answers.notice,
        always_obligations=tuple(file.obligations.always),
        restricted_obligations=tuple(file.obligations.restricted),
        purpose_obligations={p: tuple(owed) for p, owed in file.obligations.purposes.items()},
        label_obligations={label: tuple(owed) for label, owed in file.obligations.labels.items()},
        statutory=tuple(file.statutory),
    )


def _check(file: _File, purposes: Tree, labels: Tree) -> None:
    """Refuse what is well formed but cannot be meant."""
    known = purposes.codes | set(file.purposes.never)
    for role, may in file.roles.items():
        for purpose in may:
            if purpose not in known:
                raise PolicyFault(f"roles.{role}: unknown purpose {purpose}")
            if purpose in file.purposes.never:
                raise PolicyFault(f"roles.{role}: nobody may assert {purpose}")
    for purpose in file.purposes.emergency:
        if purpose not in known:
            raise PolicyFault(f"purposes.emergency: unknown purpose {purpose}")
    for kind in RelationshipKind:
        if kind not in file.relationships:
            raise PolicyFault(f"relationships.{kind.value}: missing")
    for name in ("restricted", "sealed"):
        if getattr(file.defaults, name):
            raise PolicyFault(f"defaults.{name}: no default may open this tier")
    for key in ("life", "review"):
        if not _duration(getattr(file.break_glass, key)):
            raise PolicyFault(f"break_glass.{key}: nothing lasts no time")
    for key in ("per_day", "reason_length"):
        if getattr(file.break_glass, key) < 1:
            raise PolicyFault(f"break_glass.{key}: less than one")
    if _duration(file.death.treatment_ends) % DAY:
        raise PolicyFault("death.treatment_ends: whole days are wanted")
    for action in file.break_glass.actions:
        if action not in ACTIONS:
            raise PolicyFault(f"break_glass.actions: unknown action {action}")
        if action in COPIES:
            raise PolicyFault(f"break_glass.actions: a grant never covers {action}")
    for name in file.obligations.purposes:
        if name not in known:
            raise PolicyFault(f"obligations.purposes: unknown purpose {name}")
    for name in file.obligations.labels:
        if name not in labels.codes and name not in file.labels.restricted:
            raise PolicyFault(f"obligations.labels: unknown label {name}")


def _life(life: _Life) -> Life:
    return Life(
        before=_duration(life.before),
        after=None if life.after is None else _duration(life.after),
        life=None if life.life is None else _duration(life.life),
        personal=life.personal,
    )


def _duration(text: str) -> int:
    """ "15m", "24h", "30d" in microseconds."""
    found = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if found is None:
        raise PolicyFault(f"not a duration: {text!r}")
    return int(found[1]) * _UNITS[found[2]]


def _coding(text: str) -> tuple[str, str]:
    system, bar, code = text.rpartition("|")
    if not bar:
        raise PolicyFault(f"not system|code: {text!r}")
    return system, code
