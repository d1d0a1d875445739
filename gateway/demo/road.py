"""The pretend county under way, and whoever walks in it: browsers, tokens, signed calls."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import httpx
from joserfc import jwt

from gateway.demo import founding, story
from gateway.demo.browser import Browser, Page
from gateway.demo.residents import Resident
from gateway.services import Services

PURPOSE = "urn:oid:2.16.840.1.113883.5.8#TREAT"
ADMIN = "urn:oid:2.16.840.1.113883.5.8#PATADMIN"


class Failed(AssertionError):
    """A station did not do what it is for."""


def expect(true: object, says: str) -> None:
    """Go on, or fail with the sentence."""
    if not true:
        raise Failed(says)


@dataclass
class Road:
    """The county under way and whoever walks in it."""

    services: Services
    keys: founding.Keys
    county: story.County
    base: str
    mllp_port: int
    browsers: dict[str, Browser] = field(default_factory=dict)
    story_results: Page | None = None

    @property
    def shen(self) -> Resident:
        """The resident of the story."""
        return self.county.resident(story.STORY)

    async def browser(self, login: str) -> Browser:
        """A browser signed in as `login`."""
        if login not in self.browsers:
            browser = Browser(self.base)
            page = await browser.go("/portal/sign-in")
            page = await browser.submit(
                page, "/sign-in", {"login": login, "password": story.PASSWORD}
            )
            expect(page.status == 200 and "/sign-in" not in page.path, f"{login} cannot sign in")
            self.browsers[login] = browser
        return self.browsers[login]

    def assertion(self, client: str, audience: str, login: str = "") -> str:
        """What a client signs to say who it is, and with `login` whom it speaks for (hl7-b2b)."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": client,
            "sub": client,
            "aud": audience,
            "exp": now + 240,
            "iat": now,
            "jti": f"{client}-{time.time_ns()}",
        }
        if login:
            account = next(one for one in story.ACCOUNTS if one.login == login)
            claims["extensions"] = {
                "hl7-b2b": {
                    "version": "1",
                    "subject_name": account.name,
                    "subject_id": login,
                    "subject_role": account.role,
                    "organization_id": account.organization,
                    "purpose_of_use": [PURPOSE if account.role == "clinician" else ADMIN],
                }
            }
        key = self.keys.private[client]
        header = {"alg": "ES384", "kid": f"{client}-1", "typ": "JWT"}
        return jwt.encode(header, claims, key, algorithms=["ES384"])

    async def token(self, client: str, login: str = "") -> str:
        """An access token by private_key_jwt; with `login`, for that person's treatment."""
        audience = f"{self.base}/auth/token"
        scopes = next(one.scopes for one in story.CLIENTS if one.id == client)
        async with httpx.AsyncClient() as http:
            answer = await http.post(
                f"{self.base}/auth/token",
                data={
                    "grant_type": "client_credentials",
                    "scope": scopes,
                    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    "client_assertion": self.assertion(client, audience, login),
                },
            )
        expect(answer.status_code == 200, f"no token for {client}: {answer.status_code}")
        return str(answer.json()["access_token"])
