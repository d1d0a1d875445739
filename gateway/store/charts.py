"""Statements on charts, consent and records: the ones every look-up and every filing runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    LargeBinary,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.dml import Insert

from gateway.store import stamp, tables
from gateway.store.engine import Store, Tx
from gateway.store.statements import Statement, any_of, exclusive

_chart = tables.Chart.__table__  # type: ignore[attr-defined]
_directive = tables.Directive.__table__  # type: ignore[attr-defined]
_relationship = tables.Relationship.__table__  # type: ignore[attr-defined]
_record = tables.Record.__table__  # type: ignore[attr-defined]
_segment = tables.Segment.__table__  # type: ignore[attr-defined]
_index = tables.BlindIndex.__table__  # type: ignore[attr-defined]
_policy = tables.PolicyVersion.__table__  # type: ignore[attr-defined]


def bucket_of(chart: str) -> int:
    """The bucket (0–255) a chart's rows are clustered and, on several machines, placed by."""
    return int(chart[:2], 16)


class insert_or_leave(Insert):
    """An insert that leaves a row that stands untouched."""

    inherit_cache = False


@compiles(insert_or_leave)
def _insert_or_leave(element: Any, compiler: Any, **kw: Any) -> str:
    text, returning, columns = compiler.visit_insert(element, **kw).partition(" RETURNING ")
    return f"{text} ON CONFLICT DO NOTHING{returning}{columns}"


def binds(table: Any, *fixed: str) -> dict[str, Any]:
    """A bind parameter for each column but `fixed`, under the column's name."""
    return {c.name: bindparam(c.name, type_=c.type) for c in table.columns if c.name not in fixed}


# Grounds: everything about a person that a decision may need, in one trip.


class ChartRow(NamedTuple):
    """A chart as the grounds tell it."""

    id: str
    organization: str
    person: str
    epoch: int
    seq: int
    disputed: bool
    facts: bytes
    directives: bytes = b""  # the keyed sum of its active directives
    labelled: str = ""  # the label rules all of it is labelled under
    identity: str = ""  # the charts of one person that are surely one person's share it
    created: int = 0  # µs UTC


def alongside(charts: Sequence[ChartRow], chart: str) -> tuple[str, ...]:
    """Those of one person's charts that are surely the same person's as this one, itself included."""
    identity = next((row.identity for row in charts if row.id == chart), None)
    return tuple(row.id for row in charts if row.identity == identity)


POLICY = "policy"
"""Stands among the epochs of charts: the number of the county's policy version in force."""

_policy_in_force = select(func.coalesce(func.max(_policy.c.number), 0)).where(
    _policy.c.state == "in-force"
)


class Grounds(NamedTuple):
    """A person's charts, active directives (chart, id, sealed) and relationships with the asking
    organisation (chart, id, kind, sealed), the policy version that was in force then, and the newest
    version of the recognition catalogue and event of its register."""

    charts: tuple[ChartRow, ...]
    directives: tuple[tuple[str, str, bytes], ...]
    relationships: tuple[tuple[str, str, str, bytes], ...]
    policy: int = 0
    catalogue: int = 0
    register: int = 0


def _same_person() -> Any:
    known = _chart.alias("known")
    return select(known.c.person).where(known.c.id == bindparam("chart")).scalar_subquery()


