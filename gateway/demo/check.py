"""Walks the whole road of a county of its own, through the public doors only, and gives a verdict.

Every station can be switched off (`--without NAME`): then the walk must fail there and say so.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx

from gateway.app import Application, http_server, running
from gateway.demo import archive, founding, registers, story
from gateway.demo.browser import Browser, Page
from gateway.demo.hospital import Line
from gateway.demo.ordering import prompt
from gateway.demo.residents import Resident, resident_number
from gateway.demo.road import Failed, Road, expect
from gateway.errors import Kind, Problem
from gateway.exchange import entitlements, sources
from gateway.identity.systems import RESIDENT_ID
from gateway.recognition.catalogue.register import Act
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.archives import Archives
from gateway.store import accounts, clients

SCAN = b"%PDF-1.4\n% a scanned form of the pretend county\n%%EOF\n"
REASON = "患者由人民医院转诊来我院复查肝功能"


# Stations, in the order of the road


async def mllp(road: Road) -> str:
    """The people's hospital sends HL7 v2 in GB18030 over MLLP and hears AA each time."""

    def send() -> dict[str, int]:
        line = Line("127.0.0.1", road.mllp_port)
        counts: dict[str, int] = {}
        try:
            for one in road.county.messages:
                if one.channel == "mllp":
                    answer = line.ask(one.raw)
                    code = answer.partition(b"MSA|")[2][:2].decode()
                    counts[code] = counts.get(code, 0) + 1
        finally:
            line.close()
        return counts

    counts = await asyncio.to_thread(send)
    expect(set(counts) == {"AA"}, f"acknowledged {counts}")
    return f"{counts['AA']} messages, each AA"


async def _post(road: Road, channels: set[str], client: str) -> int:
    token = await road.token(client)
    count = 0
    async with httpx.AsyncClient(timeout=20) as http:
        for one in road.county.messages:
            if one.source == client and one.channel in channels:
                address = "/fhir/$process-message" if one.channel == "fhir" else f"/intake/{client}"
                answer = await http.post(
                    road.base + address,
                    content=one.raw,
                    headers={
                        "content-type": one.content_type,
                        "authorization": f"Bearer {token}",
                    },
                )
                expect(answer.is_success, f"{client} was answered {answer.status_code}")
                count += 1
    return count


async def rows(road: Road) -> str:
    """The TCM hospital posts the rows of its laboratory view."""
    return f"{await _post(road, {'http-rows'}, 'tcm-lis')} deliveries of rows kept"


async def images(road: Road) -> str:
    """The people's hospital's archive posts image headers and the manifest of a study."""
    return f"{await _post(road, {'http-dicom'}, 'people-pacs')} deliveries of headers kept"


async def documents(road: Road) -> str:
    """The TCM hospital posts documents of its medical record, some of them as SOAP calls."""
    return f"{await _post(road, {'http-xml'}, 'tcm-emr')} documents kept"


async def messages(road: Road) -> str:
    """The maternal-child hospital posts FHIR message Bundles."""
    return f"{await _post(road, {'fhir'}, 'mch-fhir')} message Bundles answered ok"


async def files(road: Road) -> str:
    """The township health centre posts its CSV export and its contracts with residents."""
    visits = await _post(road, {"file", "http-rows"}, "township-csv")
    return f"{visits + await _post(road, {'http-rows'}, 'township-contracts')} files kept"


async def filing(road: Road) -> str:
    """Everything kept is filed or quarantined, and the sums agree."""
    async with httpx.AsyncClient() as http:
        for _ in range(100):
            text = (await http.get(f"{road.base}/metrics")).text
            counts = _metrics(text)
            if all(not count["waiting"] for count in counts.values()):
                break
            await asyncio.sleep(0.1)
    expect(not any(c["waiting"] for c in counts.values()), "messages are still waiting")
    for name, c in counts.items():
        total = c["filed"] + c["quarantined"] + c["waiting"] + c["duplicates"]
        expect(c["received"] == total and c["received"], f"the sum of {name} does not agree")
    filed = sum(c["filed"] for c in counts.values())
    held = sum(c["quarantined"] for c in counts.values())
    expect(held >= 2, "the faulty messages were not quarantined")
    return f"{filed} filed, {held} quarantined, all sums agree"


