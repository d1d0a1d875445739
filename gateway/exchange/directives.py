"""Directives as they are kept: sealed, counted in a keyed sum beside their chart, opened for a decision.

A row that is missing, older, added or altered makes the sum disagree, and a row that does not open
cannot be read: either refuses everything it could have covered, and raises an alarm. A database
administrator can close a record this way, never open one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from consent import fhir as consent_fhir
from consent.model import Directive
from gateway.services import Services
from gateway.store import charts as rows
from gateway.store import inbox
from gateway.store.engine import Tx
from gateway.vault import ManifestKey, SealBroken, Vault

ALARM = "consent-broken"
_pack = msgspec.msgpack.Encoder().encode


def sealed_name(id: str) -> bytes:
    """What a sealed directive is bound to."""
    return f"directive/{id}".encode()


def total(vault: Vault, chart: str, active: Iterable[tuple[str, bytes]]) -> bytes:
    """The keyed sum over a chart's active directives (id, sealed); their versions are inside."""
    return vault.digest("directives", _pack((chart, sorted(active))))


def agrees(vault: Vault, chart: str, sum: bytes, active: Sequence[tuple[str, bytes]]) -> bool:
    """Whether the sum says these and no others; a chart that never had any has no sum."""
    return (not sum and not active) or sum == total(vault, chart, active)


def put(tx: Tx, vault: Vault, chart: str, row: Sequence[object]) -> None:
    """Write a directive row and the chart's sum with it, while the chart is held.

    A sum that did not agree before is left as it is: what was altered stays noticed.
    """
    before = tx.one(rows.DIRECTIVES_SUM, chart)
    sum = before[0] if before else b""
    sound = agrees(vault, chart, sum, [(one[0], one[1]) for one in tx.all(rows.ACTIVE, chart)])
    tx.run(rows.PUT_DIRECTIVE, *row)
    if sound:
        now = [(one[0], one[1]) for one in tx.all(rows.ACTIVE, chart)]
        tx.run(rows.SET_DIRECTIVES_SUM, chart, total(vault, chart, now))


def opened(
    charts: Sequence[rows.ChartRow],
    sealed: Sequence[tuple[str, str, bytes]],
    keys: Mapping[str, ManifestKey],
    services: Services,
) -> tuple[tuple[Directive, ...], list[rows.ChartRow]]:
    """The directives of a person, and the charts whose directives are not what was recorded.

    `sealed` are (chart, id, sealed) of active ones, `keys` the charts' manifest keys.
    """
    found: list[Directive] = []
    broken: list[rows.ChartRow] = []
    for row in charts:
        own = [(id, text) for chart, id, text in sealed if chart == row.id]
        if not agrees(services.vault, row.id, row.directives, own):
            found.append(unreadable(row.id, "", services))
            broken.append(row)
        for id, text in own:
            try:
                found.append(consent_fhir.decode(keys[row.id].open(text, sealed_name(id))))
            except (SealBroken, msgspec.MsgspecError, ValueError):
                found.append(unreadable(row.id, id, services))
                broken.append(row)
    return tuple(found), broken


async def ended(
    charts: Sequence[rows.ChartRow], keys: Mapping[str, ManifestKey], services: Services
) -> tuple[Directive, ...]:
    """What ended because its folder's number was corrected, to be explained: no decision reads it.

    Of charts without a key, as those of a gated person, nothing is opened.
    """
    found = []
    open_ = [row.id for row in charts if row.id in keys]
    for chart, id, text in await services.db.read(rows.INACTIVE, open_):
        try:
            found.append(consent_fhir.decode(keys[chart].open(text, sealed_name(id))))
        except (SealBroken, msgspec.MsgspecError, ValueError):
            continue
    return tuple(one for one in found if one.in_doubt and not one.refuses)


def unreadable(chart: str, id: str, services: Services) -> Directive:
    """A refusal of everything, for what can no longer be read; nobody knows any more whose it was."""
    return Directive(
        id=id or "unknown",
        version="",
        patient=chart,
        controller=min(services.policy.controllers, default=""),
        at=0,
        assurance=3,
        performer="",
        root=None,
    )


async def alarm(broken: Sequence[rows.ChartRow], services: Services) -> None:
    """Tell operations once, until they settle it; the alarm names the chart as the log does."""
    for row in {one.id: one for one in broken}.values():
        await services.db.do(_alarm, row.organization, services.log.tag(row.id), services.now())


def _alarm(tx: Tx, organization: str, about: str, at: int) -> None:
    if tx.one(inbox.ALARM_STANDS, ALARM, about) is None:
        tx.run(inbox.ADD_ALARM, ALARM, organization, about, at)
