"""Links between charts: who says that two folders are one person's, and the groups that makes.

A link is a row that can be revoked and stays. What joins folders is not yet proof that they are one
person's: proven are a link by the county's matching rule (the same valid resident ID number, with an
agreeing name and birth) and one to a folder that was opened here for the person. A hospital's merge
is the hospital's word, and so is every other rule until the resident has confirmed it. So charts
have two groups: the `person` that all standing links make, and inside it the `identity` that
proven and confirmed ones make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import and_, bindparam, insert, or_, select, update

from gateway.store import tables
from gateway.store.charts import binds
from gateway.store.engine import Tx
from gateway.store.statements import Statement, any_of

_chart = tables.Chart.__table__  # type: ignore[attr-defined]
_link = tables.Link.__table__  # type: ignore[attr-defined]

BY_NUMBER = "resident-id+name"
"""`rule` of the county's matching rule."""
RECOGNITION = "recognition"
"""`rule` of the folder in which an organisation keeps its decisions on others' results."""
PROVEN = frozenset({BY_NUMBER, RECOGNITION})
"""The rules that prove by themselves whose the folders are."""
GATEWAY = "gateway"
"""`made_by` of the county's matching rule."""
CONTRADICTED = "contradicted"
"""`revoked_by` of a merge that the folders speak against: they carry different persons' numbers."""
POSSIBLE = "possible"
"""`revoked_by` while nobody has answered whether two folders are one person's; what makes them
look so (a `Ground`) follows it in `rule`."""
CORRECTED = "corrected"
"""`revoked_by` of what the county's rule had found by a number that was corrected since."""
UNJUDGED = frozenset({POSSIBLE, CORRECTED})
"""`revoked_by` of pairs that neither a person nor the hospital has parted."""


class Link(NamedTuple):
    """One row about a pair of charts. Times are µs UTC, 0: not so; `clock` is its sayer's own."""

    id: int
    left: str
    right: str
    rule: str
    at: int
    revoked: int
    revoked_by: str
    clock: int
    confirmed: int

    def other(self, chart: str) -> str:
        """The chart this one is said to belong together with."""
        return self.right if self.left == chart else self.left

    @property
    def contradicted(self) -> bool:
        """Said, but the folders speak against it, and nobody has decided: an identity dispute."""
        return self.revoked_by == CONTRADICTED

    @property
    def undecided(self) -> bool:
        """It waits for the resident's word."""
        return self.contradicted or not (self.revoked or self.confirmed)


_LINK = tuple(_link.c[name] for name in Link._fields)
_touching = or_(any_of(_link.c.left, "charts"), any_of(_link.c.right, "charts"))

ADD = Statement(
    insert(_link).values(**binds(_link, "id")), *(c.name for c in _link.columns if c.name != "id")
)
BETWEEN = Statement(
    select(*_LINK)
    .where(_link.c.left == bindparam("left_"), _link.c.right == bindparam("right_"))
    .order_by(_link.c.id),
    "left_",
    "right_",
)
OF = Statement(
    select(*_LINK)
    .where(or_(_link.c.revoked == 0, _link.c.revoked_by == CONTRADICTED), _touching)
    .order_by(_link.c.id),
    "charts",
    lists=("charts",),
)
"""What is said of these charts now: links that stand, and contradicted ones."""
EVER = Statement(select(*_LINK).where(_touching), "charts", lists=("charts",))
UNDECIDED = Statement(
    select(*_LINK)
    .where(
        or_(
            _link.c.revoked_by == CONTRADICTED,
            and_(_link.c.revoked == 0, _link.c.confirmed == 0),
        )
    )
    .order_by(_link.c.id)
)
ON_CHARTS = Statement(
    select(_chart.c.id, _chart.c.organization, _chart.c.facts).where(any_of(_chart.c.id, "charts")),
    "charts",
    lists=("charts",),
)
"""(id, organization, sealed facts) of charts."""
REVOKE = Statement(
    update(_link)
    .where(_link.c.id == bindparam("id_"))
    .values(revoked=bindparam("at_"), revoked_by=bindparam("by_")),
    "id_",
    "at_",
    "by_",
)
STAND = Statement(
    update(_link).where(_link.c.id == bindparam("id_")).values(revoked=0, revoked_by=""), "id_"
)
CONFIRM = Statement(
    update(_link)
    .where(_link.c.id == bindparam("id_"))
    .values(confirmed=bindparam("at_"), confirmed_by=bindparam("by_")),
    "id_",
    "at_",
    "by_",
)
SET_CLOCK = Statement(
    update(_link).where(_link.c.id == bindparam("id_")).values(clock=bindparam("clock_")),
    "id_",
    "clock_",
)
_GROUPS = Statement(
    select(_chart.c.id, _chart.c.person, _chart.c.identity, _chart.c.disputed)
    .where(any_of(_chart.c.id, "charts"))
    .order_by(_chart.c.id)
    .with_for_update(),
    "charts",
    lists=("charts",),
)
_asked = _chart.alias("asked")
COMPANIONS = Statement(
    select(_chart.c.id)
    .where(
        _chart.c.person
        == select(_asked.c.person).where(_asked.c.id == bindparam("chart")).scalar_subquery()
    )
    .order_by(_chart.c.id),
    "chart",
)
"""The charts of the person of a chart, itself included."""
_SET_GROUP = Statement(
    update(_chart)
    .where(_chart.c.id == bindparam("chart_"))
    .values(
        person=bindparam("person_"),
        identity=bindparam("identity_"),
        disputed=bindparam("disputed_"),
        epoch=_chart.c.epoch + 1,
    ),
    "chart_",
    "person_",
    "identity_",
    "disputed_",
)