def _metrics(text: str) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        if line.startswith("gateway_messages{"):
            labels, _, value = line.rpartition(" ")
            parts = dict(p.split("=") for p in labels[17:-1].replace('"', "").split(","))
            counts.setdefault(parts["source"], {})[parts["state"]] = int(float(value))
    return counts


async def desk(road: Road) -> str:
    """The registration desk records what residents signed."""
    browser = await road.browser("registrar")
    wanted = {"shen", "restricted", "withdrawn", "refused"}
    count = 0
    for form in road.county.forms:
        if form.resident.key not in wanted and form.resident.will not in {"refused", "withdrawn"}:
            continue
        if form.kind == "psychiatry":
            await _post_consent(road, form)
        elif form.kind == "withdrawal":
            await _withdraw(browser, await _at_desk(browser, form.resident))
        else:
            await _record(browser, await _at_desk(browser, form.resident), form)
        count += 1
    return f"{count} forms, one of them as a FHIR Consent"


async def _post_consent(road: Road, form: story.Form) -> None:
    """The registrar's own system posts the form that names one doctor."""
    token = await road.token("county-desk", "registrar")
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{road.base}/fhir/Consent",
            content=story.consent_text(form, road.services.settings.canonical),
            headers={
                "content-type": "application/fhir+json",
                "authorization": f"Bearer {token}",
            },
        )
    expect(answer.status_code == 201, f"the Consent was answered {answer.status_code}")


async def _at_desk(browser: Browser, resident: Resident) -> Page:
    page = await browser.go("/portal/consents/find")
    page = await browser.submit(
        page, "/consents/find", {"kind": "resident-id", "number": resident.number}
    )
    expect(page.status == 200 and page.path.endswith("/consents"), "the desk finds nobody")
    return page


async def _record(browser: Browser, page: Page, form: story.Form) -> None:
    chosen: dict[str, str | list[str]] = {
        "broad": {"kind": "share"},
        "refusal": {"kind": "refuse-all"},
    }[form.kind]  # type: ignore[assignment]
    page = await browser.submit(page, "/consents", {"name": form.resident.name, **chosen})
    page = await browser.submit(
        page,
        "/consents/new",
        {"witness": "周立", "signed": form.signed.date().isoformat()},
        {"evidence": ("form.pdf", SCAN, "application/pdf")},
    )
    expect(page.status == 200 and page.path.endswith("/consents"), "a form was not recorded")


async def _withdraw(browser: Browser, page: Page) -> None:
    link = next((a for a, _ in page.links if a.endswith("/withdraw")), "")
    expect(link, "no consent to withdraw")
    page = await browser.go(link)
    page = await browser.submit(page, "/withdraw", {"witness": "周立"})
    expect(page.status == 200 and page.path.endswith("/consents"), "not withdrawn")


async def _open(browser: Browser, number: str, *, claim: bool) -> Page:
    """Look a resident up; declare the relationship when asked and `claim`."""
    page = await browser.go("/portal/look-up")
    page = await browser.submit(page, "/look-up", {"kind": "resident-id", "number": number})
    if page.path.endswith("/claim") and claim:
        page = await browser.submit(page, "/claim", {"reason": REASON, "declared": "yes"})
    if page.path.endswith("/overview"):
        page = await browser.go("/portal/results?view=list&period=all")
    return page


async def look_up(road: Road) -> str:
    """A doctor elsewhere finds the resident and reads what the people's hospital found."""
    browser = await road.browser("dr-li")
    page = await _open(browser, road.shen.number, claim=False)
    expect(page.path.endswith("/claim"), "no declaration was asked for")
    page = await _open(browser, road.shen.number, claim=True)
    expect(page.path.endswith("/results"), f"no results page: {page.status} {page.path}")
    expect(road.shen.number not in page.html, "the full number stands on the page")
    for seen in story.SEEN:
        expect(page.says(seen.value, seen.range), f"{seen.code} is not as issued")
    road.story_results = page
    return f"{len(story.SEEN)} values exactly as issued"


