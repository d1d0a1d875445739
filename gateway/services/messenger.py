"""Short messages to residents: handed over by HTTP to whoever the county sends them through.

A message names no hospital, no result and no reason; it says that something waits to be read or
typed in. Nothing of it, and no telephone number, is logged.
"""

from __future__ import annotations

from typing import Protocol

import httpx
import structlog

from gateway.settings import Settings

log = structlog.get_logger(__name__)
PATIENCE = 5.0  # seconds


class Messenger(Protocol):
    """How a short message leaves the house."""

    async def send(self, phone: str, text: str) -> bool:
        """Hand a text over; False when it was not taken, and may be tried again."""


class NoMessenger:
    """No way to send anything is set up."""

    async def send(self, phone: str, text: str) -> bool:
        """Never taken."""
        return False


class HttpMessenger:
    """POSTs `{"phone": …, "text": …}` to one address; any 2xx answer means taken."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    async def send(self, phone: str, text: str) -> bool:
        """One attempt; who calls decides whether to try again."""
        try:
            async with httpx.AsyncClient(timeout=PATIENCE, follow_redirects=False) as client:
                answer = await client.post(
                    self._url, json={"phone": phone, "text": text}, headers=self._headers
                )
        except httpx.HTTPError as fault:
            log.warning("message not taken", kind=type(fault).__name__)
            return False
        return answer.is_success


class KeptMessenger:
    """Keeps the last messages in memory: for the pretend county and for tests."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    async def send(self, phone: str, text: str) -> bool:
        """Always taken; the oldest are let go."""
        self.sent = [*self.sent[-99:], (phone, text)]
        return True


def open_messenger(settings: Settings) -> Messenger:
    """The messenger of the settings."""
    if settings.sms_url:
        return HttpMessenger(settings.sms_url, settings.sms_token)
    return KeptMessenger() if settings.demo else NoMessenger()
