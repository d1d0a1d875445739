"""Overview, results, lines, reports and their originals over the real county, as pages need them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from consent.model import Reason
from gateway.exchange import amended, images, issued, naming, originals
from gateway.exchange import line as lines
from gateway.exchange import overview as first
from gateway.exchange import results as told
from gateway.exchange.ask import Gathering
from gateway.portal.chart_stories import (
    Difference,
    Line,
    NameAsked,
    Original,
    Overview,
    ReportView,
    SeveralFit,
    Signature,
    Statement,
    Study,
)
from gateway.portal.image_county import study_row
from gateway.portal.shown import Shown
from gateway.portal.stories import (
    Contribution,
    Refused,
    Resident,
    Results,
)
from gateway.records.instant import micros, moment
from gateway.services import Services
from gateway.services.caller import Caller


class ChartCounty:
    """`ChartStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    async def open_by_name(self, asked: NameAsked, caller: Caller) -> Resident | SeveralFit | None:
        found = await naming.open_by_name(
            asked.name, asked.birth, asked.number, caller, self._services
        )
        match found:
            case None:
                return None
            case naming.Several():
                return SeveralFit()
            case _:
                return self._shown.resident(found)

    async def overview(self, chart: str, caller: Caller) -> Overview | Refused:
        found = await first.overview(chart, caller, self._services)
        if isinstance(found, Reason):
            return Refused(found.value)
        shown = self._shown
        names = await shown.names((*found.newest, *found.countable))
        return Overview(
            resident=shown.resident(found.resident),
            contributions=self._contributions(found.hospitals),
            allergies=tuple(map(self._statement, found.allergies)),
            problems=tuple(map(self._statement, found.problems)),
            newest=tuple(shown.report(one, names, caller) for one in found.newest),
            studies=tuple(
                Study(
                    one.opened.id,
                    one.title,
                    one.modality,
                    shown.organization(one.organization),
                    one.at,
                    one.series,
                    one.count,
                    one.images,
                )
                for one in found.studies
            ),
            countable=tuple(shown.report(one, names, caller) for one in found.countable),
            notice=self._services.policy.notice == "always",
        )

    async def results(
        self, chart: str, caller: Caller, since: datetime | None = None, part: int | None = None
    ) -> Results | Refused:
        start = micros(since) if since else None
        found = await told.results(chart, caller, self._services, start, part)
        if isinstance(found, Reason):
            return Refused(found.value)
        names = await self._shown.names(found.reports)
        return Results(
            self._shown.resident(found.resident),
            self._contributions(found.hospitals),
            tuple(self._shown.report(one, names, caller) for one in found.reports),
            self._services.policy.notice == "always",
            found.part,
            found.parts,
        )

    async def line(self, id: str, caller: Caller) -> Line:
        found = await lines.line(id, caller, self._services)
        return Line(
            self._shown.resident(found.resident),
            self._contributions(found.hospitals),
            tuple(self._shown.result(one, {}, caller) for one in found.results),
            found.reports,
            notice=self._services.policy.notice == "always",
        )

    async def report(self, id: str, caller: Caller) -> ReportView:
        found = await told.report(id, caller, self._services)
        one = found.report
        names = await self._shown.names([one])
        return replace(
            self._shown.whole(found, names, caller),
            newer=found.newer,
            originals=tuple(map(_listed, originals.listing(one.resource))),
            differences=tuple(
                Difference(
                    change.item,
                    cast(Any, change.part),
                    change.before,
                    change.after,
                    moment(change.at),
                )
                for change in amended.differences(found.seen)
            ),
            sha256=found.sha256,
            unaltered=found.unaltered,
            studies=tuple(
                study_row(each, self._shown)
                for each in await images.of_report(one.opened, found.seen, self._services)
            ),
            signatures=tuple(self._signatures(found.seen)),
        )

    async def original(self, id: str, place: int, caller: Caller) -> Original:
        found = await originals.original(id, place, caller, self._services)
        return replace(_listed(found), content=found.content)

    def _signatures(self, seen: Gathering) -> Iterable[Signature]:
        zone = self._services.settings.zone
        for one in seen.records:
            if one.type == "Provenance":
                for sign in issued.listed(issued.parsed(one.text).get("signature")):
                    who = issued.listed(sign.get("who"))
                    name = str(who[0].get("display", "")) if who else ""
                    yield Signature(name, issued.when(sign.get("when"), zone))

    def _contributions(self, found: Iterable[told.Hospital]) -> tuple[Contribution, ...]:
        return tuple(
            Contribution(
                self._shown.organization(one.organization), one.state, self._shown.at(one.last)
            )
            for one in found
        )

    def _statement(self, one: first.Statement) -> Statement:
        return Statement(
            one.words,
            self._shown.organization(one.organization),
            one.at,
            one.over,
            one.times,
            one.severity,
        )


def _listed(one: originals.Original) -> Original:
    if one.narrative:
        return Original("narrative", one.title, narrative=one.narrative)
    return Original("document", one.title, one.media_type, one.size)
