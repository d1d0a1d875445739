"""The IT office's messages, clients and stuck matters over the real county."""

from __future__ import annotations

from gateway.auth import client_keys
from gateway.auth.client_keys import Certificate, Client
from gateway.exchange import glance, messages, rerunning
from gateway.exchange.glance import Glance
from gateway.exchange.messages import Asked, Became, Kept, Monitor
from gateway.exchange.replays import Choice
from gateway.exchange.rerunning import Trial
from gateway.exchange.unmapped_orders import Unmapped
from gateway.portal.shown import Shown
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store.maps import ReplayRow


class OperatorCounty:
    """`OperatorStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    def named(self, organization: str) -> str:
        return self._shown.organization(organization)

    async def glance(self, caller: Caller) -> Glance:
        return await glance.glance(caller, self._services)

    async def messages(self, asked: Asked, caller: Caller) -> Monitor:
        return await messages.monitor(asked, caller, self._services)

    async def message(self, id: str, caller: Caller) -> tuple[Kept, tuple[Became, ...]]:
        kept = await messages.one(id, caller, self._services)
        return kept, await messages.became(id, caller, self._services)

    async def try_message(self, id: str, caller: Caller) -> Trial:
        return await rerunning.tried(id, caller, self._services)

    async def rerun_message(self, id: str, caller: Caller) -> bool:
        return await rerunning.rerun(id, caller, self._services)

    async def reruns(self, caller: Caller) -> tuple[ReplayRow, ...]:
        return await glance.reruns(caller, self._services)

    async def try_messages(self, source: str, choice: Choice, caller: Caller) -> int:
        return await glance.try_many(source, choice, caller, self._services)

    async def settle_rerun(self, id: int, act: str, caller: Caller) -> None:
        await glance.settle_many(id, act, caller, self._services)

    async def system_clients(self, caller: Caller) -> tuple[Client, ...]:
        return await client_keys.own(caller, self._services)

    async def certificates(self, caller: Caller) -> tuple[Certificate, ...]:
        return await client_keys.certificates(caller, self._services)

    async def ending(self, caller: Caller) -> int:
        return await client_keys.ending(caller, self._services)

    async def add_client_key(self, id: str, text: str, ends: int, caller: Caller) -> None:
        await client_keys.add_key(id, text, ends, caller, self._services)

    async def drop_client_key(self, id: str, kid: str, at_once: bool, caller: Caller) -> None:
        await client_keys.drop_key(id, kid, at_once, caller, self._services)

    async def revoke_client(self, id: str, reason: str, caller: Caller) -> None:
        await client_keys.revoke(id, reason, caller, self._services)

    async def unknown_orders(self, caller: Caller, *, taken: bool = False) -> tuple[Unmapped, ...]:
        return await glance.orders(caller, self._services, taken=taken)

    async def send_again(self, id: str, caller: Caller) -> None:
        await glance.send_again(id, caller, self._services)

    async def tell_again(self, id: int, caller: Caller) -> None:
        await glance.tell_again(id, caller, self._services)
