"""One hospital's interface over a real store, with a clock that tests move."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.services import Services
from gateway.services.log import AccessLog
from tests.gateway.exchange.house import Clock, House


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def house(services: Services, clock: Clock) -> House:
    """The county of `services` with the test's clock."""
    log = AccessLog(services.db, services.vault, "test", clock)
    return House(replace(services, now=clock, log=log), clock)
