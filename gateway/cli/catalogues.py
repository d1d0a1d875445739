"""Commands on the recognition catalogue and on the register of entitlements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gateway.cli.common import AsJson, console, print_columns, print_json, with_services
from gateway.cli.proof import PasswordFile, as_person
from gateway.errors import Kind, Problem
from gateway.exchange import catalogues, entitlements, register_files
from gateway.recognition.catalogue import FOREVER, Catalogue
from gateway.recognition.catalogue.content import day, days
from gateway.recognition.catalogue.difference import Change
from gateway.recognition.catalogue.register import Act, Step, Terms
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.settings import read

app = typer.Typer(
    help="The recognition catalogue: two persons of the commission change it.",
    no_args_is_help=True,
)
entitlement = typer.Typer(help="Whose results count where: step by step.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="number of a version")]
Line = Annotated[int, typer.Argument(metavar="NUMBER", help="number of the entitlement")]
Content = Annotated[Path, typer.Argument(exists=True, help="an Excel file, or a folder of CSV")]
Into = Annotated[Path, typer.Argument(dir_okay=False, help="the file to write (.xlsx)")]
Login = Annotated[str, typer.Option("--as", help="your login (role commission)", prompt="Login")]
Why = Annotated[str, typer.Option("--reason", help="why", prompt=True)]
English = Annotated[bool, typer.Option("--english", help="sentences in English")]
Begins = Annotated[str, typer.Option("--from", help="county day (YYYY-MM-DD); empty is now")]
Ends = Annotated[str, typer.Option("--until", help="last county day; empty is open")]
ROLE = "commission"


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="a version; the one in force without it")] = 0,
    as_json: AsJson = False,
) -> None:
    """The items of a version with their validity and scopes."""

    async def run(services: Services) -> Catalogue:
        if not number:
            return services.catalogue
        return catalogues.content(await catalogues.named(number, services), services)

    held = with_services(run)
    if as_json:
        print_json({"version": held.version, "items": msgspec.to_builtins(held.items)})
        return
    print_columns(
        [("code", "name", "LOINC", "sure", "OP", "IP", "scopes", "listed")]
        + [
            (
                item.code, item.name_zh, " ".join(item.loinc), item.confidence, str(item.op_days),
                str(item.ip_days), " ".join(item.scopes),
                "negative" if item.negative_list else "yes" if item.active else "waits",
            )
            for item in held.items
        ]
    )  # fmt: skip


@app.command()
def versions(as_json: AsJson = False) -> None:
    """All versions: which is in force, who drafted and who approved it."""

    async def run(services: Services) -> list[tuple[str, ...]]:
        zone = services.settings.zone
        return [
            (
                str(row.number), catalogues.state_of(row, services),
                day(row.since, zone) if row.since else "-", row.made_by, row.decided_by or "-",
                row.hash[:12], row.reason or row.note,
            )
            for row in await catalogues.versions(services)
        ]  # fmt: skip

    head = ("number", "state", "since", "drafted by", "decided by", "hash", "why")
    found = with_services(run)
    if as_json:
        print_json([dict(zip(head, row, strict=True)) for row in found])
        return
    print_columns([head, *found])


@app.command()
def diff(
    one: Number,
    other: Annotated[int, typer.Argument(help="another version")],
    english: English = False,
    as_json: AsJson = False,
) -> None:
    """What differs between two versions."""
    found = with_services(lambda services: catalogues.compare(one, other, services))
    _print_changes(found, english, as_json)


@app.command("import")
def import_(file: Content, english: English = False) -> None:
    """Read a file and say everything that is wrong in it by sheet, row and column; nothing is kept."""
    held = with_services(lambda services: _content(file, services, english))
    _say(f"version {held.version}: {len(held.items)} items, {len(held.panels)} panels and orders")


@app.command()
def draft(
    file: Content,
    note: Annotated[str, typer.Option(help="what is changed, and why", prompt=True)],
    login: Login,
    password_file: PasswordFile = None,
    english: English = False,
) -> None:
    """Keep a file as a draft and show what it changes. Another person approves it."""

    async def run(services: Services, by: Caller) -> tuple[int, tuple[Change, ...]]:
        held = await _content(file, services, english)
        number = await catalogues.draft(held, note, by, services)
        row = await catalogues.named(number, services)
        return number, await catalogues.changes(row, services)

    number, found = as_person(login, password_file, run, ROLE)
    _say(f"catalogue {number} drafted; another person approves it: catalogue approve {number}")
    _print_changes(found, english, as_json=False)


@app.command()
def approve(
    number: Number,
    reason: Why,
    login: Login,
    password_file: PasswordFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="its changes were read; do not ask")] = False,
    english: English = False,
) -> None:
    """Show what a draft changes and agree to it, as another person than who made it."""

    async def look(services: Services) -> tuple[str, tuple[Change, ...]]:
        row = await catalogues.named(number, services)
        return row.hash, await catalogues.changes(row, services)

    seen, found = with_services(look)
    if not yes:
        _print_changes(found, english, as_json=False)
        typer.confirm("Approve it?", abort=True)
    as_person(
        login,
        password_file,
        lambda services, by: catalogues.approve(number, reason, by, services, seen=seen),
        ROLE,
    )
    _say(f"catalogue {number} is approved: catalogue publish {number}")


@app.command()
def publish(
    number: Number, login: Login, since: Begins = "", password_file: PasswordFile = None
) -> None:
    """Put an approved version in force, at once or from a day on, on every process."""
    as_person(
        login,
        password_file,
        lambda services, by: catalogues.publish(number, _start(since), by, services),
        ROLE,
    )
    _say(f"catalogue {number} is published")


@app.command()
def refuse(number: Number, reason: Why, login: Login, password_file: PasswordFile = None) -> None:
    """Turn a version down, or take one's own back."""
    as_person(
        login,
        password_file,
        lambda services, by: catalogues.refuse(number, reason, by, services),
        ROLE,
    )
    _say(f"catalogue {number} is refused")


