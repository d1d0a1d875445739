"""The IT office's tools for maps, called as a shell does: cases, coverage, differences, releases, explain."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import mappings
from gateway.services import open_services
from gateway.settings import read
from tests.house.conftest import Desk
from tests.shell import Told

BY_HAND = '\n"method" = "\'by hand\' | codeable_text"\n'


@pytest.fixture
def sites(desk: Desk) -> Path:
    """A sites folder of the county's own, in force as the settings name it."""
    folder = desk.folder / "sites"
    shutil.copytree(Path(mappings.__path__[0]) / "sites" / "people", folder / "people")
    desk.environment["GATEWAY_SITES"] = str(folder)
    return folder


@pytest.fixture
def signed(desk: Desk) -> Callable[..., tuple[object, ...]]:
    """The words by which somebody says who they are; their account is opened first."""

    def words(login: str, organization: str = "people", roles: str = "it") -> tuple[object, ...]:
        word = desk.folder / f"{login}.password"
        if not word.exists():
            word.write_text("correct horse battery\n")
            account = ("--name", login, "--organization", organization, "--roles", roles)
            assert desk("user", "add", login, *account, "--password-file", word).code == 0
        return "--as", login, "--password-file", word

    return words


def edit(sites: Path, block: str, rule: str) -> None:
    file = sites / "people" / "oru.toml"
    text = file.read_text("utf-8")
    file.write_text(text.replace(f"[{block}]\n", f"[{block}]{rule}"), "utf-8")


def proposed(desk: Desk, signed: Callable[..., tuple[object, ...]]) -> int:
    told = desk("mappings", "propose", "people", "--note", "why", *signed("li"), "--json")
    assert told.code == 0, told.err
    return int(told.json["release"])


def method_of(desk: Desk, record: str, signed: Callable[..., tuple[object, ...]]) -> Told:
    return desk("mappings", "explain", record, "method", *signed("li"), "--json")


# Try


def test_a_trial_names_what_no_rule_reads_and_what_no_table_knows(desk, messages):
    raw = messages(1)
    raw.write_bytes(
        raw.read_bytes()
        .replace(b"OBX|1|NM|ALT", b"OBX|1|NM|CP01")
        .replace(b"20260302090000\r", b"20260302090000" + 26 * b"|" + b"EXTRA\r")
    )

    told = desk("mappings", "try", "people", raw, "--json").json
    shown = desk("mappings", "try", "people", raw).out

    assert {one["field"]: one["count"] for one in told["unread"]}["OBX-40"] == 1
    assert [(one["table"], one["code"]) for one in told["unmapped"]] == [("items", "CP01")]
    assert "没有规则读取：OBX-40（1 次，OBX[1]-40（第 4 行））" in shown
    assert "未对照 items：CP01" in shown
    lines = [line for line in shown.splitlines() if "没有规则读取" in line or "没有读取" in line]
    assert not any("MSH-" in line for line in lines[:-1]), "the envelope is one line, the last"
    assert "MSH-11" in lines[-1]
    assert sum("有规则提到，这次没有读取：" in line for line in lines) == 1


def test_issues_of_one_place_are_one_line_with_their_number(desk, messages):
    raw = messages(1)
    line = raw.read_bytes().rstrip(b"\r").rpartition(b"\r")[2]
    more = [line.replace(b"OBX|1|NM|ALT", f"OBX|{n}|NM|X{n}".encode()) for n in range(2, 5)]
    raw.write_bytes(raw.read_bytes() + b"\r".join(more) + b"\r")

    shown = desk("mappings", "try", "people", raw, "--english").out

    assert [line for line in shown.splitlines() if line.startswith("note: 3× OBX[2]")]


# Cases


def test_a_delivery_becomes_a_golden_case_and_speaks_when_the_map_changes(desk, messages, sites):
    made = desk("mappings", "case", "people", messages(1), "a-liver-panel")
    again = desk("mappings", "case", "people", messages(1), "a-liver-panel")
    well = desk("mappings", "check", "people")
    edit(sites, "Observation", BY_HAND)
    changed = desk("mappings", "check", "people")

    assert made.code == 0, made.err
    assert (again.code, "--again" in again.err) == (1, True)
    assert (well.code, well.out) == (0, "1 case, 0 read otherwise\n")
    assert changed.code == 1
    assert "by hand" in changed.out
    kept = sites / "people" / "cases" / "a-liver-panel.expect.json"
    assert '"value": 31.0' in kept.read_text("utf-8"), "every digit as written"
    assert desk("mappings", "case", "people", messages(1), "../x").code == 1


