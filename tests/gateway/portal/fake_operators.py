"""A canned IT office: quiet feeds; what was asked is of no interest here."""

from __future__ import annotations

from gateway.exchange.glance import Failed, Glance, Silent
from gateway.services.caller import Caller


class FakeOperators:
    """The part of `OperatorStories` that pages of other areas need."""

    async def glance(self, caller: Caller) -> Glance:
        silent = (Silent("people-pacs", 0),)
        failed = (Failed("0f" * 16, 1_772_337_600_000_000, 24, "ConnectTimeout"),)
        return Glance(2, silent, 1, 3, 4, 1, 1, 2, failed)
