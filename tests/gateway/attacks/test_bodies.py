"""Attacks with bodies: too slow, too many at once, and what nobody foresaw."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.app import Application
from gateway.bodies import Bodies
from gateway.errors import Kind, Problem
from gateway.settings import Settings


def pieces(*sizes: int, then: float = 0.0) -> Any:
    """A `receive` with pieces of these sizes, more to come, and then silence."""
    left = list(sizes)

    async def receive() -> dict[str, Any]:
        if left:
            return {"type": "http.request", "body": b"x" * left.pop(0), "more_body": True}
        await asyncio.sleep(then or 3_600)
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


async def test_a_sender_that_falls_silent_is_as_one_that_hung_up():
    bodies = Bodies(1_000, within=0.02)
    body = bodies.watched(pieces(10))

    assert (await body())["type"] == "http.request"
    assert (await body())["type"] == "http.disconnect"


async def test_a_body_that_trickles_for_ever_ends():
    bodies = Bodies(1_000, within=0.02, whole=0.03)
    body = bodies.watched(pieces(1, 1, 1))
    await body()
    await asyncio.sleep(0.04)

    assert (await body())["type"] == "http.disconnect"


async def test_bodies_are_bounded_together_and_free_again_when_done():
    bodies = Bodies(100)
    first, second = bodies.watched(pieces(60)), bodies.watched(pieces(60))
    await first()
    with pytest.raises(Problem) as told:
        await second()
    assert told.value.kind is Kind.BUSY

    first.close()
    second.close()
    assert bodies.held == 0
    await bodies.watched(pieces(100))()


async def test_the_text_of_what_nobody_foresaw_is_not_printed(monkeypatch, capfd):
    """A server that prints tracebacks prints the numbers in them."""

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("CANARY-11010119310203000X")

    services = SimpleNamespace(settings=Settings(demo=True))
    app = Application.__new__(Application)
    app.services = cast(Any, services)
    app._rest = cast(Any, broken)
    app._bodies = Bodies(1_000)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/intake/x", "method": "POST", "headers": []}
    await app(scope, pieces(), send)

    assert sent[0]["status"] == 500
    said = capfd.readouterr()
    assert "CANARY" not in str(sent) + said.out + said.err
