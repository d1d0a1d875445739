"""`recognition-order-select`: while an order is being chosen, what of it was measured elsewhere already."""

from __future__ import annotations

from typing import Final

from gateway.cds import ordering
from gateway.cds.call import Call, Cards
from gateway.cds.orders import asked_of, selected, written_in
from gateway.exchange import unmapped_orders

ID: Final = "recognition-order-select"
HOOK: Final = "order-select"


async def answer(call: Call) -> Cards:
    """Cards (info) on the newly selected orders; none where nothing may be recognised."""
    asked = asked_of(call, HOOK)
    written = selected(call, written_in(call))
    checked = await ordering.check(asked, written, call)
    await unmapped_orders.meet(checked.unmapped, call.caller, call.services, signed=False)
    return await ordering.prompt(written, checked, call, ID, "info")
