"""A county at its doors: a real store, real keys, a real log, a clock that tests move."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import create_engine
from sqlmodel import col, select

from gateway.auth import bearer, systems
from gateway.demo import story
from gateway.services import Services, register
from gateway.services.log import AccessLog
from gateway.settings import Settings
from gateway.store import clients, schema
from gateway.store.engine import open_store
from gateway.store.keyring import StoredKeyring
from gateway.store.log_tables import AuditEvent
from gateway.vault import KeyFile, Vault, Wrapped

NOON = 1_772_337_600_000_000  # 2026-03-01T12:00:00+08:00
SECOND = 1_000_000
TOKEN_URL = "http://127.0.0.1:8080/auth/token"


class Clock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> int:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += int(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def services(tmp_path: Any, clock: Clock) -> AsyncIterator[Services]:
    for name, metadata in (("records", schema.records), ("keyring", schema.keyring)):
        engine = create_engine(f"sqlite:///{tmp_path}/{name}.sqlite")
        metadata.create_all(engine)
        engine.dispose()
    db = open_store(f"sqlite:///{tmp_path}/records.sqlite")
    keyring = open_store(f"sqlite:///{tmp_path}/keyring.sqlite")
    root = KeyFile.create(tmp_path / "root.key", demo=True)
    vault = await Vault.open(StoredKeyring(keyring, Wrapped), root, "test")
    yield cast(
        Services,
        SimpleNamespace(
            settings=Settings(demo=True),
            db=db,
            vault=vault,
            log=AccessLog(db, vault, "test", clock),
            register=register.load(story.REGISTER),
            now=clock,
        ),
    )
    await vault.close()
    await db.close()
    await keyring.close()


@pytest.fixture
def noted(services: Services) -> Callable[[], Any]:
    """(kind, outcome, actor, client) of every event so far."""

    async def events() -> list[tuple[str, str, str, str]]:
        def read(session: Any) -> list[tuple[str, str, str, str]]:
            rows = session.exec(select(AuditEvent).order_by(col(AuditEvent.counter)))
            return [(row.kind, row.outcome, row.actor, row.client) for row in rows]

        return await services.db.session(read)

    return events


EC = ECKey.generate_key("P-384", {"kid": "ec-1", "use": "sig", "alg": "ES384"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig", "alg": "RS384"})
STRANGER = ECKey.generate_key("P-384", {"kid": "ec-1", "use": "sig", "alg": "ES384"})


@dataclass
class Hospital:
    """A registered system and how it signs; tests bend one thing at a time."""

    clock: Clock
    id: str = "people-his"
    count: int = field(default=0)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Good claims but for what is changed; None leaves one out."""
        self.count += 1
        now = self.clock.at // SECOND
        claims = {
            "iss": self.id,
            "sub": self.id,
            "aud": TOKEN_URL,
            "iat": now,
            "exp": now + 240,
            "jti": f"jti-{self.count}",
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def assertion(
        self, *, key: Any = EC, header: dict[str, Any] | None = None, **changed: Any
    ) -> str:
        """A signed assertion, good but for what is changed."""
        head = {"alg": "RS384" if key is RSA else "ES384", "kid": key.kid, "typ": "JWT"}
        head |= header or {}
        return jwt.encode(
            {name: value for name, value in head.items() if value is not None},
            self.claims(**changed),
            key,
            algorithms=["ES384", "RS384", "HS256", "RS256", "ES256"],
            registry=_lenient(),
        )

    def form(self, assertion: str, scope: str = "system/*.rs") -> dict[str, str]:
        """The fields of a token request."""
        return {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }


def _lenient() -> Any:
    from joserfc.jws import JWSRegistry

    registry = JWSRegistry(
        algorithms=["ES384", "RS384", "HS256", "RS256", "ES256"], strict_check_header=False
    )
    registry.check_header = lambda header: None  # type: ignore[method-assign]
    registry.max_header_length = 100_000
    return registry


@pytest.fixture
async def hospital(services: Services, clock: Clock) -> Hospital:
    """The people's hospital, registered for reading and pushing, for clinicians and registrars."""
    await register_client(services, "people-his", "people")
    return Hospital(clock)


async def register_client(
    services: Services, id: str, organization: str, scopes: str = "system/*.rs system/Bundle.c"
) -> None:
    keys = {"keys": [EC.as_dict(private=False), RSA.as_dict(private=False)]}

    def put(tx: Any) -> None:
        clients.put(
            tx,
            id=id,
            organization=organization,
            name="HIS",
            jwks=json.dumps(keys),
            scopes=scopes,
            roles=("clinician", "registrar"),
            at=NOON,
        )

    await services.db.do(put)


@pytest.fixture(name="register_client")
def _register_client() -> Any:
    return register_client


@pytest.fixture
def ec() -> ECKey:
    """The hospital's key on P-384."""
    return EC


@pytest.fixture
def rsa() -> RSAKey:
    """The hospital's RSA key."""
    return RSA


@pytest.fixture
def stranger() -> ECKey:
    """Somebody else's key under the hospital's `kid`."""
    return STRANGER


@pytest.fixture
def access() -> Any:
    """Get a token and show who it speaks for, as the resource doors see it."""

    async def caller(services: Services, hospital: Hospital, **changed: Any) -> Any:
        told = await systems.issue(hospital.form(hospital.assertion(**changed)), services)
        headers = {"authorization": f"Bearer {told['access_token']}"}
        return await bearer.caller_of(headers, services)

    return caller
