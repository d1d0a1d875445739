"""Finds one person by name and birth date among those the caller's organisation treats.

A name is no number: it is never looked for among strangers, and more than one who fits is not listed.
Nobody, a stranger and somebody of whom nothing may be shown are one answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

from gateway.audit.events import Kind
from gateway.exchange import probing
from gateway.exchange.ask import Gathering, gather
from gateway.exchange.grants import nobody
from gateway.exchange.issued import listed, parsed
from gateway.exchange.residents import InHand, in_hand, patients_of
from gateway.identity.names import spelled
from gateway.identity.systems import NAME_AND_BIRTH, RESIDENT_ID, canonical_system
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows

MOST: Final = 20
"""So many of one name and one birthday are looked at; more is a name that tells nobody apart."""


class Several:
    """More than one fits: a detail is missing."""


async def open_by_name(
    name: str, birth: date, number: str, caller: Caller, services: Services
) -> InHand | Several | None:
    """The one who fits; `number` is the caller organisation's own number of the patient, if typed."""
    wanted = spelled(name, birth.isoformat())
    digest = services.vault.blind(NAME_AND_BIRTH, wanted)
    persons: dict[str, str] = {}
    for chart, _, _, person, _ in await services.db.read(rows.FIND, digest) if wanted else ():
        persons.setdefault(person, chart)
    charts = sorted(persons.values())[:MOST]
    found: list[InHand] = []
    for chart in charts or [nobody(f"{NAME_AND_BIRTH}|{wanted}", services)]:
        seen = await gather(
            chart,
            caller,
            services,
            lambda permitted: patients_of(permitted, services),
            kind=Kind.SEARCH,
            named=True,
        )
        shown = in_hand(seen, caller, services) if seen.person.gate is None else None
        if (
            shown is not None
            and spelled(shown.name, shown.birth.isoformat() if shown.birth else "") == wanted
            and (not number or _carries(seen, number, caller))
        ):
            found.append(shown)
    if len(found) > 1:
        return Several()
    if not found:
        await probing.struck(caller, services)
        return None
    return found[0]


def _carries(seen: Gathering, number: str, caller: Caller) -> bool:
    """Is it the patient's number in the caller's own hospital?"""
    for one in seen.records:
        if one.type != "Patient" or one.match.pair[0].source != caller.organization:
            continue
        patient: Mapping[str, object] = parsed(one.text)
        for identifier in listed(patient.get("identifier")):
            system = canonical_system(str(identifier.get("system", "")))
            if system != RESIDENT_ID and str(identifier.get("value", "")) == number:
                return True
    return False
