"""Residents with accounts of their own, opened at the desk as it is done, for tests."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date

from gateway.auth.first_password import first_password
from gateway.demo.residents import Resident
from gateway.exchange import mandates, own_accounts
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.messenger import KeptMessenger
from tests.gateway.exchange.house import REGISTRAR, person

PASSWORD = "eleven-chars"
SCAN = b"%PDF-1.4 a document"
MOTHER = person("mother", "陈安岚", date(1988, 8, 8), sex="female")
CHILD = person("child", "王若谷", date(2016, 3, 1))
YOUTH = person("youth", "陈星野", date(2010, 6, 1))


@dataclass
class Post:
    """What arrived on telephones."""

    services: Services

    @property
    def sent(self) -> list[tuple[str, str]]:
        messenger = self.services.messenger
        assert isinstance(messenger, KeptMessenger)
        return messenger.sent

    def code(self, phone: str = "") -> str:
        """The code of the last message (to that telephone)."""
        said = next(text for to, text in reversed(self.sent) if phone in ("", to))
        found = re.search(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}|(?<!\d)\d{6}(?!\d)", said)
        assert found, said
        return found.group()


async def account(
    who: Resident, services: Services, *, phone: str = "", caller: Caller = REGISTRAR
) -> Caller:
    """Open an account at the desk and set its password; its owner as a session makes them."""
    post, phone = Post(services), phone or who.phone
    login = await own_accounts.ask(who.number, who.name, phone, caller, services)
    await own_accounts.confirm(login, post.code(phone), caller, services)
    await first_password(
        services, login=login, code=post.code(phone), password=PASSWORD, address="10.0.0.9"
    )
    return myself(login, who.name)


def myself(login: str, name: str = "") -> Caller:
    """The caller of a resident's own session."""
    return Caller(
        client="portal",
        organization="county",
        role="patient",
        user=login,
        name=name,
        purpose="PATRQT",
        session="0123456789abcdef",
        address="10.0.0.9",
    )


def for_another(caller: Caller) -> Caller:
    """The same person, acting for somebody."""
    return replace(caller, role="representative", purpose="FAMRQT")


def guardian(login: str, **more: object) -> mandates.Given:
    given = {
        "ground": "guardian",
        "login": login,
        "relation": "parent",
        "document": "birth-certificate",
        "witness": "周立",
        "scan": SCAN,
    }
    return mandates.Given(**(given | more))  # type: ignore[arg-type]


def mandate(login: str, **more: object) -> mandates.Given:
    given = {"ground": "mandate", "relation": "child", "document": "signed-mandate"}
    return guardian(login, **(given | more))
