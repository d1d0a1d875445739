"""Measures the gateway beside the bare ceiling, in one run: the figures of `health-gateway bench`."""

from __future__ import annotations

import asyncio
import sys

import orjson

from gateway.bench import cds, consent, mappings, measure, pages
from gateway.bench.report import told

__all__ = ["NAMES", "run"]

NAMES = (*measure.NAMES, "mappings", "consent", "cds", "pages")


def run(name: str, *, persons: int, seconds: float, engine: str, as_json: bool) -> int:
    """Measure `name`, one of NAMES, and print one document; 0 when every goal is met.

    `seconds` is the time of each load, both programs together; `engine` is `sqlite` or the address
    of an empty PostgreSQL database. 1 on a missed goal, 2 on a name that is not offered.
    """
    if name not in NAMES:
        print(f"health-gateway: bench offers {', '.join(NAMES)}", file=sys.stderr)
        return 2
    if name == "mappings":
        document = mappings.measured(seconds)
    elif name == "consent":
        document = consent.measured(seconds, persons)
    elif name == "cds":
        document = asyncio.run(cds.measured(seconds, engine))
    elif name == "pages":
        document = asyncio.run(pages.measured(seconds, engine))
    else:
        document = asyncio.run(measure.measured(name, persons, seconds, engine))
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        print(told(document))
    return 0 if all(one["met"] for one in document["results"]) else 1
