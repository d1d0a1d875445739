"""Who relied on a result that has changed since: told at once, until they have looked and gone on.

An alert is written in the very transaction that changes the result, so there is no correction that
nobody is told of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from gateway.exchange import vouched
from gateway.exchange.succeeding import measured, with_reports
from gateway.recognition.successors import replaces
from gateway.records.entry import Entry, Head, Nature
from gateway.services import Services
from gateway.store import charts, links
from gateway.store import decisions as rows
from gateway.store.charts import RecordRow
from gateway.store.decisions import AlertRow, EvidenceRow
from gateway.store.engine import Tx

Change = Literal["corrected", "replaced", "withdrawn", "identity"]
"""Its values or words are others; a new report probably corrects it; it was never true or is not a
result; it may be somebody else's."""

RESULTS = frozenset({"DiagnosticReport", "ImagingStudy", "Observation"})
_VOID = frozenset({"cancelled", "entered-in-error"})


class Changed(NamedTuple):
    """A record with its new version and status."""

    id: str
    version: int
    status: str

    @property
    def change(self) -> Change:
        """What that means for whoever relied on an older version."""
        return "withdrawn" if self.status in _VOID else "corrected"


def changed(tx: Tx, found: Iterable[Changed], at: int, services: Services) -> int:
    """Alert whoever relied on an older version of these; a report that is withdrawn takes what it
    reported along. Returns how many alerts there are."""
    new = {one.id: one for one in found}
    if not new:
        return 0
    void = [id for id, one in new.items() if one.change == "withdrawn"]
    count = 0
    for row in tx.all(rows.RELIED_ON, list(new), void):
        evidence = EvidenceRow(*row)
        own = new.get(evidence.target)
        if own is not None and own.version > evidence.version:
            count += _alert(tx, evidence, own.version, own.change, at, services)
        elif own is None:
            count += _alert(tx, evidence, evidence.version, "withdrawn", at, services)
    return count


def replaced(
    tx: Tx,
    chart: str,
    new: Sequence[tuple[Nature, Entry]],
    head: Callable[[RecordRow], Head],
    at: int,
    services: Services,
) -> int:
    """Alert whoever relied on a result of this chart that one of these, filed for the first time,
    probably corrects; `head` opens a record of the chart."""
    if not new:
        return 0
    found = [EvidenceRow(*row) for row in tx.all(rows.RELIED_ACROSS, [chart], [])]
    found = [one for one in found if one.source == chart]
    if not found:
        return 0
    arrived = [measured(*one) for one in with_reports(new)]
    wanted = sorted({id for one in found for id in (one.target, one.report) if id})
    stored = charts.standing(tx, wanted)
    heads = {id: head(row) for id, row in stored.items() if row.chart == chart}
    count = 0
    for one in found:
        if one.target not in heads:
            continue
        nature, entry = heads[one.target].nature, heads[one.target].entry
        on = [heads[one.report]] if one.report in heads and one.report != one.target else []
        old = measured(nature, entry, [(report.nature, report.entry) for report in on])
        if any(replaces(later, old) for later in arrived):
            count += _alert(tx, one, one.version, "replaced", at, services)
    return count


def disputed(tx: Tx, id: str, at: int, services: Services) -> int:
    """Another folder claims this record: whose it is has become a question."""
    found = [EvidenceRow(*row) for row in tx.all(rows.RELIED_ON, [id], [])]
    return sum(_alert(tx, one, one.version, "identity", at, services) for one in found)


def folder(tx: Tx, chart: str, at: int, services: Services) -> int:
    """This chart carried another person's number: whoever relied on what is in it is told."""
    found = [EvidenceRow(*row) for row in tx.all(rows.RELIED_ACROSS, [chart], [])]
    return sum(_alert(tx, one, one.version, "identity", at, services) for one in found)


def parted(
    tx: Tx, charts: Collection[str], at: int, services: Services, since: int | None = None
) -> int:
    """These charts are not one person's any more: decisions made across them are to be looked at.

    So are those made `since` (µs UTC, when they were joined) by who has no folder of their own for
    the person, which lie beside the result: for which of the two is not known. So are all, while
    the charts still hang together by way of others.
    """
    persons: Mapping[str, str] = dict(tx.all(links.PERSONS, list(charts)))
    together = len({persons.get(chart) for chart in charts}) == 1
    count = 0
    for row in tx.all(rows.RELIED_ACROSS, list(persons), list(persons)):
        evidence = EvidenceRow(*row)
        apart = persons.get(evidence.source) != persons.get(evidence.chart)
        doubtful = since is not None and evidence.at >= since
        if apart or (doubtful and (together or _beside(tx, evidence))):
            count += _alert(tx, evidence, evidence.version, "identity", at, services)
    return count


def _beside(tx: Tx, evidence: EvidenceRow) -> bool:
    """Whether a decision lies in a folder that was opened here for the result's person."""
    said = [links.Link(*row) for row in tx.all(links.OF, [evidence.chart])]
    return any(link.rule == links.RECOGNITION for link in said)


def _alert(
    tx: Tx, evidence: EvidenceRow, version: int, change: Change, at: int, services: Services
) -> int:
    added = tx.all(
        rows.ADD_ALERT, evidence.id, evidence.organization, evidence.login, evidence.chart,
        evidence.target, version, change, at, 0, 0, 0,
    )  # fmt: skip
    vouched.vouch(tx, [AlertRow(*row) for row in added], services)
    return 1
