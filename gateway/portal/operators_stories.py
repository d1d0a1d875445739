"""What an IT office's pages of messages, clients and stuck matters ask for."""

from __future__ import annotations

from typing import Protocol

from gateway.auth.client_keys import Certificate, Client
from gateway.exchange.glance import Glance
from gateway.exchange.messages import Asked, Became, Kept, Monitor
from gateway.exchange.replays import Choice
from gateway.exchange.rerunning import Trial
from gateway.exchange.unmapped_orders import Unmapped
from gateway.services.caller import Caller
from gateway.store.maps import ReplayRow


class OperatorStories(Protocol):
    """Stories of the IT office; another hospital's matters are as absent ones."""

    def named(self, organization: str) -> str:
        """An organisation's name."""

    async def glance(self, caller: Caller) -> Glance:
        """What to know first."""

    async def messages(self, asked: Asked, caller: Caller) -> Monitor:
        """A page of messages, and counts by source."""

    async def message(self, id: str, caller: Caller) -> tuple[Kept, tuple[Became, ...]]:
        """One message and what it became."""

    async def try_message(self, id: str, caller: Caller) -> Trial:
        """What reading it again would change."""

    async def rerun_message(self, id: str, caller: Caller) -> bool:
        """Read it again: whether anything was written otherwise."""

    async def reruns(self, caller: Caller) -> tuple[ReplayRow, ...]:
        """Replays of own sources, newest first."""

    async def try_messages(self, source: str, choice: Choice, caller: Caller) -> int:
        """Start a dry replay."""

    async def settle_rerun(self, id: int, act: str, caller: Caller) -> None:
        """Do what a dry one told of, pause one, let it go on."""

    async def system_clients(self, caller: Caller) -> tuple[Client, ...]:
        """Own system clients and their keys."""

    async def certificates(self, caller: Caller) -> tuple[Certificate, ...]:
        """The gateway's own certificate and those that own sources are known by."""

    async def ending(self, caller: Caller) -> int:
        """How many clients and certificates are not let in any more soon."""

    async def add_client_key(self, id: str, text: str, ends: int, caller: Caller) -> None:
        """Add a public key beside those it holds."""

    async def drop_client_key(self, id: str, kid: str, at_once: bool, caller: Caller) -> None:
        """Drop one of several keys."""

    async def revoke_client(self, id: str, reason: str, caller: Caller) -> None:
        """End a client."""

    async def unknown_orders(self, caller: Caller, *, taken: bool = False) -> tuple[Unmapped, ...]:
        """Order codes that the catalogue does not know; `taken` away as a file."""

    async def send_again(self, id: str, caller: Caller) -> None:
        """Try a message to the own HIS again."""

    async def tell_again(self, id: int, caller: Caller) -> None:
        """Try to tell the own HIS of an alert that could not be told."""
