"""The people who work here, by login: what they are called, and who treats patients."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.services import Services
from gateway.store import accounts


async def names(logins: Iterable[str], services: Services) -> dict[str, str]:
    """What each login is called; one that has no account keeps its login."""
    found = {}
    for login in dict.fromkeys(logins):
        person = await services.db.session(accounts.find, login) if login else None
        found[login] = _name(person, services) if person is not None else login
    return found


async def called(name: str, services: Services) -> tuple[str, ...]:
    """The logins of those called so, and `name` itself, which may be a login."""
    everyone = await services.db.session(accounts.everyone)
    return (name, *(p.login for p in everyone if _name(p, services) == name))


async def clinicians(services: Services) -> list[tuple[str, str, str]]:
    """(login, name, organisation) of those who treat patients and can sign in."""
    everyone = await services.db.session(accounts.everyone)
    found = [
        (p.login, _name(p, services), p.organization)
        for p in everyone
        if p.active and "clinician" in p.roles
    ]
    return sorted(found, key=lambda one: (one[2], one[0]))


async def named(login: str, services: Services) -> tuple[str, str]:
    """(name, licence number) of an account; without one the login, and no licence."""
    person = await services.db.session(accounts.find, login) if login else None
    if person is None:
        return login, ""
    sealed = services.vault.open_field("account", person.login, person.sealed)
    return msgspec.msgpack.decode(sealed, type=tuple[str, str])


def _name(person: accounts.Person, services: Services) -> str:
    sealed = services.vault.open_field("account", person.login, person.sealed)
    name, _ = msgspec.msgpack.decode(sealed, type=tuple[str, str])
    return name
