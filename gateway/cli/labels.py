"""Commands on labels of protected categories: what is in force, how far labelling again is, do it now."""

from __future__ import annotations

import secrets

import typer

from gateway.cli.common import AsJson, console, counted, print_columns, print_json, with_services
from gateway.exchange import label_runs
from gateway.exchange.label_runs import Progress, counts
from gateway.services import Services

app = typer.Typer(help="Labels of protected categories: show, progress, run.", no_args_is_help=True)


@app.command()
def show(as_json: AsJson = False) -> None:
    """The lists and the policy in force, and how many rows speak of each category."""

    async def run(services: Services) -> dict[str, object]:
        return {
            "rules": services.rules,
            "lists": services.labels.version,
            "policy": f"{services.policy.name}/{services.policy.version}",
            "rows": services.labels.rows,
        }

    told = with_services(run)
    if as_json:
        print_json(told)
        return
    for name in ("rules", "lists", "policy"):
        console.print(f"{name}: {told[name]}", highlight=False)
    rows = told["rows"]
    assert isinstance(rows, dict)
    print_columns([("category", "rows"), *((name, str(n)) for name, n in rows.items())])


@app.command()
def progress(as_json: AsJson = False) -> None:
    """How many charts are left to be labelled again, and the runs; exit 1 while any is left."""
    found = with_services(label_runs.progress)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)
    raise typer.Exit(1 if found.left else 0)


@app.command()
def run() -> None:
    """Label what is left now, without waiting for a worker; goes on where it was interrupted."""

    async def work(services: Services) -> Progress:
        holder = secrets.token_hex(8)
        while await label_runs.work(holder, services, patient=False):
            pass
        await label_runs.work(holder, services, patient=False)  # nothing left: the run is over
        return await label_runs.progress(services, 1)

    found = with_services(work)
    _print(found)
    raise typer.Exit(1 if found.left else 0)


def _print(found: Progress) -> None:
    lines: list[tuple[str, ...]] = [
        ("run", "rules", "state", "charts", "records", "raised", "unreadable")
    ]
    for one in found.runs:
        done = f"{one.done}/{one.total}"
        figures = (one.records, one.raised, one.faults)
        lines.append((str(one.id), one.rules, one.state, done, *map(str, figures)))
    print_columns(lines)
    console.print(f"{counted(found.left, 'charts')} left", highlight=False)


def _as_json(found: Progress) -> dict[str, object]:
    return {
        "rules": found.rules,
        "left": found.left,
        "runs": [
            {
                "run": one.id,
                "rules": one.rules,
                "policy": one.policy,
                "state": one.state,
                "charts": one.total,
                "done": one.done,
                "records": one.records,
                "raised": one.raised,
                "unreadable": one.faults,
                "labels": counts(one),
            }
            for one in found.runs
        ],
    }
