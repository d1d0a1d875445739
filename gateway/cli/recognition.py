"""Commands on decisions: judged again from what was kept, and what follows from them in numbers."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.common import AsJson, print_columns, print_json, with_services
from gateway.exchange import alerts, proving, write_back
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import OPERATOR
from gateway.store import decisions as rows

app = typer.Typer(
    help="Decisions on results: judged again from what was kept; alerts, messages, licences.",
    no_args_is_help=True,
)


@app.command()
def replay(
    task: Annotated[str, typer.Argument(metavar="TASK", help="id of the decision's Task")],
    as_json: AsJson = False,
) -> None:
    """Judge a decision's kept cases again, with the catalogue and rules of then; content stays closed.

    Exit 1 when any comes out different or cannot be judged. Logged.
    """

    async def run(services: Services) -> list[dict[str, object]]:
        zone = services.settings.zone
        return [
            {
                "decided": moment(one.at, zone).isoformat(timespec="seconds"),
                "result": one.result,
                "catalogue": one.catalogue,
                "rules": one.rules,
                "reason": one.reason or "eligible",
            }
            for one in await proving.replayed(task, OPERATOR, services)
        ]

    found = with_services(run)
    _print(found, ("decided", "result", "catalogue", "rules", "reason"), as_json)
    if any(one["result"] != "identical" for one in found):
        raise typer.Exit(1)


@app.command()
def show(
    task: Annotated[str, typer.Argument(metavar="[TASK]", help="id of a decision's Task")] = "",
    as_json: AsJson = False,
) -> None:
    """Alerts of changed results by hospital, messages by state, decisions without a licence number.

    With TASK: which evidence of it is on file, by ids and times; content stays closed. Logged.
    """
    if task:
        _kept(task, as_json)
        return

    async def run(services: Services) -> list[dict[str, object]]:
        told: list[dict[str, object]] = [
            {"what": f"alert-{one.change}", "of": one.organization, "count": one.all,
             "open": one.all - one.settled}
            for one in await alerts.counts(services)
        ]  # fmt: skip
        for state, count in (await write_back.counts(services)).items():
            told.append({"what": f"message-{state}", "of": "", "count": count, "open": ""})
        for organization, count in await services.db.read(rows.UNLICENSED):
            told.append(
                {"what": "without-licence", "of": organization, "count": int(count), "open": ""}
            )
        return told

    _print(with_services(run), ("what", "of", "count", "open"), as_json)


def _kept(task: str, as_json: bool) -> None:
    async def run(services: Services) -> list[dict[str, object]]:
        zone = services.settings.zone
        return [
            {
                "decided": moment(one.at, zone).isoformat(timespec="seconds"),
                "organization": one.organization,
                "doctor": one.login,
                "licence": "on-file" if one.licensed else "not-on-file",
                "result": one.target,
                "version": one.version,
                "state": "stands" if one.standing else "ended",
                "evidence": one.id,
            }
            for one in await proving.kept(task, OPERATOR, services)
        ]

    found = with_services(run)
    _print(found, tuple(found[0]), as_json)


def _print(found: list[dict[str, object]], names: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_columns([names, *(tuple(map(str, one.values())) for one in found)])
