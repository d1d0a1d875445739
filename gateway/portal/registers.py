"""The register pages of the health authority: the first screen, four registers, the pipeline, the inventory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange.register_sheets import LARGEST, XLSX
from gateway.exchange.registers import Chosen, Faults
from gateway.portal import registers_words as terms
from gateway.portal.desk import Adder, Desk
from gateway.recognition import registers as data
from gateway.recognition.registers import COLUMNS, Fault, Kind
from gateway.recognition.rights import Use

PATHS: dict[Kind, str] = {
    "system": "/county/systems",
    "right": "/county/rights",
    "resource": "/county/resources",
    "element": "/county/elements",
}
MOST_FAULTS = 50


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of this area."""
    return [
        get("/county", home, "commission"),
        get("/county/systems", systems, "commission"),
        get("/county/rights", matrix, "commission"),
        get("/county/resources", resources, "commission"),
        get("/county/elements", elements, "commission"),
        get("/county/line", line, "commission"),
        post("/county/line", propose, "commission"),
        post("/county/rights", propose_rights, "commission"),
        post("/county/import", take_sheet, "commission", upload=True),
        post("/county/drafts", decide, "commission"),
        get("/county/pipeline", pipeline, "commission"),
        get("/county/inventory", inventory, "commission"),
        get("/county/export/{file}", export, "commission"),
        get("/systems", own_systems, "it"),
    ]


async def home(desk: Desk) -> Response:
    """Who may use what, what ends soon, who is not registered: the first screen."""
    found = await desk.portal.stories.county_home(desk.who.caller)
    alerts = await desk.portal.stories.county_alerts(desk.who.caller)
    return await desk.page("county.html", view=found, alerts=alerts, **known())


def known() -> dict[str, Any]:
    """What every page of the registers needs."""
    return {"terms": terms, "data": data, "paths": PATHS}


async def systems(desk: Desk) -> Response:
    """Every system by owner level."""
    return await _register(desk, "system")


async def matrix(desk: Desk) -> Response:
    """The rights of use, cell by cell."""
    return await _register(desk, "right")


async def resources(desk: Desk) -> Response:
    """What the gateway holds and serves, with the metadata of GB/T 21063."""
    return await _register(desk, "resource")


async def elements(desk: Desk) -> Response:
    """The data elements, and what has none yet."""
    return await _register(desk, "element")


async def _register(
    desk: Desk,
    kind: Kind,
    faults: Sequence[Fault] = (),
    given: Mapping[str, Sequence[str]] | None = None,
) -> Response:
    found = await desk.portal.stories.register(kind, desk.who.caller)
    template = "county-rights.html" if kind == "right" else "county-register.html"
    said = dict(given or {})
    return await desk.page(
        template, 422 if faults else 200, view=found, faults=faults, given=said, **known()
    )


async def line(desk: Desk) -> Response:
    """One line to be changed, with its past; without an id a new one."""
    query = desk.request.query_params
    kind = _kind(query.get("kind", ""))
    return await _line(desk, kind, query.get("id", "")[:200])


async def _line(
    desk: Desk,
    kind: Kind,
    id: str,
    faults: Sequence[Fault] = (),
    given: Mapping[str, str] | None = None,
) -> Response:
    if kind == "right":
        raise Problem(Trouble.NO_SUCH_ROUTE, "No such page.")
    found = await desk.portal.stories.register_line(kind, id, desk.who.caller)
    return await desk.page(
        "county-line.html",
        422 if faults else 200,
        view=found,
        faults=faults,
        given=given if given is not None else found.line,
        **known(),
    )


async def propose(desk: Desk) -> Response:
    """Keep a line as a draft: changed, new, or to go."""
    kind = _kind(desk.text("kind", 12))
    given = {
        column.name: " ".join(desk.texts(column.name))
        if column.many and column.choices
        else desk.text(column.name, data.LONGEST + 1)
        for column in COLUMNS[kind]
    }
    act = "end" if desk.text("act", 8) == "end" else "put"
    try:
        kept = await desk.portal.stories.propose_lines(kind, [given], act, desk.who.caller)
    except Faults as wrong:
        return await _line(desk, kind, desk.text("id_now", 200), wrong.faults, given)
    return await desk.go(PATHS[kind], "register-proposed" if kept else "register-same")


