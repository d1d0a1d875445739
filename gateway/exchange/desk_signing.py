"""Signing at the desk without paper, or for somebody else: codes, guardians, and the evidence of both.

A code goes to a telephone that was known before anybody stood at the desk: the resident's own
account's, or the one a hospital has had on file for a day. What the clerk types in now proves nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import acting, ask, consents, desk, evidence, mandates
from gateway.exchange.evidence import Opened, Pending, Phone
from gateway.exchange.issued import listed
from gateway.exchange.person import ALL_TIERS
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows
from gateway.store import own
from gateway.vault import ChartTier, Grant, RecordName, Tier, VaultError

STOOD = 24 * 3600 * 1_000_000  # µs a number has to be on file before a code goes there
_MOBILE = re.compile(r"(?:\+?86)?(1[3-9]\d{9})")
_LOOKED_BACK = 20  # versions of a Patient


@dataclass(frozen=True, slots=True)
class Guardian:
    """Somebody who may sign for the resident now; `id` names their right."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Ways:
    """How the resident can sign: `phone` is masked, empty where none is known; who may for them."""

    phone: str
    guardians: tuple[Guardian, ...]


async def ways(system: str, value: str, caller: Caller, services: Services) -> Ways:
    """How this resident can sign here; Problem REFUSED for who records nothing."""
    _may_record(caller)
    charts, _ = await desk.known(system, value, services)
    everyone = await _linked(charts, services)
    phone = await telephone(everyone, services)
    found = [
        Guardian(held.id, held.actor)
        for chart in charts
        for held in await mandates.of_person(chart, services)
        if held.state == "running" and held.ground in ("guardian", "court")
    ]
    return Ways(phone.masked if phone else "", tuple(dict.fromkeys(found)))


async def begin(
    system: str, value: str, signed: desk.Signed, caller: Caller, services: Services
) -> Pending:
    """Send the code that signs this form, to who signs it: the resident, or the guardian.

    Problem UNPROCESSABLE at "phone" where no telephone of theirs was known before.
    """
    _may_record(caller)
    charts, facts = await desk.known(system, value, services)
    chart = await desk.county_chart(charts, facts, signed.name, caller, services)
    signer = chart
    if signed.guardian:
        signer = await _guardians_chart(signed.guardian, charts, services)
    phone = await telephone(await _linked([signer], services), services)
    if phone is None:
        raise Problem(Trouble.UNPROCESSABLE, "No telephone of theirs is known.", "phone")
    text = desk.consent_text(chart, signed, None, caller, services)
    return await evidence.begin_code(text, signer, phone, caller, services)


async def finish(code_id: str, code: str, caller: Caller, services: Services) -> str:
    """Record what the code signs; the consent's id. Problem UNPROCESSABLE at "code" for a wrong one."""
    _may_record(caller)
    signed = await evidence.confirm_code(code_id, code, caller, services)
    return (await consents.create(signed.text, caller, services)).id


async def evidence_of(consent: str, caller: Caller, services: Services) -> Opened:
    """What proves a consent, as it was handed in; UNKNOWN where only its hash was given."""
    recorded = await consents.read(consent, caller, services)
    plain = json.loads(recorded.text)
    named = str((plain.get("sourceReference") or {}).get("reference", ""))
    chart = str(plain["patient"]["reference"]).removeprefix("Patient/")
    id = named.removeprefix(f"{evidence.TYPE}/")
    for one in listed((plain.get("sourceAttachment") or {}).get("extension")):
        said = str(one.get("valueString", ""))
        if re.fullmatch("[0-9a-f]{64}", said):
            id = evidence.id_of(chart, bytes.fromhex(said), services)
    if not id:
        raise ask.nothing()
    return await evidence.read(id, caller, services)


def _may_record(caller: Caller) -> None:
    if caller.role not in consents.RECORDERS:
        raise Problem(Trouble.REFUSED, "Consents are recorded by a registrar.")


async def _linked(charts: Collection[str], services: Services) -> list[rows.ChartRow]:
    found: dict[str, rows.ChartRow] = {}
    for chart in charts:
        found |= {row.id: row for row in (await rows.grounds(services.db, chart, "")).charts}
    return list(found.values())


async def _guardians_chart(right: str, charts: Collection[str], services: Services) -> str:
    """The chart of whose right it is to act for the person of these charts."""
    everyone = [row.id for row in await _linked(charts, services)]
    for row in await services.db.read(own.MANDATES_ON, everyone):
        mandate = own.MandateRow(*row)
        account = await acting.own_account(mandate.login, services)
        if mandate.id == right and account is not None:
            return account.chart
    raise Problem(Trouble.UNPROCESSABLE, "This right to sign is not on file.", "guardian")


# Telephones


async def telephone(charts: Collection[rows.ChartRow], services: Services) -> Phone | None:
    """A number known to be this person's before today: of their own account, else of a hospital."""
    accounts = await acting.accounts_of([row.id for row in charts], services)
    if len(accounts) == 1:
        return Phone(acting.identity_of(accounts[0], services).phone, "own-account")
    told = {
        number
        for row in charts
        if row.organization not in services.policy.controllers
        and (number := await _of_source(row, services))
    }
    # Hospitals that know different numbers do not agree whose telephone rings.
    return Phone(told.pop(), "source") if len(told) == 1 else None


async def _of_source(row: rows.ChartRow, services: Services) -> str:
    """The mobile number that a hospital's Patient carries and carried a day ago; else empty."""
    versions = (await rows.versions(services.db, row.id))[:_LOOKED_BACK]
    number = ""
    for version in versions:
        told = await _mobile(version, services)
        if not told or (number and told != number):
            return ""
        number = told
        if version.filed <= services.now() - STOOD:
            return number
    return ""


async def _mobile(version: rows.RecordRow, services: Services) -> str:
    want = ChartTier(version.chart, Tier(version.tier))
    grant = Grant("filing", f"telephone.{version.id}", ALL_TIERS)
    if version.sealed is None:
        return ""
    try:
        keys = await services.vault.records(grant, [want])
        text = keys[want].open(version.sealed, RecordName("Patient", version.id, version.version))
    except VaultError:
        return ""
    for one in listed(json.loads(text).get("telecom")):
        found = _MOBILE.fullmatch(re.sub(r"[\s-]", "", str(one.get("value", ""))))
        if one.get("system") == "phone" and found and one.get("use") != "old":
            return found[1]
    return ""
