"""Tells an auditor whether the evidence of a decision is whole: versions, hash, standing, never what it says.

The rules and versions are told as the access log has them; the evidence must agree with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import proving, vouched
from gateway.exchange.event_bodies import bodies
from gateway.exchange.oversight import sees_all
from gateway.exchange.person import ALL_TIERS
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import oversight as listed
from gateway.vault import Grant, SealBroken, VaultError

Verdict = Literal["whole", "gone", "changed", "added", "altered", "unreadable"]
"""`gone`: the log names it and it is not there. `changed`: the row is not as the log says, `added`: the
log knows of no such row. `altered`: its seal does not hold, or it tells of something else than the log.
`unreadable`: its keys were destroyed, so nothing can be said."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What may be said of the evidence behind one event of the log.

    `fingerprint` is the SHA-256 printed on the evidence's page, empty where it does not open; `standing`
    is None where the verdict leaves it open. Versions are empty where the event's body is not there.
    """

    number: int
    at: int  # µs UTC
    organization: str
    actor: str
    evidence: str = ""
    rules: str = ""
    catalogue: str = ""
    register: str = ""
    fingerprint: str = ""
    verdict: Verdict = "unreadable"
    standing: bool | None = None


async def inspect(number: int, caller: Caller, services: Services) -> Inspected:
    """The evidence of the decision at this place in the log, as one `recognition-evidence` event.

    Problem REFUSED for another role; UNKNOWN where no decision stands there that the auditor may see.
    """
    if caller.role != "auditor":
        raise Problem(Trouble.REFUSED, "Another role's work.")
    event = await services.db.session(listed.event_at, number) if number < 2**63 else None
    mine = event and (sees_all(caller, services) or event.organization == caller.organization)
    if event is None or not mine or event.kind != Kind.RECOGNITION_DECISION:
        raise Problem(Trouble.UNKNOWN, "No decision stands at that place of the log.")
    at = services.now()
    about = f"evidence.{at}"
    body = Body(request=about, details={"act": "inspect", "entry": str(number)}).asked_by(caller)
    charts = (event.body_owner,) if event.body_owner else ()
    leaf = await services.log.note(
        Kind.RECOGNITION_EVIDENCE, Outcome.PERMIT, caller, at, body, charts
    )
    [said] = await bodies([event], services)
    found = Inspected(number, event.at, event.organization, event.actor)
    if said is None:
        return found
    found = replace(
        found,
        actor=said.human or event.actor,
        evidence=said.details.get("evidence", ""),
        rules=said.policies.get("rules", ""),
        catalogue=said.policies.get("catalogue", ""),
        register=said.policies.get("register", ""),
    )
    return await _checked(found, said.details, Grant("request", about, ALL_TIERS, leaf), services)


async def _checked(
    found: Inspected, said: Mapping[str, str], grant: Grant, services: Services
) -> Inspected:
    row, doubt = await vouched.evidence(found.evidence, found.at, services)
    if row is None:
        return replace(found, verdict="gone")
    try:
        [proof] = await proving.opened([row], grant, services)
    except SealBroken:
        return replace(found, verdict="altered")
    except VaultError:
        return replace(found, verdict=doubt or "unreadable")
    kept = proof.bundle
    told = (kept.task, kept.target, kept.content, kept.rules, kept.catalogue)
    logged = (
        *(said.get(name) for name in ("task", "target", "content")),
        found.rules,
        found.catalogue,
    )
    verdict: Verdict = doubt or ("whole" if told == logged else "altered")
    standing = proof.standing if verdict == "whole" else None
    return replace(found, fingerprint=proof.fingerprint, verdict=verdict, standing=standing)
