"""The page of the policy over the real county: versions and facts as the page lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, cast

from consent import wording
from consent.difference import Sentence
from consent.model import Tier
from consent.policy import PolicySet
from consent.wording import Fact, Words
from gateway.errors import Kind, Problem
from gateway.exchange import policies, staff
from gateway.portal.policy_stories import (
    Category,
    Chapter,
    Default,
    PolicyView,
    RelationshipLife,
    RolePurposes,
    Said,
    Version,
)
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store.policies import VersionRow

SHORT = ("ages", "emergency", "general")
TABLES = ("name", "defaults", "roles", "labels", "relationships", *SHORT)  # told above already


class PolicyCounty:
    """`PolicyStories`, told by the exchange."""

    _services: Services

    async def policy(self, caller: Caller) -> PolicyView:
        _privacy(caller)
        services = self._services
        in_force = await services.policies.current()
        rows = await policies.versions(services)
        logins = {by for row in rows for by in (row.proposed_by, row.decided_by) if by}
        names = await staff.names(logins, services)
        changes = {
            row.number: await policies.changes(row, services)
            for row in rows
            if row.state == "proposed"
        }
        return view(
            in_force,
            rows,
            names,
            changes,
            caller,
            lambda row: policies.may_approve(row, caller, services),
        )

    async def policy_file(self, caller: Caller) -> bytes:
        _privacy(caller)
        row = await policies.named(self._services.policies.number, self._services)
        return bytes(row.text)

    async def propose_policy(self, text: bytes, note: str, caller: Caller) -> None:
        await policies.propose(text, note, caller, self._services)

    async def approve_policy(self, number: int, seen: str, reason: str, caller: Caller) -> None:
        await policies.approve(number, reason, caller, self._services, seen=seen)

    async def refuse_policy(self, number: int, reason: str, caller: Caller) -> None:
        await policies.refuse(number, reason, caller, self._services)


def _privacy(caller: Caller) -> None:
    if caller.role != "privacy":
        raise Problem(Kind.REFUSED, "Another role's work.")


def view(
    in_force: PolicySet,
    rows: Sequence[VersionRow],
    names: Mapping[str, str],
    changes: Mapping[int, tuple[Sentence, ...]],
    caller: Caller,
    may: Callable[[VersionRow], bool],
) -> PolicyView:
    """The page's values; `changes` are those of the proposals, others tell what was kept."""
    versions = tuple(
        Version(
            number=row.number,
            seen=row.hash,
            state=cast(Literal["proposed", "in-force", "retired", "refused"], row.state),
            note=row.note,
            proposed_by=names.get(row.proposed_by, row.proposed_by),
            proposed_at=_at(row.proposed_at),
            founding=bool(row.since) and not row.decided_by,
            mine=row.proposed_by == caller.user,
            may=row.state == "proposed" and may(row),
            decided_by=names.get(row.decided_by, row.decided_by),
            reason=row.reason,
            since=_at(row.since),
            changes=changes.get(row.number, policies.told(row)),
        )
        for row in reversed(rows)
    )
    return PolicyView(in_force.name, said(in_force), versions)


def _at(micros: int) -> datetime | None:
    return moment(micros) if micros else None


def said(policy: PolicySet) -> Said:
    """A policy in plain words: tables of what matters most, and all of its facts."""
    facts = wording.facts(policy)
    return Said(
        tiers=tuple(wording.TIERS[tier] for tier in Tier),
        defaults=tuple(_defaults(policy)),
        roles=tuple(
            RolePurposes(
                wording.called(wording.ROLES, role),
                tuple(wording.purpose(code) for code in sorted(purposes)),
            )
            for role, purposes in policy.roles.items()
        ),
        categories=tuple(_category(policy, code) for code in sorted(policy.restricted)),
        relationships=tuple(_life(kind, facts) for kind in policy.lives),
        short=_chapters(facts, SHORT),
        rest=_chapters(facts, [name for name in wording.SECTIONS if name not in TABLES]),
    )


def _defaults(policy: PolicySet) -> list[Default]:
    """Purposes under which something is open, and one row for all others."""
    order = {code: place for place, code in enumerate(wording.PURPOSES)}
    asked = sorted(
        frozenset().union(*policy.roles.values()),
        key=lambda code: (order.get(code, len(order)), code),
    )
    table = {
        code: tuple(wording.default_fact(policy, tier, code).state for tier in Tier)
        for code in asked
        if any(policy.default(tier, code) for tier in Tier) or code == policy.emergency_override
    }
    others = Default(
        Words("其他目的", "Any other purpose"), tuple(wording.CLOSED[tier] for tier in Tier)
    )
    return [*(Default(wording.purpose(code), states) for code, states in table.items()), others]


def _category(policy: PolicySet, code: str) -> Category:
    below = sorted(policy.labels.down(code) - {code})
    return Category(wording.label(code), tuple(wording.label(one) for one in below))


def _life(kind: str, facts: Sequence[Fact]) -> RelationshipLife:
    own = {fact.key[1]: fact.state for fact in facts if fact.key[:1] == (kind,)}
    name = wording.RELATIONSHIPS[kind]  # type: ignore[index]
    return RelationshipLife(name, own["before"], own["after"], own["life"], own["personal"])


def _chapters(facts: Sequence[Fact], sections: Sequence[str]) -> tuple[Chapter, ...]:
    return tuple(
        Chapter(wording.SECTIONS[name], tuple(fact for fact in facts if fact.section == name))
        for name in sections
    )
