"""A real county with residents' accounts, served on a loopback port by a thread of its own."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Coroutine
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette

from gateway.auth import people
from gateway.auth.first_password import first_password
from gateway.demo import story
from gateway.demo.check import free_port
from gateway.demo.residents import Resident
from gateway.exchange import mandates, own_accounts, sources
from gateway.portal import routes
from gateway.portal.county import stories
from gateway.portal.local import LocalPeople
from gateway.services import Services, open_services
from gateway.services.caller import OPERATOR
from gateway.settings import Settings
from gateway.vault import KeyFile
from tests.gateway.exchange.house import REGISTRAR, Clock, House, person
from tests.gateway.exchange.residents_at_desk import Post, guardian

T = TypeVar("T")
PASSWORD = "eleven-chars"
HOSTILE = "<img src=x onerror=alert(1)>陈"
MOTHER = person("mother", HOSTILE, date(1988, 8, 8), sex="female")
AUNT = person("aunt", HOSTILE, date(1979, 4, 4), sex="female")
UNCLE = person("uncle", "王柏舟", date(1985, 5, 5))  # no hospital has sent him
CHILD = person("child", "王若谷", date(2016, 3, 1))


class OwnTown:
    """A mother and a child with results, their doctors, and the desk."""

    def __init__(self, folder: Path, migrated: Path, register: Path = story.REGISTER) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        for which in ("records", "keyring"):
            shutil.copyfile(migrated / f"{which}.sqlite", folder / f"{which}.sqlite")
        self.settings = Settings(
            data=folder,
            county="yunxi",
            county_file=register,
            catalogue=story.CATALOGUE,
            base_url=self.address,
            demo=True,
            mllp_port=0,
            answer_floor_ms=0,
            contact="0573-00000000",
        )
        KeyFile.create(self.settings.root_key, demo=True)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.services: Services = self.do(open_services(self.settings))
        self.do(sources.declare(self.services))
        self.post = Post(self.services)
        self.logins: dict[str, str] = {}
        self.do(self._settle())
        app = Starlette(
            routes=routes(self.services, stories(self.services), LocalPeople(self.services))
        )
        config = uvicorn.Config(app, port=port, log_config=None, lifespan="off", loop="none")
        self.server = uvicorn.Server(config)
        asyncio.run_coroutine_threadsafe(self.server.serve(), self.loop)
        while not self.server.started:
            pass

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run in the county's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        self.server.should_exit = True
        self.do(self.services.close())
        self.loop.call_soon_threadsafe(self.loop.stop)

    async def _staff(self, *roles: str) -> None:
        """Everybody who works in the pretend county with one of these roles."""
        for one in story.ACCOUNTS:
            if one.role in roles:
                await people.open_account(
                    self.services,
                    login=one.login,
                    name=one.name,
                    organization=one.organization,
                    password=PASSWORD,
                    roles=(one.role,),
                    by=OPERATOR,
                )

    async def _settle(self) -> None:
        await self._staff(*people.ROLES)
        house = House(self.services, Clock())
        for who, mrn in ((MOTHER, "0000000001"), (CHILD, "0000000002")):
            await house.send(
                house.adt(who, mrn, visit="V" + mrn),
                house.oru(who, mrn, ("ALT", "62.40", "F"), report="R" + mrn, visit="V" + mrn),
            )
        await house.work()
        # Once she came without her card: nobody knows yet whether that folder is hers.
        await house.send(house.adt(replace(MOTHER, number=""), "0000000003", visit="V3"))
        await house.work()
        await self._account(MOTHER)
        await self._account(AUNT)
        given = guardian(self.logins["mother"])
        await mandates.record(CHILD.number, given, REGISTRAR, self.services)

    async def _account(self, who: Resident) -> None:
        desk = replace(REGISTRAR, address="10.0.0.2")
        login = await own_accounts.ask(who.number, who.name, who.phone, desk, self.services)
        await own_accounts.confirm(login, self.post.code(), desk, self.services)
        code = self.post.code()
        await first_password(
            self.services, login=login, code=code, password=PASSWORD, address="10.0.0.9"
        )
        self.logins[who.key] = login


class OfficeTown(OwnTown):
    """A county with nobody but the commission and the IT offices."""

    async def _settle(self) -> None:
        await self._staff("commission", "it")