GROUNDS = Statement(
    union_all(
        select(
            literal_column("0").label("kind"),
            _chart.c.id,
            _chart.c.organization,
            _chart.c.person,
            _chart.c.epoch,
            _chart.c.seq,
            _chart.c.disputed,
            _chart.c.facts,
            _chart.c.directives,
            _chart.c.labelled,
            _chart.c.identity,
            _chart.c.created,
        ).where(_chart.c.person == _same_person()),
        select(
            literal_column("1"),
            _directive.c.chart,
            _directive.c.id,
            literal_column("''"),
            _directive.c.version,
            literal_column("0"),
            literal_column("0"),
            _directive.c.sealed,
            null(),
            literal_column("''"),
            literal_column("''"),
            literal_column("0"),
        )
        .join(_chart, _chart.c.id == _directive.c.chart)
        .where(_chart.c.person == _same_person(), _directive.c.active == 1),
        select(
            literal_column("2"),
            _relationship.c.chart,
            _relationship.c.id,
            _relationship.c.kind,
            literal_column("0"),
            literal_column("0"),
            literal_column("0"),
            _relationship.c.sealed,
            null(),
            literal_column("''"),
            literal_column("''"),
            literal_column("0"),
        )
        .join(_chart, _chart.c.id == _relationship.c.chart)
        .where(
            _chart.c.person == _same_person(),
            _relationship.c.organization == bindparam("organization"),
        ),
        select(
            literal_column("3"),
            literal_column("''"),
            literal_column("''"),
            literal_column("''"),
            _policy_in_force.scalar_subquery(),
            stamp.published(),
            stamp.newest_event(),
            null(),
            null(),
            literal_column("''"),
            literal_column("''"),
            literal_column("0"),
        ),
    ),
    "chart",
    "organization",
)


async def grounds(store: Store, chart: str, organization: str) -> Grounds:
    """What is on file about the person of `chart`; no charts when it is unknown."""
    charts, directives, relationships = [], [], []
    versions = (0, 0, 0)
    for kind, one, two, three, four, five, six, blob, sum, *seven in await store.read(
        GROUNDS, chart, organization
    ):
        if kind == 0:
            charts.append(ChartRow(one, two, three, four, five, bool(six), blob, sum, *seven))
        elif kind == 1:
            directives.append((one, two, blob))
        elif kind == 3:
            versions = (four, five, six)
        else:
            relationships.append((one, two, three, blob))
    charts.sort()
    return Grounds(
        tuple(charts), tuple(sorted(directives)), tuple(sorted(relationships)), *versions
    )


_held_epochs = (
    select(_chart.c.id, _chart.c.epoch)
    .where(any_of(_chart.c.id, "charts"))
    .order_by(_chart.c.id)
    .with_for_update(read=True)
)
_held_policy = (
    select(_policy.c.number).where(_policy.c.state == "in-force").with_for_update(read=True)
).cte("policy")
_epochs = _held_epochs.cte("epochs")
EPOCHS = Statement(_held_epochs, "charts", lists=("charts",))
"""The epochs of charts, held until the transaction ends: who changes one now waits for us, or we for
them and see what they did. SQLite has one writer and needs no lock."""
STOOD_ON = Statement(
    union_all(
        select(_epochs.c.id, _epochs.c.epoch),
        select(literal_column(f"'{POLICY}'"), func.coalesce(func.max(_held_policy.c.number), 0)),
    ),
    "charts",
    lists=("charts",),
)
"""The epochs of charts and the policy in force: what a decision stood on, read again and held."""


# Records and manifests.


class RecordRow(NamedTuple):
    """A stored version; `sealed` is None when the source keeps the body."""

    chart: str
    seq: int
    id: str
    version: int
    tier: int
    head: bytes
    sealed: bytes | None
    filed: int
    inbox: str = ""  # the raw message it came from
    release: int = 0  # of the map that made it; 0 when no map did


_RECORD = (
    _record.c.chart,
    _record.c.seq,
    _record.c.id,
    _record.c.version,
    _record.c.tier,
    _record.c.head,
    _record.c.sealed,
    _record.c.filed,
    _record.c.inbox,
    _record.c.release,
)

CURRENT = Statement(
    select(*_RECORD).where(_record.c.id == bindparam("id"), _record.c.current == 1), "id"
)
VERSIONS = Statement(
    select(*_RECORD).where(_record.c.id == bindparam("id")).order_by(_record.c.version.desc()),
    "id",
)


class HeadRow(NamedTuple):
    """What a decision on the newest version of a record needs."""

    chart: str
    id: str
    version: int
    tier: int
    head: bytes


