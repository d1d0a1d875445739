"""A county in which people have worked: every form of the newer pages was sent once, without scripts."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from datetime import date

from openpyxl import load_workbook
from playwright.sync_api import Browser, Page
from sqlalchemy import select

from gateway.demo import recognised
from gateway.demo import registers as pretend
from gateway.exchange import ledger, statistics
from gateway.store import log_tables
from gateway.store.statements import Statement
from tests.gateway.exchange.house import Clock, House
from tests.gateway.portal.conftest import Eyes
from tests.gateway.portal.own_town import MOTHER, OwnTown
from tests.gateway.portal.test_mine import give

_KIND = log_tables.AuditEvent.__table__.c.kind  # type: ignore[attr-defined]
_KINDS = Statement(select(_KIND).where(_KIND != "vouched"))  # those come with what is vouched for
DOCTOR = "dr-li"  # of another hospital than the results


def events(town: OwnTown) -> Counter[str]:
    """How many events of each kind stand in the log."""
    return Counter(str(row[0]) for row in town.do(town.services.db.read(_KINDS)))


def take_in_hand(eyes: Eyes) -> None:
    """Open the mother's record, saying why where that is asked."""
    eyes.go("/look-up")
    page = eyes.find(MOTHER.number)
    if page.url.endswith("/claim"):
        page.check("input[name=declared]")
        page.fill("#reason", "门诊接诊，需要调阅既往结果")
        eyes.press("main form:has(#reason) .primary")


class Life:
    """What people do, one after another; each step says which events it left."""

    def __init__(self, chromium: Browser, town: OwnTown) -> None:
        self.town = town
        self.eyes = Eyes(chromium, town.address, java_script_enabled=False)
        self.eyes.context.set_default_timeout(20_000)

    def told(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Every step's name, and the kinds of events it left."""
        self._begin()
        steps = self.steps()
        before = events(self.town)
        for name in steps:
            after = events(self.town)
            yield name, dict(after - before)
            before = events(self.town)
        self.eyes.context.close()

    def _begin(self) -> None:
        """Results of today, two months of figures, and registers."""
        town = self.town
        house, today = House(town.services, Clock()), date.today().strftime("%Y%m%d")
        raw = house.oru(MOTHER, "0000000001", report="RNOW", visit="V0000000001", control="RNOW")
        town.do(house.send(raw.replace(b"20260220", today.encode())))
        town.do(house.work())
        town.do(pretend.fill(town.services))
        happened = list(recognised.events(date.today(), town.services))
        town.do(
            town.services.db.do(lambda tx: ledger.add(tx, ledger.prepared(happened, town.services)))
        )

    def steps(self) -> Iterator[str]:
        eyes, page = self.eyes, self.eyes.page
        page.goto("/portal/display")
        page.check("input[value=dark]")
        eyes.press("main .primary")
        yield "display"
        eyes.enter(self.town.logins["mother"])
        give(eyes, self.town)
        yield "consent"
        eyes.sign_out()
        yield from self._doctor(page)
        eyes.sign_out()
        eyes.enter("commission")
        yield from self._catalogue(page)
        yield from self._entitlements(page)
        yield from self._rights(page)
        yield from self._figures(page)
        eyes.sign_out()

    def _doctor(self, page: Page) -> Iterator[str]:
        eyes = self.eyes
        eyes.enter(DOCTOR)
        take_in_hand(eyes)
        yield "claim"
        for again in (False, True):
            eyes.go("/results?view=list")
            eyes.press(page.locator("a.open").first)
            eyes.press("button[value=accepted]")
            assert page.locator(".decided li").count() == 1
            yield "decide again" if again else "decide"
            if not again:
                eyes.press(".decided a")
                page.fill("#words", "病情有变化")
                eyes.press("form:has(#words) button")
                yield "revoke"

    def _catalogue(self, page: Page) -> Iterator[str]:
        address = f"{self.town.address}/portal/county/catalogue/file"
        book = load_workbook(io.BytesIO(page.request.get(address).body()))
        book["项目"]["N2"].value = 5
        kept = io.BytesIO()
        book.save(kept)
        self.eyes.go("/county/catalogue")
        page.set_input_files(
            "#file",
            {"name": "x.xlsx", "mimeType": "application/zip", "buffer": kept.getvalue()},
        )
        page.fill("#note", "shorter")
        self.eyes.press("form:has(#file) .primary")
        assert page.locator("form[action$='/catalogue/decide']").count() == 1
        yield "catalogue draft"

    def _entitlements(self, page: Page) -> Iterator[str]:
        eyes = self.eyes
        eyes.go("/county/entitlements")
        eyes.press(page.locator(".matrix td:has(.good) a").last)
        page.fill("#reason", "EQA not passed")
        eyes.press("button[value=suspended]")
        yield "suspend"

    def _rights(self, page: Page) -> Iterator[str]:
        eyes = self.eyes
        eyes.go("/county/rights")
        page.select_option("#holder", "level:province")
        page.check("input[name=class][value=imaging]")
        page.check("input[name=use_of][value=view]")
        page.fill("#document", "省文（演示）")
        page.fill("#start", "2026-02-01")
        page.fill("#end", "2027-12-31")
        eyes.press("form:has(#holder) .primary")
        yield "right drafted"
        eyes.sign_out()
        eyes.enter("commission-second")
        eyes.go("/county/rights")
        waiting = page.locator("input[name=draft]").count()
        for box in page.locator("input[name=draft]").all():
            box.set_checked("level:province" in (box.get_attribute("value") or ""))
        eyes.press("button[value=approve]")
        assert page.locator("input[name=draft]").count() == waiting - 1
        yield "right approved"

    def _figures(self, page: Page) -> Iterator[str]:
        eyes = self.eyes
        last = self.town.do(statistics.months(self.town.services))[1]
        eyes.go(f"/county/statistics?month={last}")
        eyes.press("form[action$='/freeze'] button")
        assert page.locator("#frozen + .card .mark.good").count() == 1
        yield "freeze"
        eyes.sign_out()
        eyes.enter("it-office")
        eyes.go(f"/figures?month={last}")
        page.fill("main #text", "one is missing")
        eyes.press("form[action$='/object'] button")
        assert page.locator(".objection").count() == 1
        yield "object"
