"""Counts over kept messages which rules of a map fire and which fields nothing reads."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import inbox
from gateway.store import maps as rows
from gateway.store.maps import KeptRow
from gateway.vault import ChartTier, Tier, VaultError
from mappings.engine import Coverage
from mappings.engine.coverage import RuleUse
from mappings.engine.explain import Unread

DAY: Final = 86_400_000_000
PAGE: Final = 50
MOST: Final = 20_000


def together(found: Iterable[Coverage]) -> Coverage:
    """Coverage over several sets of deliveries as over all of them."""
    rules: dict[tuple[str, str, str, str], RuleUse] = {}
    unread: dict[str, Unread] = {}
    deliveries = messages = 0
    for one in found:
        deliveries += one.deliveries
        messages += one.messages
        for use in one.rules:
            key = use.map, use.block, use.rule, use.line
            known = rules.get(key)
            rules[key] = (
                replace(use, fired=known.fired + use.fired, made=known.made + use.made)
                if known
                else use
            )
        for field in one.unread:
            before = unread.get(field.address)
            unread[field.address] = (
                replace(before, count=before.count + field.count) if before else field
            )
    listed = sorted(unread.values(), key=lambda field: (-field.count, field.address))
    return Coverage(deliveries, messages, tuple(rules.values()), tuple(listed))


async def over_traffic(
    site: str, days: int, by: Caller, services: Services, most: int = MOST
) -> Coverage:
    """The release in force over the newest kept messages of the last days, `most` of each source.

    Messages are opened through the vault after an event says so; the answer holds counts only.
    """
    release = await services.maps.in_force(site)
    at = services.now()
    body = Body(
        request=secrets.token_hex(8),
        human=by.name,
        role=by.role,
        details={"map": "coverage", "site": site, "days": str(days)},
    )
    await services.log.note(Noted.CONFIG, Outcome.PERMIT, by, at, body)
    found = [release.map.coverage(())]
    for row in await services.db.read(inbox.SOURCES_OF_MAP, site):
        source = inbox.SourceRow(*row).name
        since = at - days * DAY
        older = await services.db.read(rows.NTH_NEWEST, source, since, at, most)
        if older:
            since = older[0][0] + 1
        position, last = 0, ""
        while page := await services.db.read(rows.KEPT, source, since, at, position, last, 0, PAGE):
            kept = [KeptRow(*one) for one in page]
            raws = await _opened(kept, services)
            found = [together([*found, await asyncio.to_thread(release.map.coverage, raws)])]
            position, last = kept[-1].arrived, kept[-1].id
    return found[0]


async def _opened(kept: Sequence[KeptRow], services: Services) -> list[bytes]:
    """The messages whose keys still stand."""
    raws = []
    for one in kept:
        owner = ChartTier(one.owner, Tier(one.owner_tier)) if one.owner else None
        try:
            raws.append(
                await services.vault.open_raw(
                    one.source, one.day, one.id, one.sealed, one.wrap, owner
                )
            )
        except VaultError:
            continue
    return raws
