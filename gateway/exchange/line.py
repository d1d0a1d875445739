"""All results of one test of one person, whoever measured it: what a table and a chart of it rest on."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit.events import Kind
from gateway.exchange.ask import Match, Permitted, gather, nothing
from gateway.exchange.measured import pairs, same_test
from gateway.exchange.page_records import AMENDED, with_grounds
from gateway.exchange.residents import InHand, in_hand
from gateway.exchange.results import Hospital, Result, hospitals, note_view, reports_of
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows


@dataclass(frozen=True, slots=True)
class Line:
    """One test; `results` are newest first, voided ones among them."""

    resident: InHand
    hospitals: tuple[Hospital, ...]
    results: tuple[Result, ...]
    reports: dict[str, str]  # of a result's id, the report it came in


async def line(id: str, caller: Caller, services: Services) -> Line:
    """The results of the test that result `id` is one of; Problem UNKNOWN when absent or hidden."""
    current = await rows.current(services.db, id)
    asked: set[str] = set()

    def choose(permitted: Permitted) -> list[Match]:
        main = _of_test(permitted, id, services)
        asked.update(match.pair[1].hex for match in main)
        return with_grounds(permitted, main, caller, services) if main else []

    seen = await gather(
        current.chart if current else "",
        caller,
        services,
        choose,
        kind=Kind.SEARCH,
        named=False,
        amended=AMENDED,
    )
    resident = in_hand(seen, caller, services)
    reports = await reports_of(seen, caller, services, asked)
    if resident is None or not reports:
        raise nothing()
    await note_view(seen, reports, caller, services)
    results = {result.opened.id: result for report in reports for result in report.results}
    came_in = {
        result.opened.id: report.opened.id for report in reports for result in report.results
    }
    return Line(resident, await hospitals(services), tuple(results.values()), came_in)


def _of_test(permitted: Permitted, id: str, services: Services) -> list[Match]:
    """The results of the same test and the reports they came in; nothing when `id` may not be known
    of."""
    found = permitted.named([id])
    asked = [one for one in found if one.pair[0].type == "Observation"]
    if not asked:
        return []
    at, catalogue = services.now(), services.catalogue
    test = same_test(pairs(asked[0].pair[0].codes), catalogue, at)
    same = asked[:1]
    if test:
        same = permitted.where(
            lambda nature: (
                nature.type == "Observation"
                and same_test(pairs(nature.codes), catalogue, at) == test
            )
        )
    ids = {one.pair[1].id for one in same}
    reports = [
        one
        for one in permitted.where(lambda nature: nature.type == "DiagnosticReport")
        if any(said == "result" and to in ids for said, to in one.pair[1].links)
    ]
    return [*same, *reports]
