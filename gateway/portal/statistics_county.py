"""Figures over the real county: the exchange's publications in the portal's values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from typing import TYPE_CHECKING, cast

from gateway.errors import Kind, Problem
from gateway.exchange import frozen, statistics, statistics_files
from gateway.portal.statistics_stories import (
    FiguresView,
    FrozenFigures,
    ObjectionView,
    TargetView,
)
from gateway.recognition.indicators import dictionary
from gateway.recognition.publication import Publication, Side
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.stories import Said


class StatisticsCounty:
    """`StatisticsStories`, told by the exchange."""

    _services: Services

    async def figures(self, month: str, side: Side, caller: Caller) -> FiguresView:
        services = self._services
        known = await statistics.months(services)
        month = month or known[0]
        whose = _whose(side, caller)
        live = await statistics.live(month, whose, side, caller, services)
        done = await frozen.frozen_months(services)
        _, end = statistics.bounds(month, services)
        return FiguresView(
            months=tuple((one, one in done) for one in known),
            live=live,
            at=moment(live.until),
            closed=services.now() >= end,
            frozen=await self._frozen(month, whose, side, caller),
            names=self._names(live),
            objections=tuple(
                ObjectionView(
                    one.id,
                    services.register.get(one.organization).zh,
                    one.by,
                    moment(one.at),
                    one.text,
                    one.state,
                    one.answered_by,
                    moment(one.answered_at) if one.answered_at else None,
                    one.answer,
                )
                for one in await frozen.objections(month, whose, caller, services)
            ),
        )

    async def _frozen(
        self, month: str, whose: str, side: Side, caller: Caller
    ) -> FrozenFigures | None:
        found = await frozen.frozen(month, whose, caller, self._services)
        if found is None:
            return None
        late = await frozen.late(month, found.at, self._services)
        return FrozenFigures(
            found.hash,
            found.by,
            moment(found.at),
            found.sides.get(side) if found.whole else None,
            late.all,
            late.by_kind,
        )

    def _names(self, live: Publication) -> Mapping[str, Mapping[str, Said]]:
        from gateway.portal.stories import Said

        zh, en = (statistics_files.names(self._services, one) for one in ("zh", "en"))
        return {
            table.by: {
                row.key: Said(zh(table.by, row.key), en(table.by, row.key)) for row in table.rows
            }
            for table in live.tables
        }

    async def figures_file(
        self, form: str, month: str, side: Side, language: str, caller: Caller, report: str = ""
    ) -> tuple[bytes, str]:
        if form not in statistics_files.MEDIA:
            raise Problem(Kind.UNKNOWN, "No such file.")
        data = await statistics_files.file(
            cast("statistics_files.Form", form),
            month,
            _whose(side, caller),
            side,
            language,
            caller,
            self._services,
            report,
        )
        return data, statistics_files.MEDIA[form]

    async def freeze_figures(self, month: str, caller: Caller) -> None:
        await frozen.freeze(month, caller, self._services)

    async def object_to_figures(self, month: str, text: str, caller: Caller) -> None:
        await frozen.object_(month, text, caller, self._services)

    async def answer_objection(self, id: str, upheld: bool, text: str, caller: Caller) -> None:
        await frozen.answer(id, upheld, text, caller, self._services)

    async def recognition_targets(self, caller: Caller) -> tuple[TargetView, ...]:
        from gateway.portal.stories import Said

        services = self._services
        items = {one.code: one for one in services.catalogue.items}
        said = {one.code: one for one in dictionary().target}
        found = []
        for one in await statistics.targets(caller, services):
            target, scope = said[one.code], services.catalogue.scopes[one.scope]
            found.append(
                TargetView(
                    says=Said(target.zh, target.en),
                    scope=Said(scope.name_zh, scope.name_en),
                    by=datetime.combine(target.by, time(12), services.settings.zone),
                    listed=one.listed,
                    entitled=one.entitled,
                    least=one.least,
                    reached=one.reached,
                    short=one.short,
                    gaps=tuple(
                        (code, Said(items[code].name_zh, items[code].name_en)) for code in one.gaps
                    ),
                )
            )
        return tuple(found)


def _whose(side: Side, caller: Caller) -> str:
    return "" if side == "county" else caller.organization
