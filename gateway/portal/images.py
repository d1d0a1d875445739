"""The clinician's imaging pages, and DICOMweb for viewers: one study at a time, by the session alone."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs

import orjson
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from gateway.errors import Kind, Problem
from gateway.portal import emergency, image_words
from gateway.portal.desk import ROOT, Adder, Desk
from gateway.portal.image_stories import Picture
from gateway.portal.stories import Refused

_MEDIA_TYPE: Final = re.compile(
    r"[A-Za-z0-9/+.\-]{3,80}(?:; ?[A-Za-z\-]{2,20}=\"?[^\s\";,]{1,100}\"?)*"
)
_WINDOW: Final = re.compile(r"-?\d{1,5},\d{1,5}")
DICOM_JSON: Final = "application/dicom+json"


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of this area."""
    return [
        get("/images", studies, "clinician"),
        get("/images/{handle}", study, "clinician"),
        get("/images/{handle}/{series:int}/{number:int}", image, "clinician"),
        get("/images/{handle}/{series:int}/{number:int}.jpg", picture, "clinician"),
        get("/dicomweb/{handle}/studies", search, None),
        get("/dicomweb/{handle}/studies/{uid}/{below:path}", below, None),
    ]


async def studies(desk: Desk) -> Response:
    """Every imaging study of the resident in hand, with whether the images can be had."""
    chart = desk.who.memory.get("chart")
    if not isinstance(chart, str):
        return await desk.go("/look-up")
    access = await emergency.in_hand(desk)
    if access is None and desk.who.memory.get("grant"):
        return await desk.go("/look-up", "emergency-over", chart=None, grant=None)
    match await desk.portal.stories.studies(chart, emergency.asking(desk, access)):
        case Refused(reason):
            return await desk.page("refused.html", 403, reason=reason)
        case found:
            return await desk.page(
                "images.html",
                resident=found.resident,
                studies=found.studies,
                terms=image_words,
                **emergency.shown(desk, access),
            )


async def study(desk: Desk) -> Response:
    """One study: its series, each with the image in its middle, before anything is clicked."""
    access = await emergency.in_hand(desk)
    id = desk.id_of(desk.request.path_params["handle"])
    view = await desk.portal.stories.study(id, emergency.asking(desk, access))
    return await desk.page(
        "image-study.html",
        resident=view.resident,
        view=view,
        terms=image_words,
        **emergency.shown(desk, access),
    )


async def image(desk: Desk) -> Response:
    """One image, large, with the ones before and after it."""
    access = await emergency.in_hand(desk)
    path = desk.request.path_params
    view = await desk.portal.stories.study(
        desk.id_of(path["handle"]), emergency.asking(desk, access)
    )
    series, number = path["series"], path["number"]
    if view.trouble or series >= len(view.series) or number >= view.series[series].count:
        raise Problem(Kind.UNKNOWN, "There is no such image.")
    preset = desk.request.query_params.get("window", "")
    if preset not in image_words.WINDOWS:
        preset = ""
    return await desk.page(
        "image.html",
        resident=view.resident,
        view=view,
        series=series,
        number=number,
        preset=preset,
        terms=image_words,
        **emergency.shown(desk, access),
    )


async def picture(desk: Desk) -> Response:
    """The bytes of an image, as JPEG."""
    access = await emergency.in_hand(desk)
    path = desk.request.path_params
    preset = image_words.WINDOWS.get(desk.request.query_params.get("window", ""))
    found = await desk.portal.stories.picture(
        desk.id_of(path["handle"]),
        path["series"],
        path["number"],
        preset.window if preset else "",
        emergency.asking(desk, access),
    )
    return _stream(found)


def _stream(found: Picture) -> Response:
    kind = found.media_type if _MEDIA_TYPE.fullmatch(found.media_type) else ""
    return StreamingResponse(found.body, media_type=kind or "application/octet-stream")


# For viewers: what is refused is refused without a page, and nobody is led to a form.


async def search(desk: Desk) -> Response:
    """The open study as a search finds it; a search for anything else is refused."""
    asked = parse_qs(desk.request.url.query).get("StudyInstanceUID", [])
    return await _answer(desk, asked[0] if len(asked) == 1 else "", "")


async def below(desk: Desk) -> Response:
    """Metadata, lists, frames and renderings of the open study."""
    path = desk.request.path_params
    return await _answer(desk, path["uid"], path["below"])


async def _answer(desk: Desk, uid: str, beneath: str) -> Response:
    if desk.session is None:
        return _plain(401)
    if desk.who.caller.role != "clinician":
        return _plain(403)
    access = await emergency.in_hand(desk)
    handle = desk.request.path_params["handle"]
    try:
        found = await desk.portal.stories.dicomweb(
            desk.id_of(handle),
            uid,
            beneath,
            desk.request.url.query if beneath else "",
            _accepted(desk),
            f"{ROOT}/dicomweb/{handle}/",
            emergency.asking(desk, access),
        )
    except Problem as problem:
        return _plain(problem.kind.status)
    if isinstance(found, list):
        return Response(orjson.dumps(found), media_type=DICOM_JSON)
    return _stream(found)


def _accepted(desk: Desk) -> str:
    """The Accept header, as far as it is one an archive should see."""
    said = desk.request.headers.get("accept", "*/*")
    return said if len(said) <= 300 and said.isascii() and said.isprintable() else "*/*"


def _plain(status: int) -> Response:
    return Response(b"", status)