async def pictures(road: Road) -> str:
    """The doctor opens the chest CT, and its slices come from the archive of who took them."""
    browser = await road.browser("dr-li")
    page = await browser.go("/portal/images")
    study = next((a for a, _ in page.links if a.startswith("/portal/images/")), "")
    expect(study, "no study is listed")
    page = await browser.go(study)
    found = re.findall(r'src="(/portal/images/[^"]+\.jpg)"', page.html)
    expect(found, "no image of the study is shown")
    for one in found:
        kind, picture = await browser.fetch(one)
        expect(kind == "image/jpeg" and picture[:2] == b"\xff\xd8", "an image does not come")
    page = await browser.go("/portal/images")
    expect(page.says("影像可调阅"), "the list does not know that the images are there")
    return f"{len(found)} series shown from the hospital's own archive"


async def recognition(road: Road) -> str:
    """A result of another hospital is eligible; the doctor accepts it, and that is recorded."""
    browser = await road.browser("dr-li")
    page = await browser.go("/portal/results?view=list&period=all")
    for link in dict.fromkeys(a for a, _ in page.links if "/reports/" in a):
        report = await browser.go(link)
        form = next((f for f in report.forms if "target" in f.fields), None)
        if form is not None:
            done = await browser.submit(
                report, form.action, {"outcome": "accepted"}, holding=form.fields["target"][0]
            )
            expect(done.status == 200, f"the decision was answered {done.status}")
            expect(done.says("李明轩"), "who decided is not shown")
            return f"{len(form.fields['target'])} results accepted"
    raise Failed("no result is eligible")


async def retrieval(road: Road) -> str:
    """A hospital's system retrieves the same over FHIR, for a named doctor."""
    token = await road.token("tcm-his", "dr-li")
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{road.base}/fhir", headers=headers) as http:
        found = await http.post(
            "/Patient/_search", data={"identifier": f"{RESIDENT_ID}|{road.shen.number}"}
        )
        expect(found.status_code == 200 and found.json()["total"], "the patient is not found")
        chart = found.json()["entry"][0]["resource"]["id"]
        first = await http.get("/Observation", params={"patient": chart, "_count": 5})
        expect(first.status_code == 200, f"search was answered {first.status_code}")
        bundle = first.json()
        pages, seen = 1, len(bundle["entry"])
        while following := next(
            (link["url"] for link in bundle["link"] if link["relation"] == "next"), ""
        ):
            bundle = (await http.get(following)).json()
            seen += len(bundle["entry"])
            pages += 1
        expect(seen == first.json()["total"], "pages and total do not agree")
        whole = await http.get(f"/Patient/{chart}/$everything")
        expect(whole.status_code == 200, "no $everything")
        text = whole.text
        for value in story.SEEN:
            expect(value.value in text, f"{value.code} lost its digits")
        in_url = await http.get(
            "/Patient", params={"identifier": f"{RESIDENT_ID}|{road.shen.number}"}
        )
        expect(in_url.status_code == 400, "a resident ID in an address was taken")
    return f"{seen} observations over {pages} pages"


async def restricted(road: Road) -> str:
    """The restricted record: four callers, each with the answer the patient decided on."""
    number = road.county.resident(story.RESTRICTED).number
    for case in story.EXPECTED:
        browser = await road.browser(case.login)
        page = await _open(browser, number, claim=case.claims)
        shows = page.path.endswith("/results")
        psychiatric = page.says("抑郁") or page.says("PSY001") or page.says("精神心理")
        got = "refused" if not shows else "everything" if psychiatric else "without the restricted"
        expect(got == case.answer, f"{case.login}: {got}, not {case.answer} ({case.because})")
    return f"{len(story.EXPECTED)} callers, {len(story.EXPECTED)} right answers"