HEADS = Statement(
    select(_record.c.chart, _record.c.id, _record.c.version, _record.c.tier, _record.c.head).where(
        any_of(_record.c.id, "ids"), _record.c.current == 1
    ),
    "ids",
    lists=("ids",),
)
NOT_FROM = Statement(
    select(*_RECORD)
    .where(
        _record.c.id == bindparam("id"),
        _record.c.inbox != bindparam("inbox"),
        _record.c.version < bindparam("version"),
    )
    .order_by(_record.c.version.desc())
    .limit(1),
    "id",
    "inbox",
    "version",
)
"""What stood before a message wrote its versions."""
BODIES = Statement(
    select(_record.c.id, _record.c.version, _record.c.tier, _record.c.sealed).where(
        _record.c.bucket == bindparam("bucket"),
        _record.c.chart == bindparam("chart"),
        any_of(_record.c.seq, "seqs", "BIGINT[]"),
    ),
    "bucket",
    "chart",
    "seqs",
    lists=("seqs",),
)
ALL = 2**62
"""Above every sequence number."""
SEGMENTS = Statement(
    select(_segment.c.chart, _segment.c.tier, _segment.c.number, _segment.c.sealed)
    .where(
        _segment.c.bucket == bindparam("bucket"),
        _segment.c.chart == bindparam("chart"),
        _segment.c.number <= bindparam("high"),
    )
    .order_by(_segment.c.tier, _segment.c.number),
    "bucket",
    "chart",
    "high",
)


async def current(store: Store, id: str) -> RecordRow | None:
    """The newest version of a resource."""
    rows = await store.read(CURRENT, id)
    return RecordRow(*rows[0]) if rows else None


async def versions(store: Store, id: str) -> list[RecordRow]:
    """All versions, newest first."""
    return [RecordRow(*row) for row in await store.read(VERSIONS, id)]


async def heads(store: Store, ids: Sequence[str]) -> list[HeadRow]:
    """The heads of those ids that exist, whatever chart they are in."""
    return [HeadRow(*row) for row in await store.read(HEADS, list(ids))]


async def segments(store: Store, chart: str, high: int) -> Sequence[tuple[str, int, int, bytes]]:
    """(chart, tier, number, sealed) of a chart's manifest up to sequence number `high`."""
    return await store.read(SEGMENTS, bucket_of(chart), chart, high)


async def bodies(
    store: Store, chart: str, seqs: Sequence[int]
) -> Sequence[tuple[str, int, int, bytes | None]]:
    """(id, version, tier, sealed) of a chart's records by sequence number: rows that lie together."""
    return await store.read(BODIES, bucket_of(chart), chart, list(seqs))


# Filing.

