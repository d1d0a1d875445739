"""The portal's people: the county's local accounts and their browser sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.auth import people
from gateway.errors import Kind, Problem
from gateway.portal.stories import DemoAccount, Session
from gateway.services import Services


class LocalPeople:
    """`People` over `gateway.auth.people`; what a session has in hand is one sealed JSON text."""

    def __init__(self, services: Services, demo: tuple[DemoAccount, ...] = ()) -> None:
        self._services = services
        self._demo = demo

    async def sign_in(
        self, login: str, password: str, role: str, address: str, before: str | None
    ) -> str | None:
        """The cookie of a new session; None whatever was wrong."""
        try:
            admitted = await people.sign_in(
                self._services,
                login=login,
                password=password,
                role=role,
                address=address,
                before=before,
            )
        except Problem as problem:
            if problem.kind is Kind.UNAUTHENTICATED:
                return None
            raise
        return admitted.cookie

    async def session_at(self, cookie: str, address: str) -> Session | None:
        """The living session behind a cookie."""
        found = await people.session_at(cookie, self._services, address)
        if found is None:
            return None
        return Session(
            caller=found.caller,
            csrf=found.csrf,
            name=found.handle,
            organization=self._services.register.get(found.caller.organization).name,
            memory=json.loads(found.chart) if found.chart else {},
        )

    async def remember(self, session: Session, memory: Mapping[str, Any]) -> None:
        """Replace what the session keeps in hand."""
        await people.keep(
            _portal_caller(session), self._services, chart=json.dumps(memory, ensure_ascii=False)
        )

    async def sign_out(self, session: Session) -> None:
        """End the session at once."""
        await people.sign_out(_portal_caller(session), self._services)

    def demo_accounts(self) -> tuple[DemoAccount, ...]:
        """What the sign-in page of the demo prints."""
        return self._demo


def _portal_caller(session: Session) -> people.PortalCaller:
    return people.PortalCaller(session.caller, session.csrf, session.name)