async def withdrawal(road: Road) -> str:
    """The patient withdraws; the next click elsewhere shows nothing of others, not even a gap."""
    browser = await road.browser("dr-li")
    page = await _open(browser, road.shen.number, claim=True)
    other = road.services.register.get("people").name
    # Once it stands on every page: the strip that says which hospitals' feeds answer.
    expect(page.text.count(other) > 1, f"{other} was not shown before")
    registrar = await road.browser("registrar")
    await _withdraw(registrar, await _at_desk(registrar, road.shen))
    page = await browser.go("/portal/results?view=list&period=all")
    expect(page.says(road.services.register.get("tcm").name), "the own results are gone too")
    expect(page.text.count(other) == 1, f"{other} still has something on the page")
    return "nothing of the other hospital is left"


async def strangers(road: Road) -> str:
    """Nobody and somebody unrelated are one answer."""
    browser = await road.browser("dr-zhou")
    unrelated = await _open(browser, road.shen.number, claim=False)
    born = date(1931, 2, 3)
    number = resident_number(road.shen.number[:6], born)
    expect(all(one.number != number for one in road.county.residents), "somebody has that number")
    nobody = await _open(browser, number, claim=False)
    expect(unrelated.status == nobody.status and unrelated.path == nobody.path, "they differ")
    return "the same page for both"


async def audit(road: Road) -> str:
    """The auditor sees who looked at whom and verifies the whole log."""
    browser = await road.browser("auditor")
    page = await browser.go("/portal/audit")
    page = await browser.submit(page, "/audit", {"number": road.shen.number})
    expect(page.says("dr-li") or page.says("李明轩"), "the look-up is not in the log")
    expect(road.shen.number not in page.html or page.forms, "the number is shown")
    for _ in range(30):
        page = await browser.go("/portal/audit/verify")
        page = await browser.submit(page, "/audit/verify")
        if page.says("日志完整"):
            break
        await asyncio.sleep(0.2)
    expect(page.says("日志完整"), "the log does not verify")
    expect(page.says("核对无误"), "no signed checkpoint stands over the log")
    size = re.search(r"条数 (\d+)", page.text)
    return f"{size[1] if size else '?'} entries, signed"


async def office(road: Road) -> str:
    """The IT office sees its source, the sum that agrees, and what is quarantined and why."""
    browser = await road.browser("it-office")
    page = await browser.go("/portal/sources")
    expect(page.says("people-his") and not page.says("对不上"), "the sum does not agree")
    page = await browser.go("/portal/quarantine")
    expect(page.status == 200 and page.says("people-his"), "the quarantine is empty")
    return "sums agree, the quarantine says where and why"


STATIONS: dict[str, Callable[[Road], Awaitable[str]]] = {
    "mllp": mllp,
    "rows": rows,
    "images": images,
    "documents": documents,
    "messages": messages,
    "files": files,
    "filing": filing,
    "desk": desk,
    "look-up": look_up,
    "pictures": pictures,
    "prompt": prompt,
    "recognition": recognition,
    "retrieval": retrieval,
    "strangers": strangers,
    "restricted": restricted,
    "audit": audit,
    "office": office,
    "withdrawal": withdrawal,
}


# Switching stations off


def switched_off(services: Services, station: str) -> Services:
    """The same county, built without one of its parts."""
    settings = services.settings
    match station:
        case "mllp":
            return replace(services, settings=replace(settings, mllp_port=0))
        case "filing":
            return replace(services, settings=replace(settings, worker=False))
        case "pictures":
            return replace(services, archives=Archives({}))
        case "audit":
            return replace(services, vault=_Without(services.vault, "sign"))  # type: ignore[arg-type]
    return services


