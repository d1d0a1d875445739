"""What changes, and for whom, when one policy takes the place of another: in sentences."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from consent.model import Tier
from consent.policy import PolicySet
from consent.wording import Fact, default_fact, facts


class Effect(StrEnum):
    """Whether more is shared, or with less protection; less, or with more; or neither."""

    OPENS = "opens"
    CLOSES = "closes"
    CHANGES = "changes"


class Sentence(msgspec.Struct, frozen=True):
    """One difference; `section` names a chapter of `consent.wording.SECTIONS`."""

    section: str
    effect: Effect
    zh: str
    en: str


def difference(before: PolicySet, after: PolicySet) -> tuple[Sentence, ...]:
    """Every difference of meaning, in the order of a policy's chapters; none when they say the same.

    Comments, the order of lists and other spellings of the same duration are no difference.
    """
    was = {(fact.section, *fact.key): fact for fact in facts(before)}
    now = {(fact.section, *fact.key): fact for fact in facts(after)}
    order = {key: place for place, key in enumerate(now)} | {
        key: place for place, key in enumerate(was)
    }
    sections = list(dict.fromkeys(fact.section for fact in (*was.values(), *now.values())))
    found = []
    for key in sorted(order, key=lambda key: (sections.index(key[0]), order[key])):
        old = was.get(key) or _missing(now[key], before)
        new = now.get(key) or _missing(was[key], after)
        if old.state != new.state:
            found.append(_sentence(old, new))
    return tuple(found)


def _missing(there: Fact, policy: PolicySet) -> Fact:
    """How a thing that only the other policy speaks of stands under this one."""
    if there.section == "defaults":
        tier, code = there.key
        return default_fact(policy, Tier[tier], code)
    assert there.absent is not None, "what every policy says is never missing"
    state, open_ = there.absent
    return Fact(there.section, there.key, there.subject, state, open_)


def _sentence(old: Fact, new: Fact) -> Sentence:
    effect = Effect.CHANGES
    if old.open is not None and new.open is not None and old.open != new.open:
        effect = Effect.OPENS if new.open > old.open else Effect.CLOSES
    subject = new.subject
    return Sentence(
        new.section,
        effect,
        f"{subject.zh}：由“{old.state.zh}”改为“{new.state.zh}”。",
        f"{subject.en}: from “{old.state.en}” to “{new.state.en}”.",
    )
