"""Tells a hospital's own system that a result its doctor decided on has changed: once for each alert.

An alert is written where the result changes, with no key of the hospital at hand. From it a
Communication is made in the folder the hospital keeps on the person, and a message where it takes any.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Problem
from gateway.exchange import filing, vouched, write_back
from gateway.exchange.decide import write_own
from gateway.exchange.deciding import EVIDENCE, own, plans_of
from gateway.exchange.person import ALL_TIERS
from gateway.exchange.planning import Plan
from gateway.exchange.telling import SYSTEM
from gateway.recognition import bundle as bundles
from gateway.recognition import filed
from gateway.recognition.bundle import Bundle
from gateway.services import Services
from gateway.services.log import Draft, append
from gateway.store import decisions as rows
from gateway.store.decisions import AlertRow, EvidenceRow
from gateway.store.engine import Tx
from gateway.store.write_backs import MessageRow
from gateway.vault import ChartTier, Grant, KeyMissing, RecordName, SealBroken, Shredded, Tier

log = structlog.get_logger(__name__)

BATCH = 16


async def file_due(services: Services) -> int:
    """Tell of every alert nobody's system was told of; how many were told. One event for each.

    One whose evidence cannot be opened is passed over aloud: its doctor still sees it, and the IT
    office reads why and tries again (`glance.tell_again`).
    """
    found = [AlertRow(*row) for row in await services.db.read(rows.UNTOLD, BATCH)]
    told = 0
    for alert in found:
        evidence = EvidenceRow(*(await services.db.read(rows.ONE, alert.evidence))[0])
        try:
            told += await _file(alert, await _opened(evidence, services), services)
        except (KeyMissing, SealBroken, Shredded) as fault:
            log.error("alert not told", alert=alert.id, kind=type(fault).__name__)
            await services.db.do(_pass_over, alert.id, type(fault).__name__)
        except Problem as problem:  # it is tried again; the others do not wait for it
            log.warning("alert not told yet", alert=alert.id, kind=problem.kind.code)
    return told


async def _opened(evidence: EvidenceRow, services: Services) -> Bundle:
    want = ChartTier(evidence.chart, Tier.GENERAL)
    grant = Grant("job", f"alert.{evidence.id}", ALL_TIERS)
    keys = await services.vault.records(grant, [want])
    text = keys[want].open(evidence.sealed, RecordName(EVIDENCE, evidence.id, 1))
    return bundles.decode(text)


async def _file(alert: AlertRow, found: Bundle, services: Services) -> int:
    organization, chart, settings = alert.organization, alert.chart, services.settings
    ids = services.ids(organization)
    id = ids("recognition", "Communication", (alert.evidence, str(alert.version), alert.change))
    kind = found.target.partition("/")[0]
    tag = services.vault.version_tag(alert.target, alert.version)
    pinned = f"{kind}/{alert.target}/_history/{tag}"
    text = filed.alert(
        id,
        alert.change,
        pinned,
        chart,
        alert.at,
        found,
        base=settings.canonical,
        zone=settings.zone,
    )
    one = own("Communication", id, text, alert.at, organization, services)
    plans = await plans_of([(chart, one)], organization, services, alert.at)
    where = found.where
    letter = write_back.Letter(
        "alert", alert.at, organization, chart, where.encounter, where.order, alert.login,
        "".join(filed.change_text(alert.change, found)), (one.mapped.text().decode(),),
        visit=where.number,
    )  # fmt: skip
    key = plans[0].bodies[ChartTier(chart, Tier.GENERAL)]
    letters = await write_back.message(letter, found.task, key, services)
    at = services.now()
    details = {"task": found.task, "target": pinned, "change": alert.change, "communication": id}
    draft = await services.log.draft(
        Kind.RECOGNITION_ALERT, Outcome.PERMIT, SYSTEM, at,
        Body(request=f"alert.{at}", details=details), (chart,),
    )  # fmt: skip
    return await filing.with_neighbours(
        plans, services, _write, alert.id, plans, letters, draft, at, services
    )


def _write(
    tx: Tx,
    alert: int,
    plans: Sequence[Plan],
    letters: Sequence[MessageRow],
    draft: Draft,
    at: int,
    services: Services,
) -> int:
    """Communication, message and event in one transaction; nothing where another worker was first."""
    told = tx.all(rows.TELL, alert, at)
    if not told:
        return 0
    for plan in plans:
        write_own(tx, plan, services)
    vouched.vouch(tx, [AlertRow(*row) for row in told], services)
    append(tx, services.log.filing_writer, [draft], services.now)
    write_back.write(tx, letters, services)
    return 1


def _pass_over(tx: Tx, alert: int, trouble: str) -> None:
    tx.run(rows.PASS_OVER, alert, trouble)