@app.command()
def export(
    into: Into, number: Annotated[int, typer.Option("--version", help="a version")] = 0
) -> None:
    """Write a version as Excel; the one in force without --version."""

    async def run(services: Services) -> bytes:
        held = services.catalogue
        if number:
            held = catalogues.content(await catalogues.named(number, services), services)
        return catalogues.workbook(held, services)

    _write(into, with_services(run))


@app.command()
def verify() -> None:
    """Check every signature of versions and of the register, in both databases; exit 1 on findings."""
    found = with_services(catalogues.verify, policy=False)
    _say(f"{len(found.charters)} versions and {found.steps} steps of the register are signed")
    for finding in found.findings:
        console.print(finding, style="red", highlight=False, markup=False)
    raise typer.Exit(1 if found.findings else 0)


@app.command()
def recover() -> None:
    """Put the signed versions back into the records, from the copies in the keyring."""
    numbers = with_services(lambda services: catalogues.recover(OPERATOR, services), policy=False)
    _say(f"{len(numbers)} signed versions stand in the records")


@entitlement.command("list")
def list_(
    organization: Annotated[str, typer.Option(help="of this organisation only")] = "",
    as_json: AsJson = False,
) -> None:
    """Who belongs where and whose results count, from when to when."""

    async def run(services: Services) -> list[tuple[str, ...]]:
        held, zone = services.catalogue, services.settings.zone
        rows = [
            (
                str(one.number), one.organization, one.item or one.group, one.scope, one.status,
                *days(one.valid.start, one.valid.end, zone), one.evidence,
            )
            for one in held.entitled
        ] + [
            (
                str(one.number), one.organization, "", one.scope, "member",
                *days(one.valid.start, one.valid.end, zone), "",
            )
            for one in held.members
        ]  # fmt: skip
        return [row for row in rows if organization in ("", row[1])]

    head = (
        "number",
        "organization",
        "item or group",
        "scope",
        "state",
        "from",
        "until",
        "evidence",
    )
    found = with_services(run)
    if as_json:
        print_json([dict(zip(head, row, strict=True)) for row in found])
        return
    print_columns([head, *found])


@entitlement.command()
def grant(
    organization: Annotated[str, typer.Argument(help="id of the organisation")],
    scope: Annotated[str, typer.Argument(help="code of the scope")],
    reason: Why,
    login: Login,
    item: Annotated[str, typer.Option(help="code of an item")] = "",
    group: Annotated[str, typer.Option(help="or a group of items")] = "",
    basis: Annotated[str, typer.Option(help="such as NCCL-EQA")] = "",
    evidence: Annotated[str, typer.Option(help="certificate or notice")] = "",
    begins: Begins = "",
    ends: Ends = "",
    password_file: PasswordFile = None,
) -> None:
    """Entitle an organisation for an item or a group; with neither it only joins the scope."""

    async def run(services: Services, by: Caller) -> int:
        start = _start(begins) or services.now()
        terms = Terms(start, _end(ends), scope, item, group, basis, evidence)
        if item or group:
            return await entitlements.grant(organization, terms, reason, by, services)
        return await entitlements.join(organization, terms, reason, by, services)

    _say(f"registered as number {as_person(login, password_file, run, ROLE)}")