def between(tx: Tx, pair: Sequence[str]) -> list[Link]:
    """Everything ever said of a pair of charts, oldest first."""
    return [Link(*row) for row in tx.all(BETWEEN, *sorted(pair))]


def add(
    tx: Tx,
    pair: Sequence[str],
    rule: str,
    by: str,
    at: int,
    clock: int = 0,
    never_stood: str = "",
) -> None:
    """Write a link; `regroup` is the caller's. `never_stood` is who or what revokes it at once."""
    revoked = at if never_stood else 0
    confirmed = (at, by) if rule in PROVEN else (0, "")
    tx.run(ADD, *sorted(pair), rule, by, at, revoked, never_stood, clock, *confirmed)


def ask(tx: Tx, pair: Sequence[str], sign: str, at: int) -> None:
    """Keep two charts to be compared by a person, unless something else was ever said of them."""
    if all(link.revoked_by == CORRECTED for link in between(tx, pair)):
        add(tx, pair, f"{POSSIBLE}/{sign}", GATEWAY, at, never_stood=POSSIBLE)


def join_same(tx: Tx, chart: str, others: Iterable[str], at: int) -> None:
    """Link a chart with those that the county's matching rule says are the same person's.

    A pair that somebody parted is never joined again by a rule.
    """
    said = [Link(*row) for row in tx.all(EVER, [chart])]
    settled = {
        link.other(chart)
        for link in said
        if link.revoked_by not in UNJUDGED and (link.revoked or link.rule == BY_NUMBER)
    }
    new = set(others) - settled
    for link in said:
        if link.revoked_by == POSSIBLE and link.other(chart) in new:
            tx.run(REVOKE, link.id, at, GATEWAY)  # what was asked is answered
    for other in sorted(new):
        add(tx, (chart, other), BY_NUMBER, GATEWAY, at)
    if new:
        regroup(tx, {chart, *new})


_known = _chart.alias("known")
PERSONS = Statement(
    select(_chart.c.id, _chart.c.person).where(
        _chart.c.person.in_(select(_known.c.person).where(any_of(_known.c.id, "charts")))
    ),
    "charts",
    lists=("charts",),
)
"""(chart, person) of every chart of the persons that these charts belong to."""


def regroup(tx: Tx, charts: Iterable[str]) -> None:
    """Make `person`, `identity` and `disputed` of charts say what the links say.

    For every chart reachable from these. A group is named by its least chart id. The epoch of each
    chart moves for whose person, or whose parts of it, are others than before.
    """
    left, seen = set(charts), set[str]()
    said: dict[int, Link] = {}
    while left - seen:
        new = sorted(left - seen)
        seen |= left
        for row in tx.all(EVER, new):
            link = Link(*row)
            said[link.id] = link
            if not link.revoked:
                left |= {link.left, link.right}
    standing = [link for link in said.values() if not link.revoked]
    persons = _groups(seen, standing)
    identities = _groups(seen, (link for link in standing if link.confirmed))
    disputed = _disputed(said.values(), persons)
    known = {row[0]: tuple(row[1:]) for row in tx.all(_GROUPS, sorted(seen))}
    before = _views({chart: row[0] for chart, row in known.items()}, known)
    should = {chart: (persons[chart], identities[chart], int(chart in disputed)) for chart in known}
    after = _views(persons, should)
    for chart in sorted(known):
        if before[chart] != after[chart]:
            tx.run(_SET_GROUP, chart, *should[chart])


def _disputed(said: Iterable[Link], persons: Mapping[str, str]) -> set[str]:
    """Charts in dispute: what was said of a pair contradicts the charts, or a pair that somebody
    parted is still one person's by way of others, so that one of the two carries a wrong number."""
    found, joined, parted = set[str](), set[tuple[str, str]](), set[tuple[str, str]]()
    for link in said:
        pair = link.left, link.right
        if link.contradicted:
            found |= {*pair}
        elif not link.revoked:
            joined.add(pair)
        elif link.revoked_by not in UNJUDGED | {GATEWAY}:
            parted.add(pair)
    for left, right in parted - joined:
        if left in persons and persons[left] == persons.get(right):
            found |= {left, right}
    return found


def _views(
    persons: dict[str, str], rows: Mapping[str, tuple[object, ...]]
) -> dict[str, frozenset[tuple[object, ...]]]:
    """What a decision on each chart sees: its person's charts, with what stands on each."""
    groups: dict[str, set[tuple[object, ...]]] = {}
    for chart, row in rows.items():
        groups.setdefault(persons[chart], set()).add((chart, *row))
    return {chart: frozenset(groups[persons[chart]]) for chart in rows}


def _groups(charts: Iterable[str], links: Iterable[Link]) -> dict[str, str]:
    """The least chart each chart is connected with."""
    groups = {chart: {chart} for chart in charts}
    for link in links:
        one, two = groups[link.left], groups[link.right]
        if one is not two:
            merged = one | two
            for chart in merged:
                groups[chart] = merged
    return {chart: min(group) for chart, group in groups.items()}
