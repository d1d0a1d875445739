"""Declares, lists, pauses and resumes the systems that send to us."""

from __future__ import annotations

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import releases
from gateway.services import Services
from gateway.services.caller import OPERATOR, Caller
from gateway.store import inbox
from gateway.store.engine import Tx


async def declare(services: Services) -> None:
    """Declare every source of the register that is not declared yet."""
    for one in services.register.sources:
        await add(
            one.name,
            one.organization,
            one.map,
            services,
            facility=one.facility,
            client=one.name,
            again=True,
        )


async def add(
    name: str,
    organization: str,
    map: str,
    services: Services,
    *,
    keep: str = "content",
    facility: str = "",
    certificate: str = "",
    client: str = "",
    again: bool = False,
) -> None:
    """Declare a source; Problem CONFLICT when the name is taken (unless `again`).

    The map in the sites folder is put in force when none is; Problem UNPROCESSABLE when it has findings.
    """
    if keep != "content":
        raise Problem(
            Trouble.NOT_SUPPORTED, "Only sources whose content is kept here are offered yet."
        )
    if not name.isascii() or not name.replace("-", "").isalnum():
        raise Problem(Trouble.MALFORMED, "A source's name is letters, digits and hyphens.", "name")
    row = (
        name,
        organization,
        map,
        keep,
        "active",
        facility,
        _plain(certificate),
        client,
        0,
        0,
        services.now(),
        0,
    )
    await releases.adopt(map, OPERATOR, services)
    if not await services.db.do(_add, row) and not again:
        raise Problem(
            Trouble.CONFLICT, "There is a source of that name; `source change` corrects it.", "name"
        )


def _add(tx: Tx, row: tuple[object, ...]) -> bool:
    if tx.one(inbox.SOURCE, row[0]) is not None:
        return False
    tx.run(inbox.PUT_SOURCE, *row)
    return True


async def change(name: str, services: Services, caller: Caller, **said: str | None) -> None:
    """Change a source's map, facility, certificate or client; None leaves one as it is.

    A `config` event says what was changed. Problem UNKNOWN when there is no such source, else as `add`.
    """
    given = {word: value for word, value in said.items() if value is not None}
    if "certificate" in given:
        given["certificate"] = _plain(given["certificate"])
    if "map" in given:
        await releases.adopt(given["map"], caller, services)
    await services.db.do(_change, name, given)
    at = services.now()
    body = Body(request=f"source.{at}", details={"source": name, "changed": ", ".join(given)})
    await services.log.note(Kind.CONFIG, Outcome.PERMIT, caller, at, body)


def _change(tx: Tx, name: str, given: dict[str, str]) -> None:
    found = tx.one(inbox.SOURCE, name)
    if found is None:
        raise Problem(Trouble.UNKNOWN, "No such source is declared here.", "name")
    row = inbox.SourceRow(*found)._replace(**given)
    tx.run(inbox.SET_SOURCE, name, row.map, row.facility, row.certificate, row.client)
    if "certificate" in given:
        tx.run(inbox.CERTIFICATE_ENDS, name, 0)


def _plain(fingerprint: str) -> str:
    return fingerprint.lower().replace(":", "")


async def set_state(name: str, state: str, services: Services) -> None:
    """Pause or resume a source; Problem UNKNOWN when there is none."""
    await services.db.do(_set_state, name, state)


def _set_state(tx: Tx, name: str, state: str) -> None:
    if tx.one(inbox.SOURCE, name) is None:
        raise Problem(Trouble.UNKNOWN, "No such source is declared here.", "name")
    tx.run(inbox.SET_SOURCE_STATE, name, state)


async def tallies(services: Services) -> list[inbox.Tally]:
    """What came from each source and where it is."""
    return [inbox.Tally(*row) for row in await services.db.read(inbox.TALLY)]