async def sabotage(services: Services, station: str) -> None:
    """Put a station out of order just before somebody comes to it."""
    source = {
        "rows": "tcm-lis",
        "images": "people-pacs",
        "documents": "tcm-emr",
        "messages": "mch-fhir",
        "files": "township-csv",
    }
    person = {
        "desk": "registrar",
        "look-up": "dr-li",
        "strangers": "dr-zhou",
        "restricted": "dr-chen",
        "office": "it-office",
        "withdrawal": "registrar",
    }
    if station in source:
        await sources.set_state(source[station], "paused", services)
    if station in person:
        await services.db.session(accounts.disable, person[station])
    if station == "recognition":
        now, commission = services.now(), registers.person("commission")
        held = [one for one in services.catalogue.entitled if one.valid.covers(now)]
        for number in {one.number for one in held if one.status == "active"}:
            await entitlements.act(Act.SUSPENDED, number, "switched off", commission, services)
    if station in ("prompt", "retrieval"):
        await services.db.do(clients.revoke, "tcm-his")


class _Without:
    """A part that lacks one of its functions."""

    def __init__(self, part: Any, lacking: str) -> None:
        self._part = part
        self._lacking = lacking

    def __getattr__(self, name: str) -> Any:
        if name == self._lacking:
            raise Problem(Kind.BUSY, "This station is switched off.")
        return getattr(self._part, name)


# The walk


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def open_road(folder: Path, without: str) -> AsyncIterator[Road]:
    """A county of its own on free ports, its server running."""
    port, mllp_port = free_port(), free_port()
    keys = founding.Keys.in_folder(folder / "clients")
    async with archive.serving(founding.settings_for(folder, port, mllp_port)) as settings:
        services = await founding.found(settings, keys)
        try:
            services = switched_off(services, without)
            today = moment(services.now(), settings.zone).date()
            county = story.county(today, size=30)
            server = http_server(Application(services), settings)
            async with running(services):
                serving = asyncio.create_task(server.serve())
                while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event
                    await asyncio.sleep(0.01)
                road = Road(services, keys, county, f"http://127.0.0.1:{port}", mllp_port)
                try:
                    yield road
                finally:
                    for browser in road.browsers.values():
                        await browser.close()
                    server.should_exit = True
                    await serving
        finally:
            await services.close()


async def walk_async(without: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Walk; returns the verdict as a document."""
    started = time.perf_counter()
    stations: list[dict[str, Any]] = []
    failed = ""
    with tempfile.TemporaryDirectory(prefix="gateway-check-") as folder:
        async with open_road(Path(folder), without) as road:
            for name, station in STATIONS.items():
                at = time.perf_counter()
                if name == without:
                    await sabotage(road.services, name)
                try:
                    says, ok = await station(road), True
                except (Failed, AssertionError, OSError, httpx.HTTPError, KeyError) as fault:
                    says, ok = str(fault) or type(fault).__name__, False
                seconds = time.perf_counter() - at
                stations.append(
                    {"station": name, "ok": ok, "says": says, "seconds": round(seconds, 2)}
                )
                tell(f"{'ok  ' if ok else 'FAIL'} {name:<12} {says}")
                if not ok:
                    failed = name
                    break
    seconds = round(time.perf_counter() - started, 1)
    verdict = (
        f"demo check FAILED at station {failed}" if failed else "demo check passed"
    ) + f": {len(stations)} of {len(STATIONS)} stations in {seconds} s"
    return {
        "ok": not failed,
        "failed": failed,
        "stations": stations,
        "seconds": seconds,
        "at": datetime.now().astimezone().isoformat(timespec="seconds"),
        "verdict": verdict,
    }


def walk(without: str = "", as_json: bool = False) -> int:
    """Walk the road; the last line printed is the verdict. 0 passed, 1 failed.

    Problem MALFORMED when `without` is no station.
    """
    if without and without not in STATIONS:
        raise Problem(Kind.MALFORMED, f"The stations are {', '.join(STATIONS)}.")
    document = asyncio.run(walk_async(without, (lambda line: None) if as_json else print))
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    else:
        print(document["verdict"])
    return 0 if document["ok"] else 1
