"""Looks up broken glass: which emergency access a caller holds on a person, never what they claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from consent.model import Grant, PermitEmergency, Tier
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import accounts, emergencies
from gateway.store.emergencies import GrantRow
from gateway.vault import SealBroken

if TYPE_CHECKING:
    from gateway.exchange.person import Person
    from gateway.exchange.shelf import Match


def nobody(named: str, services: Services) -> str:
    """What stands for the chart of somebody nobody knows: an emergency about them leaves the same trace."""
    return services.vault.digest("nobody", named.encode())[:16].hex()


def place(row: GrantRow) -> str:
    """What the sealed part of a grant is bound to: all that was granted."""
    said = row._replace(sealed=b"", closed=0)
    return "/".join(map(str, said))


def _granted(row: GrantRow, services: Services) -> bool:
    """Whether somebody was granted this; not where the row was altered or put there."""
    try:
        services.vault.open_field("emergency_grant", place(row), row.sealed)
    except SealBroken:
        return False
    return True


async def held(
    charts: Sequence[str], caller: Caller, services: Services, at: int
) -> GrantRow | None:
    """What the caller holds on the person with these charts at `at` (µs UTC), whoever asserted it.

    It is theirs in the organisation where they asked for it, and follows the charts' links: what was
    granted on one chart holds for all that are one person now.
    """
    if not caller.user or not charts:
        return None
    login = accounts.tidy(caller.user)
    found = await services.db.read(
        emergencies.LIVE, list(charts), login, caller.organization, at
    )  # fmt: skip
    return next((row for one in found if _granted(row := GrantRow(*one), services)), None)


def as_asked(row: GrantRow | None, caller: Caller) -> Grant | None:
    """A grant as the decision reads it."""
    if row is None:
        return None
    return Grant(row.id, caller.user, frozenset({row.chart}), row.start, row.end)


def noted(person: Person, items: Sequence[Match]) -> dict[str, str]:
    """What the event of an emergency access says more: counts for its review, nothing clinical.

    `opened` counts records by type and tier, `labels` by protected category; `over` are those that
    nothing but the emergency opened. Empty for any other access.
    """
    grant = person.request.grant
    if grant is None:
        return {}
    opened: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    for match in items:
        nature = match.pair[0]
        opened[f"{nature.type}/{Tier(nature.tier).name.lower()}"] += 1
        labels.update(nature.sensitivities)
    over = sum(isinstance(match.decision, PermitEmergency) for match in items)
    return {
        "grant": grant.id,
        "opened": _listed(opened),
        "labels": _listed(labels),
        "over": str(over),
    }


def _listed(counts: Counter[str]) -> str:
    return " ".join(f"{name}={count}" for name, count in sorted(counts.items()))


def counted(text: str) -> Counter[str]:
    """The counts of `noted` again; what does not look like one is passed over."""
    found: Counter[str] = Counter()
    for one in text.split():
        name, _, count = one.rpartition("=")
        if name and count.isdecimal():
            found[name] += int(count)
    return found
