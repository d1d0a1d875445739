"""Measures how long a doctor waits: order-select of 20 items for a person with 5,000 records.

Calls go out at fixed times, however late the answers before them are (open loop), and each is
measured from the time it should have gone out. Every call is the first of its visit, so cards and
events are written; consent, decryption and audit are on. The bare program answers a page of 20 of the
same records at the same times.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from gateway.bench import ceiling
from gateway.bench.county import READER, READERS, County
from gateway.bench.load import Load, Wanted, get
from gateway.bench.machine import cores, described, pin, unpin, versions
from gateway.bench.measure import recent, running, token
from gateway.bench.report import result
from gateway.cds import order_select
from gateway.recognition.catalogue import SHIPPED
from gateway.recognition.catalogue.reader import load

PERSONS = 20  # fewer where building them takes too long
IN_A_ROW = 3  # times a person is asked about, of which the first finds nothing kept
RECORDS = 5_000
ITEMS = 20
RATES = (10, 50)
LOINC = "http://loinc.org"
_PATH = f"/cds-services/{order_select.ID}"

Next = Callable[[], bytes]


async def measured(seconds: float, engine: str) -> dict[str, Any]:
    """The document of one run; everything it builds is gone when it returns."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    before = cores()
    try:
        county = await recent(folder, engine, PERSONS, RECORDS)
        pin(1)
        with (
            running("ceiling", folder, county, engine) as bare,
            running("gateway", folder, county, engine) as gateway,
        ):
            calls = _calls(county, token(county, READERS[0], gateway.port))
            pages = _pages(county)
            # A breath each that is not counted.
            await paced(gateway.port, calls, Wanted(200, 2_000, 200_000), 5, 1)
            await paced(bare.port, pages, Wanted(200, 2_000, 200_000), 5, 1)
            results = [
                _told(
                    rate,
                    await paced(gateway.port, calls, Wanted(200, 2_000, 200_000), rate, seconds),
                    await paced(bare.port, pages, Wanted(200, 2_000, 200_000), rate, seconds),
                )
                for rate in RATES
            ]
    finally:
        unpin(before)
        shutil.rmtree(folder, ignore_errors=True)
    data = {
        "engine": "sqlite" if engine == "sqlite" else "postgresql",
        "persons": len(county.charts),
        "observations of each": RECORDS,
        "resources of each": county.resources,
        "items of an order": ITEMS,
        "of which measured elsewhere": min(ITEMS, len(measured_codes(county))),
        "load": f"open loop; {IN_A_ROW} visits of a person in a row, every call is the first of its visit",
        "ceiling": "a page of 20 of the same records, at the same rate",
        "seconds of each load": seconds,
    }
    return {"machine": described(), "versions": versions(), "data": data, "results": results}


def _told(rate: int, mine: Load, best: Load) -> dict[str, Any]:
    return result(
        f"order-select of {ITEMS} items, {rate}/s, p95",
        "ms",
        [mine.quantile(0.95)],
        [best.quantile(0.95)],
        mine.wrong + best.wrong,
        more={
            f"{said} {part}, ms": round(seen.quantile(quantile), 2)
            for said, seen in (("gateway", mine), ("ceiling", best))
            for part, quantile in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        },
    )


# The calls


def _calls(county: County, bearer: str) -> Next:
    """The next call: 20 items for one person after the other, each in a visit of its own."""
    listed = load(SHIPPED, zone=county.settings.zone).items
    more = [item.loinc[0] for item in listed if item.kind == "lab" and item.loinc]
    codes = list(dict.fromkeys([*measured_codes(county), *more]))[:ITEMS]
    drafts = [
        {
            "resourceType": "ServiceRequest",
            "id": f"o{number}",
            "status": "draft",
            "intent": "order",
            "code": {"coding": [{"system": LOINC, "code": code}]},
        }
        for number, code in enumerate(codes)
    ]
    turns = count()

    def call() -> bytes:
        turn = next(turns)
        body = orjson.dumps(
            {
                "hook": order_select.HOOK,
                "hookInstance": str(uuid.uuid4()),
                "context": {
                    "userId": f"Practitioner/dr-{READERS[0]}",
                    "patientId": county.charts[turn // IN_A_ROW % len(county.charts)],
                    "encounterId": f"V{turn}",
                    "selections": [f"ServiceRequest/{one['id']}" for one in drafts],
                    "draftOrders": {
                        "resourceType": "Bundle",
                        "type": "collection",
                        "entry": [{"resource": one} for one in drafts],
                    },
                },
            }
        )
        head = (
            f"POST {_PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {bearer}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    return call


def measured_codes(county: County) -> list[str]:
    """The LOINC codes that a person's records carry, each once."""
    return list(dict.fromkeys(filter(None, map(_code, county.texts))))


def _code(text: bytes) -> str:
    for coding in orjson.loads(text)["code"].get("coding", []):
        if coding.get("system") == LOINC:
            return str(coding["code"])
    return ""


def _pages(county: County) -> Next:
    turns = count()

    def page() -> bytes:
        chart = ceiling.chart(next(turns) % len(county.charts))
        return get(f"/fhir/Observation?patient={chart}", READER)

    return page


# The load


async def paced(port: int, request: Next, wanted: Wanted, rate: int, seconds: float) -> Load:
    """`rate` requests a second for so long, each sent when it is due; waiting is the server's fault."""
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    took: list[float] = []
    wrong = 0

    async def one(due: float) -> None:
        nonlocal wrong
        reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
        writer.write(request())
        try:
            good = await asyncio.wait_for(_good(reader, wanted), 30)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            good = False
        if good:
            took.append(time.perf_counter() - due)
            free.append((reader, writer))
        else:
            wrong += 1
            writer.close()

    begun = time.perf_counter()
    waiting = []
    for turn in range(int(rate * seconds)):
        due = begun + turn / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        waiting.append(asyncio.create_task(one(due)))
    await asyncio.gather(*waiting)
    spent = time.perf_counter() - begun
    for _, writer in free:
        writer.close()
    return Load(len(took), spent, took, wrong)


async def _good(reader: asyncio.StreamReader, wanted: Wanted) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return head.startswith(b"http/1.1 %d" % wanted.status) and wanted.least <= length <= wanted.most
