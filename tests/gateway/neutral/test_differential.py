"""A chart with hidden records answers, to the byte, like the same chart without them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.records.query import INCLUDES, PARAMETERS
from tests.gateway.cds.ordering import (
    ALP,
    ALT,
    AST,
    KEY,
    SELECT,
    SIGN,
    VIEW,
    accepted,
    call,
    feed_back,
    order,
    post,
)
from tests.gateway.exchange.house import NOON, SECOND, Stored
from tests.gateway.neutral.two_counties import (
    MRN,
    PSYCHIATRY,
    SHEN,
    County,
    page_link,
    seen,
    two,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUESTS = 2_000
DELIVERIES = 24
TYPES = [kind for kind in PARAMETERS if kind not in {"Consent", "Task"}]
Ask = tuple[str, str, dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def counties(
    migrated_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[County, County]]:
    folder = tmp_path_factory.mktemp("counties")
    async with two(folder, migrated_files, DELIVERIES, seed=20261126) as both:
        yield both


class Questions:
    """Requests over every route, made by chance of what is there and of what is not."""

    def __init__(self, without: list[Stored], with_: list[Stored], chart: str, tags: Any) -> None:
        self.chance = Random(7)
        self.chart = chart
        self.tags = tags
        shown = {(one.id, one.version) for one in without}
        self.shown = without
        self.known = {one.id for one in without}
        self.secret = [one for one in with_ if (one.id, one.version) not in shown]
        self.dates = [
            "2026",
            "2026-02",
            "2026-02-10",
            "ge2026-02-14",
            "lt2026-02-09",
            "ne2026-02-03",
        ]
        self.codes = sorted(
            {code.rpartition("|")[2] for one in with_ for code in one.nature.codes} | {"none"}
        )

    def id(self) -> tuple[str, str, str]:
        """(type, id, version tag) of something shown, hidden or absent."""
        pick = self.chance.random()
        if pick < 0.4:
            one = self.chance.choice(self.shown)
        elif pick < 0.9:
            one = self.chance.choice(self.secret)
        else:
            return self.chance.choice(TYPES), f"{self.chance.getrandbits(128):032x}", "0" * 16
        return one.type, one.id, self.tags(one.id, one.version)

    def folder(self, kind: str, id: str) -> str:
        """An id to name a patient by, never that of a hidden folder of the same person.

        Whoever may ask about a person may name any folder of theirs; a hidden one's id is a keyed
        hash that nobody outside can make, and stands in no answer.
        """
        return id if kind != "Patient" or id in self.known else self.chart

    def value(self, kind: str, name: str) -> str:
        how = PARAMETERS[kind][name]
        if how == "date":
            return self.chance.choice(self.dates)
        if how == "reference":
            return self.id()[1]
        if name in {"status", "clinical-status"}:
            return self.chance.choice(
                ["final", "finished", "active", "current", "entered-in-error"]
            )
        return self.chance.choice(self.codes)

    def search(self, kind: str) -> list[tuple[str, str]]:
        names = [name for name in PARAMETERS[kind] if name != "identifier"]
        given = [("patient", self.chart)]
        given += [(name, self.value(kind, name)) for name in names if self.chance.random() < 0.25]
        if self.chance.random() < 0.2:
            given.append(("_id", ",".join(self.id()[1] for _ in range(3))))
        if self.chance.random() < 0.5:
            given.append(("_count", self.chance.choice(["0", "1", "2", "5", "50"])))
        if self.chance.random() < 0.3:
            given.append(("_sort", self.chance.choice(["_id", "-_id", "_lastUpdated", "date"])))
        if self.chance.random() < 0.2:
            given.append(("_summary", "count"))
        if self.chance.random() < 0.2:
            given.append(("_total", "accurate"))
        if kind in INCLUDES and self.chance.random() < 0.5:
            given.append(("_include", self.chance.choice(list(INCLUDES[kind]))))
        if self.chance.random() < 0.03:
            given.append(("_has:Observation:patient:code", "x"))
        return given

    def one(self) -> Ask:
        pick = self.chance.random()
        kind, id, tag = self.id()
        if pick < 0.2:
            more = (
                {"headers": {"if-none-match": f'W/"{tag}"'}} if self.chance.random() < 0.3 else {}
            )
            return self.chance.choice(["GET", "HEAD"]), f"/fhir/{kind}/{id}", more
        if pick < 0.3:
            return "GET", f"/fhir/{kind}/{id}/_history/{tag}", {}
        if pick < 0.34:
            return "GET", f"/fhir/{kind}/{id}/_history", {}
        if pick < 0.38:
            return "GET", f"/fhir/Patient/{self.folder(kind, id)}/$everything", {}
        if pick < 0.46:
            count = self.chance.choice(["1", "3", "10", "1000"])
            return "GET", f"/fhir/Patient/{self.chart}/$everything", {"params": {"_count": count}}
        if pick < 0.5:
            kind = self.chance.choice(
                ["Consent", "Task", "Binary", "AuditEvent", "MedicationRequest"]
            )
            return "GET", f"/fhir/{kind}/{id}", {}
        searched = self.chance.choice([one for one in TYPES if one != "Patient"])
        if pick < 0.55:
            return "GET", f"/fhir/{searched}", {"params": [("_id", self.id()[1]) for _ in range(2)]}
        if pick < 0.6:
            named = self.folder(kind, id)
            return "GET", f"/fhir/{searched}", {"params": [("patient", named)]}
        if pick < 0.75:
            body = "&".join(f"{name}={value}" for name, value in self.search(searched))
            headers = {"content-type": "application/x-www-form-urlencoded"}
            return "POST", f"/fhir/{searched}/_search", {"content": body, "headers": headers}
        return "GET", f"/fhir/{searched}", {"params": self.search(searched)}


async def test_hidden_records_change_no_byte_of_any_answer(
    counties: tuple[County, County],
) -> None:
    without, with_ = counties
    base, more = await without.house.everything(), await with_.house.everything()
    ask = Questions(base, more, without.house.chart(), without.house.services.vault.version_tag)
    assert len(ask.secret) > 30
    hidden_by = {
        (one.type, one.nature.source, bool(one.nature.sensitivities)) for one in ask.secret
    }
    assert hidden_by >= {
        ("Encounter", "people", True),
        ("DiagnosticReport", "people", True),
        ("DocumentReference", "people", False),  # a kind of document the patient refused
        ("Provenance", "people", False),
        ("Patient", "mch", False),  # a hospital the patient refused
        ("Specimen", "mch", False),
    }
    told: dict[int, int] = {}
    paged: set[str] = set()  # what was asked before is asked again, but not page by page
    sent = pages = 0
    for _ in range(REQUESTS):
        method, address, extra = ask.one()
        links = [(address, extra), (address, extra)]
        again = repr((method, links)) in paged
        paged.add(repr((method, links)))
        while links:
            answers = [
                await county.ask(method, link, **given)
                for county, (link, given) in zip(counties, links, strict=True)
            ]
            sent += 1
            assert seen(answers[0]) == seen(answers[1]), (method, address, extra)
            told[answers[0].status_code] = told.get(answers[0].status_code, 0) + 1
            links = []
            if (
                not again
                and method != "HEAD"
                and answers[0].status_code == 200
                and "Bundle" in answers[0].text
            ):
                nexts = [page_link(answer) for answer in answers]
                if all(nexts):
                    pages += 1
                    method, links = "GET", [(link, {}) for link in nexts]
    assert pages > 100
    assert told[200] > 500
    assert told[404] > 300
    print(json.dumps({"requests": sent, "pages": pages, "answers": told}))


async def measured(county: County, number: int, item: str, value: str, **hidden: str) -> None:
    """A report of two days ago: young enough to be asked about."""
    house = county.house
    kept, house.sent = house.sent, 30_000 + number
    raw = house.oru(
        SHEN, MRN, (item, value, "F"), report=f"N{number}", at="2026-02-27T10:00", **hidden
    ).replace(b"20260220", b"20260227")
    assert await house.file(raw) == ["filed"]
    house.sent = kept


async def test_prompts_and_decisions_are_those_of_what_is_shown(
    counties: tuple[County, County],
) -> None:
    """CDS Hooks, SOAP, decisions at the FHIR door and what they leave behind."""
    without, with_ = counties
    for county in counties:
        county.house.clock.at = NOON + 3_600 * SECOND
        county.door.web.headers.update(await county.door.li())
        await measured(county, 1, "ALT", "62.40")
    for number, item in ((2, "ALT"), (3, "AST")):  # newer, or of an item of which nothing is shown
        await measured(with_, number, item, "99.10", visit="X9", clinic=PSYCHIATRY)
    secret = [
        one
        for one in await with_.house.everything()
        if one.type == "Observation" and one.nature.sensitivities
    ]
    assert secret
    at = NOON + 3_660 * SECOND

    async def both(ask: Callable[[County], Awaitable[httpx.Response]]) -> httpx.Response:
        answers = []
        for county in counties:
            county.house.clock.at = at
            answers.append(await ask(county))
        assert seen(answers[0]) == seen(answers[1]), answers[0].request.url
        return answers[0]

    chart = without.house.chart()
    orders = [order("1", ALT), order("2", AST), order("3", ALP)]
    told = {}
    for service in (VIEW, SELECT, SIGN):

        async def prompt(county: County, service: str = service) -> httpx.Response:
            return await post(county.door, service, call(county.door, service, *orders))

        answer = await both(prompt)
        told[service] = answer.json()["cards"]
    (card,) = told[SELECT]
    assert told[VIEW][0]["extension"][KEY]["eligible"] == 1
    assert [one["item"] for one in card["extension"][KEY]["items"]] == ["HR-L-0001"]
    assert "99.10" not in json.dumps(told)

    envelope = ENVELOPE.replace("CHART", chart).encode()
    said = {"content-type": "text/xml"}
    xml = await both(lambda c: c.ask("POST", "/cds-soap", content=envelope, headers=said))
    assert b"62.40" in xml.content

    tag = with_.house.services.vault.version_tag
    for id, version in [(one.id, tag(one.id, one.version)) for one in secret[:3]] + [
        ("0" * 32, "1")
    ]:
        result = {"reference": f"Observation/{id}/_history/{version}"}
        body = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "result", "valueReference": result},
                {"name": "choice", "valueCode": "accept"},
            ],
        }
        assert (await decide(both, body)).status_code == 404
    assert (await both(lambda c: feed_back(c.door, SELECT, accepted(card)))).status_code == 200
    everything = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": f"Patient/{chart}"}},
            {"name": "issuer", "valueCode": "people"},
            {"name": "choice", "valueCode": "decline"},
            {"name": "reason", "valueCode": "01"},
        ],
    }
    await decide(both, everything)
    for kind in ("Task", "DetectedIssue", "DocumentReference", "Communication", "ServiceRequest"):
        address = f"/fhir/{kind}?patient={chart}"
        found = await both(partial(County.ask, method="GET", address=address))
        entries = found.json().get("entry", ()) if found.status_code == 200 else ()
        assert entries or kind not in {"Task", "DetectedIssue", "DocumentReference"}
        for one in entries:
            for below in ("", "/_history"):
                address = f"/fhir/{kind}/{one['resource']['id']}{below}"
                await both(partial(County.ask, method="GET", address=address))


async def decide(both: Any, body: dict[str, Any]) -> httpx.Response:
    said = {"content-type": "application/fhir+json"}
    text = json.dumps(body).encode()
    address = "/fhir/$recognition-decision"
    answer: httpx.Response = await both(
        lambda c: c.ask("POST", address, content=text, headers=said)
    )
    return answer


ENVELOPE = """<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
xmlns="urn:gateway:recognition"><s:Body><CheckOrders><moment>sign</moment>
<doctor><id>dr-li</id></doctor><patient><id>CHART</id></patient><visit>V99</visit>
<order><id>1</id><code><system>http://loinc.org</system><value>1742-6</value></code></order>
<order><id>2</id><code><system>http://loinc.org</system><value>1920-8</value></code></order>
</CheckOrders></s:Body></s:Envelope>"""