def test_a_case_may_name_only_what_it_is_about(desk, messages, sites):
    desk("mappings", "case", "people", messages(1), "alt")
    kept = sites / "people" / "cases" / "alt.expect.json"
    whole = json.loads(kept.read_text("utf-8"))
    seen = next(r for r in whole["resources"] if r["resourceType"] == "Observation")
    few = {name: seen[name] for name in ("resourceType", "id", "status")}
    kept.write_text(json.dumps({"partial": True, "resources": [few]}), "utf-8")
    edit(sites, "Observation", BY_HAND)
    well = desk("mappings", "check", "people")
    few["status"] = "amended"
    kept.write_text(json.dumps({"partial": True, "resources": [few]}), "utf-8")
    wrong = desk("mappings", "check", "people")

    assert (well.code, wrong.code) == (0, 1), well.out
    assert "+ Observation" in wrong.out


@pytest.mark.parametrize(
    ("number", "refused"), [("330421198001011234", True), ("330421198001010005", False)]
)
def test_a_number_that_could_be_somebodys_makes_no_case(desk, messages, sites, number, refused):
    raw = messages(1)
    raw.write_bytes(raw.read_bytes().replace(b"^^^^MR|", f"^^^^MR~{number}^^^^NI|".encode(), 1))

    told = desk("mappings", "case", "people", raw, "with-number")

    assert told.code == (1 if refused else 0)
    assert number not in told.out + told.err
    assert (sites / "people" / "cases" / "with-number.raw").exists() is not refused
    said = desk("mappings", "case", "people", raw, "said", "--anonymised")
    assert said.code == 0


def test_a_proposal_with_a_case_that_reads_otherwise_is_refused(desk, messages, sites, signed):
    desk("mappings", "case", "people", messages(1), "a-liver-panel")
    edit(sites, "Observation", BY_HAND)
    propose = ("mappings", "propose", "people", "--note", "why")

    refused = desk(*propose, *signed("li"))
    desk("mappings", "case", "people", messages(1), "a-liver-panel", "--again")

    assert (refused.code, "a-liver-panel" in refused.err) == (1, True)
    assert desk(*propose, *signed("li")).code == 0


# Coverage and differences


def test_coverage_tells_what_is_in_no_case_what_never_fired_and_what_nothing_reads(
    desk, messages, sites
):
    desk("mappings", "case", "people", messages(1), "alt")
    desk("load", "people-his", messages(1, 2, 3))

    tested = desk("mappings", "coverage", "people", "--json").json["cases"]
    seen = desk("mappings", "coverage", "people", "--days", "36500", "--json").json["seen"]
    shown = desk("mappings", "coverage", "people", "--days", "36500").out
    none = desk("mappings", "coverage", "people", messages(1))

    fired = {
        (one["block"], one["rule"]): one["fired"] for one in tested["rules"] if "oru" in one["map"]
    }
    assert fired["Observation", "value[x]"] == 1
    assert fired["Observation", "note"] == 0
    assert (tested["messages"], seen["messages"]) == (1, 3)
    assert "never fired: Observation note" in shown
    assert "no rule reads: MSH-" in shown
    assert none.code == 0
    assert "王珅" not in shown


def test_the_layers_of_a_map_and_its_difference_to_what_is_in_force_are_told(desk, sites):
    edit(sites, "Observation", BY_HAND)

    shown = desk("mappings", "diff", "people").out
    told = desk("mappings", "diff", "people", "--json").json

    assert "method = 'by hand' | codeable_text  [oru.toml:11]" in shown
    assert "- people.lis.oru Observation method = " in shown
    assert "+ people.lis.oru Observation method = 'by hand' | codeable_text" in shown
    assert [one["path"] for one in told["edits"]] == ["method"]
    owners = {one["line"].partition(":")[0] for one in told["effective"]}
    assert {"oru.toml", "base/oru_r01.toml"} <= owners


# Releases


def test_a_release_goes_its_way_and_each_wrong_step_is_told(desk, messages, sites, signed):
    desk("load", "people-his", messages(1))
    edit(sites, "Observation", BY_HAND)
    number = proposed(desk, signed)

    own = desk("mappings", "approve", number, *signed("li"))
    stranger = desk("mappings", "approve", number, *signed("zhou", "tcm"))
    auditor = desk("mappings", "approve", number, *signed("wu", roles="auditor"))
    done = desk("mappings", "approve", number, *signed("wang"))
    twice = desk("mappings", "approve", number, *signed("wang"))

    assert [one.code for one in (own, stranger, auditor, done, twice)] == [1, 1, 1, 0, 1]
    assert own.err == ("health-gateway: Another person than the one who proposed it approves it.\n")
    listed = desk("mappings", "releases", "people", "--json").json
    assert [(one["state"], one["proposed_by"], one["decided_by"]) for one in listed] == [
        ("retired", "operator", "operator"),
        ("in-force", "li", "wang"),
    ]
    assert "in-force" in desk("mappings", "releases", "people").out
    shown = desk("mappings", "show", number)
    assert "Observation method: 1 changed  [oru.toml:11]" in shown.out
    assert "王珅" not in shown.out
    assert desk("mappings", "rollback", listed[0]["number"], *signed("li")).code == 0
    assert desk("mappings", "rollback", number, *signed("li")).code == 1, "their own"
    assert desk("mappings", "refuse", number, *signed("wang")).code == 1
    assert desk("mappings", "show", 999).code == 1
    into = desk.folder / "out"
    assert desk("mappings", "show", number, "--into", into).code == 0
    assert "by hand" in (into / "oru.toml").read_text("utf-8")
    assert not (into / "base").exists()
    assert desk("mappings", "show", number, "--into", into).code == 1, "not empty"
    assert desk("audit", "verify").code == 0


