"""The targets that are counted in items: how many may really be recognised in a scope on a day."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.recognition.catalogue import Catalogue, Entitlement, Item, Scope
from gateway.recognition.indicators import Dictionary, Target


class Reached(msgspec.Struct, frozen=True):
    """A target in one scope on one day. `listed` items of the catalogue are in force there and may be
    recognised at all, of which for `entitled` at least one organisation holds an active entitlement
    that counts in the scope; `gaps` are the codes of the others. `least` is the number to exceed,
    None for all that are listed."""

    code: str
    scope: str
    listed: int
    entitled: int
    gaps: tuple[str, ...]
    least: int | None

    @property
    def reached(self) -> bool:
        """Is the target reached?"""
        return self.entitled > self.least if self.least is not None else not self.gaps

    @property
    def short(self) -> int:
        """How many items are missing."""
        return max(self.least + 1 - self.entitled, 0) if self.least is not None else len(self.gaps)


def reached(
    definitions: Dictionary, catalogue: Catalogue, organizations: Iterable[str], at: int
) -> tuple[Reached, ...]:
    """Every target in every scope of its kind in which any of these organisations lies at `at`."""
    known = tuple(organizations)
    scopes = sorted(set().union(*(catalogue.scopes_of(one, at) for one in known)))
    return tuple(
        _in_scope(target, catalogue.scopes[code], catalogue, known, at)
        for target in definitions.target
        for code in scopes
        if catalogue.scopes[code].kind == target.scope
    )


def _in_scope(
    target: Target, scope: Scope, catalogue: Catalogue, organizations: tuple[str, ...], at: int
) -> Reached:
    """A mark of a wider scope counts in the narrower ones, too."""
    wide = catalogue.around([scope.code])
    items = {one.code: one for one in catalogue.items if _listed(one, at)}
    entitled = {
        code
        for code, item in items.items()
        if any(
            _counts(row, wide, at)
            for organization in organizations
            for row in catalogue.entitlements(organization, item)
        )
    }
    return Reached(
        target.code,
        scope.code,
        len(items),
        len(entitled),
        tuple(sorted(items.keys() - entitled)),
        target.items,
    )


def _listed(item: Item, at: int) -> bool:
    return item.effective.covers(at) and not item.negative_list


def _counts(row: Entitlement, wide: frozenset[str], at: int) -> bool:
    return row.status == "active" and row.scope in wide and row.valid.covers(at)
