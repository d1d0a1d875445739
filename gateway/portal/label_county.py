"""The page of labels over the real county: versions, counts and runs."""

from __future__ import annotations

from gateway.errors import Kind, Problem
from gateway.exchange import label_runs
from gateway.portal.label_stories import LabelRun, LabelsView
from gateway.portal.shown import named
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store.labels import RunRow


class LabelCounty:
    """`LabelStories`, told by the exchange."""

    _services: Services

    async def labels(self, caller: Caller) -> LabelsView:
        if caller.role != "it":
            raise Problem(Kind.REFUSED, "Another role's work.")
        found = await label_runs.progress(self._services)
        return LabelsView(
            rules=found.rules,
            policy=found.policy,
            left=found.left,
            categories=named(self._services.labels.rows.items()),
            runs=tuple(map(_run, found.runs)),
        )


def _run(row: RunRow) -> LabelRun:
    return LabelRun(
        number=row.id,
        rules=row.rules,
        running=row.state == "running",
        begun=moment(row.asked_at),
        ended=moment(row.finished) if row.finished else None,
        total=row.total,
        done=row.done,
        records=row.records,
        raised=row.raised,
        unreadable=row.faults,
        counts=named(label_runs.counts(row).items()),
    )
