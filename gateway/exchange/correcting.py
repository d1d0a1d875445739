"""A folder's resident ID number is set right: what the old one joined is parted, the rest looked at again.

No record moves: a folder is one hospital's number, and its links say whose it is. So in whatever
order the messages come, a folder ends with those whose number it carries. What opened by the old
number opens no more (exchange/doubting.py), and whoever relied on a result of the folder is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.audit.events import Body, Kind, Outcome
from gateway.exchange import doubting, relied
from gateway.exchange.doubting import Doubt
from gateway.exchange.person import manifests
from gateway.identity import matching
from gateway.records import facts as facts_
from gateway.records.facts import Facts
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft
from gateway.store import links
from gateway.store.engine import Tx
from gateway.store.links import Link
from gateway.vault import ChartTier, Grant, ManifestKey, Tier
from mappings.engine import Issue


@dataclass(frozen=True, slots=True)
class Came:
    """What setting a number right came to: the partings to log, and what to say of the message."""

    events: tuple[Draft, ...]
    issues: tuple[Issue, ...]


async def prepared(
    chart: str, organization: str, inbox: str, grant: Grant, services: Services
) -> tuple[dict[str, Draft], dict[ChartTier, ManifestKey], Doubt | None]:
    """For each chart linked with this one: the event of parting the two, and its key if it has one;
    and what its old number leaves in doubt."""
    said = [Link(*row) for row in await services.db.read(links.EVER, [chart])]
    others = sorted({link.other(chart) for link in said})
    at = services.now()
    caller = Caller(client=organization, organization=organization, role="system")
    body = Body(request=inbox, details={"rule": links.CORRECTED})
    events = {
        other: await services.log.draft(
            Kind.UNLINK, Outcome.PERMIT, caller, at, body, (chart, other)
        )
        for other in others
    }
    wants = [ChartTier(other, Tier.GENERAL) for other in others]
    doubt = await doubting.prepared(chart, caller, grant, services)
    return events, await manifests(services, grant, wants), doubt


def recheck(
    tx: Tx,
    chart: str,
    facts: Facts,
    before: Facts | None,
    events: Mapping[str, Draft],
    keys: Mapping[ChartTier, ManifestKey],
    doubt: Doubt | None,
    at: int,
    services: Services,
) -> Came | None:
    """Look again at what is said of a chart whose number is another now; None: prepare first.

    What the county's rule found stands only while the rule still finds it. A hospital's merge that
    two numbers contradict is a dispute from now on; one that they contradict no more stands again.
    """
    said = [Link(*row) for row in tx.all(links.EVER, [chart])]
    if any(link.other(chart) not in events for link in said):
        return None
    told: list[Draft] = []
    issues: list[Issue] = []
    over, since = {chart}, at
    others = sorted({link.other(chart) for link in said})
    known = {row[0]: row[2] for row in tx.all(links.ON_CHARTS, others)} if others else {}
    for link in said:
        other = link.other(chart)
        key = keys.get(ChartTier(other, Tier.GENERAL))
        if key is None or not known.get(other) or link.rule == links.RECOGNITION:
            continue
        theirs = facts_.unpack(key.open(known[other], f"facts/{other}".encode()))
        two = bool(theirs.number) and theirs.number != facts.number
        tier = match_of(facts, theirs, link.rule).tier
        if link.contradicted and not two:
            tx.run(links.STAND, link.id)
        elif link.revoked_by == links.POSSIBLE and tier is not matching.Tier.POSSIBLE:
            tx.run(links.REVOKE, link.id, at, links.CORRECTED)
            continue
        elif link.revoked:
            continue
        elif link.rule == links.BY_NUMBER and tier is not matching.Tier.SAME:
            tx.run(links.REVOKE, link.id, at, links.CORRECTED)
            told.append(events[other])
        elif link.rule != links.BY_NUMBER and two:
            tx.run(links.REVOKE, link.id, at, links.CONTRADICTED)
            told.append(events[other]._replace(outcome=Outcome.ERROR))
            since = min(since, link.at)
            if not issues:
                issues.append(Issue("alarm", "merge-two-persons", ""))
        else:
            continue
        over.add(other)
    if len(over) > 1:
        links.regroup(tx, over)
        relied.parted(tx, over, at, services, since)
    if before is not None and before.number:
        doubted = doubting.write(tx, chart, before.number, doubt, services)
        if doubted is None:
            return None
        told += doubted
        relied.folder(tx, chart, at, services)
        issues.append(Issue("note", "number-corrected", ""))
    return Came(tuple(told), tuple(issues))


def match_of(one: Facts, other: Facts, rule: str) -> matching.Match:
    """What the matching rule says of two folders, with the second sign that a link's rule names."""
    signs: dict[str, object] = {}
    if rule == f"{links.POSSIBLE}/{matching.Ground.SAME_PHONE}":
        signs = {"phones": frozenset("=")}
    elif rule == f"{links.POSSIBLE}/{matching.Ground.SAME_INSURANCE}":
        signs = {"insurance": "="}
    left, right = (msgspec.structs.replace(compared(each), **signs) for each in (one, other))
    return matching.match(left, right)


def compared(facts: Facts) -> matching.Known:
    """What a folder says of its person, as the matching rule reads it."""
    birth = facts_.days(facts.birth) if facts.birth else None
    return matching.Known(
        name=facts.name,
        number=facts.number,
        birth=birth[0] if birth and birth[0] == birth[1] else None,
        sex="male" if facts.sex == "male" else "female" if facts.sex == "female" else None,
    )
