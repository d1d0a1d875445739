"""A canned IT office with nothing silent or failed; its own pages are tested over a real county."""

from __future__ import annotations

from gateway.exchange.glance import Glance
from gateway.services.caller import Caller


class FakeOperators:
    """The part of `OperatorStories` that pages of other areas need."""

    async def glance(self, caller: Caller) -> Glance:
        return Glance(2, (), 1, 3, 4, 1, 1, 2, ())

    async def ending(self, caller: Caller) -> int:
        return 1
