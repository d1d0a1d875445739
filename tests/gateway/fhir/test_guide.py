"""The guide's example of sending over HTTP, run as it is printed against a county behind its server."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mappings
from tests.gateway.fhir.conftest import KEY, Door, register

pytestmark = pytest.mark.asyncio(loop_scope="module")
GUIDE = (Path(mappings.__path__[0]) / "README.md").read_text("utf-8")
ROWS = (
    "BRID,XM,XB,CSRQ,SFZH,BGDH,BBLX,XMDM,XMMC,JG,DW,CKFW,TS,CYSJ,BGSJ,ZT,GXSJ\n"
    "S1,赵一,女,1976-05-20,,R1,血清,A01,谷丙转氨酶,31.0,U/L,9-50,,2026-02-20 07:30:00,"
    "2026-02-20 09:30:00,2,2026-02-20 09:31:00\n"
).encode("gb18030")


async def test_the_example_of_the_guide_gets_a_token_and_is_kept_once(full: Door) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    told: dict[str, Any] = {}
    exec(example, told)
    told["time"] = SimpleNamespace(time=lambda: full.house.services.now() // 1_000_000)
    await register(full.house, "tcm-lis", "system/*.c", ())
    gateway = full.house.services.settings.base_url

    def send_twice() -> list[list[dict[str, str]]]:
        bearer = told["token"](gateway, "tcm-lis", KEY)
        return [told["send"](gateway, "tcm-lis", ROWS, "text/csv", bearer) for _ in range(2)]

    first, second = await asyncio.to_thread(send_twice)
    assert [one["outcome"] for one in first] == ["new"]
    assert [one["outcome"] for one in second] == ["again"]
    await full.house.work()
    found = await full.house.issues()
    assert ("stop", "columns-missing") not in found
