"""Builds the pretend county under var/demo and serves it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from gateway.app import Application, http_server, running, settle
from gateway.demo import archive, founding, own, recognised, story
from gateway.errors import Problem
from gateway.exchange import consents, patients, scanning
from gateway.exchange.receive import Unit, receive
from gateway.identity.systems import RESIDENT_ID
from gateway.jobs.worker import Worker
from gateway.portal.stories import DemoAccount
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import inbox

FOLDER = Path("var/demo")
REGISTRAR = Caller(
    client="demo", organization="county", role="registrar", user="registrar", name="孙文静"
)


def demo_accounts(services: Services) -> tuple[DemoAccount, ...]:
    """The sign-ins of the pretend county, as its sign-in page prints them."""
    return tuple(
        DemoAccount(
            one.login,
            story.PASSWORD,
            one.name,
            services.register.get(one.organization).name,
            one.role,
            one.secret,
        )
        for one in (*story.ACCOUNTS, story.RESIDENT)
    )


def build_and_serve(port: int, console: Console) -> None:
    """Build the county unless it stands, then serve until interrupted."""
    asyncio.run(_build_and_serve(port, console))


async def _build_and_serve(port: int, console: Console) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with archive.serving(founding.settings_for(FOLDER, port, 2575)) as settings:
        services = await founding.found(settings, founding.Keys.in_folder(FOLDER / "clients"))
        try:
            county = story.county(moment(services.now(), settings.zone).date())
            if not (FOLDER / "built").exists():
                await build(services, county, console)
                (FOLDER / "built").touch()
            server = http_server(Application(services, demo_accounts(services)), settings)
            _tell(services, county, console)
            settle()
            async with running(services):
                await server.serve()
        finally:
            await services.close()


async def build(services: Services, county: story.County, console: Console) -> None:
    """Send every message, file it, record what was signed; run again, it resumes."""
    worker = Worker(services)
    with Progress(console=console, transient=True) as progress:
        sending = progress.add_task("messages", total=len(county.messages))
        for one in county.messages:
            site = (await services.db.read(inbox.SOURCE, one.source))[0][2]
            units = (await services.maps.get(site)).units(one.raw)
            await receive(
                one.source,
                [Unit(unit.raw, one.control_id or unit.control_id) for unit in units],
                services,
                one.channel,
            )
            progress.advance(sending)
        filing = progress.add_task("filing", total=len(county.messages))
        while done := await worker.file_some():
            progress.advance(filing, done)
        signing = progress.add_task("consents", total=len(county.forms))
        for form in county.forms:
            await _record(services, form)
            progress.advance(signing)
        await worker.drain()
    await own.open_accounts(services, county, REGISTRAR)
    await recognised.write(services)
    for source in services.register.sources:
        await scanning.scan(source.name, services)  # else the quality page waits for the night


async def _record(services: Services, form: story.Form) -> None:
    """Record a form, or the withdrawal of the broad form before it."""
    if form.kind != "withdrawal":
        try:
            await consents.create(
                story.consent_text(form, services.settings.canonical), REGISTRAR, services
            )
        except Problem:  # a child signs through a guardian, which the desk cannot record yet
            return
        return
    for chart in await patients.charts_of(RESIDENT_ID, form.resident.number, services):
        for one in await consents.on_file(chart, REGISTRAR, services):
            if one.active:
                await consents.withdraw(one.id, REGISTRAR, services)


def _tell(services: Services, county: story.County, console: Console) -> None:
    """Addresses, sign-ins and a patient to look up."""
    base = services.settings.base_url
    shen = county.resident(story.STORY)
    lines = [
        f"Portal        {base}/portal/",
        f"FHIR R4       {base}/fhir/metadata",
        f"HL7 v2 (MLLP) 127.0.0.1:{services.settings.mllp_port}",
        f"DICOMweb      {services.register.archives['people'].dicomweb} (a hospital's own archive)",
        f"System keys   {FOLDER / 'clients'}",
        "Commands      GATEWAY_DEMO=true GATEWAY_COUNTY=yunxi "
        f"GATEWAY_DATA={FOLDER} GATEWAY_COUNTY_FILE={FOLDER / 'county.toml'} \\",
        "              .venv/bin/health-gateway audit verify",
        "",
        f"Sign in (password {story.PASSWORD}):",
        *(
            f"  {one.login:<14} {one.role:<10} {one.name}"
            for one in (*story.ACCOUNTS, story.RESIDENT)
        ),
        "",
        f"Look up as dr-li: {shen.name}, resident ID {shen.number}",
        "(that hospital has no visit of his on file: say that you treat him, or look him up as dr-wang)",
        "Everything here is invented. Ctrl-C ends it.",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False)
