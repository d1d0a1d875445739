"""A HIS that floods the hooks over a real socket: late answers, broken calls and calls that are too much."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.cds import door as hooks
from gateway.exchange import prompting
from gateway.recognition.ledger import Happened
from gateway.store import charts as rows
from tests.gateway.cds.conftest import ward
from tests.gateway.cds.ordering import ALT, SELECT, call, events, order, post
from tests.gateway.cds.test_prompts import NOTHING, cut_off
from tests.gateway.fhir.conftest import Door

__all__ = ["ward"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_many_late_answers_gather_no_more_work_than_a_bound_and_none_is_lost(
    ward: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, most = ward.house.services, 0
    slow, counting = rows.grounds, prompting.unanswered

    async def grounds(*given: Any) -> Any:
        await asyncio.sleep(2)
        return await slow(*given)

    async def unanswered(*given: Any) -> None:
        nonlocal most
        most = max(most, len(hooks._behind))
        await asyncio.sleep(0.1)
        await counting(*given)

    before = len(await events(ward, Happened.UNANSWERED))
    counted = services.counts["cds_unanswered"]
    with monkeypatch.context() as patched, cut_off(ward, 50):
        patched.setattr(hooks, "MOST_BEHIND", 3)
        patched.setattr(rows, "grounds", grounds)
        patched.setattr(prompting, "unanswered", unanswered)
        answers = await asyncio.gather(
            *(
                post(ward, SELECT, call(ward, SELECT, order("a", ALT), encounterId=f"F{n}"))
                for n in range(20)
            )
        )
        await asyncio.gather(*hooks._behind)

    assert [(one.status_code, one.json()) for one in answers] == [(200, NOTHING)] * 20
    assert 0 < most <= 3
    assert services.counts["cds_unanswered"] == counted + 20
    assert len(await events(ward, Happened.UNANSWERED)) == before + 20


async def test_ten_thousand_lines_and_a_body_without_end_are_refused_in_form(ward: Door) -> None:
    lines = [{"resourceType": "ServiceRequest", "id": str(n)} for n in range(10_000)]
    many = await post(ward, SELECT, call(ward, SELECT, *lines, selections=[]))
    endless = await post(ward, SELECT, b"{" + b" " * hooks.LONG + b"}")
    assert (many.status_code, many.json()["at"]) == (400, "context.draftOrders.entry")
    assert (endless.status_code, endless.headers["connection"]) == (413, "close")


async def test_callers_that_go_in_the_middle_of_a_call_leave_the_door_open(ward: Door) -> None:
    port = ward.house.services.settings.port
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"POST /cds-services/{SELECT} HTTP/1.1\r\nhost: x\r\n"
            "content-type: application/json\r\ncontent-length: 5000\r\n\r\n{".encode()
        )
        await writer.drain()
        writer.close()
    answer = await post(ward, SELECT, call(ward, SELECT, order("a", ALT), encounterId="F99"))
    assert (answer.status_code, len(answer.json()["cards"])) == (200, 1)
    assert not hooks._behind
