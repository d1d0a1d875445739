"""Sources: what is said of one can be corrected, and only that."""

from __future__ import annotations

import pytest

from gateway.errors import Kind, Problem
from gateway.exchange import receive, sources
from gateway.services.caller import Caller
from gateway.store import inbox
from tests.gateway.exchange.house import House
from tests.logged import kinds

WHO = Caller(client="command-line", organization="county", role="operator", user="operator")


async def test_what_is_not_named_stays_and_an_event_says_what_was_changed(house: House) -> None:
    before = await receive.source_named("people-his", house.services)

    await sources.change(
        "people-his", house.services, WHO, facility="DS01", certificate="AB:CD", map=None
    )

    after = await receive.source_named("people-his", house.services)
    assert after == before._replace(facility="DS01", certificate="abcd")
    others = [inbox.SourceRow(*row) for row in await house.services.db.read(inbox.SOURCES)]
    assert [one.name for one in others if one.facility == "DS01"] == ["people-his"]
    assert "config" in await kinds(house.services)


async def test_nobody_changes_a_source_that_is_not_there(house: House) -> None:
    before = await kinds(house.services)
    with pytest.raises(Problem) as refused:
        await sources.change("nobody", house.services, WHO, facility="DS01")
    assert refused.value.kind is Kind.UNKNOWN
    assert await kinds(house.services) == before
