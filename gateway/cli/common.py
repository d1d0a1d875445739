"""What every command needs: the services for as long as it runs; lines, tables and JSON to print."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import orjson
import typer
from rich.console import Console

from gateway.errors import Kind, Problem
from gateway.services import Services, open_services
from gateway.settings import Settings, read
from gateway.store.migrate import pending

T = TypeVar("T")

console = Console(soft_wrap=True)  # a key or an address broken in two lines cannot be copied

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
English = Annotated[bool, typer.Option("--english", help="sentences in English")]


def with_services(
    work: Callable[[Services], Awaitable[T]],
    settings: Settings | None = None,
    *,
    policy: bool = True,
) -> T:
    """Run `work` with the services of the settings in force, and close them after it.

    Without `policy` also where the county's policy cannot be relied on.
    """

    async def run() -> T:
        services = await open_services(settings or read(), policy=policy)
        try:
            return await work(services)
        finally:
            await services.close()

    return asyncio.run(run())


async def refuse_unmigrated(settings: Settings) -> None:
    """Stop with a sentence when the databases are older or newer than this version."""
    if await pending(settings.database_url, "records") or await pending(
        settings.keyring_url, "keyring"
    ):
        sentence = "health-gateway: the databases need `health-gateway migrate` first"
        print(sentence, file=sys.stderr)
        raise SystemExit(2)


def must_be_new(file: Path) -> None:
    """Problem CONFLICT when there is such a file: a command never writes over one."""
    if file.exists():
        raise Problem(Kind.CONFLICT, "The file is there already.", str(file))


def say(line: str, style: str | None = None) -> None:
    """One line as it stands: nothing in it is markup, and nothing is coloured but by `style`."""
    console.print(line, style=style, highlight=False, markup=False)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool) -> None:
    """Rows under their head, or as JSON one object a row."""
    if as_json:
        print_json([dict(zip(head, row, strict=True)) for row in rows])
    else:
        print_columns([head, *rows])


def counted(n: int, noun: str) -> str:
    """A number with its noun, which is given for several and loses its `s` for one."""
    return f"{n} {noun if n != 1 else noun.removesuffix('s')}"


def print_columns(lines: Sequence[Sequence[str]]) -> None:
    """Lines of equal columns, never cut to the width of a terminal: a number cut off is a wrong one."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def print_json(value: Any) -> None:
    """One JSON document on standard output; in an `orjson.Fragment` numbers keep their digits."""
    sys.stdout.buffer.write(indented(orjson.dumps(value, default=str)) + b"\n")


def indented(text: bytes) -> bytes:
    """JSON on several lines, as written: reading and writing it again would turn 6.10 into 6.1."""
    return msgspec.json.format(text, indent=2)
