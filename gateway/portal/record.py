"""The pages about the person in hand: overview, all results as a grid or a list, one test over time."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.portal import chart_words, emergency, image_words
from gateway.portal.desk import ROOT, Adder, Desk
from gateway.portal.emergency_stories import EmergencyAccess
from gateway.portal.grid import grid, narrowed
from gateway.portal.plot import Plot, picture, plot
from gateway.portal.stories import Refused, Result, Results, When
from gateway.portal.words import ABNORMAL
from gateway.services.caller import Caller

T = TypeVar("T")
PERIODS: Final[dict[str, int | None]] = {"1m": 31, "3m": 92, "1y": 366, "all": None}
DEFAULTS: Final = {"view": "grid", "show": "all", "hospital": "", "period": "1y", "part": "1"}
FIRST: Final = {"part": DEFAULTS["part"]}
CHOICES: Final = {"view": ("grid", "list", "paper"), "show": ("all", "abnormal")}


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of the record."""
    return [
        get("/overview", overview, "clinician"),
        get("/results", results, "clinician"),
        get("/trend/{handle}", trend, "clinician"),
    ]


async def opened(
    desk: Desk, ask: Callable[[str, Caller], Awaitable[T | Refused]]
) -> tuple[T, EmergencyAccess | None] | Response:
    """What `ask` tells of the person in hand, and the emergency access it was asked by; or where
    to go, or what is said, instead."""
    chart = desk.who.memory.get("chart")
    if not isinstance(chart, str):
        return await desk.go("/look-up")
    access = await emergency.in_hand(desk)
    if access is None and desk.who.memory.get("grant"):
        return await desk.go("/look-up", "emergency-over", chart=None, grant=None)
    if access is not None:
        found = await emergency.seen(desk, access, lambda who: ask(chart, who))
        return found if isinstance(found, Response) else (found, access)
    match await ask(chart, desk.who.caller):
        case Refused(reason):
            return await desk.page("refused.html", 403, reason=reason)
        case told:
            return told, None


async def overview(desk: Desk) -> Response:
    """Everything that matters first, on one screen, and what is missing from it."""
    said = await opened(desk, desk.portal.stories.overview)
    if isinstance(said, Response):
        return said
    found, access = said
    return await desk.page(
        "overview.html",
        resident=found.resident,
        found=found,
        current=[one for one in found.problems if not one.over],
        past=[one for one in found.problems if one.over],
        days_ago=lambda at: _days_ago(desk, at),
        chart_words=chart_words,
        image_words=image_words,
        **emergency.shown(desk, access),
    )


def _days_ago(desk: Desk, at: When | None) -> int | None:
    if at is None:
        return None
    zone = desk.portal.services.settings.zone
    day = at.astimezone(zone).date() if isinstance(at, datetime) else at
    return max((desk.portal.today() - day).days, 0)


async def results(desk: Desk) -> Response:
    """Results of all hospitals; whatever narrows them is told on the page, never silent."""
    said = await gathered(desk)
    if isinstance(said, Response):
        return said
    view = said["asked"]["view"]
    return await desk.page("results-list.html" if view == "list" else "results.html", **said)


async def gathered(desk: Desk, paper: bool = False) -> dict[str, Any] | Response:
    """What the pages and the paper of all results are filled with, narrowed as the address says. A
    screen shows a long record a part at a time, paper all of it."""
    asked = _asked(desk)
    part = None if paper or asked["view"] == "paper" else int(asked["part"])
    days = PERIODS[asked["period"]]
    since = desk.portal.now() - timedelta(days=days) if days else None

    async def ask(chart: str, caller: Caller) -> Results | Refused:
        return await desk.portal.stories.results(chart, caller, since, part)

    said = await opened(desk, ask)
    if isinstance(said, Response):
        return said
    found, access = said
    asked["part"] = str(found.part)
    houses = sorted({one.organization for one in found.reports})
    if asked["hospital"] not in houses:
        asked["hospital"] = ""
    here = narrowed(found.reports, abnormal=False, organization=asked["hospital"])
    every = [one for report in here for one in report.results]
    shown = narrowed(here, abnormal=asked["show"] == "abnormal", organization="")
    panels = [one for one in shown if one.results]
    if access is not None and asked["view"] == "paper":
        asked["view"] = "grid"
    return {
        "resident": found.resident,
        "found": found,
        "asked": asked,
        "at": lambda **changes: _address("/results", asked | FIRST | changes),
        "pdf": _address("/results.pdf", asked | FIRST | {"view": DEFAULTS["view"]}),
        "houses": houses,
        "periods": chart_words.PERIODS,
        "grid": None
        if asked["view"] == "list"
        else grid(panels, desk.portal.services.settings.zone),
        "panels": panels,
        "exams": [one for one in shown if not one.results],
        "total": len({one.id for one in every}),
        "abnormal": len({one.id for one in every if _abnormal(one)}),
        "chart_words": chart_words,
        **emergency.shown(desk, access),
    }


