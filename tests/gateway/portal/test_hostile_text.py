"""Whatever text others send – names, items, values, units, reasons, words – stays text on every page."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import httpx
import pytest
from lxml import html

from tests.gateway.portal.conftest import County
from tests.gateway.portal.fake_records import NUMBER
from tests.gateway.portal.test_door import client, signed_in, token  # noqa: F401 - a fixture
from tests.gateway.portal.test_harness import pages_of

HOSTILE = "<x-evil onclick=a()>\"'><!--{{7*7}}&lt;"
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
FIRST = {"zhou": "/look-up", "lin": "/consents/find", "gu": "", "he": "", "bai": ""}


def hostile(value: Any) -> Any:
    """The same value, with every text in Chinese – what people and systems wrote – made hostile."""
    if isinstance(value, str):
        return value + HOSTILE if _CHINESE.search(value) else value
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(hostile(one) for one in value)
    if isinstance(value, list):
        return [hostile(one) for one in value]
    if isinstance(value, dict):
        return {key: hostile(one) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value,
            **{one.name: hostile(getattr(value, one.name)) for one in fields(value) if one.init},
        )
    return value


class Hostile:
    """A county whose every answer is hostile."""

    def __init__(self, county: Any) -> None:
        self._county = county

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._county, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def asked(*given: Any, **named: Any) -> Any:
            return hostile(await found(*given, **named))

        return asked


@pytest.mark.parametrize("login", FIRST)
async def test_nothing_that_others_wrote_becomes_an_element(
    client: httpx.AsyncClient,  # noqa: F811
    county: County,
    login: str,
) -> None:
    county.stories = Hostile(county.stories)  # type: ignore[assignment]
    county.__post_init__()
    client._transport = httpx.ASGITransport(app=county.app)
    csrf = await signed_in(client, login)
    if FIRST[login]:
        asked = {"csrf": csrf, "kind": "resident-id", "number": NUMBER}
        await client.post("/portal" + FIRST[login], data=asked)
    literal = 0
    pages = [one.path for one in pages_of(county) if "{" not in one.path]
    seen: set[str] = set()
    while pages:
        answer = await client.get(f"/portal{pages.pop(0)}")
        if answer.status_code != 200 or "html" not in answer.headers["content-type"]:
            continue
        tree = html.fromstring(answer.text)
        assert tree.xpath("//x-evil | //@onclick") == [], answer.url
        literal += "".join(tree.itertext()).count(HOSTILE)
        new = set(_reports(tree.xpath("//a/@href"))) - seen
        seen |= new
        pages += sorted(new)[:2]

    assert literal > 0


def _reports(links: Iterable[str]) -> Iterable[str]:
    return (one.removeprefix("/portal") for one in links if re.search(r"/[0-9a-f]{16,}$", one))
