"""Compares what is being ordered with what other laboratories already have, item by item.

Whoever prompts calls three things, none of which touches anything outside:

    orders = [meant(catalogue, order_id, organization, codings, name, at) for ... in the order set]
    found = compare(orders, [Candidate(judgement, issuer, key, result) for ... in the person's results])
    for order in found.orders:
        order.cover          # ALL, PARTLY, NONE or UNKNOWN
        order.covered        # items with an eligible result: order.lines[n].best is the newest
        order.missing        # "order only these"
    found.repeats            # the same item stands in two orders of the set

Results whose outcome is "none" are dropped before anything is counted: a protected one and one that
does not exist give the same comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from gateway.recognition.catalogue import Catalogue, Item
from gateway.recognition.facts import side_of
from gateway.recognition.judgement import Flag, Judgement, Outcome

T = TypeVar("T")


class Cover(StrEnum):
    """How much of an order is already there."""

    ALL = "all"
    PARTLY = "partly"
    NONE = "none"
    UNKNOWN = "unknown"  # nobody knows what the order means: nothing is said about it


@dataclass(frozen=True, slots=True)
class Order:
    """One order of a set. `key` is whatever names it to the caller.

    `items` is what it means, empty when nobody knows. `beyond` are codes of parts that are not in
    the catalogue in force: an order with such parts is never covered as a whole. `side` is left,
    right, both or empty: a result of another side does not cover it.
    """

    key: str
    items: tuple[Item, ...]
    beyond: tuple[str, ...] = ()
    side: str = ""

    def fits(self, item: Item, side: str) -> bool:
        """Is a result of this side what the order asks for? Only where sides matter to the item."""
        return not item.laterality_required or (bool(self.side) and side in (self.side, "both"))


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """An earlier result with its judgement for this receiver.

    `key` is "Type/id" and settles which of two equally new ones comes first; `result` is whatever
    the caller wants to find again.
    """

    judgement: Judgement
    issuer: str
    key: str
    result: T

    @property
    def own(self) -> bool:
        """Measured by the receiver itself: told, but not a matter of mutual recognition."""
        return Flag.OWN_RESULT in self.judgement.flags


@dataclass(frozen=True, slots=True)
class Line(Generic[T]):
    """One item of an order with every result of it, newest first, from however many hospitals.

    `own` are the receiver's own results that are young enough; they cover nothing.
    """

    item: Item
    eligible: tuple[Candidate[T], ...] = ()
    informational: tuple[Candidate[T], ...] = ()
    own: tuple[Candidate[T], ...] = ()

    @property
    def best(self) -> Candidate[T] | None:
        """The newest result that may be recognised."""
        return self.eligible[0] if self.eligible else None


@dataclass(frozen=True, slots=True)
class Compared(Generic[T]):
    """One order against what there is."""

    order: Order
    lines: tuple[Line[T], ...]

    @property
    def cover(self) -> Cover:
        """ALL only when every part of the order has a result that may be recognised."""
        if not self.lines:
            return Cover.UNKNOWN
        if not self.covered:
            return Cover.NONE
        return Cover.PARTLY if self.missing or self.order.beyond else Cover.ALL

    @property
    def covered(self) -> tuple[Item, ...]:
        """Items that need not be measured again if the doctor agrees."""
        return tuple(line.item for line in self.lines if line.eligible)

    @property
    def missing(self) -> tuple[Item, ...]:
        """Items without a result that may be recognised; `order.beyond` has to be ordered too."""
        return tuple(line.item for line in self.lines if not line.eligible)

    @property
    def spared(self) -> tuple[Item, ...]:
        """Items that this order would measure although a recognised result is there: where sides
        matter, only those with a result of its own side."""
        return tuple(
            line.item for line in self.lines if line.eligible or not line.item.laterality_required
        )


@dataclass(frozen=True, slots=True)
class Repeat:
    """Two orders of one set that mean the same item. `whole`: the later adds nothing to the earlier."""

    first: str
    again: str
    items: tuple[str, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class Comparison(Generic[T]):
    """A whole order set, its orders in the order given."""

    orders: tuple[Compared[T], ...]
    repeats: tuple[Repeat, ...]


def meant(
    catalogue: Catalogue,
    key: str,
    organization: str,
    codings: Iterable[tuple[str, str]],
    name: str,
    at: int,
) -> Order:
    """What an order of this organisation means; see `Catalogue.ordered` for whose codes count."""
    codings = tuple(codings)
    items = catalogue.ordered(organization, codings, name, at)
    panel = catalogue.panel(organization, codings, name)
    known = {item.code for item in items}
    beyond = tuple(code for code in (panel.items if panel else ()) if code not in known)
    names = (name, *((panel.name_zh, panel.name_en) if panel else ()))
    return Order(key, items, beyond, side_of(codings, *names))


def compare(orders: Sequence[Order], candidates: Iterable[Candidate[T]]) -> Comparison[T]:
    """Lay the results beside the orders. The order of `candidates` does not matter."""
    shelf: dict[str, list[Candidate[T]]] = {}
    for one in candidates:
        if one.judgement.outcome is not Outcome.NONE:
            shelf.setdefault(one.judgement.item, []).append(one)
    for found in shelf.values():
        found.sort(key=_newest_first)
    compared = tuple(
        Compared(order, tuple(_line(order, item, shelf.get(item.code, ())) for item in order.items))
        for order in orders
    )
    return Comparison(compared, _repeats(orders))


def _newest_first(one: Candidate[T]) -> tuple[int, str, str]:
    return (-(one.judgement.clock or 0), one.issuer, one.key)


def _line(order: Order, item: Item, found: Sequence[Candidate[T]]) -> Line[T]:
    """An order that names no side is covered by none: its results are there to look at."""
    sided = [c for c in found if order.fits(item, c.judgement.side)]
    eligible = [c for c in sided if c.judgement.outcome is Outcome.ELIGIBLE]
    other = [c for c in found if c not in eligible and (c in sided or not order.side)]
    return Line(
        item,
        tuple(c for c in eligible if not c.own),
        tuple(c for c in other if not c.own),
        tuple(c for c in eligible if c.own),
    )


def _repeats(orders: Sequence[Order]) -> tuple[Repeat, ...]:
    """Every pair of orders with an item in common; an order nobody knows repeats nothing."""
    found = []
    for n, first in enumerate(orders):
        before = {item.code for item in first.items}
        for again in orders[n + 1 :]:
            both = tuple(
                item.code
                for item in again.items
                if item.code in before
                and (not item.laterality_required or first.side == again.side)
            )
            if both:
                whole = len(both) == len(again.items) and set(again.beyond) <= set(first.beyond)
                found.append(Repeat(first.key, again.key, both, whole))
    return tuple(found)