def test_a_wrong_password_decides_nothing(desk, sites, signed, tmp_path):
    edit(sites, "Observation", BY_HAND)
    number = proposed(desk, signed)
    signed("wang")
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password\n")

    told = desk("mappings", "approve", number, "--as", "wang", "--password-file", wrong)

    assert (told.code, told.err) == (
        1, "health-gateway: The login or the password is not right.\n"
    )  # fmt: skip
    assert desk("mappings", "show", number, "--json").json["state"] == "proposed"


def test_a_replay_is_tried_dry_and_then_done(desk, messages, sites, signed):
    desk("load", "people-his", messages(1, 2))
    edit(sites, "Observation", BY_HAND)
    desk("mappings", "approve", proposed(desk, signed), *signed("wang"))

    dry = desk("mappings", "replay", "people-his", "--dry-run", "--json").json
    few = desk("mappings", "replay", "people-his", "--type", "ADT^*", "--json").json
    done = desk("mappings", "replay", "people-his", "--all")
    again = desk("mappings", "replay", "people-his", "--from", "2020-01-01", "--json").json

    assert dry["report"]["types"] == {"Observation": 2, "Provenance": 2}
    assert (few["done"], few["report"]["passed"], few["changed"]) == (2, 2, 0)
    assert "2 new versions of Observation written" in done.out
    assert (again["done"], again["changed"]) == (2, 0)
    assert desk("mappings", "replay", "nobody", "--all").code == 1
    assert desk("mappings", "shadow", 999, *signed("li")).code == 1


# Explain


def test_a_record_is_explained_by_its_field_rule_table_row_and_release(
    desk, messages, sites, signed
):
    desk("load", "people-his", messages(1))
    record = observation(desk)

    whole = desk("mappings", "explain", f"Observation/{record}", *signed("li")).out
    code = desk("mappings", "explain", record, "code", *signed("li"), "--json").json

    assert "OBX[1]-5 (line 4)  '31.0'" in whole
    assert "[base/oru_r01.toml:" in whole
    (element,) = (one for one in code["elements"] if one["path"] == "code")
    assert element["sources"][0]["text"].startswith("ALT")
    rows = [row for step in element["steps"] for row in step["rows"]]
    assert any(row["line"].startswith("lis_items.csv:") for row in rows), rows
    assert (element["release"], element["version"]) == (1, 1)


def test_a_remapped_record_is_explained_by_the_release_that_wrote_it(desk, messages, sites, signed):
    desk("load", "people-his", messages(1))
    record = observation(desk)
    before = method_of(desk, record, signed).json
    edit(sites, "Observation", BY_HAND)
    number = proposed(desk, signed)
    desk("mappings", "approve", number, *signed("wang"))
    desk("mappings", "replay", "people-his", "--all")

    after = method_of(desk, record, signed).json
    old = desk("mappings", "explain", record, "--version", "1", *signed("li"), "--json").json

    assert (before["elements"], before["silent"][0]["why"]) == ([], "empty")
    (element,) = after["elements"]
    assert (element["release"], element["line"]) == (number, "oru.toml:11")
    assert {one["release"] for one in old["elements"]} != {number}


def test_only_the_hospital_that_sent_a_record_gets_it_explained(desk, messages, sites, signed):
    desk("load", "people-his", messages(1))
    record = observation(desk)

    told = [
        desk("mappings", "explain", record, *signed("zhou", "tcm")),
        desk("mappings", "explain", record, *signed("chen", "county")),
        desk("mappings", "explain", record, *signed("wu", roles="auditor")),
        desk("mappings", "explain", "0" * 32, *signed("li")),
    ]

    assert [one.code for one in told] == [1, 1, 1, 1]
    assert all("31.0" not in one.out + one.err for one in told)


def observation(desk: Desk) -> str:
    """The id that this county gives the result of `messages(1)`."""

    async def run() -> str:
        services = await open_services(read(desk.environment))
        try:
            return services.ids("people")("main", "Observation", ["R00001", "ALT"])
        finally:
            await services.close()

    return asyncio.run(run())
