"""`recognition-order-sign`: before orders are signed, what of them was measured elsewhere already.

An order that is signed although its result was recognised undoes that decision.
"""

from __future__ import annotations

from typing import Final

from gateway.cds import ordering
from gateway.cds.call import Call, Cards
from gateway.cds.orders import asked_of, written_in
from gateway.exchange import unmapped_orders
from gateway.exchange.prompting import signed_after_all

ID: Final = "recognition-order-sign"
HOOK: Final = "order-sign"


async def answer(call: Call) -> Cards:
    """Cards (warning) on all orders that are about to be signed."""
    asked = asked_of(call, HOOK)
    written = written_in(call)
    checked = await ordering.check(asked, written, call)
    await unmapped_orders.meet(checked.unmapped, call.caller, call.services, signed=True)
    orders = {
        question.id: one.draft.key
        for one, order in zip(written, checked.orders, strict=True)
        for item in order.spared
        for question in checked.of_order(order.order, item)
    }
    await signed_after_all(checked, orders, call.caller, call.services)
    return await ordering.prompt(written, checked, call, ID, "warning")
