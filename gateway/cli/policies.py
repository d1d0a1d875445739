"""Commands on the county's consent policy: show, versions, diff, propose, approve, refuse, verify, recover."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from consent.difference import Effect, Sentence
from consent.policy import PolicySet
from consent.wording import SECTIONS, facts
from gateway.cli.common import (
    AsJson,
    English,
    must_be_new,
    print_columns,
    print_json,
    say,
    with_services,
)
from gateway.cli.proof import PasswordFile, as_person
from gateway.exchange import policies
from gateway.records.instant import instant_text
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.settings import read
from gateway.store.policies import VersionRow

app = typer.Typer(
    help="The county's consent policy: two privacy officers change it.", no_args_is_help=True
)

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="number of a version")]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a policy file (TOML)")]
Login = Annotated[str, typer.Option("--as", help="your login (role privacy)", prompt="Login")]
MARKS = {Effect.OPENS: "+", Effect.CLOSES: "-", Effect.CHANGES: "~"}
LEGEND = "  + shares more or protects less   - shares less or protects more   ~ neither"


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="a version; the one in force without it")] = 0,
    into: Annotated[
        Path | None, typer.Option(help="write its file there, to edit and propose", dir_okay=False)
    ] = None,
    english: English = False,
    as_json: AsJson = False,
) -> None:
    """A version in plain words; --into writes its file out."""

    async def run(services: Services) -> tuple[VersionRow, PolicySet]:
        row = await policies.named(number or services.policies.number, services)
        return row, policies.parsed(row, services)

    row, policy = with_services(run)
    if into is not None:
        must_be_new(into)
        into.write_bytes(bytes(row.text))
    if as_json:
        print_json({**_told(row), "text": bytes(row.text).decode()})
        return
    say(f"policy {row.number} ({policy.name}): {row.state}")
    say(f"  sha256 {row.hash}")
    say(f"  {_people(row)}")
    section = ""
    for fact in facts(policy):
        if fact.section != section:
            section = fact.section
            say("")
            say(SECTIONS[section].en if english else SECTIONS[section].zh)
        subject, state = fact.subject, fact.state
        say(f"  {subject.en}: {state.en}" if english else f"  {subject.zh}：{state.zh}")


@app.command()
def versions(as_json: AsJson = False) -> None:
    """All versions: which is in force, who proposed and who approved it."""
    found = with_services(policies.versions)
    if as_json:
        print_json([_told(row) for row in found])
        return
    zone = read().zone
    lines: list[tuple[str, ...]] = [
        ("number", "state", "since", "proposed by", "decided by", "hash", "why")
    ]
    for row in found:
        since = instant_text(row.since, zone) if row.since else "-"
        lines.append(
            (
                str(row.number), row.state, since, row.proposed_by, row.decided_by or "-",
                row.hash[:12], row.reason or row.note,
            )
        )  # fmt: skip
    print_columns(lines)


@app.command()
def diff(file: File, english: English = False, as_json: AsJson = False) -> None:
    """What a file would change for whom, if it took the place of the policy in force."""
    found = with_services(lambda services: policies.compare(file.read_bytes(), services))
    _print_changes(found, english, as_json)


@app.command()
def propose(
    file: File,
    note: Annotated[str, typer.Option(help="what is changed, and why", prompt=True)],
    login: Login,
    password_file: PasswordFile = None,
    english: English = False,
    as_json: AsJson = False,
) -> None:
    """Keep a file as a proposal and show what it changes. Another privacy officer approves it."""

    async def run(services: Services, by: Caller) -> tuple[int, tuple[Sentence, ...]]:
        number = await policies.propose(file.read_bytes(), note, by, services)
        return number, policies.told(await policies.named(number, services))

    number, found = as_person(login, password_file, run, "privacy")
    if as_json:
        print_json({"version": number, "changes": msgspec.to_builtins(found)})
        return
    say(f"policy {number} proposed; another person approves it: policy approve {number}")
    _print_changes(found, english, as_json=False)


@app.command()
def approve(
    number: Number,
    reason: Annotated[str, typer.Option(help="why it is right", prompt=True)],
    login: Login,
    password_file: PasswordFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="its changes were read; do not ask")] = False,
    english: English = False,
) -> None:
    """Show what a proposal changes and put it in force, as another person than who made it."""

    async def look(services: Services) -> tuple[str, tuple[Sentence, ...]]:
        row = await policies.named(number, services)
        return row.hash, await policies.changes(row, services)

    seen, found = with_services(look)
    if not yes:
        _print_changes(found, english, as_json=False)
        typer.confirm("Put it in force?", abort=True)
    as_person(
        login,
        password_file,
        lambda services, by: policies.approve(number, reason, by, services, seen=seen),
        "privacy",
    )
    say(f"policy {number} is in force from now on, on every process")


@app.command()
def refuse(
    number: Number,
    reason: Annotated[str, typer.Option(help="why not", prompt=True)],
    login: Login,
    password_file: PasswordFile = None,
) -> None:
    """Turn a proposal down, or take back one's own."""
    as_person(
        login,
        password_file,
        lambda services, by: policies.refuse(number, reason, by, services),
        "privacy",
    )
    say(f"policy {number} is refused")


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Check the signed versions in both databases against each other and the access log; exit 1 on findings."""

    async def run(services: Services) -> tuple[policies.Verified, str]:
        return await policies.verify(services), services.policies.key.text()

    found, key = with_services(run, policy=False)
    if as_json:
        print_json(
            {
                "key": key,
                "versions": [{"number": one.number, "note": one.text()} for one in found.charters],
                "findings": found.findings,
            }
        )
    else:
        say(f"verifier key {key}")
        zone = read().zone
        for one in found.charters:
            who = (
                f"founded by {one.proposed_by}"
                if one.founding
                else f"proposed by {one.proposed_by}, approved by {one.approved_by}"
            )
            say(f"policy {one.number} since {instant_text(one.since, zone)}: {who}")
        for finding in found.findings:
            say(finding, "red")
    raise typer.Exit(1 if found.findings else 0)


@app.command()
def recover() -> None:
    """Put the signed versions back into the records, from the copies in the keyring."""
    numbers = with_services(lambda services: policies.recover(OPERATOR, services), policy=False)
    say(f"policy {numbers[-1]} is in force; signed versions in the records: {len(numbers)}")


def _told(row: VersionRow) -> dict[str, Any]:
    told = row._asdict()
    del told["text"]
    told["signature"] = bytes(row.signature).decode() if row.since else ""
    told["report"] = msgspec.to_builtins(policies.told(row))
    return told


def _people(row: VersionRow) -> str:
    if row.since and not row.decided_by:
        return f"founded by {row.proposed_by}: {row.note}"
    return f"proposed by {row.proposed_by}, decided by {row.decided_by or '-'}: {row.note}"


def _print_changes(found: Sequence[Sentence], english: bool, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    if not found:
        say("  nothing changes for anybody: comments or spelling only")
        return
    say(LEGEND)
    for one in found:
        say(f"  {MARKS[one.effect]} {one.en if english else one.zh}")