async def propose_rights(desk: Desk) -> Response:
    """Draft the chosen cells of one holder, or the end of cells that stand."""
    stories, caller = desk.portal.stories, desk.who.caller
    act = "end" if desk.text("act", 8) == "end" else "put"
    shared = {name: desk.text(name, 300) for name in ("holder", "document", "start", "end")}
    if act == "end":
        found = await stories.register("right", caller)
        chosen = set(desk.texts("cell"))
        lines = [dict(one.line) for one in found.entries if one.id in chosen]
    else:
        lines = [
            shared | {"data_class": one, "use": use}
            for one in desk.texts("class")[:20]
            for use in desk.texts("use_of")[: len(Use)]
        ]
    if not lines:
        zh, en = (
            "请至少选择一个数据类别和一种使用方式",
            "choose at least one class of data and one use",
        )
        return await _register(desk, "right", [Fault(1, "数据类别", zh, en)], _sent(desk, shared))
    try:
        kept = await stories.propose_lines("right", lines, act, caller)
    except Faults as wrong:
        once = list(dict.fromkeys(one._replace(row=1) for one in wrong.faults))
        return await _register(desk, "right", once, _sent(desk, shared))
    return await desk.go(PATHS["right"], "register-proposed" if kept else "register-same")


def _sent(desk: Desk, shared: Mapping[str, str]) -> dict[str, Sequence[str]]:
    sent: dict[str, Sequence[str]] = {name: (value,) for name, value in shared.items()}
    return sent | {name: tuple(desk.texts(name)) for name in ("class", "use_of")}


async def take_sheet(desk: Desk) -> Response:
    """Take an Excel file up as drafts; nothing is kept while a cell of it cannot be meant."""
    kind = _kind(desk.text("kind", 12))
    file = desk.file("file")
    if file is None or (file.size or 0) > LARGEST:
        zh, en = "请选择一个不超过 5 MB 的 .xlsx 文件", "choose an .xlsx file of 5 MB at most"
        return await _register(desk, kind, [Fault(1, "文件", zh, en)])
    stories, caller = desk.portal.stories, desk.who.caller
    try:
        lines = await stories.lines_of_sheet(kind, await file.read(), caller)
        kept = await stories.propose_lines(kind, lines, "put", caller)
    except Faults as wrong:
        return await _register(desk, kind, wrong.faults[:MOST_FAULTS])
    return await desk.go(PATHS[kind], "register-proposed" if kept else "register-same")


async def decide(desk: Desk) -> Response:
    """Approve or refuse the chosen drafts, each as it was read."""
    kind, act = _kind(desk.text("kind", 12)), desk.text("act", 12)
    if act not in {"approve", "refuse"}:
        raise Problem(Trouble.MALFORMED, "Neither approved nor refused.")
    chosen = []
    for one in desk.texts("draft"):
        version, _, rest = one.partition(" ")
        seen, _, id = rest.partition(" ")
        if not (version.isdecimal() and len(version) < 9 and id):
            raise Problem(Trouble.MALFORMED, "No draft is named so.")
        chosen.append(Chosen(kind, id, int(version), seen))
    if not chosen:
        none = Fault(1, "待批准", "请先选择要决定的草稿", "choose the drafts to decide on first")
        return await _register(desk, kind, [none])
    await desk.portal.stories.decide_drafts(chosen, act == "approve", desk.who.caller)
    return await desk.go(PATHS[kind], f"register-{act}")


async def pipeline(desk: Desk) -> Response:
    """The five stages of every source."""
    found = await desk.portal.stories.pipeline(desk.who.caller)
    return await desk.page("county-pipeline.html", view=found, **known())


async def inventory(desk: Desk) -> Response:
    """What lies where, and whether each source's mode is kept."""
    found = await desk.portal.stories.stored(desk.who.caller)
    return await desk.page("county-inventory.html", view=found, **known())


async def export(desk: Desk) -> Response:
    """A register as a file; its export is noted first."""
    name, _, form = desk.request.path_params["file"].partition(".")
    content = await desk.portal.stories.export_register(name, form, desk.who.caller)
    named = {"content-disposition": f'attachment; filename="{name}.{form}"'}
    media = XLSX if form == "xlsx" else "application/json"
    return Response(content, media_type=media, headers=named)


async def own_systems(desk: Desk) -> Response:
    """What the county's register says of the caller's own systems; to read only."""
    found = await desk.portal.stories.own_systems(desk.who.caller)
    return await desk.page("systems.html", entries=found, **known())


def _kind(text: str) -> Kind:
    kind = next((kind for kind in get_args(Kind) if kind == text), None)
    if kind is None:
        raise Problem(Trouble.NO_SUCH_ROUTE, "No such page.")
    return kind  # type: ignore[no-any-return]
