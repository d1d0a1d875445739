"""The registers of the pretend county fit each other and the shipped catalogue."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from zoneinfo import ZoneInfo

from gateway.demo import story
from gateway.recognition.catalogue import SHIPPED
from gateway.recognition.catalogue.reader import load

ZONE = ZoneInfo("Asia/Shanghai")
REGISTER = tomllib.loads(story.REGISTER.read_text("utf-8"))
CATALOGUE = load(SHIPPED, story.CATALOGUE, zone=ZONE)
ITEMS = {item.code: item for item in CATALOGUE.items}
NOW = int(datetime(2026, 11, 20, tzinfo=ZONE).timestamp()) * 1_000_000


def states(organization: str, code: str) -> list[tuple[str, str, bool]]:
    return [
        (one.scope, one.status, one.valid.covers(NOW))
        for one in CATALOGUE.entitlements(organization, ITEMS[code])
    ]


def test_sources_accounts_and_clients_belong_to_registered_organisations():
    known = {one["id"] for one in REGISTER["organization"]}
    sources = {one["name"]: one["organization"] for one in REGISTER["source"]}

    assert known == {"county", "people", "tcm", "mch", "township"}
    assert set(sources.values()) <= known
    assert {one.organization for one in story.ACCOUNTS} <= known
    for client in story.CLIENTS:
        assert client.organization in known
        assert not client.source or sources[client.source] == client.organization


def test_everything_that_is_sent_comes_from_a_registered_source():
    sent = {one.source for one in story.county(date(2026, 11, 20), 30).messages}

    assert sent == {one["name"] for one in REGISTER["source"]}


def test_every_organisation_has_a_name_in_both_languages():
    assert all(one["zh"] and one["en"] for one in REGISTER["organization"])


def test_the_two_hospitals_share_the_county_but_no_community():
    people, tcm = (CATALOGUE.scopes_of(one, NOW) for one in ("people", "tcm"))

    assert {"CN", "CN-ZJ", "CN-ZJ-JX-YX"} <= people & tcm
    assert "CONS-YX1" in people - tcm


def test_the_liver_panel_of_the_story_may_be_recognised_nationally():
    assert states("people", "HR-L-0001") == [("CN", "active", True)]


def test_one_item_is_suspended_one_has_run_out_and_one_is_marked_wider_than_it_is():
    assert states("people", "HR-L-0053") == [("CN", "suspended", True)]
    assert states("people", "HR-L-0012") == [("CN", "active", False)]
    # Printed 【全国HR】, entitled in the prefecture only.
    assert states("people", "HR-L-0014") == [("CN-ZJ-JX", "active", True)]
    assert CATALOGUE.scope_of_mark("【全国HR】") == "CN"


def test_marks_that_are_printed_are_marks_the_county_knows():
    assert CATALOGUE.scope_of_mark("★") == ""
    assert CATALOGUE.scope_of_mark("【浙江HR】") == "CN-ZJ"
