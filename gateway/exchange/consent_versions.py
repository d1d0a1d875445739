"""One version of one consent, made ready and written: its record, its directive, the event of it.

A consent is a record of the chart it names, kept for ever, and a compiled directive beside it that
every decision reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from consent import fhir as consent_fhir
from consent.model import Directive
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import directives
from gateway.exchange.person import ALL_TIERS, head_name, manifests
from gateway.exchange.shelves import add_segment
from gateway.records import merge
from gateway.records.entry import Entry, Nature, pack_head, unpack_head
from gateway.records.instant import instant_text, moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, Moved
from gateway.store import charts as rows
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, ManifestKey, RecordKey, RecordName, Tier, VaultError


@dataclass(frozen=True, slots=True)
class Work:
    """One version of one consent, ready to be written."""

    chart: str
    id: str
    directive: Directive
    head: bytes
    tail: bytes
    expected: int  # the version it replaces, 0 for a new one
    recorded_by: str
    source: str
    keys: ManifestKey
    bodies: RecordKey
    draft: Draft


async def ready(
    text: bytes,
    directive: Directive,
    expected: int,
    caller: Caller,
    services: Services,
    at: int,
    **details: str,
) -> Work:
    """This text as the version behind `expected` of the directive's consent, with its event."""
    id, chart = directive.id, directive.patient
    want = ChartTier(chart, Tier.GENERAL)
    await services.vault.ensure([want], [(chart, moment(at).year)])
    grant = Grant("filing", f"consent.{at}", ALL_TIERS)
    body = Body(
        request=f"consent.{at}",
        details={
            "consent": f"{id}/{expected + 1}",
            "evidence": directive.evidence,
            "assurance": str(directive.assurance),
            "status": "active" if directive.active else "inactive",
        }
        | details,
    ).asked_by(caller)
    kind = Kind.CONSENT_CREATE if directive.active else Kind.CONSENT_WITHDRAW
    head, tail = merge.renamed(text, id)
    return Work(
        chart=chart,
        id=id,
        directive=directive,
        head=head,
        tail=tail,
        expected=expected,
        recorded_by=caller.user or caller.client,
        source=caller.organization,
        keys=(await manifests(services, grant, [want]))[want],
        bodies=(await services.vault.records(grant, [want]))[want],
        draft=await services.log.draft(kind, Outcome.PERMIT, caller, at, body, (chart,)),
    )


async def newest(id: str, services: Services) -> tuple[rows.RecordRow, bytes]:
    """The record of a consent as it stands, and its text; Problem BUSY when it cannot be opened."""
    row = await rows.current(services.db, id)
    grant = Grant("filing", f"consent.{id}", ALL_TIERS)
    try:
        if row is not None and row.sealed is not None:
            want = ChartTier(row.chart, Tier(row.tier))
            key = (await services.vault.records(grant, [want]))[want]
            return row, key.open(row.sealed, RecordName("Consent", id, row.version))
    except VaultError:
        pass
    raise Problem(Trouble.BUSY, "A stored consent is damaged; operations were told.")


def write_version(tx: Tx, work: Work, seq: int, services: Services, at: int) -> bytes:
    """The record and the directive of one version, while its chart is held; its text as stored."""
    chart, id = work.chart, work.id
    before = rows.standing(tx, [id]).get(id)
    if (before.version if before else 0) != work.expected:
        raise Moved
    version = work.expected + 1
    nature = Nature(
        type="Consent",
        source=work.source,
        status="active" if work.directive.active else "inactive",
        labels="none",
    )
    if before is not None:
        tx.run(rows.RETIRE, rows.bucket_of(chart), chart, before.seq)
        nature = msgspec.structs.replace(
            unpack_head(work.keys.open(before.head, head_name(id, before.version))).nature,
            status=nature.status,
        )
    text = merge.with_meta(
        work.head,
        work.tail,
        b"",
        services.vault.version_tag(id, version),
        instant_text(at, services.settings.zone),
    )
    entry = Entry(
        id=bytes.fromhex(id),
        version=version,
        seq=seq,
        nature=0,
        start=work.directive.at,
        end=work.directive.at,
        filed=at,
        clock=at,
        digest=services.vault.digest("content", work.head + work.tail)[:16],
        length=len(text),
    )
    tx.run(
        rows.ADD_RECORD,
        rows.bucket_of(chart), chart, seq, id, version, 1, int(Tier.GENERAL),
        work.keys.seal(pack_head(nature, entry), head_name(id, version)),
        work.bodies.seal(text, RecordName("Consent", id, version)),
        "", at, 0,
    )  # fmt: skip
    add_segment(tx, work.keys, chart, Tier.GENERAL, [(nature, entry)])
    row = (
        chart, id, version, int(work.directive.active),
        work.keys.seal(consent_fhir.encode(work.directive), directives.sealed_name(id)),
        services.vault.digest("evidence", work.directive.evidence.encode()),
        work.recorded_by, at,
    )  # fmt: skip
    directives.put(tx, services.vault, chart, row)
    return text
