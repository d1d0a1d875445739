"""Measures how long a page about a person takes: overview, results, one test over time, one report.

A signed-in browser asks through a socket; consent, decryption and audit are on. `first` is the first
page a process is asked for, `warm` what follows, for several persons in turn. The bare program answers
a page of 20 of the same records in the same run.
"""

from __future__ import annotations

import http.client
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from gateway.bench import ceiling
from gateway.bench.county import LOGIN, PASSWORD, READER, County
from gateway.bench.load import Load
from gateway.bench.machine import cores, cpu_seconds, described, pin, unpin, versions
from gateway.bench.measure import Server, recent, running
from gateway.bench.pattern import SEED
from gateway.bench.report import result
from gateway.demo.volume import person

PERSONS = 4
SIZES = (200, 5_000)
PAGES = {
    "overview": "/portal/overview",
    "results": "/portal/results",
    "trend": "/portal/trend/",
    "report": "/portal/reports/",
}
"""Where they are; what ends in a slash goes on as the page of all results says."""
LEAST = 5_000  # bytes; a shorter page shows nothing
QUANTILES = {"p50": 0.5, "p99": 0.99}
_CSRF = re.compile(rb'name="csrf" value="([^"]+)"')


async def measured(seconds: float, engine: str) -> dict[str, Any]:
    """The document of one run; everything it builds is gone when it returns."""
    if engine != "sqlite":
        raise SystemExit("health-gateway: pages are measured on SQLite only")
    results: list[dict[str, Any]] = []
    before = cores()
    for size in SIZES:
        folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
        try:
            county = await recent(folder, engine, PERSONS, size)
            pin(1)
            results += _of(size, county, folder, seconds)
        finally:
            unpin(before)
            shutil.rmtree(folder, ignore_errors=True)
    data = {
        "engine": engine,
        "persons": PERSONS,
        "observations of each": " or ".join(map(str, SIZES)),
        "asked by": "a signed-in clinician of another hospital, one page after the other",
        "ceiling": "a page of 20 of the same records",
        "seconds of each load": seconds,
    }
    return {"machine": described(), "versions": versions(), "data": data, "results": results}


def _of(size: int, county: County, folder: Path, seconds: float) -> list[dict[str, Any]]:
    """First and warm of each page, for persons who have so many observations."""
    every = range(len(county.charts))
    warm = {}
    with (
        running("ceiling", folder, county, "sqlite") as bare,
        running("gateway", folder, county, "sqlite") as gateway,
    ):
        line = Browser(bare.port, {"authorization": READER})
        pages = [f"/fhir/Observation?patient={ceiling.chart(number)}" for number in every]
        best = _load(bare, [(line, page) for page in pages], seconds / 2)
        browsers = [signed_in(number, gateway.port) for number in every]
        for page in PAGES:
            asked = [(one, one.pages[page]) for one in browsers]
            _load(gateway, asked, seconds / 4)  # a breath that is not counted
            spent = cpu_seconds(gateway.process.pid)
            seen = _load(gateway, asked, seconds)
            spent = (cpu_seconds(gateway.process.pid) - spent) / max(1, seen.count)
            warm[page] = _told(f"{page} of {size}, warm p95", seen, best, spent)
    results = []
    for page in PAGES:
        with running("gateway", folder, county, "sqlite") as fresh:
            once = _load(fresh, [(browsers[0].at(fresh.port), browsers[0].pages[page])], 0)
        results += [_told(f"{page} of {size}, first", once, best), warm[page]]
    return results


def _told(name: str, mine: Load, best: Load, spent: float = 0.0) -> dict[str, Any]:
    more = {f"{part}, ms": round(mine.quantile(at), 2) for part, at in QUANTILES.items()}
    if spent:
        more["CPU time, ms"] = round(spent * 1_000, 1)
    took, least = [mine.quantile(0.95)], [best.quantile(0.95)]
    return result(name, "ms", took, least, mine.wrong + best.wrong, more=more)


def _load(server: Server, asked: Sequence[tuple[Browser, str]], seconds: float) -> Load:
    """Each asked for its page in turn, all of them once and then until the time is over."""
    took: list[float] = []
    wrong = 0
    begun = time.perf_counter()
    while (not took and not wrong) or time.perf_counter() < begun + seconds:
        for browser, page in asked:
            before = time.perf_counter()
            status, body = browser.ask(page)
            if status == 200 and len(body) >= LEAST:
                took.append(time.perf_counter() - before)
            else:
                wrong += 1
    return Load(len(took), time.perf_counter() - begun, took, wrong)


# The browser


class Browser:
    """One that keeps its connection and its cookies, and knows the pages of whom it has in hand."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = headers
        self._cookies: dict[str, str] = {}
        self.pages: dict[str, str] = {}

    def at(self, port: int) -> Browser:
        """The same browser at another port."""
        moved = Browser(port, self._headers)
        moved._cookies, moved.pages = self._cookies, self.pages
        return moved

    def ask(self, path: str, form: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of a page, or of what a form is answered with."""
        headers = {**self._headers, "cookie": "; ".join(map("=".join, self._cookies.items()))}
        if form is None:
            self._line.request("GET", path, headers=headers)
        else:
            headers["content-type"] = "application/x-www-form-urlencoded"
            self._line.request("POST", path, urlencode(form), headers)
        answer = self._line.getresponse()
        for one in answer.headers.get_all("set-cookie") or ():
            name, _, value = one.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer.status, answer.read()

    def send(self, path: str, **form: str) -> None:
        """Send the form of a page back to it; SystemExit when that leads nowhere."""
        token = _CSRF.search(self.ask(path)[1])
        said = {"csrf": token[1].decode() if token else ""}
        if self.ask(path, said | form)[0] != 303:
            raise SystemExit(f"health-gateway: the bench could not get past {path}")


def signed_in(number: int, port: int) -> Browser:
    """A browser of a clinician who has person `number` in hand."""
    browser = Browser(port, {"sec-fetch-site": "same-origin"})
    browser.send("/portal/sign-in", login=LOGIN, password=PASSWORD, role="clinician")
    browser.send("/portal/look-up", kind="resident-id", number=person(number, SEED).number)
    _, results = browser.ask(PAGES["results"])
    for page, path in PAGES.items():
        found = re.search(rb'href="(%b[0-9a-f]*)"' % path.encode(), results)
        browser.pages[page] = found[1].decode() if found else path
    return browser
