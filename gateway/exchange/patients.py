"""Finds a person by an exact identifier: never a list of strangers, never a number in a log."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.errors import Kind, Problem
from gateway.exchange import ask, rights
from gateway.exchange.grants import nobody
from gateway.identity import resident_id
from gateway.identity.systems import RESIDENT_ID, canonical_system
from gateway.recognition.rights import DataClass, Use
from gateway.records.query import Query
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows

SPACE = "resident-id"
"""Of the local ids of the county's own charts."""


def canonical(system: str, value: str) -> tuple[str, str]:
    """The spelling identifiers are indexed under."""
    system = canonical_system(system)
    if system == RESIDENT_ID:
        value = resident_id.normalised(value)
    return system, value


async def charts_of(system: str, value: str, services: Services) -> list[str]:
    """One chart for each person who carries the identifier as their own."""
    digest = services.vault.blind(*canonical(system, value))
    persons: dict[str, str] = {}
    for chart, _, _, person, _ in await services.db.read(rows.FIND, digest):
        persons.setdefault(person, chart)
    return sorted(persons.values())


async def matched(system: str, value: str, caller: Caller, services: Services) -> list[str]:
    """As `charts_of`, for a caller with the right to match; without it nobody carries the identifier."""
    if not await rights.granted(caller, DataClass.IDENTITY, Use.MATCH, services):
        return []
    return await charts_of(system, value, services)


def controller(services: Services) -> str:
    """The organisation whose consents reach across institutions, and in whose name the desk is."""
    return min(services.policy.controllers, default="")


def county_id(number: str, services: Services) -> str:
    """The id of the county's own chart of who carries this number, made or not."""
    return services.ids(controller(services))(SPACE, "Patient", (number,))


async def the_one(
    identifiers: Iterable[tuple[str, str]], caller: Caller, services: Services
) -> str:
    """The one chart that carries all the identifiers; empty for nobody, and for numbers of several."""
    found = {tuple(await matched(system, value, caller, services)) for system, value in identifiers}
    if len(found) != 1:
        return ""
    (charts,) = found
    return charts[0] if len(charts) == 1 else ""


def stranger(system: str, value: str, services: Services) -> str:
    """What stands for the chart of an identifier that nobody carries."""
    return nobody("|".join(canonical(system, value)), services)


async def find(system: str, value: str, caller: Caller, services: Services) -> ask.Page:
    """The Patients that carry an identifier, as far as the caller may see them.

    Nobody, and somebody the caller has no relationship with, are one refusal.
    """
    pages = []
    refusal = None
    for chart in await matched(system, value, caller, services) or [
        nobody(f"{system}|{value}", services)
    ]:
        query = Query("Patient", patient=chart, count=50)
        try:
            pages.append(await ask.search(query, caller, services))
        except Problem as problem:
            if problem.kind is not Kind.REFUSED:
                raise
            refusal = problem
    if not pages:
        assert refusal is not None
        raise refusal
    records = tuple(one for page in pages for one in page.records)
    return ask.Page(records, (), len(records), leaf=pages[0].leaf)