def _abnormal(result: Result) -> bool:
    return result.flag.kind in ABNORMAL


def _asked(desk: Desk) -> dict[str, str]:
    """The choices in the address; whatever is none of ours counts as not made."""
    given = desk.request.query_params
    asked = {name: given.get(name, usual)[:200] for name, usual in DEFAULTS.items()}
    for name, known in (*CHOICES.items(), ("period", tuple(PERIODS))):
        if asked[name] not in known:
            asked[name] = DEFAULTS[name]
    if not re.fullmatch("[1-9][0-9]{0,3}", asked["part"]):
        asked |= FIRST
    return asked


def _address(path: str, asked: dict[str, str]) -> str:
    said = {name: value for name, value in asked.items() if value != DEFAULTS[name]}
    return ROOT + path + (f"?{urlencode(said)}" if said else "")


async def trend(desk: Desk) -> Response:
    """One test over time: the table is the record, the drawing decorates it."""
    id = desk.id_of(desk.request.path_params["handle"])
    period = desk.request.query_params.get("period", "all")
    days = PERIODS.get(period)
    access = await emergency.in_hand(desk)
    found = await desk.portal.stories.line(id, emergency.asking(desk, access))
    zone = desk.portal.services.settings.zone
    since = (desk.portal.now() - timedelta(days=days)).astimezone(zone) if days else None
    kept = [one for one in found.results if since is None or _after(one, since)]
    drawn = plot(kept, zone)
    drawing = drawn if isinstance(drawn, Plot) else None
    return await desk.page(
        "trend.html",
        resident=found.resident,
        found=found,
        name=found.results[0].item,
        detail=found.results[0].detail,
        results=kept,
        reports=found.reports,
        earlier=len(found.results) - len(kept),
        period=period if period in PERIODS else "all",
        periods=chart_words.PERIODS,
        handle=desk.request.path_params["handle"],
        plot=drawing,
        undrawn=None if isinstance(drawn, Plot) else drawn,
        picture=picture(drawing, zone) if drawing else None,
        points={p.id: (n, p) for n, s in enumerate(drawing.series) for p in s.points}
        if drawing
        else {},
        given=_given(desk, drawing) if drawing else "",
        chart_words=chart_words,
        **emergency.shown(desk, access),
    )


def _after(result: Result, since: datetime) -> bool:
    match result.collected:
        case None:
            return True
        case datetime() as at:
            return at >= since
        case day:
            return day >= since.date()


def _given(desk: Desk, found: Plot) -> str:
    """The plot for the browser's script: numbers to place, and ids of the rows that tell the rest."""
    told = {
        "zone": desk.portal.services.settings.zone.key,
        "unit": found.unit,
        "joined": found.joined,
        "bottom": found.bottom,
        "top": found.top,
        "series": [
            {
                "name": " · ".join(filter(None, (one.organization, one.method))),
                "breaks": one.breaks,
                "points": [
                    {
                        "row": desk.handle(p.id),
                        "at": p.at,
                        "y": p.y,
                        "censored": p.censored,
                        "low": p.low,
                        "high": p.high,
                    }
                    for p in one.points
                ],
            }
            for one in found.series
        ],
    }
    return json.dumps(told, ensure_ascii=True).replace("<", "\\u003c").replace("&", "\\u0026")
