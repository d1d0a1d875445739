"""A laboratory view that shows only the rows that changed: the report keeps the results it had."""

from __future__ import annotations

import csv
import io
import json

from gateway.exchange import ask
from gateway.exchange.receive import receive
from gateway.jobs.worker import Worker
from gateway.services import Services
from gateway.services.caller import Caller


def view(services: Services, *rows: tuple[str, str, str]) -> bytes:
    """Rows (item, value, changed at) of one report, as the TCM hospital's view shows them."""
    columns = services.maps.draft("tcm").source.options["columns"].split(",")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for item, value, changed in rows:
        cells = {
            "BRID": "T000001",
            "XM": "王珅",
            "BGDH": "B1",
            "BBLX": "SER",
            "XMDM": item,
            "JG": value,
        }
        cells |= {"ZT": "2", "GXSJ": changed, "BGSJ": "2026-03-02 08:00:00"}
        writer.writerow([cells.get(name, "") for name in columns])
    return text.getvalue().encode("gb18030")


async def filed(services: Services, raw: bytes) -> None:
    await receive("tcm-lis", services.maps.draft("tcm").units(raw), services)
    await Worker(services).drain()


async def test_the_report_grows_and_loses_nothing(services: Services) -> None:
    first = ("0401", "6.10", "2026-03-02 08:00:00"), ("0402", "5.00", "2026-03-02 08:00:00")
    await filed(services, view(services, *first))
    await filed(services, view(services, ("0403", "1.00", "2026-03-02 09:00:00")))
    await filed(services, view(services, ("0401", "6.20", "2026-03-02 10:00:00")))

    ids = services.ids("tcm")
    source = Caller(client="tcm-lis", organization="tcm", role="system", strength=2)

    async def read(type: str, *key: str) -> dict[str, object]:
        opened = await ask.read(type, ids("tcm-lis", type, key), source, services)
        return json.loads(opened.text, parse_float=str)

    report = await read("DiagnosticReport", "B1")
    wanted = {f"Observation/{ids('tcm-lis', 'Observation', ('B1', item))}" for item in
              ("0401", "0402", "0403")}  # fmt: skip
    references = [one["reference"] for one in report["result"]]
    assert set(references) == wanted
    assert len(references) == 3
    assert len(report["specimen"]) == 1
    corrected = await read("Observation", "B1", "0401")
    assert corrected["valueQuantity"]["value"] == "6.20"
