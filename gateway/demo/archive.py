"""云溪县人民医院's image archive: DICOMweb (PS3.18) over the story's chest CT, each slice drawn when asked for.

It answers searches for a study and for its instances, and renders instances as JPEG: what the pages ask.
Nobody was ever scanned for it. It knows a study by its name alone, so that it has those of a county that was
built on another day.
"""

from __future__ import annotations

import asyncio
import io
import math
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import product
from random import Random
from typing import Any, Final

import uvicorn
from PIL import Image, ImageDraw
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.demo import pacs, story
from gateway.settings import Settings

SIDE: Final = 384
_STUDY: Final = re.compile(re.escape(pacs.ROOT) + r"\.(\d{8})\.902")
_WINDOW: Final = re.compile(r"(-?\d{1,5}),(\d{1,5})(?:,linear)?")
_WINDOWS: Final = ((-600, 1500), (40, 400))  # of the lung series, and of the mediastinal
AIR, FAT, LUNG, WATER, SOFT, BONE = -1000, -90, -860, 0, 45, 420  # Hounsfield units


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Settings]:
    """The archive on a port of its own on this machine; gives the settings with a register that lists it,
    written into the data folder as an operator would write it."""
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{own.getsockname()[1]}/dicom-web/"
        register = settings.data / "county.toml"
        register.parent.mkdir(parents=True, exist_ok=True)
        register.write_text(
            f'{story.REGISTER.read_text("utf-8")}\n[[archive]]\norganization = "people"\n'
            f'dicomweb = "{address}"\n',
            "utf-8",
        )
        config = uvicorn.Config(
            application(), access_log=False, log_config=None, lifespan="off", server_header=False
        )
        server = _Beside(config)
        task = asyncio.create_task(server.serve(sockets=[own]))
        try:
            yield replace(settings, county_file=register)
        finally:
            server.should_exit = True
            await task


class _Beside(uvicorn.Server):
    """Ends with the county it stands beside, not by signals of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to the county."""
        yield


def application() -> Starlette:
    """The archive's services below /dicom-web/."""
    base = "/dicom-web/studies"
    return Starlette(
        routes=[
            Route(base, _search),
            Route(base + "/{study}/instances", _instances),
            Route(base + "/{study}/series/{series}/instances/{instance}/rendered", _rendered),
        ]
    )


def _of(vr: str, value: object) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}


async def _search(request: Request) -> Response:
    study = request.query_params.get("StudyInstanceUID", "")
    known = _STUDY.fullmatch(study)
    if known is None:
        return _objects([])
    accession = _of("SH", pacs.accession(known[1]))
    return _objects([{"0020000D": _of("UI", study), "00080050": accession}])


async def _instances(request: Request) -> Response:
    study = request.path_params["study"]
    if _STUDY.fullmatch(study) is None:
        return Response(status_code=404)
    return _objects(
        [
            {
                "0020000D": _of("UI", study),
                "0020000E": _of("UI", series),
                "00080018": _of("UI", instance),
                "00200011": _of("IS", number),
                "00200013": _of("IS", place),
            }
            for number, (series, instances) in enumerate(pacs.series_of(study).items(), 1)
            for place, instance in enumerate(instances, 1)
        ]
    )


async def _rendered(request: Request) -> Response:
    path = request.path_params
    known = pacs.series_of(path["study"]) if _STUDY.fullmatch(path["study"]) else {}
    instances = known.get(path["series"], [])
    if path["instance"] not in instances:
        return Response(status_code=404)
    said = _WINDOW.fullmatch(request.query_params.get("window", ""))
    default = _WINDOWS[list(known).index(path["series"])]
    centre, width = (int(said[1]), int(said[2])) if said else default
    depth = instances.index(path["instance"]) / (len(instances) - 1)
    return Response(jpeg(slice_at(depth), centre, width), media_type="image/jpeg")


def _objects(found: list[dict[str, Any]]) -> Response:
    return JSONResponse(found, media_type="application/dicom+json")


# The picture


def jpeg(slice: Image.Image, centre: int, width: int) -> bytes:
    """Hounsfield units through a window (PS3.3, C.11.2.1.2) as an 8-bit JPEG."""
    scale = 255 / max(width, 1)
    shown = slice.point(lambda unit: unit * scale + (width / 2 - centre) * scale).convert("L")
    out = io.BytesIO()
    shown.save(out, "JPEG", quality=90)
    return out.getvalue()


def slice_at(depth: float) -> Image.Image:
    """An invented thorax, axial, seen from the feet: `depth` 0 is the apex of the lungs, 1 their base. In the
    right upper lobe lies the small nodule that the report tells of."""
    made = Image.new("I", (SIDE, SIDE), AIR)
    draw = ImageDraw.Draw(made)

    def oval(x: float, y: float, across: float, down: float, unit: int) -> None:
        """Centre and half axes, as parts of the side."""
        box = ((x - across) * SIDE, (y - down) * SIDE, (x + across) * SIDE, (y + down) * SIDE)
        draw.ellipse(box, fill=unit)

    full = math.sin(math.pi * (0.25 + 0.5 * depth))  # how wide the chest is here
    oval(0.5, 0.52, 0.40 + 0.06 * full, 0.30 + 0.03 * full, FAT)
    oval(0.5, 0.52, 0.37 + 0.06 * full, 0.27 + 0.03 * full, SOFT)
    for angle in range(0, 360, 24):  # ribs
        turn = math.radians(angle + 40 * depth)
        oval(0.5 + 0.40 * math.cos(turn), 0.52 + 0.275 * math.sin(turn), 0.022, 0.011, BONE)
    for side in (-1, 1):
        oval(0.5 + side * 0.195, 0.50, 0.13 + 0.035 * full, 0.19 + 0.04 * full, LUNG)
    chance = Random(int(depth * 1000))  # noqa: S311 - vessels of nobody
    for side, ring in product((-1, 1), range(1, 17)):
        far, turn = 0.03 + 0.008 * ring, chance.uniform(-1.2, 1.2)
        size = 0.009 * (1 - ring / 20)
        x = 0.5 + side * (0.12 + far * math.cos(turn))
        oval(x, 0.50 + far * math.sin(turn), size, size * chance.uniform(0.7, 1.6), SOFT)
    oval(0.5, 0.48, 0.075, 0.15, SOFT)  # mediastinum
    if depth > 0.45:
        size = 0.10 + 0.07 * math.sin(math.pi * (depth - 0.45))
        oval(0.56, 0.43, size, 0.8 * size, SOFT)
        oval(0.57, 0.43, 0.5 * size, 0.4 * size, SOFT + 12)  # what the heart holds
    oval(0.555, 0.60, 0.034, 0.034, SOFT + 12)  # descending aorta
    if depth < 0.5:
        oval(0.5, 0.50, 0.025, 0.025, AIR)  # trachea, then the main bronchi
    else:
        for side in (-1, 1):
            oval(0.5 + side * 0.05, 0.51, 0.018, 0.018, AIR)
    oval(0.5, 0.69, 0.055, 0.048, BONE)  # vertebra
    oval(0.5, 0.69, 0.036, 0.030, BONE // 2)
    oval(0.5, 0.765, 0.024, 0.020, WATER + 10)
    oval(0.5, 0.80, 0.014, 0.035, BONE)
    oval(0.5, 0.245, 0.045, 0.016, BONE)  # sternum
    if 0.15 < depth < 0.3:
        oval(0.26, 0.42, 0.011, 0.011, SOFT)  # the nodule
    return made
