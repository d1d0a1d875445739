"""Pages of figures on recognition: the county's for the health commission, a hospital's for itself."""

from __future__ import annotations

import re
from collections.abc import Mapping

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.errors import Kind, Problem
from gateway.portal import statistics_words
from gateway.portal.desk import Adder, Desk
from gateway.portal.funnel import Bar, drawn
from gateway.portal.statistics_stories import FiguresView
from gateway.recognition import figure_words
from gateway.recognition.figure_words import COUNTS, Words
from gateway.recognition.figures import PARTS
from gateway.recognition.indicators import dictionary
from gateway.recognition.publication import Publication, Row, Side

COUNTY, HOSPITAL, TARGETS = "/county/statistics", "/figures", "/county/targets"
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_FUNNEL = {
    "eligible": "whole", "prompted": "whole", "viewed": "seen", "accepted": "good",
    "reread": "good", "declined": "bad", "uncounted": "quiet", "undecided": "open",
    "repeated": "warn",
}  # fmt: skip
_OF = dict.fromkeys((*PARTS["prompted"], "viewed", "repeated"), "prompted")
_ENDINGS = {"xlsx": "xlsx", "csv": "csv", "json": "json", "fhir": "fhir.json"}


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of this area."""
    return [
        get(COUNTY, county, "commission"),
        get(COUNTY + "/file", file, "commission"),
        post(COUNTY + "/freeze", freeze, "commission"),
        post(COUNTY + "/answer", answer, "commission"),
        get(TARGETS, targets, "commission"),
        get(HOSPITAL, hospital, "it"),
        get(HOSPITAL + "/file", file, "it"),
        post(HOSPITAL + "/object", object_, "it"),
    ]


async def county(desk: Desk) -> Response:
    """The whole county's figures of a month."""
    return await _page(desk, "county", COUNTY)


async def hospital(desk: Desk) -> Response:
    """The caller's own hospital, as receiver or as issuer."""
    return await _page(desk, _side(desk), HOSPITAL)


async def _page(desk: Desk, side: Side, here: str) -> Response:
    asked = desk.request.query_params
    view = await desk.portal.stories.figures(_month(desk), side, desk.who.caller)
    by = asked.get("by", "")
    by = by if by in figure_words.TABLES else "item"
    table = view.live.table(by)
    row = next((one for one in table.rows if one.key == asked.get("key", "")), None)
    department = asked.get("unit", "")[:80]
    return await desk.page(
        "statistics.html",
        view=view,
        here=here,
        side=side,
        by=by,
        table=table,
        row=row,
        filtered=_narrowed(table.rows, view, by, department),
        unit=department,
        funnel=_funnel(desk, row.counts if row else view.live.totals.counts),
        reasons=[*PARTS["declined"], *PARTS["uncounted"]],
        stages=tuple(_FUNNEL),
        definitions=dictionary(),
        figure_words=figure_words,
        difference=difference,
        marks=statistics_words,
    )


def _narrowed(rows: tuple[Row, ...], view: FiguresView, by: str, words: str) -> tuple[Row, ...]:
    """The rows whose key or name holds what was typed; all without it."""
    names, low = view.names.get(by, {}), words.casefold()
    return tuple(
        row
        for row in rows
        if any(low in text.casefold() for text in (row.key, names[row.key].zh, names[row.key].en))
    )


def _funnel(desk: Desk, counts: Mapping[str, int]) -> Markup:
    bars = [
        Bar(_in(COUNTS[name], desk), counts.get(name), tone, counts.get(_OF.get(name, "")))
        for name, tone in _FUNNEL.items()
    ]
    title = "Funnel of recognition" if desk.language == "en" else "互认漏斗"
    return drawn(bars, title, "·")


def _in(words: Words, desk: Desk) -> str:
    return words.en if desk.language == "en" else words.zh


def _month(desk: Desk) -> str:
    asked = desk.request.query_params.get("month", "") or desk.text("month", 7)
    if asked and not _MONTH.fullmatch(asked):
        raise Problem(Kind.MALFORMED, "Name a month as YYYY-MM.")
    return asked


def _side(desk: Desk) -> Side:
    if desk.who.caller.role == "commission":
        return "county"
    return "issuer" if desk.request.query_params.get("side") == "issuer" else "receiver"


async def file(desk: Desk) -> Response:
    """The figures as a file, equal to the page."""
    form, month, side = desk.request.query_params.get("form", ""), _month(desk), _side(desk)
    if not month:
        raise Problem(Kind.MALFORMED, "Name a month as YYYY-MM.")
    report = desk.request.query_params.get("report", "")
    data, media = await desk.portal.stories.figures_file(
        form, month, side, desk.language, desk.who.caller, report
    )
    name = f"{report or f'recognition-{side}'}-{month}.{_ENDINGS[form]}"
    return Response(
        data,
        media_type=media,
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
        },
    )


async def freeze(desk: Desk) -> Response:
    """Freeze a month that is over; nothing is signed over a ledger that does not verify."""
    month = _month(desk)
    try:
        await desk.portal.stories.freeze_figures(month, desk.who.caller)
    except Problem as problem:
        if problem.place != "log":
            raise
        return await desk.go(f"{COUNTY}?month={month}", "figures-not-verified")
    return await desk.go(f"{COUNTY}?month={month}", "figures-frozen")


async def object_(desk: Desk) -> Response:
    """A hospital objects to its frozen figures."""
    month = _month(desk)
    await desk.portal.stories.object_to_figures(month, desk.text("text", 4_001), desk.who.caller)
    return await desk.go(f"{HOSPITAL}?month={month}#objections", "objection-made")


async def answer(desk: Desk) -> Response:
    """The commission answers an objection."""
    verdict = desk.text("verdict", 12)
    if verdict not in {"upheld", "rejected"}:
        raise Problem(Kind.MALFORMED, "Upheld or rejected.")
    month = _month(desk)
    await desk.portal.stories.answer_objection(
        desk.text("objection", 32), verdict == "upheld", desk.text("text", 4_001), desk.who.caller
    )
    return await desk.go(f"{COUNTY}?month={month}#objections", "objection-answered")


async def targets(desk: Desk) -> Response:
    """The targets counted in items, and what is missing."""
    found = await desk.portal.stories.recognition_targets(desk.who.caller)
    return await desk.page("statistics-targets.html", targets=found, marks=statistics_words)


def difference(live: Publication, frozen: Publication, name: str) -> int | None:
    """How a total has changed since it was frozen; None where either is withheld."""
    now, then = live.totals.counts.get(name), frozen.totals.counts.get(name)
    return None if now is None or then is None else now - then
