"""A resident decides about sharing at home: what is on file, what would change, signing by a code.

What is signed is the text that was previewed. The code goes to the telephone that answered when the
account was opened; who decides for a child signs with their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any, Literal

from consent import fhir as consent_fhir
from consent.fhir import Form
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import (
    acting,
    ask,
    authority,
    consents,
    desk,
    evidence,
    explaining,
    own_accounts,
)
from gateway.exchange.evidence import Pending, Phone
from gateway.exchange.issued import listed
from gateway.services import Services
from gateway.services.caller import Caller

Proof = Literal["code", "paper", "other"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants. `recipient` is "Organization/…" or "Practitioner/…"; the day `until` is
    the last one."""

    kind: desk.SignedKind
    recipient: str = ""
    category: str = ""
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Paper:
    """One consent on file, with what a receipt says of it. `digest` is the SHA-256 of the record as
    it is stored, in hex; `filed` (µs UTC) is when this version was."""

    on_file: desk.OnFile
    version: str
    filed: int
    proof: Proof
    digest: str


async def papers(chart: str, caller: Caller, services: Services) -> tuple[Paper, ...]:
    """Everything on file about the person of `chart`, newest first; one `read` event each.

    Problem UNKNOWN for who may not decide for them.
    """
    found = await consents.on_file(chart, caller, services)
    return tuple(_paper(one, services) for one in found)


async def paper(id: str, caller: Caller, services: Services) -> Paper:
    """One consent, for its receipt: to a registrar, and to who decides for the person."""
    return _paper(await consents.read(id, caller, services), services)


def _paper(one: consents.Recorded, services: Services) -> Paper:
    plain = json.loads(one.text)
    proof: Proof = "other"
    if plain.get("sourceAttachment"):
        proof = "paper"
    elif str((plain.get("sourceReference") or {}).get("reference", "")).startswith(evidence.TYPE):
        proof = "code"
    return Paper(
        desk.told(one, services), one.version, one.filed, proof, sha256(one.text).hexdigest()
    )


# Giving


async def preview(chart: str, wish: Wish, caller: Caller, services: Services) -> explaining.Preview:
    """What signing would change; nothing is kept. Problem UNPROCESSABLE for a wish that is not
    whole, UNKNOWN for who may not decide."""
    await _decides(chart, caller, services)
    text = await _text(chart, wish, caller, services)
    change = explaining.Change(add=(text,), assurance=evidence.ASSURANCE["code"])
    return await explaining.preview(chart, change, caller, services)


async def begin(chart: str, wish: Wish, caller: Caller, services: Services) -> Pending:
    """Send the code that signs this wish."""
    await _decides(chart, caller, services)
    text = await _text(chart, wish, caller, services)
    return await _send(text, caller, services)


async def confirm(code_id: str, code: str, caller: Caller, services: Services) -> consents.Recorded:
    """Record what the code signs. Problem UNPROCESSABLE for a code that signs nothing now; whoever
    may not decide any more is refused although the code was right."""
    signed = await evidence.confirm_code(code_id, code, caller, services)
    return await consents.create(signed.text, caller, services)


# Taking back


async def preview_withdrawal(
    chart: str, id: str, caller: Caller, services: Services
) -> explaining.Preview:
    """What taking one back would change."""
    await _decides(chart, caller, services)
    change = explaining.Change(withdraw=(id,), assurance=evidence.ASSURANCE["code"])
    return await explaining.preview(chart, change, caller, services)


async def withdraw(chart: str, id: str, caller: Caller, services: Services) -> Pending | None:
    """Take a consent back. A permission ends at once; what refuses anything opens it when it ends, so
    that is signed: then the code is on its way, for `confirm_withdrawal`."""
    recorded = await _theirs(chart, id, caller, services)
    if not recorded.active:
        return None
    plain = json.loads(recorded.text)
    plain.pop("meta", None)
    said = desk.word(desk.WITHDRAWN_BY, "", caller, services)
    plain["verification"] = [*(plain.get("verification") or ()), said]
    if not _refuses(plain.get("provision") or {}):
        await consents.replace(
            id, consent_fhir.withdrawn(plain), recorded.version, caller, services
        )
        return None
    plain["dateTime"] = desk.second(services.now(), services)
    return await _send(consent_fhir.withdrawn(plain), caller, services)


def _refuses(provision: Mapping[str, Any]) -> bool:
    """Whether a provision, or one within it, refuses anything."""
    return provision.get("type") != "permit" or any(
        map(_refuses, listed(provision.get("provision")))
    )


async def confirm_withdrawal(
    chart: str, id: str, code_id: str, code: str, caller: Caller, services: Services
) -> None:
    """End a refusal with the code that was sent for it."""
    recorded = await _theirs(chart, id, caller, services)
    signed = await evidence.confirm_code(code_id, code, caller, services)
    if json.loads(signed.text).get("id") != id:
        raise Problem(Trouble.UNPROCESSABLE, "This code signs something else.", "code")
    await consents.replace(id, signed.text, recorded.version, caller, services)


# What is signed


async def _decides(chart: str, caller: Caller, services: Services) -> None:
    if not await authority.may_decide(chart, caller, services):
        raise ask.nothing()


async def _theirs(chart: str, id: str, caller: Caller, services: Services) -> consents.Recorded:
    """The consent, if it is one of the person of `chart`."""
    for one in await consents.on_file(chart, caller, services):
        if one.id == id:
            return one
    raise ask.nothing()


async def _text(chart: str, wish: Wish, caller: Caller, services: Services) -> bytes:
    """The FHIR Consent of a wish, without the proof that is still to come."""
    named = wish.kind in {"category", "refuse-organization"}
    if named != bool(wish.recipient) or (wish.kind == "category") != bool(wish.category):
        raise Problem(Trouble.UNPROCESSABLE, "The wish is not whole.", "kind")
    if wish.category and wish.category not in services.policy.restricted:
        raise Problem(Trouble.UNPROCESSABLE, "There is no such category.", "category")
    if wish.until is not None and wish.until < services.policy.day(services.now()):
        raise Problem(Trouble.UNPROCESSABLE, "The last day lies behind.", "until")
    form = Form(
        choice=desk.CHOICES[wish.kind],
        id=chart,  # replaced by the consent's own when it is recorded
        patient=f"Patient/{chart}",
        performer=f"Patient/{await _signer(caller, services)}",
        organization=f"Organization/{desk.controller(services)}",
        at=desk.second(services.now(), services),
        evidence_sha256="0" * 64,
        category=wish.category or None,
        recipients=(wish.recipient,) if wish.recipient else (),
        until=wish.until.isoformat() if wish.until else None,
    )
    resource: dict[str, Any] = json.loads(
        consent_fhir.write_consent(form, services.settings.canonical)
    )
    resource["verification"] = [desk.word(desk.RECORDED_BY, "", caller, services)]
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


async def _signer(caller: Caller, services: Services) -> str:
    """The chart of whose account it is."""
    account = await acting.own_account(caller.user, services)
    if account is None:
        raise ask.nothing()
    return account.chart


async def _send(text: bytes, caller: Caller, services: Services) -> Pending:
    phone = Phone(await own_accounts.phone_of(caller.user, services), "own-account")
    plain = json.loads(text)
    plain.pop("sourceAttachment", None)
    plain.pop("sourceReference", None)
    bare = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    return await evidence.begin_code(bare, await _signer(caller, services), phone, caller, services)
