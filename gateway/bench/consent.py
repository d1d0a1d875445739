"""Measures the consent decision on one core: how many a second, and what it is of a whole search.

Rates are of CPU time, best of the rounds, for a person with 5, 21 and 101 provisions on file:
a class decided anew (all steps, nothing remembered), records decided one by one where consents tell
them apart by date, and records whose class is known. The share of a search is what the loop's thread
spends inside the decision's functions (and reading the directives), of all it spends on the search.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any, cast

import msgspec

from consent import fhir as consent_fhir
from consent.decide import Ruling, gates, ruling
from consent.model import (
    AccessRequest,
    Actor,
    ActorKind,
    Directive,
    FacetClass,
    Facets,
    PatientContext,
    Permit,
    Provision,
    Relationship,
    RelationshipKind,
    Requester,
)
from consent.policy import DAY, PolicySet, load
from gateway.bench.county import READER, build, opened
from gateway.bench.machine import described, versions
from gateway.bench.report import result
from gateway.exchange import ask, person
from gateway.records import query as queries
from gateway.services import Services
from gateway.services.caller import Caller

PROVISIONS = (5, 21, 101)
RECORDS = 200
PERSONS = 20
NOW = 20_000 * DAY
PATIENT = PatientContext(charts=frozenset({"P"}), birth=None)
TREATS = Relationship(RelationshipKind.ENCOUNTER, READER, None, NOW - DAY)
DOCTOR = Requester("doctor", "doctor", READER, (READER, "alliance"), "clinician", "bench")
REQUEST = AccessRequest(NOW, DOCTOR, ("TREAT",), "search", (TREATS,))
LAB = "http://loinc.org"


def measured(seconds: float, persons: int = PERSONS) -> dict[str, Any]:
    """The document of one run; the share is of searches for so many persons, at most PERSONS."""
    county = load("opt-out", "Asia/Shanghai")
    each = seconds / len(PROVISIONS)
    results = [one for n in PROVISIONS for one in _rates(n, county, each)]
    data: dict[str, Any] = {
        "records": RECORDS,
        "provisions": "in turn: permits of treatment (by date where records are told apart), "
        "refusals by code, of another organization, by label, permits by label and type",
        "rates": "of CPU time on one core, best of the rounds",
        "share": "time inside the decision and the reading of directives, of the thread's CPU time",
    }
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    try:
        results += asyncio.run(_shares(folder, seconds, min(persons, PERSONS)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"machine": described(), "versions": versions(), "data": data, "results": results}


# Decisions a second


def provisions(number: int, *, dated: bool) -> list[Directive]:
    """As many flat consents of one person, of which none refuses the records that are asked for."""
    made = []
    for at in range(number):
        match at % 5:
            case 0 if dated:
                said = Provision(True, purposes=("TREAT",), data_start=DAY * (at + 1))
            case 0:
                said = Provision(True, purposes=("TREAT",))
            case 1:
                said = Provision(False, codes=((LAB, f"{at}-0"),))
            case 2:
                said = Provision(False, actors=(Actor(ActorKind.ORGANIZATION, f"other-{at}"),))
            case 3:
                said = Provision(False, sensitivities=("HIV",))
            case _:
                said = Provision(True, sensitivities=("PSY",), classes=("DocumentReference",))
        made.append(Directive(f"c{at}", "1", "P", "county", NOW - DAY - at, 3, "guardian", said))
    return made


def records(kind: FacetClass) -> list[Facets]:
    """Records of one class, each with an id and a date of its own."""
    return [Facets(kind, f"{at:032x}", "1", NOW - at * DAY) for at in range(RECORDS)]


def _rates(number: int, county: PolicySet, seconds: float) -> Iterator[dict[str, Any]]:
    kind = FacetClass("Observation", "people", ("P",), codes=frozenset({(LAB, "718-7")}))
    fresh = count()
    plain, telling = (provisions(number, dated=dated) for dated in (False, True))

    def ruled(signed: Sequence[Directive]) -> Ruling:
        return ruling(REQUEST, PATIENT, signed, county)

    classes = ruled(plain)

    def anew() -> int:
        made = [
            msgspec.structs.replace(kind, codes=frozenset({(LAB, f"{next(fresh)}-9")}))
            for _ in range(RECORDS)
        ]
        begun = time.process_time_ns()
        right = sum(isinstance(classes.decide(Facets(one, "")), Permit) for one in made)
        return (time.process_time_ns() - begun) if right == RECORDS else -1

    def one_by_one(prepared: Ruling) -> Callable[[], int]:
        listed = records(kind)

        def turn() -> int:
            begun = time.process_time_ns()
            right = sum(isinstance(prepared.decide(one), Permit) for one in listed)
            return (time.process_time_ns() - begun) if right == RECORDS else -1

        return turn

    def prepared() -> int:
        begun = time.process_time_ns()
        right = sum(isinstance(ruled(plain), Ruling) for _ in range(RECORDS))
        return (time.process_time_ns() - begun) if right == RECORDS else -1

    for name, unit, turn in (
        (f"{number} provisions: rulings prepared", "rulings/s", prepared),
        (f"{number} provisions: classes decided anew", "decisions/s", anew),
        (f"{number} provisions: records told apart", "decisions/s", one_by_one(ruled(telling))),
        (f"{number} provisions: records of a known class", "decisions/s", one_by_one(classes)),
    ):
        rates, wrong = _best(turn, seconds / 4)
        yield result(name, unit, rates, wrong=wrong)


def _best(turn: Callable[[], int], seconds: float) -> tuple[list[float], int]:
    best, wrong, end = 0.0, 0, time.monotonic() + seconds
    while not best or time.monotonic() < end:
        spent = turn()
        wrong += spent < 0
        best = max(best, RECORDS / max(spent, 1) * 1e9) if spent >= 0 else 1.0
    return [best], wrong


# The share of a search


async def _shares(folder: Path, seconds: float, persons: int) -> list[dict[str, Any]]:
    services = await opened(folder, "sqlite")
    try:
        county = await build(services, persons, RECORDS, _nobody)
        return [
            await _share(services, county.charts, extra, name, seconds / 3)
            for name, extra in (
                ("search of 20 of 200: consent, one broad form", []),
                ("search of 20 of 200: consent, 101 provisions", provisions(100, dated=False)),
                (
                    "search of 20 of 200: consent, 101, each record apart",
                    provisions(100, dated=True),
                ),
            )
        ]
    finally:
        await services.close()


def _nobody(texts: list[bytes]) -> multiprocessing.process.BaseProcess:
    """Nothing is filled beside this county."""
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    return process


async def _share(
    services: Services, charts: Sequence[str], extra: list[Directive], name: str, seconds: float
) -> dict[str, Any]:
    """Searches of one page each, the share of consent and how many answers were not twenty."""
    caller = Caller(
        "bench", READER, "clinician", "doctor", "doctor", "TREAT", frozenset({"user/*.rs"})
    )
    shares: list[float] = []
    wrong = 0
    with _clocked(extra) as spent:
        end = time.monotonic() + seconds
        while len(shares) < 2 or time.monotonic() < end:
            spent[0], begun = 0, time.thread_time_ns()
            for chart in charts:
                query = queries.parse(
                    "Observation", [("patient", chart)], services.settings.zone, lenient=False
                )
                page = await ask.search(query, caller, services)
                wrong += (len(page.records), page.total) != (20, RECORDS)
            shares.append(spent[0] / (time.thread_time_ns() - begun))
    # The first round fills caches.
    return result(name, "of CPU time", shares[1:], wrong=wrong)


@contextmanager
def _clocked(extra: list[Directive]) -> Iterator[list[int]]:
    """Time inside the decision, in nanoseconds; `extra` consents stand beside those on file."""
    spent = [0]

    def clocked(work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def timed(*given: Any, **named: Any) -> Any:
            begun = time.thread_time_ns()
            try:
                return work(*given, **named)
            finally:
                spent[0] += time.thread_time_ns() - begun

        return timed

    def with_more(
        request: AccessRequest, who: PatientContext, signed: Sequence[Directive], rules: PolicySet
    ) -> Ruling:
        chart = min(who.charts)
        own = [msgspec.structs.replace(one, patient=chart) for one in extra]
        begun = time.thread_time_ns()
        try:
            return ruling(request, who, [*signed, *own], rules)
        finally:
            spent[0] += time.thread_time_ns() - begun

    places: list[tuple[Any, str, Callable[..., Any]]] = [
        (person, "gates", clocked(gates)),
        (person, "ruling", with_more),
        (consent_fhir, "decode", clocked(consent_fhir.decode)),
        (Ruling, "decide", clocked(Ruling.decide)),
        (Ruling, "of_class", clocked(Ruling.of_class)),
    ]
    before = [getattr(where, name) for where, name, _ in places]
    for where, name, timed in places:
        setattr(cast(Any, where), name, timed)
    try:
        yield spent
    finally:
        for (where, name, _), was in zip(places, before, strict=True):
            setattr(cast(Any, where), name, was)
