"""A report, and all results, as PDF files: whom, who printed, when, from where, page x of y on each page."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.portal import chart_words, emergency, printed, record
from gateway.portal.desk import Adder, Desk
from gateway.portal.grid import PAPER, Block, Grid

PARTS: Final = 6
"""The newest so many parts of the grid are laid on paper; that there are more times is told."""


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of paper."""
    return [
        get("/reports/{handle}/report.pdf", report, "clinician"),
        get("/results.pdf", results, "clinician"),
    ]


async def report(desk: Desk) -> Response:
    """One report as issued; its file is named by its content, not by the person."""
    await emergency.none_in_hand(desk)
    id = desk.id_of(desk.request.path_params["handle"])
    view = await desk.portal.stories.report(id, desk.who.caller)
    name = (view.sha256 or view.fingerprint.replace(" ", ""))[:8]
    return await printed.document(
        desk,
        "report-document.html",
        f"report-{name}.pdf",
        view.report.organization,
        printed.whom(desk, view.resident),
        chart=view.resident.chart,
        resident=view.resident,
        view=view,
        report=view.report,
        chart_words=chart_words,
    )


async def results(desk: Desk) -> Response:
    """The grid as the address narrows it, part by part, and the examinations in words."""
    await emergency.none_in_hand(desk)
    said = await record.gathered(desk, paper=True)
    if isinstance(said, Response):
        return said
    whole: Grid = said["grid"]
    return await printed.document(
        desk,
        "results-document.html",
        "results.pdf",
        said["asked"]["hospital"] or "、".join(said["houses"]),
        printed.whom(desk, said["resident"]),
        parts=[_part(whole, columns) for columns in whole.parts()[:PARTS]],
        left=max(len(whole.columns) - PARTS * PAPER, 0),
        **said,
    )


def _part(whole: Grid, columns: range) -> tuple[range, tuple[Block, ...]]:
    """Some columns, and only the rows that have something in them."""
    blocks = [
        replace(block, rows=[row for row in block.rows if not row.cells.keys().isdisjoint(columns)])
        for block in whole.blocks
    ]
    return columns, tuple(block for block in blocks if block.rows)
