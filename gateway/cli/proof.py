"""A person at the command line proves who they are with their password, as at the portal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gateway.auth import people
from gateway.cli.common import with_services
from gateway.services import Services
from gateway.services.caller import Caller

T = TypeVar("T")

Login = Annotated[str, typer.Option("--as", help="your login (role it)", prompt="Login")]
PasswordFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="its first line; else it is asked")
]


def as_person(
    login: str,
    password_file: Path | None,
    work: Callable[[Services, Caller], Awaitable[T]],
    role: str = "it",
) -> T:
    """Run `work` as the person who signs in for it; Problem UNAUTHENTICATED otherwise.

    What was opened for it is signed out again, whatever happens.
    """
    if password_file is None:
        password = typer.prompt("Password", hide_input=True)
    else:
        password = password_file.read_text("utf-8").partition("\n")[0]

    async def run(services: Services) -> T:
        admitted = await people.sign_in(
            services, login=login, password=password, role=role, address="command-line"
        )
        try:
            return await work(services, admitted.portal.caller)
        finally:
            await people.sign_out(admitted.portal, services)

    return with_services(run)