ADD_CHART = Statement(
    insert_or_leave(_chart).values(**binds(_chart)), *(c.name for c in _chart.columns)
)
TAKE_CHART = Statement(
    update(_chart)
    .where(_chart.c.id == bindparam("chart"))
    .values(
        seq=_chart.c.seq + bindparam("count", type_=_chart.c.seq.type),
        epoch=_chart.c.epoch + bindparam("changes", type_=_chart.c.epoch.type),
    )
    .returning(_chart.c.seq, _chart.c.epoch, _chart.c.person, _chart.c.facts),
    "chart",
    "count",
    "changes",
)
_own_segment = _segment.alias("own")
TAKE_TO_WRITE = Statement(
    update(_chart)
    .where(_chart.c.id == bindparam("chart"))
    .values(
        seq=_chart.c.seq + bindparam("count", type_=_chart.c.seq.type),
        labelled=case(
            (_chart.c.labelled == bindparam("rules"), _chart.c.labelled),
            (_chart.c.labelled == bindparam("open"), _chart.c.labelled),
            else_="",
        ),
    )
    .returning(
        _chart.c.seq,
        _chart.c.facts,
        _chart.c.labelled,
        select(func.max(_own_segment.c.tier))
        .where(
            _own_segment.c.bucket == bindparam("bucket"), _own_segment.c.chart == bindparam("chart")
        )
        .scalar_subquery(),
    ),
    "chart",
    "count",
    "rules",
    "open",
    "bucket",
)
SET_LABELLED = Statement(
    update(_chart)
    .where(_chart.c.id == bindparam("chart_"))
    .values(labelled=bindparam("labelled_")),
    "chart_",
    "labelled_",
)
OPEN_ENDS = "~"
"""Before the version of the rules: what the chart's records hang on was not looked at since."""
SET_FACTS = Statement(
    update(_chart)
    .where(_chart.c.id == bindparam("chart"))
    .values(facts=bindparam("facts_", type_=LargeBinary)),
    "chart",
    "facts_",
)
STANDING = Statement(
    select(*_RECORD).where(any_of(_record.c.id, "ids"), _record.c.current == 1),
    "ids",
    lists=("ids",),
)
RETIRE = Statement(
    update(_record)
    .where(
        _record.c.bucket == bindparam("bucket_"),
        _record.c.chart == bindparam("chart_"),
        _record.c.seq == bindparam("seq_"),
    )
    .values(current=0),
    "bucket_",
    "chart_",
    "seq_",
)
SET_HEAD = Statement(
    update(_record)
    .where(
        _record.c.bucket == bindparam("bucket_"),
        _record.c.chart == bindparam("chart_"),
        _record.c.seq == bindparam("seq_"),
    )
    .values(head=bindparam("head_")),
    "bucket_",
    "chart_",
    "seq_",
    "head_",
)
MOVE_RECORD = Statement(
    update(_record)
    .where(
        _record.c.bucket == bindparam("bucket_"),
        _record.c.chart == bindparam("chart_"),
        _record.c.seq == bindparam("seq_"),
    )
    .values(tier=bindparam("tier_"), head=bindparam("head_"), sealed=bindparam("sealed_")),
    "bucket_",
    "chart_",
    "seq_",
    "tier_",
    "head_",
    "sealed_",
)
ADD_RECORD = Statement(insert(_record).values(**binds(_record)), *(c.name for c in _record.columns))
ADD_SEGMENT = Statement(
    insert(_segment).values(**binds(_segment)), *(c.name for c in _segment.columns)
)
DROP_SEGMENTS = Statement(
    delete(_segment).where(
        _segment.c.bucket == bindparam("bucket"),
        _segment.c.chart == bindparam("chart"),
        _segment.c.tier == bindparam("tier"),
        _segment.c.number <= bindparam("high"),
    ),
    "bucket",
    "chart",
    "tier",
    "high",
)
SCATTERED = Statement(
    select(_segment.c.chart, _segment.c.tier)
    .where(_segment.c.entries < bindparam("small"))
    .group_by(_segment.c.chart, _segment.c.tier)
    .having(func.count() >= bindparam("many"))
    .limit(bindparam("most")),
    "small",
    "many",
    "most",
)


def _upsert(table: Any, keys: tuple[str, ...]) -> Any:
    """INSERT … ON CONFLICT UPDATE, the same text on both engines."""
    statement = sqlite.insert(table).values(**binds(table))
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=changed)


class Upsert(Statement):
    """A statement that inserts a row or replaces what stands under its key."""

    __slots__ = ()

    def __init__(self, table: Any, *keys: str) -> None:
        super().__init__(_upsert(table, keys), *(c.name for c in table.columns))

    def _compile(self, dialect: Any) -> Any:
        if dialect.name == "postgresql":
            table = self._clause.table  # type: ignore[attr-defined]
            keys = tuple(c.name for c in table.primary_key.columns)
            statement = postgresql.insert(table).values(**binds(table))
            changed = {
                c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys
            }
            self._clause = statement.on_conflict_do_update(index_elements=list(keys), set_=changed)
        return super()._compile(dialect)


PUT_DIRECTIVE = Upsert(_directive, "chart", "id")
PUT_RELATIONSHIP = Upsert(_relationship, "chart", "id")
DROP_RELATIONSHIP = Statement(
    delete(_relationship).where(
        _relationship.c.chart == bindparam("chart"), _relationship.c.id == bindparam("id")
    ),
    "chart",
    "id",
)
DROP_RELATIONSHIPS = Statement(
    delete(_relationship).where(
        _relationship.c.chart == bindparam("chart"), any_of(_relationship.c.id, "ids")
    ),
    "chart",
    "ids",
    lists=("ids",),
)
_personal = (
    any_of(_relationship.c.chart, "charts"),
    or_(_relationship.c.kind == "self-claim", _relationship.c.kind == "presence"),
)
PERSONAL = Statement(
    select(_relationship.c.chart, _relationship.c.id).where(*_personal), "charts", lists=("charts",)
)
"""What persons themselves said of these charts, no hospital: that they treat, that the patient is there."""
DROP_PERSONAL = Statement(
    delete(_relationship).where(*_personal).returning(_relationship.c.id),
    "charts",
    lists=("charts",),
)
DIRECTIVE = Statement(
    select(
        _directive.c.chart,
        _directive.c.id,
        _directive.c.version,
        _directive.c.active,
        _directive.c.sealed,
    ).where(_directive.c.chart == bindparam("chart"), _directive.c.id == bindparam("id")),
    "chart",
    "id",
)


