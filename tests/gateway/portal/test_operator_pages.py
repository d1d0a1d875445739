"""The IT office's pages over a real county: a second reading tried before it is done, keys, what is stuck."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from joserfc.jwk import ECKey
from playwright.sync_api import Browser

from gateway.auth import registry
from gateway.jobs.worker import Worker
from gateway.portal import operators
from gateway.services.caller import OPERATOR
from gateway.store import write_backs
from gateway.store.engine import Tx
from tests.gateway.portal.conftest import Eyes
from tests.gateway.portal.own_town import OwnTown

HOSTILE = "<img src=x onerror=alert(1)>"


def key(kid: str) -> str:
    return json.dumps(ECKey.generate_key("P-384").as_dict(private=False) | {"kid": kid})


@pytest.fixture(scope="module")
def town(town: OwnTown) -> OwnTown:
    for id, organization in (("his", "people"), ("other-his", "tcm")):
        town.do(
            registry.register(
                town.services,
                id=id,
                organization=organization,
                name=HOSTILE,
                jwks=f'{{"keys":[{key(HOSTILE)}]}}',
                scopes="system/*.c",
                by=OPERATOR,
            )
        )

    def fail(tx: Tx) -> None:
        for name, organization in (("aa" * 16, "people"), ("bb" * 16, "tcm")):
            row = (name, organization, "c" * 32, "t", 1, "failed", 24, 1, HOSTILE, b"x", "alert")
            tx.run(write_backs.ADD, *row)

    town.do(town.services.db.do(fail))
    return town


@pytest.fixture
def office(chromium: Browser, town: OwnTown) -> Iterator[Eyes]:
    eyes = Eyes(chromium, town.address, java_script_enabled=False)
    eyes.enter("it-office")
    yield eyes
    assert eyes.trouble == []
    assert eyes.page.locator("main img").count() == 0
    eyes.context.close()


@pytest.mark.browser
def test_a_message_is_tried_before_it_is_read_again_and_nothing_of_it_is_shown(
    office: Eyes,
) -> None:
    page = office.go("/messages?hours=0")
    shown = page.locator("main").inner_text()
    assert "陈" not in shown
    assert "62.40" not in shown
    office.press(page.locator("td.when a").first)
    office.press("button[value=try]")
    text = page.locator("#again").inner_text()
    assert "不会改变" in text
    assert page.locator("button[value=rerun]").count() == 0
    assert "62.40" not in page.locator("main").inner_text()
    answer = office.page.goto("/portal/messages/" + "0" * 32)
    assert answer is not None
    assert answer.status == 404


@pytest.mark.browser
def test_many_are_tried_and_counted_first(office: Eyes, town: OwnTown) -> None:
    page = office.go("/reruns")
    page.select_option("#source", "people-his")
    page.fill("#kind", "ORU^*")
    office.press("button[value=try]")
    assert page.locator("progress").count() == 1
    worker = Worker(town.services)
    for _ in range(6):
        town.do(worker.replay_some())
    office.go("/reruns")
    assert "5 / 5" in page.locator(".held").inner_text()
    assert page.locator("button[value=do]").count() == 0, "there is nothing to write"


@pytest.mark.browser
def test_a_key_is_exchanged_and_a_client_revoked_with_a_reason(office: Eyes) -> None:
    page = office.go("/clients")
    assert page.locator("section.client", has_text="other-his").count() == 0
    page.locator("section.client", has_text="his").first.locator("summary").click()
    his = page.locator("section.client").filter(has=page.locator(".code", has_text="his")).first
    his.locator("textarea").fill(key("second"))
    office.press(his.locator("button[value=add]"))
    his = page.locator("section.client", has_text="second")
    assert HOSTILE in his.inner_text()
    office.press(his.locator("tr", has_text="second").locator("button[value=drop]"))
    assert page.locator("section.client", has_text="second").count() == 0
    office.go("/clients/revoke?client=his")
    page.locator("form").evaluate_all("all => all.forEach(f => f.noValidate = true)")
    office.press("main .danger")
    assert page.locator("[role=alert]").count() == 1
    page.fill("#reason", "厂商更换")
    office.press("main .danger")
    assert page.locator("section.client .mark.bad").count() == 1


@pytest.mark.browser
def test_what_could_not_be_told_back_is_seen_first_and_sent_again(office: Eyes) -> None:
    page = office.go("/sources")
    assert page.locator("#failed .card").count() == 1, "another hospital's is not there"
    assert HOSTILE in page.locator("#failed").inner_text()
    office.press("#failed button")
    assert page.locator("#failed").count() == 0


def test_no_cell_of_the_file_of_orders_is_a_formula() -> None:
    assert [operators._cell(one) for one in ("=1+1", "@x", "-2", "血常规")] == [
        "'=1+1", "'@x", "'-2", "血常规",
    ]  # fmt: skip
