"""A report's originals: the page that frames a document, the document itself, the report on paper."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.errors import Kind, Problem
from gateway.portal import emergency
from gateway.portal.desk import Adder, Desk
from gateway.portal.headers import FRAME

SHOWN: Final = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}
"""What is given to a browser as what it is; everything else is only given to be kept."""


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of originals."""
    return [
        get("/reports/{handle}/original/{place:int}", page, "clinician"),
        get("/reports/{handle}/original/{place:int}/file", file, "clinician"),
    ]


async def page(desk: Desk) -> Response:
    """The document in a frame that may do nothing, under the banner of whom it is about."""
    id = desk.id_of(desk.request.path_params["handle"])
    await emergency.none_in_hand(desk)
    view = await desk.portal.stories.report(id, desk.who.caller)
    place = desk.request.path_params["place"]
    if not 0 <= place < len(view.originals) or view.originals[place].kind != "document":
        raise Problem(Kind.UNKNOWN, "No such original.")
    desk.request.scope[FRAME] = "shows"
    return await desk.page(
        "original.html",
        resident=view.resident,
        report=view.report,
        original=view.originals[place],
        place=place,
        handle=desk.request.path_params["handle"],
        framed=view.originals[place].media_type in SHOWN,
        view=view,
    )


async def file(desk: Desk) -> Response:
    """The document's own bytes, under a policy of their own: nothing runs, nothing is fetched."""
    id = desk.id_of(desk.request.path_params["handle"])
    await emergency.none_in_hand(desk)
    found = await desk.portal.stories.original(
        id, desk.request.path_params["place"], desk.who.caller
    )
    if found.kind != "document":
        raise Problem(Kind.UNKNOWN, "No such original.")
    known = SHOWN.get(found.media_type)
    kept = desk.request.query_params.get("keep") == "yes" or not known
    desk.request.scope[FRAME] = "shown"
    name = f"original.{known or 'bin'}"
    return Response(
        found.content,
        media_type=found.media_type if known else "application/octet-stream",
        headers={
            "content-disposition": f'{"attachment" if kept else "inline"}; filename="{name}"',
        },
    )