ACTIVE = Statement(
    select(_directive.c.id, _directive.c.sealed).where(
        _directive.c.chart == bindparam("chart"), _directive.c.active == 1
    ),
    "chart",
)
INACTIVE = Statement(
    select(_directive.c.chart, _directive.c.id, _directive.c.sealed).where(
        any_of(_directive.c.chart, "charts"), _directive.c.active == 0
    ),
    "charts",
    lists=("charts",),
)
DIRECTIVES_SUM = Statement(
    select(_chart.c.directives).where(_chart.c.id == bindparam("chart")), "chart"
)
SET_DIRECTIVES_SUM = Statement(
    update(_chart)
    .where(_chart.c.id == bindparam("chart_"))
    .values(directives=bindparam("sum_", type_=LargeBinary)),
    "chart_",
    "sum_",
)
UNSUMMED = Statement(
    select(_directive.c.chart)
    .join(_chart, _chart.c.id == _directive.c.chart)
    .where(_directive.c.active == 1, func.length(_chart.c.directives) == 0)
    .distinct()
)
"""Charts with active directives and no sum: they were recorded before there were sums."""
DIRECTIVES_OF = Statement(
    select(_directive.c.id).where(any_of(_directive.c.chart, "charts")),
    "charts",
    lists=("charts",),
)


def take(tx: Tx, chart: str, count: int, changes: int = 0) -> tuple[int, int, str, bytes]:
    """Lock the chart, reserve `count` sequence numbers, bump the epoch by `changes`.

    Returns (highest number, epoch, person, sealed facts); raises LookupError when it is unknown.
    """
    row = tx.one(TAKE_CHART, chart, count, changes)
    if row is None:
        raise LookupError("no such chart")
    return row[0], row[1], row[2], row[3]


class Taken(NamedTuple):
    """A chart that is locked to be written: its sequence number and facts before, whether it is
    labelled, and the highest tier it has segments in (-1: none)."""

    seq: int
    facts: bytes
    labelled: str
    highest: int


def take_to_write(tx: Tx, chart: str, count: int, rules: str) -> Taken:
    """Lock the chart and reserve `count` sequence numbers for records labelled under `rules`.

    A chart labelled under others is to be labelled again. Raises LookupError when it is unknown.
    """
    row = tx.one(TAKE_TO_WRITE, chart, count, rules, OPEN_ENDS + rules, bucket_of(chart))
    if row is None:
        raise LookupError("no such chart")
    return Taken(row[0] - count, row[1], row[2], -1 if row[3] is None else row[3])


def standing(tx: Tx, ids: Sequence[str]) -> dict[str, RecordRow]:
    """The newest version of each id that exists, whatever chart it is in."""
    return {row[2]: RecordRow(*row) for row in tx.all(STANDING, list(ids))}


# Persons.

INDEX = Statement(
    insert_or_leave(_index).values(**binds(_index)), *(c.name for c in _index.columns)
)
FORGET = Statement(delete(_index).where(_index.c.chart == bindparam("chart")), "chart")
FIND = Statement(
    select(_index.c.chart, _index.c.linking, _chart.c.organization, _chart.c.person, _chart.c.facts)
    .join(_chart, _chart.c.id == _index.c.chart)
    .where(_index.c.digest == bindparam("digest"))
    .order_by(_index.c.chart),
    "digest",
)
HOLD = Statement(select(exclusive("digest")), "digest")
