"""Reads what a result is compared by, and on what basis it counts, for its own line on a page.

The words of the laboratory stay as they are (`issued`); what is read here only sorts, draws and
explains. Which results may stand together is the rules' to say (`recognition.series`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from gateway.exchange.issued import Resource, codings, listed, words
from gateway.recognition.catalogue import LOINC, Catalogue, Item
from gateway.recognition.facts import ResultFacts, facts_of
from gateway.recognition.series import Reading, item_for, reading_of, second_mark
from mappings.engine import conversions

_NOTHING = Reading("", "", "")


@dataclass(frozen=True, slots=True)
class Basis:
    """The entitlement by which a laboratory's results in an item count for a receiver."""

    scope_zh: str = ""
    scope_en: str = ""
    basis: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Detail:
    """What a result's own detail says beyond its line. `order` is where the list's own panel of it
    stands (thousands), and the item in that."""

    reading: Reading = _NOTHING
    panel_zh: str = ""
    panel_en: str = ""
    order: int = 0
    instrument: str = ""
    basis: Basis = Basis()

    @property
    def item(self) -> Item | None:
        """What the recognition list says of it."""
        return self.reading.item

    @property
    def computed(self) -> Literal["", "high", "low", "normal"]:
        """Our own mark, from the result's own number and limits alone."""
        return second_mark(self.reading)


NO_DETAIL = Detail()


def same_test(codes: Iterable[tuple[str, str]], catalogue: Catalogue, at: int) -> str:
    """The name of the test these (system, code) pairs mean; "" when there are none.

    The list's item, of the code itself or of one that a listed conversion leads to; else the LOINC
    code, else the first code given.
    """
    known = list(codes)
    loinc = [code for system, code in known if system == LOINC]
    items = catalogue.items_for(loinc, at)
    if not items:
        led = {
            rule.to_loinc
            for (begin, _), rules in conversions.listed().items()
            if begin in loinc
            for rule in rules
        }
        items = catalogue.items_for(sorted(led), at)
    if len(items) == 1:
        return f"item|{items[0].code}"
    return "|".join(next((one for one in known if one[0] == LOINC), known[0])) if known else ""


def pairs(codes: Iterable[str]) -> list[tuple[str, str]]:
    """The `system|code` texts of a manifest as (system, code)."""
    return [(system, bare) for system, _, bare in (code.rpartition("|") for code in codes)]


def detail(
    result: Resource,
    specimen: Resource | None,
    organization: str,
    catalogue: Catalogue,
    at: int,
    zone: ZoneInfo,
    basis: Basis | None = None,
    facts: ResultFacts | None = None,
) -> Detail:
    """The detail of an Observation, its numbers being text (`issued.parsed`); `facts` are those it
    was judged by, where it was."""
    facts = facts or facts_of(
        result,
        version="",
        content="",
        organization=organization,
        identity_tier=1,
        zone=zone,
        specimen=specimen,
    )
    item = item_for(catalogue, facts, at, conversions.views)
    own = next(("|".join(pair) for pair in codings(result.get("code"))), "")
    local = own or words(result.get("code"))
    panel, order = _panel(item, catalogue)
    device = (listed(result.get("device")) or [{}])[0]
    return Detail(
        reading_of(result, facts, item, local=local),
        *panel,
        order,
        str(device.get("display", "")),
        basis or Basis(),
    )


def basis_of(
    organization: str, item: str, receiver: str, catalogue: Catalogue, at: int
) -> Basis | None:
    """The entitlement under which the laboratory's item counts where the receiver is."""
    known = catalogue.item(item, at)
    if known is None:
        return None
    reach = catalogue.scopes_of(receiver, at)
    for row in catalogue.entitlements(organization, known):
        if row.status == "active" and row.scope in reach and row.valid.covers(at):
            scope = catalogue.scopes[row.scope]
            return Basis(scope.name_zh, scope.name_en, row.basis, row.evidence)
    return None


def _panel(item: Item | None, catalogue: Catalogue) -> tuple[tuple[str, str], int]:
    """The first of the list's own panels that holds the item, and where in the list it stands."""
    if item is None:
        return ("", ""), 0
    for place, panel in enumerate(catalogue.panels):
        if not panel.organization and item.code in panel.items:
            return (panel.name_zh, panel.name_en), place * 1_000 + panel.items.index(item.code)
    return ("", ""), 0
