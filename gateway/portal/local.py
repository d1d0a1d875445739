"""The portal's people: the county's local accounts and their browser sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import segno

from gateway.auth import factors, people
from gateway.errors import Kind, Problem
from gateway.portal.emergency_stories import NewFactor
from gateway.portal.stories import DemoAccount, Session
from gateway.services import Services
from gateway.services.caller import Caller


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

    async def launched(
        self, ticket: str, address: str, before: str | None
    ) -> tuple[str, str] | None:
        """The cookie of a launched session and its prompt; None for no good ticket."""
        try:
            admitted, card = await people.launched(self._services, ticket, address, before)
        except Problem as problem:
            if problem.kind is Kind.UNKNOWN:
                return None
            raise
        return admitted.cookie, card

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
            strong=found.strong,
        )

    async def remember(self, session: Session, memory: Mapping[str, Any]) -> None:
        """Replace what the session keeps in hand."""
        await people.keep(
            _portal_caller(session), self._services, chart=json.dumps(memory, ensure_ascii=False)
        )

    async def sign_out(self, session: Session) -> None:
        """End the session at once."""
        await people.sign_out(_portal_caller(session), self._services)

    async def has_factor(self, session: Session) -> bool:
        """Whether the account has a second factor."""
        return await factors.has(self._services, session.caller.user)

    def new_factor(self, session: Session, secret: str = "") -> NewFactor:
        """A secret for an authenticator app, as text and as a picture."""
        secret = secret or factors.new_secret()
        county = self._services.settings.county
        code = segno.make_qr(factors.address(session.caller.user, secret, county), error="m")
        return NewFactor(secret, code.svg_data_uri(scale=5, border=4, dark="#17262a"))

    async def enrol(self, session: Session, secret: str, password: str, code: str) -> bool:
        """Take the secret for the account."""
        return await factors.enrol_own(
            self._services, _portal_caller(session), secret, password, code
        )

    async def step_up(self, session: Session, code: str) -> tuple[str, Session] | None:
        """The session under a new cookie, strong for a few minutes."""
        portal = replace(
            _portal_caller(session), chart=json.dumps(dict(session.memory), ensure_ascii=False)
        )
        admitted = await factors.step_up(self._services, portal, code)
        if admitted is None:
            return None
        now = admitted.portal
        return admitted.cookie, replace(
            session, caller=now.caller, name=now.handle, strong=now.strong
        )

    async def vouch(
        self, login: str, password: str, code: str, role: str, address: str
    ) -> Caller | None:
        """Somebody else proves who they are."""
        return await factors.vouch(self._services, login, password, code, role, address)

    def demo_code(self, session: Session) -> str:
        """The code of this moment in the pretend county."""
        secret = next((a.secret for a in self._demo if a.login == session.caller.user), "")
        return factors.code_at(secret, self._services.now()) if secret else ""

    def demo_accounts(self) -> tuple[DemoAccount, ...]:
        """What the sign-in page of the demo prints."""
        return self._demo


def _portal_caller(session: Session) -> people.PortalCaller:
    return people.PortalCaller(session.caller, session.csrf, session.name, strong=session.strong)
