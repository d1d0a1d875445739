"""The command line `health-gateway`: one folder entry a subject, errors in one sentence."""

from __future__ import annotations

import errno
import sqlite3
import sys
import traceback
from pathlib import Path

import typer

from gateway.cli import (
    audit,
    catalogues,
    client_keys,
    consent,
    county,
    entitlements,
    identities,
    intake,
    keys,
    labels,
    maps,
    people,
    policies,
    quality,
    quarantine,
    recognition,
    registers,
    residents,
    serving,
    statistics,
    tables,
    unmapped,
)
from gateway.errors import Kind, Problem
from gateway.services.register import RegisterFault
from gateway.settings import SettingsFault
from gateway.vault import VaultError

app = typer.Typer(
    name="health-gateway",
    help="County health record sharing gateway.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (county, serving, intake):
    part.add_to(app)
app.add_typer(intake.source, name="source")
app.add_typer(people.client, name="client")
people.client.add_typer(client_keys.app, name="keys")
app.add_typer(people.user, name="user")
app.add_typer(residents.resident, name="resident")
app.add_typer(maps.app, name="mappings")
maps.app.add_typer(tables.app, name="tables")
maps.app.add_typer(unmapped.app, name="unmapped")
app.add_typer(quality.app, name="quality")
app.add_typer(statistics.app, name="statistics")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(policies.app, name="policy")
app.add_typer(catalogues.app, name="catalogue")
app.add_typer(entitlements.app, name="entitlement")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(consent.app, name="consent")
app.add_typer(identities.app, name="identity")
app.add_typer(labels.app, name="labels")
app.add_typer(recognition.app, name="recognition")
app.add_typer(registers.app, name="register")


def main() -> None:
    """Exit 0 when done, 1 when something was found or refused, 2 when it could not be tried."""
    try:
        app()
    except Problem as problem:
        _end(
            problem.text + (f" ({problem.place})" if problem.place else ""),
            2 if problem.kind is Kind.BUSY else 1,
        )
    except (SettingsFault, RegisterFault, VaultError) as fault:
        _end(str(fault), 2)
    except (OSError, sqlite3.Error) as fault:
        _end(_of_the_machine(fault), 2)
    except Exception as fault:
        # The text of an unforeseen exception may hold a name or a number: only kind and place.
        at = traceback.extract_tb(fault.__traceback__)[-1]
        where = f"{Path(at.filename).name}:{at.lineno}"
        _end(f"{type(fault).__name__} at {where}; this is a fault of the program", 2)


def _of_the_machine(fault: OSError | sqlite3.Error) -> str:
    """The machine's own trouble: the file, which came from the command line, and its words."""
    said = getattr(fault, "strerror", None) or "cannot go on"
    file = getattr(fault, "filename", None)
    if getattr(fault, "errno", None) == errno.EADDRINUSE:
        return f"{said}: set another GATEWAY_PORT or GATEWAY_MLLP_PORT"
    if isinstance(fault, ConnectionError):
        return f"{said} (is the database at GATEWAY_DATABASE and GATEWAY_KEYRING running?)"
    return f"{file}: {said}" if file else f"{type(fault).__name__}: {said}"


def _end(sentence: str, code: int) -> None:
    print(f"health-gateway: {sentence}", file=sys.stderr)
    raise SystemExit(code)