@entitlement.command()
def suspend(
    number: Line,
    reason: Why,
    login: Login,
    begins: Begins = "",
    ends: Ends = "",
    password_file: PasswordFile = None,
) -> None:
    """Suspend it at once, or for days that may lie in the past (a recall)."""
    _act(Act.SUSPENDED, number, reason, login, password_file, begins, ends)


@entitlement.command()
def restore(number: Line, reason: Why, login: Login, password_file: PasswordFile = None) -> None:
    """Let a suspended entitlement count again, from now on."""
    _act(Act.RESTORED, number, reason, login, password_file)


@entitlement.command()
def revoke(number: Line, reason: Why, login: Login, password_file: PasswordFile = None) -> None:
    """End an entitlement, or a membership, for good."""

    async def look(services: Services) -> tuple[Step, ...]:
        return await entitlements.line_of(number, services)

    member = with_services(look)[0].act is Act.JOINED
    _act(Act.LEFT if member else Act.REVOKED, number, reason, login, password_file)


@entitlement.command("export")
def export_register(into: Into) -> None:
    """Write the register as Excel."""

    async def run(services: Services) -> bytes:
        return catalogues.register_workbook(services)

    _write(into, with_services(run))


@entitlement.command("import")
def import_register(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="as `export` writes")],
    reason: Why,
    login: Login,
    apply: Annotated[bool, typer.Option("--apply", help="add it; else it is only shown")] = False,
    password_file: PasswordFile = None,
    english: English = False,
) -> None:
    """Show what an Excel file adds to the register, and with --apply add it, each row a step."""

    async def run(services: Services, by: Caller) -> tuple[int, ...]:
        try:
            found = await register_files.additions(file.read_bytes(), services)
        except catalogues.FileRefused as refused:
            for fault in refused.faults:
                _say(fault.en if english else fault.zh)
            raise
        for one in found:
            terms = one.terms
            first, last = days(terms.start, terms.end, services.settings.zone)
            what = terms.item or terms.group or "member"
            _say(f"  + {one.organization} {what} {terms.scope} {first} – {last} {terms.evidence}")
        if not apply:
            _say(f"{len(found)} rows would be added; --apply adds them")
            return ()
        return await register_files.take_up(found, reason, by, services)

    if numbers := as_person(login, password_file, run, ROLE):
        _say(f"registered as numbers {', '.join(map(str, numbers))}")


def _act(
    what: Act,
    number: int,
    reason: str,
    login: str,
    password_file: Path | None,
    begins: str = "",
    ends: str = "",
) -> None:
    async def run(services: Services, by: Caller) -> int:
        return await entitlements.act(
            what, number, reason, by, services, start=_start(begins), end=_end(ends)
        )

    step = as_person(login, password_file, run, ROLE)
    _say(f"number {number} is {what.value}: step {step} of the register")


async def _content(file: Path, services: Services, english: bool) -> Catalogue:
    """The catalogue in a file or folder; every fault is printed first."""
    try:
        if file.is_dir():
            return catalogues.read_folder(file, services)
        return await catalogues.read_workbook(file.read_bytes(), services)
    except catalogues.FileRefused as refused:
        for fault in refused.faults:
            _say(fault.en if english else fault.zh)
        raise


def _start(text: str) -> int:
    """The first instant of a county day, µs; 0 for none."""
    if not text:
        return 0
    return int(datetime.combine(_day(text), time(), read().zone).timestamp()) * 1_000_000


def _end(text: str) -> int:
    return _start((_day(text) + timedelta(days=1)).isoformat()) if text else FOREVER


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Problem(Kind.UNPROCESSABLE, "Write a day as YYYY-MM-DD.") from None


def _write(into: Path, body: bytes) -> None:
    if into.exists():
        raise Problem(Kind.CONFLICT, "The file is there already.", str(into))
    into.write_bytes(body)
    _say(f"{into}: {len(body)} bytes")


def _print_changes(found: Sequence[Change], english: bool, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    _say("  + more can be recognised   - less   ~ neither, or it depends")
    for one in found:
        _say(f"  {one.effect} {one.en if english else one.zh}")


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False)
