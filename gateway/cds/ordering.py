"""What order-select and order-sign have in common: check the drafts, say it once, remember it."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.cds import cards
from gateway.cds.call import Call, Cards
from gateway.cds.orders import Asked, Written
from gateway.exchange import duplicates, prompting
from gateway.exchange.duplicates import Checked, Measured
from gateway.exchange.results import hospitals


async def check(asked: Asked, written: Sequence[Written], call: Call) -> Checked:
    """What of the drafts is there already."""
    drafts = [one.draft for one in written]
    return await duplicates.check(asked.subject, drafts, asked.visit, call.caller, call.services)


async def prompt(
    written: Sequence[Written], checked: Checked, call: Call, service: str, indicator: str
) -> Cards:
    """A card for each group of orders of which something may be recognised; kept before it leaves."""
    found = cards.groups(written, checked)
    if not found:
        return cards.response(())
    states = await hospitals(call.services)
    made = [
        cards.made(group, checked, call, service=service, indicator=indicator, hospitals=states)
        for group in found
    ]
    told: list[Measured] = [one.best for group in found for one in group.shown]
    eligible = [one.best for group in found if group.counted for one in group.shown]
    kept = [card for _, card in made]
    await prompting.tell(checked, told, eligible, kept, call.caller, call.services)
    return cards.response([told for told, _ in made])
