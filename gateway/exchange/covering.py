"""Counts over kept messages which rules of a map fire and which fields nothing reads."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gateway.audit.events import Body, Outcome
from gateway.audit.events import Kind as Noted
from gateway.exchange import kept
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import inbox
from gateway.store.maps import KeptRow
from gateway.vault import VaultError
from mappings.engine import Coverage
from mappings.engine.coverage import RuleUse
from mappings.engine.explain import Unread


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
    site: str, days: int, by: Caller, services: Services, most: int = kept.MOST
) -> Coverage:
    """The release in force over the newest kept messages of the last days, `most` of each source.

    Messages are opened through the vault after an event says so; the answer holds counts only.
    """
    release = await services.maps.in_force(site)
    at = services.now()
    body = Body(
        request=secrets.token_hex(8), details={"map": "coverage", "site": site, "days": str(days)}
    ).asked_by(by)
    await services.log.note(Noted.CONFIG, Outcome.PERMIT, by, at, body)
    found = [release.map.coverage(())]
    for row in await services.db.read(inbox.SOURCES_OF_MAP, site):
        source = inbox.SourceRow(*row).name
        since, _ = await kept.since_newest(source, at - days * kept.DAY, at, most, services)
        async for page in kept.pages(source, since, at, services):
            raws = await _opened(page, services)
            found = [together([*found, await asyncio.to_thread(release.map.coverage, raws)])]
    return found[0]


async def _opened(page: Sequence[KeptRow], services: Services) -> list[bytes]:
    """The messages whose keys still stand."""
    raws = []
    for row in page:
        try:
            raws.append(await kept.opened(row, services))
        except VaultError:
            continue
    return raws
