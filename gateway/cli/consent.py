"""Commands on consent: why somebody would, or would not, be shown something."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from consent.tracing import Trace
from consent.tracing_words import lines
from gateway.cli.common import AsJson, print_json, say
from gateway.cli.proof import Login, PasswordFile, as_person
from gateway.errors import Kind, Problem
from gateway.exchange import justifying
from gateway.exchange.justifying import Question
from gateway.records.instant import micros
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.settings import read

app = typer.Typer(help="What was agreed, and what follows from it.", no_args_is_help=True)


@app.callback()
def _consent() -> None:
    """A group, though it has one command."""


@app.command()
def explain(
    login: Login,
    who: Annotated[str, typer.Option("--for", help="a login, or the id of an organisation")],
    purpose: Annotated[str, typer.Option(help="such as TREAT or ETREAT")],
    chart: Annotated[str, typer.Argument(help="a chart of the person")] = "",
    record: Annotated[str, typer.Option(help="a record on file instead of a chart")] = "",
    category: Annotated[
        list[str] | None, typer.Option(help="protected category of a record, such as PSY")
    ] = None,
    at: Annotated[str, typer.Option(help="an instant, such as 2026-03-01T12:00+08:00")] = "",
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell one decision with every step to it, for a privacy officer; it shows no record, and is logged."""
    if bool(chart) == bool(record):
        raise Problem(Kind.MALFORMED, "Name a chart or a record.", "chart")
    question = Question(
        who, purpose, _instant(at), record.rpartition("/")[2], frozenset(category or ())
    )

    async def work(services: Services, by: Caller) -> tuple[Trace, list[str]]:
        found = await justifying.justify(chart, question, by, services)
        tongue: Any = "en" if language == "en" else "zh"
        return found, list(lines(found, services.policy, tongue))

    found, told = as_person(login, password_file, work, role="privacy")
    if as_json:
        decision = found.decision
        print_json(
            {
                "answer": type(decision).__name__,
                "reason": decision.reason.value,
                "rules": decision.rules,
                "valid_until": decision.valid_until,
                "consents": [
                    {
                        "rule": one.directive.rule,
                        "state": one.state.value,
                        "taken_back_by": one.taken_back_by,
                    }
                    for one in found.consents
                ],
                "lines": told,
            }
        )
        return
    for line in told:
        say(line)


def _instant(text: str) -> int | None:
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(Kind.MALFORMED, "Not an instant.", "--at") from None
    return micros(when if when.tzinfo else when.replace(tzinfo=read().zone))
