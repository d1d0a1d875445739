"""Measures mapping on one core: deliveries read, mapped and validated, beside what else reads or validates them.

Rates are of the process's CPU time, best of the rounds of a load; each round reads deliveries that were not
read before. Beside them stand python-hl7 reading the same messages and fhir.resources validating the same
output in the same run.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from itertools import count
from typing import Any

from gateway.bench import deliveries
from gateway.bench.machine import described, versions
from gateway.bench.report import result
from gateway.vault.keyed import Keyed
from mappings.engine import Map, Reading, load
from mappings.engine.files import HOME
from mappings.r4 import second

DAY = date(2026, 3, 2)
MESSAGES = 150  # of a round
REPORTS = 60  # of a round of rows
DOCUMENTS = 60  # of a round of CDA
WARM = 600  # deliveries read before anything is measured, as on any day but the first
SHARE = 10.0  # the loads share the time that is asked for; some are measured more than once

Read = Callable[[bytes], int]
"""Reads one delivery; gives how many resources came out right, to be compared with what should."""


def measured(seconds: float) -> dict[str, Any]:
    """The document of one run."""
    document = {"machine": described(), "versions": versions()}
    each = seconds * 8 / SHARE
    data: dict[str, Any] = {
        "results of each delivery": deliveries.ITEMS,
        "an ORU, bytes": len(deliveries.oru(1)),
        "a CDA document, bytes": len(deliveries.cda(1)),
        "rates": "of CPU time on one core, best of the rounds",
    }
    results = [*_messages(each), _rows(each), *_documents(each)]
    return document | {"data": data, "results": results}


def _messages(seconds: float) -> Iterator[dict[str, Any]]:
    site = load(HOME / "sites" / "people")
    ids = _ids("people")
    fresh = count(1)
    made = deliveries.ITEMS + 6
    compiled, plain = _reading(site, ids), _reading(site.interpreted(), ids)
    for _ in range(WARM):
        compiled(deliveries.oru(next(fresh)))

    def rates(read: Read, right: int, messages: int = MESSAGES) -> tuple[list[float], int]:
        return _rounds(read, right, lambda: deliveries.oru(next(fresh)), messages, seconds)

    reader, note = _python_hl7()
    parsed, wrong = rates(_parsing(site), 1)
    beside = rates(reader, 1, 40)[0] if reader is not None else []
    yield _figure("ORU of 20 OBX parsed", "messages/s", parsed, beside, wrong, note)
    mapped, wrong = rates(compiled, made)
    yield _figure("ORU of 20 OBX mapped", "messages/s", mapped, [], wrong)
    gated, wrong = rates(_gated(site, ids), made)
    yield _figure("ORU of 20 OBX mapped, validation gated", "messages/s", gated, [], wrong)
    whole, wrong = rates(_gated(site, ids, everything=True), made, 60)
    other = rates(_second(site, ids), made, 15)[0]
    note = {"beside": "mapped and validated by fhir.resources"}
    yield _figure("ORU of 20 OBX mapped, all validated", "messages/s", whole, other, wrong, note)
    slow, wrong = rates(plain, made, 60)
    yield _figure("ORU of 20 OBX mapped by the interpreter", "messages/s", slow, [], wrong)


def _rows(seconds: float) -> dict[str, Any]:
    site = load(HOME / "sites" / "tcm")
    fresh = count(1, REPORTS)
    read = _gated(site, _ids("tcm"))
    for _ in range(WARM // REPORTS + 1):
        read(deliveries.rows(next(fresh), REPORTS))
    right = REPORTS * (deliveries.ITEMS + 4)
    rates, wrong = _rounds(
        read, right, lambda: deliveries.rows(next(fresh), REPORTS), 1, seconds, REPORTS * 20
    )
    return _figure("rows of a laboratory view mapped, validation gated", "rows/s", rates, [], wrong)


def _documents(seconds: float) -> Iterator[dict[str, Any]]:
    site = load(HOME / "sites" / "tcm-cda")
    fresh = count(1)
    right = deliveries.ITEMS + 5
    read = _gated(site, _ids("tcm"))
    for _ in range(WARM // 4):
        read(deliveries.cda(next(fresh)))
    for name, reader, made in (
        ("CDA of 20 items parsed", _parsing(site), 1),
        ("CDA of 20 items mapped, validation gated", read, right),
    ):
        rates, wrong = _rounds(
            reader, made, lambda: deliveries.cda(next(fresh)), DOCUMENTS, seconds
        )
        yield _figure(name, "documents/s", rates, [], wrong)


# What is measured


def _reading(site: Map, ids: Any) -> Read:
    return lambda raw: _made(site.read(raw, ids, "bench"))


def _gated(site: Map, ids: Any, everything: bool = False) -> Read:
    gate = site.gate(everything=everything)
    return lambda raw: _made(site.read(raw, ids, "bench", gate, DAY))


def _second(site: Map, ids: Any) -> Read:
    """Mapped, and validated by fhir.resources."""

    def read(raw: bytes) -> int:
        resources = [
            one for said in site.read(raw, ids, "bench").messages for one in said.resources
        ]
        return sum(not second.faults(one.text(), one.type) for one in resources)

    return read


def _parsing(site: Map) -> Read:
    """Cut and decoded, nothing mapped."""
    dialect, source = site.dialect, site.source
    assert dialect is not None
    return lambda raw: len(dialect.cut(raw, source)[0])


def _python_hl7() -> tuple[Read | None, dict[str, Any]]:
    """python-hl7 reading the same message, where it is installed: the product does not need it."""
    try:
        hl7 = importlib.import_module("hl7")
    except ImportError:
        return None, {"beside": "python-hl7 is not installed"}
    return lambda raw: int(hl7.parse(raw.decode("gb18030")) is not None), {"beside": "python-hl7"}


def _made(reading: Reading) -> int:
    return sum(len(message.resources) for message in reading.messages)


def _ids(organization: str) -> Any:
    """The county's own ids, under a key that protects nothing."""
    keyed = Keyed(b"bench id" * 4, b"blindkey" * 4, b"digest k" * 4)
    return partial(keyed.resource_id, organization)


# How it is measured


def _rounds(
    read: Read,
    right: int,
    make: Callable[[], bytes],
    deliveries_: int,
    seconds: float,
    counted: int = 0,
) -> tuple[list[float], int]:
    """Rates of the rounds of one load, and how many answers were wrong. Making deliveries is not counted."""
    rates: list[float] = []
    wrong = 0
    end = time.monotonic() + seconds
    while not rates or time.monotonic() < end:
        raws = [make() for _ in range(deliveries_)]
        begun = time.process_time()
        answers = [read(raw) for raw in raws]
        spent = time.process_time() - begun
        rates.append((counted or len(raws)) / max(spent, 1e-9))
        wrong += sum(answer != right for answer in answers)
    return rates, wrong


def _figure(
    name: str,
    unit: str,
    rates: Sequence[float],
    beside: Sequence[float],
    wrong: int,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    best = [max(beside)] if beside else []
    return result(name, unit, [max(rates)], best, wrong, more)
