"""Builds the county that is measured: many persons with equal records, consents and a second hospital.

What is stored is what filing stores: the same sealing, manifest, blind indexes, facts and consent
directives, written by the very functions that file a message. Only the mapping is shared (pattern.py)
and each person's messages come as one.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec
import orjson
from joserfc.jwk import ECKey

from consent import fhir as consent_fhir
from consent.fhir import Choice, Form, write_consent
from consent.model import Directive
from gateway.audit.events import Body, Kind, Outcome
from gateway.auth import people, registry
from gateway.bench.pattern import ORGANIZATION, Pattern, made
from gateway.demo import story
from gateway.exchange import consent_versions, filing, sources
from gateway.exchange.person import ALL_TIERS, Evidence, evidence_place, pack_evidence
from gateway.exchange.planning import Plan
from gateway.identity.systems import RESIDENT_ID
from gateway.records import facts as facts_
from gateway.records import merge
from gateway.records.instant import instant_text, moment
from gateway.services import Services, open_services
from gateway.services.caller import Caller
from gateway.services.log import append
from gateway.settings import Settings
from gateway.store import charts as rows
from gateway.store import inbox
from gateway.store.engine import Tx
from gateway.store.migrate import migrate
from gateway.vault import ChartTier, Grant, KeyFile, Tier

READER, STRANGER = "tcm", "mch"  # treats everybody by an encounter; treats nobody
READERS = tuple(f"bench-{number}" for number in range(4))  # clients of the reading hospital
LOGIN, PASSWORD = "dr-bench", "measured-and-thrown-away"  # a doctor of the reading hospital
BY = Caller(client="bench", organization="county", role="registrar", user="bench")
TOGETHER = 4_000  # observations a commit
LONGEST = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class County:
    """A built county: where it is, its charts, and some observations of each."""

    settings: Settings
    charts: tuple[str, ...]
    observations: tuple[tuple[str, ...], ...]
    resources: int  # of each person, everything counted
    keys: dict[str, ECKey]
    texts: list[bytes]  # the observations of one person, as mapped


async def opened(folder: Path, engine: str) -> Services:
    """Services of a new, empty county; on PostgreSQL `engine` names an empty database."""
    settings = Settings(
        data=folder,
        database="" if engine == "sqlite" else engine,
        county="bench",
        county_file=story.REGISTER,
        catalogue=story.CATALOGUE,
        demo=True,
        mllp_port=0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    KeyFile.create(settings.root_key, demo=True)
    await migrate(settings.database_url, "records")
    await migrate(settings.keyring_url, "keyring")
    services = await open_services(settings)
    await sources.declare(services)
    return services


async def build(
    services: Services,
    persons: int,
    observations: int,
    beside: Callable[[list[bytes]], BaseProcess],
    last: date | None = None,
) -> County:
    """Fill an empty county, with fewer persons where that would take longer than LONGEST.

    `beside` starts, with one person's texts, what is built meanwhile. The newest records are of `last`.
    """
    ends = time.monotonic() + LONGEST
    keys = {}
    for id in (*READERS, STRANGER):
        keys[id] = ECKey.generate_key("P-384", {"kid": id, "use": "sig", "alg": "ES384"})
        await registry.register(
            services,
            id=id,
            organization=STRANGER if id == STRANGER else READER,
            name=id,
            jwks=json.dumps({"keys": [keys[id].as_dict(private=False)]}),
            scopes="system/*.rs",
            roles=("clinician",),
            by=BY,
        )
    await people.open_account(
        services,
        login=LOGIN,
        name="李玘",
        organization=READER,
        password=PASSWORD,
        roles=("clinician",),
        by=BY,
    )
    pattern = made(observations, services, last)
    other = beside(pattern.texts)
    directive, text = await _directive(pattern, services)
    charts: list[str] = []
    reads: list[tuple[str, ...]] = []
    waiting: asyncio.Task[None] | None = None
    together = max(1, TOGETHER // observations)  # persons
    for first in range(0, persons, together):
        if charts and time.monotonic() > ends:
            break
        plans = await _plans(pattern, range(first, min(first + together, persons)), services)
        work = [await _consented(plan, directive, text, services) for plan in plans]
        if waiting is not None:
            await waiting
        waiting = asyncio.create_task(services.db.do(_write, plans, work, services))
        for plan in plans:
            charts.append(plan.chart)
            seen = [o.mapped.id for o in plan.resources if o.mapped.type == "Observation"]
            reads.append(tuple(seen[:: max(1, len(seen) // 20)]))
    if waiting is not None:
        await waiting
    await asyncio.to_thread(other.join)
    if other.exitcode:
        raise LookupError("the ceiling's records could not be written")
    return County(
        services.settings,
        tuple(charts),
        tuple(reads),
        len(pattern.pieces),
        keys,
        pattern.texts,
    )


async def _plans(pattern: Pattern, indexes: Sequence[int], services: Services) -> list[Plan]:
    at = services.now()
    people = [pattern.resources(index, services) for index in indexes]
    wants = [ChartTier(chart, Tier.GENERAL) for chart, _ in people]
    await services.vault.ensure(wants, [(chart, moment(at).year) for chart, _ in people])
    grant = Grant("filing", "bench", ALL_TIERS)
    shelves = await services.vault.manifests(grant, wants)
    bodies = await services.vault.records(grant, wants)
    plans = []
    for (chart, resources), want in zip(people, wants, strict=True):
        patient = next(o for o in resources if o.mapped.type == "Patient")
        told = orjson.loads(patient.mapped.text())
        linking = {(i["system"], i["value"]) for i in told["identifier"]}
        number = next(value for system, value in linking if system == RESIDENT_ID)
        plans.append(
            Plan(
                chart=chart,
                organization=ORGANIZATION,
                inbox="bench",
                at=at,
                resources=resources,
                facts=msgspec.structs.replace(facts_.of_patient(told), number=number),
                facts_mode="full",
                identifiers=tuple(
                    (services.vault.blind(system, value), True) for system, value in sorted(linking)
                ),
                shelves={want: shelves[want]},
                bodies={want: bodies[want]},
                neighbours=frozenset(),
            )
        )
    return plans


async def _directive(pattern: Pattern, services: Services) -> tuple[Directive, bytes]:
    """A broad consent, read once as strictly as at the door, and its text."""
    at = services.now()
    form = Form(
        choice=Choice.PERMIT_TREATMENT,
        id="0" * 32,
        patient=f"Patient/{pattern.chart}",
        performer=f"Patient/{pattern.chart}",
        organization="Organization/county",
        at=instant_text(at - 86_400_000_000, services.settings.zone),
        evidence_sha256="a" * 64,
    )
    text = write_consent(form, services.settings.canonical)
    read_as = consent_fhir.read_consent(
        orjson.loads(text),
        consent_fhir.Context(
            id=form.id,
            version="1",
            now=at,
            policy=services.policy,
            base_url=services.settings.canonical,
            policies=consent_fhir.policy_uris(services.policy, services.settings.canonical),
            patient=lambda reference: reference.removeprefix("Patient/"),
            organization=lambda reference: reference.removeprefix("Organization/"),
            person=lambda reference: None,
            group=lambda reference: None,
            record=lambda reference: None,
            signer=lambda performer, chart, signed: chart,
            assurance=lambda evidence: 1,
        ),
    )
    if not isinstance(read_as, Directive):
        raise LookupError(f"the bench's consent is not one: {read_as[0].path}")
    return read_as, text


async def _consented(
    plan: Plan, directive: Directive, text: bytes, services: Services
) -> tuple[consent_versions.Work, bytes]:
    """The person's consent, and the encounter at the reading hospital, sealed."""
    id = services.ids("county")("consent", "Consent", [plan.chart])
    own = text.replace(directive.patient.encode(), plan.chart.encode())
    head, tail = merge.renamed(own, id)
    want = ChartTier(plan.chart, Tier.GENERAL)
    draft = await services.log.draft(
        Kind.CONSENT_CREATE,
        Outcome.PERMIT,
        BY,
        plan.at,
        Body(request="bench", role=BY.role, details={"consent": f"{id}/1", "status": "active"}),
        (plan.chart,),
    )
    work = consent_versions.Work(
        chart=plan.chart,
        id=id,
        directive=msgspec.structs.replace(
            directive,
            id=id,
            version=services.vault.version_tag(id, 1),
            patient=plan.chart,
            performer=plan.chart,
        ),
        head=head,
        tail=tail,
        expected=0,
        recorded_by=BY.user,
        source=BY.organization,
        keys=plan.shelves[want],
        bodies=plan.bodies[want],
        draft=draft,
    )
    met = Evidence(plan.at - 86_400_000_000)
    about = evidence_place(plan.chart, _visit(plan.chart), "encounter", READER)
    return work, services.vault.seal_field("relationship", about, pack_evidence(met))


def _visit(chart: str) -> str:
    return f"{int(chart, 16) ^ 1:032x}"


def _write(
    tx: Tx, plans: Sequence[Plan], work: Sequence[tuple[Any, bytes]], services: Services
) -> None:
    for plan, (consent, met) in zip(plans, work, strict=True):
        filing.write_plan(tx, plan, services)
        if plan.issues:
            raise LookupError(f"filing the bench's county: {plan.issues[0].code}")
        seq = rows.take(tx, plan.chart, 1, 1)[0]
        consent_versions.write_version(tx, consent, seq, services, plan.at)
        append(tx, services.log.filing_writer, [consent.draft], services.now)
        tx.run(
            rows.PUT_RELATIONSHIP,
            plan.chart,
            _visit(plan.chart),
            READER,
            "encounter",
            met,
            plan.at,
        )
    tx.run(inbox.COUNT_ARRIVAL, "people-his", 0, plans[0].at)
