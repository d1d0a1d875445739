"""What a hospital itself calls a patient and a visit, from the records it sent: how its HIS finds them.

Read only for a message to that hospital, which is told its own words again: no other hospital's number,
and none that names the person anywhere else (resident ID, cards).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

from gateway.exchange.issued import Resource, listed, parsed
from gateway.exchange.kept import opened
from gateway.exchange.person import ALL_TIERS
from gateway.identity.systems import (
    HEALTH_CARD,
    HEALTH_RECORD,
    INSURANCE_CARD,
    RESIDENT_ID,
    canonical_system,
)
from gateway.services import Services
from gateway.store import charts as rows
from gateway.store import inbox
from gateway.store.charts import RecordRow
from gateway.vault import ChartTier, Grant, RecordName, Tier, VaultError

_OF_THE_PERSON: Final = frozenset({RESIDENT_ID, HEALTH_RECORD, INSURANCE_CARD, HEALTH_CARD})
# PID-3 of a message with the delimiters HL7 recommends; nothing before it is in a hospital's own script.
_PID_3: Final = re.compile(
    rb"\AMSH\|\^~\\&.*?[\r\n]PID\|[^|\r\n]*\|[^|\r\n]*\|([^|\r\n]*)", re.DOTALL
)


class Number(msgspec.Struct, frozen=True):
    """One number in a system of the hospital's own. `authority` is CX-4 and `type` CX-5 of the HL7 v2
    message it came in, as they stood there; empty where it came in no such message."""

    system: str
    value: str
    authority: str = ""
    type: str = ""


class Known(NamedTuple):
    """The numbers a hospital knows a patient by; empty when it never sent this person."""

    patient: tuple[Number, ...] = ()
    visit: str = ""


async def known(chart: str, encounter: str, organization: str, services: Services) -> Known:
    """The hospital's numbers of the person of `chart` (in all its folders) and of that visit.

    What cannot be opened any more is not known. `encounter` may be an id of ours or a bare number of
    the hospital's.
    """
    grounds = await rows.grounds(services.db, chart, organization)
    folders = [one.id for one in grounds.charts if one.organization == organization]
    found: dict[Number, None] = {}
    for folder in folders:
        row, patient = await _record(folder, "Patient", folder, services)
        if row is None or any(
            one.get("type") == "replaced-by" for one in listed(patient.get("link"))
        ):
            continue  # a number the hospital has retired
        numbers = _numbers(patient, organization, services)
        said = await _as_sent(row, services) if numbers else {}
        found |= dict.fromkeys(
            msgspec.structs.replace(one, authority=authority, type=kind)
            for one in numbers
            for authority, kind in [said.get(one.value, ("", ""))]
        )
    return Known(tuple(found), await _visit(encounter, folders, services))


async def _as_sent(row: RecordRow, services: Services) -> dict[str, tuple[str, str]]:
    """CX-4 and CX-5 by CX-1, of the HL7 v2 message the Patient came in."""
    kept = await services.db.read(inbox.RAW, row.inbox)
    try:
        found = _PID_3.search(await opened(inbox.RawRow(*kept[0]), services)) if kept else None
    except VaultError:
        return {}
    parts = (
        [one.split("^") for one in found[1].decode("ascii", "replace").split("~")] if found else []
    )
    return {one[0].strip(): ("".join(one[3:4]), "".join(one[4:5])) for one in parts}


async def _visit(encounter: str, folders: list[str], services: Services) -> str:
    bare = encounter.removeprefix("Encounter/")
    if len(bare) != 32 or set(bare) - set("0123456789abcdef"):
        return bare
    for folder in folders:
        _, visit = await _record(bare, "Encounter", folder, services)
        for one in listed(visit.get("identifier")):
            if one.get("value") and one.get("use") != "old":
                return str(one["value"])
    return ""


async def _record(
    id: str, type: str, chart: str, services: Services
) -> tuple[RecordRow | None, Resource]:
    """The record as it stands in that folder; nothing when it is not there or closed for good."""
    row = await rows.current(services.db, id)
    if row is None or row.chart != chart or row.sealed is None:
        return None, {}
    want = ChartTier(chart, Tier(row.tier))
    try:
        keys = await services.vault.records(Grant("filing", f"numbers.{id}", ALL_TIERS), [want])
        return row, parsed(keys[want].open(row.sealed, RecordName(type, id, row.version)))
    except VaultError:
        return None, {}


def _numbers(patient: Resource, organization: str, services: Services) -> list[Number]:
    base = f"{services.settings.canonical}/sid/"
    found = []
    for one in listed(patient.get("identifier")):
        system, value = str(one.get("system", "")), str(one.get("value", ""))
        others = system.startswith(base) and not system.startswith(f"{base}{organization}/")
        if (
            not (system and value)
            or one.get("use") == "old"
            or canonical_system(system) in _OF_THE_PERSON
        ):
            continue
        if not others:
            found.append(Number(system, value))
    return found
