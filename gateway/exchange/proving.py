"""Hands out the evidence of a decision, and judges again from it: the same, or not, and where not.

A clinician of the hospital that decided reads it, as far as the Task itself may be seen. Everybody
else learns at most that it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import issued
from gateway.exchange.ask import Gathering, Match, Opened, Permitted, gather, nothing
from gateway.exchange.deciding import EVIDENCE
from gateway.exchange.person import ALL_TIERS
from gateway.exchange.recognise import decision_records
from gateway.exchange.residents import InHand, in_hand, patients_of
from gateway.recognition import bundle as bundles
from gateway.recognition.bundle import Bundle
from gateway.recognition.catalogue import Catalogue
from gateway.recognition.eligibility import decode, replay, written
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as charts
from gateway.store import decisions as rows
from gateway.store.decisions import EvidenceRow
from gateway.vault import ChartTier, Grant, RecordName, SealBroken, Tier


class Now(NamedTuple):
    """What stands today where a decision was made, field by field as it was issued; `changed` is
    whether that is another version than was decided on, filed at `at` (µs UTC)."""

    changed: bool
    at: int
    status: str
    value: str
    unit: str
    range: str
    flag: str
    conclusion: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The evidence of one decision; `fingerprint` is the SHA-256 of it as it is kept. `now` is None
    where the result is not there any more, or may not be seen."""

    bundle: Bundle
    fingerprint: str
    standing: bool
    now: Now | None = None


class Proofs(NamedTuple):
    """Everything that was decided in one Task, oldest first, and about whom."""

    resident: InHand | None
    found: tuple[Proof, ...]


async def proofs(task: str, caller: Caller, services: Services) -> Proofs:
    """The evidence of a Task of the caller's own organisation, as one `read` and one event of its own.

    Problem UNKNOWN when absent, hidden or another organisation's.
    """
    current = await charts.current(services.db, task)
    found = [EvidenceRow(*row) for row in await services.db.read(rows.OF_TASKS, [task])]
    results = {row.target for row in found}

    def choose(permitted: Permitted) -> list[Match]:
        mine = [one for one in decision_records(permitted, caller) if one.pair[1].hex == task]
        if not mine:
            return []
        today = permitted.named(results)
        return [*mine, *today, *patients_of(permitted, services)]

    seen = await gather(
        current.chart if current else "", caller, services, choose, kind=Kind.READ, named=False
    )
    if not any(one.id == task for one in seen.records):
        raise nothing()
    at = services.now()
    body = Body(
        request=f"evidence.{at}",
        returned=len(found),
        details={"task": task, "event": f"{seen.leaf.writer}/{seen.leaf.counter}"},
    ).asked_by(caller)
    await services.log.note(
        Kind.RECOGNITION_EVIDENCE, Outcome.PERMIT, caller, at, body, seen.person.chart_ids
    )
    today = {one.id: one for one in seen.records}
    told = tuple(
        replace(proof, now=_now(proof.bundle, today[row.target])) if row.target in today else proof
        for row, proof in zip(found, await opened(found, _grant(seen), services), strict=True)
    )
    return Proofs(in_hand(seen, caller, services), told)


def _now(bundle: Bundle, opened: Opened) -> Now:
    text = issued.parsed(opened.text)
    return Now(
        changed=bundle.target != f"{opened.type}/{opened.id}/_history/{opened.version}",
        at=opened.filed,
        status=str(text.get("status", "")),
        value=issued.value(text),
        unit=issued.unit(text),
        range=issued.reference_range(text),
        flag=issued.flag(text)[1],
        conclusion=str(text.get("conclusion") or ""),
    )


def _grant(seen: Gathering) -> Grant:
    grant = seen.person.grant
    return Grant(grant.kind, grant.about, grant.tiers, seen.leaf)


async def opened(found: Sequence[EvidenceRow], grant: Grant, services: Services) -> list[Proof]:
    """Evidence as it was written, in order; SealBroken where it was altered or moved, another VaultError
    where its keys are gone."""
    wants = sorted({ChartTier(row.chart, Tier.GENERAL) for row in found})
    keys = await services.vault.records(grant, wants)
    proofs = []
    for row in found:
        key = keys[ChartTier(row.chart, Tier.GENERAL)]
        text = key.open(row.sealed, RecordName(EVIDENCE, row.id, 1))
        bundle = bundles.decode(text)
        doctor = bundle.doctor
        said = (bundle.id, bundle.task, doctor.organization, doctor.login)
        if said != (row.id, row.task, row.organization, row.login):
            raise SealBroken("Evidence stands under another decision or doctor.")
        proofs.append(Proof(bundle, bundles.fingerprint(text), bool(row.standing)))
    return proofs


async def kept(task: str, caller: Caller, services: Services) -> tuple[EvidenceRow, ...]:
    """What evidence of a Task is on file, oldest first, for whoever keeps the system: it stays closed.

    One event. Problem UNKNOWN for a Task without evidence.
    """
    found, _ = await _noted(task, "list", caller, services)
    return found


async def _noted(
    task: str, act: str, caller: Caller, services: Services
) -> tuple[tuple[EvidenceRow, ...], Grant]:
    """The evidence of a Task as rows, and a grant to open it that its event stands for."""
    found = tuple(EvidenceRow(*row) for row in await services.db.read(rows.OF_TASKS, [task]))
    if not found:
        raise Problem(Trouble.UNKNOWN, "No decision of that name is on file.")
    at = services.now()
    charts = tuple(sorted({row.chart for row in found}))
    body = Body(request=f"evidence.{at}", role=caller.role, details={"task": task, "act": act})
    kind = Kind.RECOGNITION_EVIDENCE
    leaf = await services.log.note(kind, Outcome.PERMIT, caller, at, body, charts)
    return found, Grant("request", f"evidence.{at}", ALL_TIERS, leaf)


# Judging again


class Replayed(NamedTuple):
    """How judging again from the kept case came out.

    `no-catalogue`: the catalogue of then is not kept here, so nothing can be said.
    """

    evidence: str
    at: int
    result: Literal["identical", "different", "no-catalogue"]
    catalogue: str
    rules: str
    reason: str  # E01 to E14, empty for eligible


async def replayed(task: str, caller: Caller, services: Services) -> tuple[Replayed, ...]:
    """Judge every decision of a Task again, for whoever keeps the system: the content stays closed.

    One event. Problem UNKNOWN for a Task without evidence.
    """
    found, grant = await _noted(task, "replay", caller, services)
    proofs = await opened(found, grant, services)
    return tuple([again(one, await catalogue_of(one.bundle, services)) for one in proofs])


def again(proof: Proof, catalogue: Catalogue | None) -> Replayed:
    """Judge a kept case again with the catalogue of then; its rules are those it names."""
    kept = proof.bundle
    result: Literal["identical", "different", "no-catalogue"] = "no-catalogue"
    reason = ""
    if catalogue is not None:
        found = replay(decode(kept.case.encode()), catalogue)
        reason = str(found.reason or "")
        result = "identical" if written(found) == kept.judgement.encode() else "different"
    return Replayed(kept.id, kept.times.decided, result, kept.catalogue, kept.rules, reason)


async def catalogue_of(kept: Bundle, services: Services) -> Catalogue | None:
    """The catalogue that a decision was judged under, None when it is not kept."""
    try:
        return await services.catalogues.of(kept.catalogue, kept.register)
    except Problem as problem:
        if problem.kind is not Trouble.UNKNOWN:
            raise
        return None
