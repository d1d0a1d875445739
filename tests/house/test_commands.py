"""Commands as an operator meets them: help, exit codes, one sentence of error, settings, keys, the log."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
import typer.main
from joserfc.jwk import ECKey

import mappings
from gateway.cli import app
from tests.hospital import COLUMNS
from tests.hospital import result as result_row


def words(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = getattr(command, "commands", {})
    return [path, *(one for name, sub in inner.items() for one in words(sub, (*path, name)))]


@pytest.mark.parametrize("path", words(typer.main.get_command(app)), ids=" ".join)
def test_every_command_has_help(empty, path):
    told = empty(*path, "--help")

    assert told.code == 0
    assert "Usage" in told.out


def test_an_unknown_command_or_option_is_told_with_2(empty):
    assert empty("serv").code == 2
    assert empty("source", "list", "--jsn").code == 2


def test_an_unknown_setting_stops_the_start(empty):
    told = empty("check-config", prot="8080")

    assert (told.code, told.err) == (
        2,
        "health-gateway: no such setting: GATEWAY_PROT; the README lists them all\n",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "eighty"),
        ("demo", "perhaps"),
        ("policy", "anarchy"),
        ("timezone", "Asia/Atlantis"),
        ("mllp_plain", "people-his"),
        ("database", "mysql://x"),
    ],
)
def test_a_value_that_does_not_fit_stops_the_start_in_one_sentence(empty, name, value):
    told = empty("migrate", **{name: value})

    assert told.code == 2
    assert told.err.count("\n") == 1
    assert f"GATEWAY_{name.upper()}" in told.err


def test_a_settings_file_is_read_and_the_environment_wins(empty, tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text('port = 9000\ncounty = "wuyue"\n')

    settings = empty("check-config", "--json", settings=str(file)).json["settings"]

    assert settings["GATEWAY_PORT"] == "9000"
    assert settings["GATEWAY_COUNTY"] == "yunxi"
    file.write_text("prot = 9000\n")
    assert empty("migrate", settings=str(file)).code == 2
    file.write_text("port = [1]\n")
    assert empty("migrate", settings=str(file)).code == 2


# The county


def test_init_makes_a_key_only_its_owner_may_read_and_refuses_a_second_time(empty):
    first = empty("init")
    key = empty.folder / "data" / "root.key"
    text = key.read_text()

    again = empty("init")

    assert first.code == 0
    assert str(key) in first.out
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert (again.code, again.err.count("\n")) == (1, 1)
    assert key.read_text() == text


def test_migrate_may_be_run_again_and_again(empty):
    assert [empty("migrate").code for _ in range(3)] == [0, 0, 0]


def test_a_command_without_a_key_ends_with_2_and_a_sentence(empty):
    empty("migrate")

    told = empty("source", "list")

    assert told.code == 2
    assert "root.key cannot be read" in told.err


def test_a_key_others_may_read_is_refused(desk):
    (desk.folder / "data" / "root.key").chmod(0o644)

    assert "chmod 600" in desk("source", "list").err
    told = desk("check-config", "--json")
    assert told.code == 1
    assert "chmod 600" in told.json["refusals"][0]


def test_serving_without_migration_is_refused(empty):
    empty("init")
    (empty.folder / "data" / "records.sqlite").unlink()

    told = empty("worker")

    assert (told.code, told.err) == (
        2,
        "health-gateway: the databases need `health-gateway migrate` first\n",
    )


# check-config


def test_check_config_masks_passwords_and_states_what_key_custody_does_not_protect(desk):
    address = "postgresql://gateway:GEHEIM@db/gateway?sslpassword=GEHEIM&password=GEHEIM"

    told = desk("check-config", database=address)

    assert "GEHEIM" not in told.out + told.err
    assert "GATEWAY_DATABASE=postgresql://***@db/gateway" in told.out
    assert "key file: The root key lies in a file" in told.out


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, "Set GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY"),
        ({"behind_proxy": "true"}, "GATEWAY_BASE_URL begins with https://"),
        ({"mllp_port": "2575"}, "The MLLP door needs GATEWAY_TLS_CERTIFICATE"),
        ({"mllp_plain": "people-his=0.0.0.0/0"}, "declared for every address"),
        ({"tls_certificate": "none.pem", "tls_key": "none.key"}, "none.pem is not there"),
        ({"database": "sqlite:///x", "keyring": "sqlite:///x"}, "a database of its own"),
        ({"demo": "true", "host": "0.0.0.0"}, "listens on this machine only"),
        ({"county_file": "none.toml"}, "none.toml"),
    ],
)
def test_what_makes_serving_unsafe_is_said_and_ends_with_1(desk, changed, told):
    found = desk("check-config", "--json", **changed)

    assert found.code == 1
    assert any(told in one for one in found.json["refusals"]), found.json["refusals"]


def test_a_demo_key_is_refused_outside_the_demo(empty):
    empty("init", demo="true")

    found = empty("check-config", "--json")

    assert found.code == 1
    assert "demonstration" in " ".join(found.json["refusals"])
    assert empty("source", "list").code == 2


def test_a_safe_configuration_ends_with_0(desk):
    told = desk("check-config", behind_proxy="true", base_url="https://gw.example", mllp_port="0")

    assert (told.code, "REFUSED" in told.out) == (0, False)


def test_serve_refuses_what_check_config_refuses(desk):
    told = desk("serve")

    assert told.code == 2
    assert "Set GATEWAY_TLS_CERTIFICATE" in told.err


# Sources, systems, people


def test_sources_are_declared_listed_paused_and_resumed(desk, messages):
    assert (
        desk("source", "add", "second-his", "--organization", "people", "--map", "people").code == 0
    )
    again = desk("source", "add", "second-his", "--organization", "people", "--map", "people")
    assert (again.code, again.err) == (
        1,
        "health-gateway: There is a source of that name; `source change` corrects it. (name)\n",
    )
    assert desk("source", "add", "x", "--organization", "nobody", "--map", "people").code == 1
    assert desk("source", "add", "x", "--organization", "people", "--map", "nobody").code == 1
    assert desk("source", "add", "a/b", "--organization", "people", "--map", "people").code == 1
    assert (
        desk(
            "source", "add", "x", "--organization", "people", "--map", "people", "--keep", "relay"
        ).code
        == 1
    )

    assert desk("source", "change", "second-his", "--map", "nobody").code == 1
    assert desk("source", "change", "nobody", "--facility", "A").code == 1
    assert desk("source", "change", "second-his", "--facility", "DS01").code == 0

    assert desk("source", "pause", "second-his").code == 0
    assert desk("load", "second-his", messages(1)).code == 2
    listed = {row["name"]: row for row in desk("source", "list", "--json").json}
    assert listed["second-his"]["state"] == "paused"
    assert desk("source", "resume", "second-his").code == 0
    assert desk("load", "second-his", messages(1)).code == 0
    assert desk("source", "pause", "nobody").code == 1

    told = desk("source", "list").out
    assert [line.split()[:6] for line in told.splitlines() if line.startswith("second-his")] == [
        ["second-his", "people", "active", "1", "1", "0"]
    ]
    assert "DISAGREES" not in told


def test_a_view_is_declared_read_and_listed_and_its_trouble_is_one_sentence(desk, tmp_path):
    lis, address = tmp_path / "lis.sqlite", tmp_path / "address"
    row = result_row("R1", "0101", "6.10", "2026-02-28 10:00:00")
    with closing(sqlite3.connect(lis)) as db:
        db.execute(f"CREATE TABLE V_LIS_JG ({', '.join(COLUMNS)})")
        db.execute(f"INSERT INTO V_LIS_JG VALUES ({', '.join('?' * len(row))})", [*row.values()])
        db.commit()
    address.write_text(f"sqlite:///{lis}")
    given = ("--address-file", address, "--view", "V_LIS_JG")
    refused = desk("source", "view", "tcm-lis", *given)
    assert (refused.code, "chmod 600" in refused.err) == (1, True)
    address.chmod(0o600)
    assert desk("source", "view", "tcm-lis", *given).code == 0
    assert "never read" in desk("source", "list").out

    assert desk("source", "pull", "tcm-lis").out == "1 new row in 1 message\n"
    assert desk("source", "pull", "tcm-lis", "--json").json == {"rows": 0, "units": 0, "error": ""}

    lis.unlink()
    told = desk("source", "pull", "tcm-lis")
    assert told.code == 1
    assert told.err.startswith("health-gateway: The database has no such view")
    listed = {one["name"]: one for one in desk("source", "list", "--json").json}
    assert listed["tcm-lis"]["view"].startswith("REFUSED at ")
    assert desk("source", "pull", "people-his").code == 1


def test_clients_are_registered_listed_and_revoked(desk, tmp_path):
    keys = tmp_path / "keys.json"
    public = ECKey.generate_key("P-384", {"kid": "1"}).as_dict(private=False)
    keys.write_text(json.dumps({"keys": [public]}))

    added = desk(
        "client",
        "add",
        "his",
        "--organization",
        "people",
        "--jwks",
        keys,
        "--scopes",
        "system/*.rs",
    )
    assert added.code == 0, added.err
    assert [row["state"] for row in desk("client", "list", "--json").json] == ["active"]
    assert desk("client", "revoke", "his").code == 0
    assert desk("client", "list").out.split()[-1] == "revoked"
    assert desk("client", "revoke", "nobody").code == 1
    keys.write_text("{}")
    told = desk(
        "client", "add", "b", "--organization", "people", "--jwks", keys, "--scopes", "system/*.rs"
    )
    assert told.code == 1


def test_a_private_key_is_not_taken_for_a_public_one(desk, tmp_path):
    keys = tmp_path / "keys.json"
    private = ECKey.generate_key("P-384", {"kid": "1"}).as_dict(private=True)
    keys.write_text(json.dumps({"keys": [private]}))

    told = desk(
        "client",
        "add",
        "his",
        "--organization",
        "people",
        "--jwks",
        keys,
        "--scopes",
        "system/*.rs",
    )

    assert told.code == 1
    assert private["d"] not in told.out + told.err


def test_accounts_are_opened_changed_and_disabled(desk, tmp_path):
    password = tmp_path / "password"
    password.write_text("a long enough sentence 42\n")

    def add(login: str, roles: str = "auditor") -> int:
        return desk(
            "user", "add", login, "--name", "张三", "--organization", "people", "--roles", roles,
            "--password-file", password,
        ).code  # fmt: skip

    assert add("zhang") == 0
    assert add("zhang") == 0  # set anew: a new password ends every session
    assert add("li", "emperor") == 1
    assert desk("user", "roles", "zhang", "it").code == 0
    assert desk("user", "roles", "zhang", "it", "auditor").code == 1  # not both
    assert desk("user", "roles", "zhang", "emperor").code == 1
    assert desk("user", "disable", "zhang").code == 0
    assert desk("user", "disable", "nobody").code == 1
    password.write_text("short\n")
    assert add("wang") == 1


# Loading and maps


def test_loading_a_file_again_resumes_instead_of_doubling(desk, messages):
    desk("load", "people-his", messages(1, 2))

    told = desk("load", "people-his", messages(1, 2, 3), "--json").json

    assert (told["new"], told["again"], told["conflict"]) == (1, 2, 0)
    tally = told["tally"]
    assert (tally["received"], tally["filed"], tally["duplicates"]) == (5, 3, 2)
    assert tally["agrees"]


def test_loading_for_an_unknown_source_or_from_no_file_is_told(desk, messages):
    unknown = desk("load", "nobody", messages(1))

    assert (unknown.code, unknown.err.splitlines()[-1]) == (
        1,
        "health-gateway: No such source is declared here.",
    )
    assert desk("load", "people-his", "none.hl7").code == 2


def test_lint_says_nothing_about_the_shipped_maps_and_file_and_line_about_a_wrong_one(
    desk, tmp_path
):
    for site in ("people", "tcm", "mch", "township"):
        assert desk("mappings", "lint", site) == (0, "", "")
    wrong = tmp_path / "sites" / "wrong"
    wrong.mkdir(parents=True)
    (wrong / "a.toml").write_text(
        '[map]\nid = "x"\nversion = "1"\nbase = "base/oru_r01@3"\n'
        '[source]\norg = "x"\ntimezone = "Asia/Shanghai"\n[Observation]\n"status" = "OBX-11 | kode(x)"\n'
    )

    told = desk("mappings", "lint", "wrong", sites=str(wrong.parent))

    assert told.code == 1
    assert "a.toml:9:" in told.out
    assert "没有函数 kode" in told.out
    assert (
        "no function kode"
        in desk("mappings", "lint", "wrong", "--english", sites=str(wrong.parent)).out
    )
    assert desk("mappings", "try", "wrong", wrong / "a.toml", sites=str(wrong.parent)).code == 1


def test_try_shows_resources_and_a_chinese_sentence_for_each_issue_and_stores_nothing(
    desk, messages
):
    raw = messages(1)
    raw.write_bytes(raw.read_bytes().replace(b"ALT^", b"QQQ^"))

    told = desk("mappings", "try", "people", raw)

    assert told.code == 0
    assert "31.0" in told.out
    assert "代码没有对照，按原文保留" in told.out
    assert "the code has no mapping" in desk("mappings", "try", "people", raw, "--english").out
    shown = desk("mappings", "try", "people", raw, "--json").json
    assert {one["resourceType"] for one in shown["resources"]} >= {"Patient", "Observation"}
    assert shown["issues"][0].keys() == {"severity", "code", "place", "rule"}
    assert shown["validation"] == "strict"
    assert {row["received"] for row in desk("source", "list", "--json").json} == {0}


def test_try_shows_numbers_digit_by_digit_in_both_forms(desk, tmp_path, messages):
    raw = tmp_path / "digits.hl7"
    raw.write_bytes(messages(1).read_bytes().replace(b"|31.0|", b"|6.1000|"))

    for form in ("", "--json"):
        out = desk("mappings", "try", "people", raw, *([form] if form else [])).out
        assert '"value": 6.1000' in out
    assert "王珅1" in out


def test_try_says_which_tier_is_in_force_on_a_day_and_what_it_would_hold(desk, tmp_path):
    site = tmp_path / "sites" / "view"
    site.mkdir(parents=True)
    (site / "view.toml").write_text(
        '[map]\nid = "x"\nversion = "1"\ninput = "rows"\n'
        '[source]\norg = "x"\ntimezone = "Asia/Shanghai"\nids = { "" = "mrn" }\n'
        'columns = "A,B"\ngroup = "A"\n'
        '[Patient]\n"identifier(mrn)" = "A"\n"birthDate" = "B"\n'
        '[validation]\ntier = "report"\nstrict_from = "2027-01-01"\n'
        '[validation.allow]\n"Patient.gender" = "until 2026-06-30: HIS upgrade"\n'
    )
    rows = tmp_path / "rows.csv"
    rows.write_text("A,B\n1,1976-5-2\n")

    def tried(day):
        arguments = ("--day", day, "--english")
        return desk("mappings", "try", "view", rows, *arguments, sites=str(site.parent))

    before, after = tried("2026-12-31"), tried("2027-01-01")
    assert (before.code, after.code) == (0, 1)
    assert "note: row 2 → Patient.birthDate" in before.out
    assert "validation: report (faults are notes), strict from 2027-01-01" in before.out
    assert "this exception is over and may go: Patient.gender" in before.out
    assert "hold: row 2 → Patient.birthDate" in after.out
    assert "validation: strict" in after.out
    assert "1976-5-2" not in after.out


def test_try_ends_with_1_when_something_would_wait(desk, messages):
    raw = messages(1)
    raw.write_bytes(b"PID|nobody")

    told = desk("mappings", "try", "people", raw)

    assert told.code == 1
    assert "不是 HL7 v2 消息" in told.out


def test_quarantined_messages_are_read_again_with_a_corrected_map(desk, messages):
    raw = messages(1)
    raw.write_bytes(raw.read_bytes().replace(b"^^^^MR|", b"^^^^ZZ|"))
    loaded = desk("load", "people-his", raw)
    sites = desk.folder / "sites"
    copy_of_people(sites)

    as_it_is = desk("mappings", "replay", "people-his")
    edited = desk("mappings", "replay", "people-his", sites=str(sites))
    propose = ("mappings", "propose", "people", "--note", "ZZ is a patient number")
    proposed = desk(*propose, *signed(desk, "li"), "--json", sites=str(sites))
    approved = desk("mappings", "approve", proposed.json["release"], *signed(desk, "wang"))
    corrected = desk("mappings", "replay", "people-his")

    assert edited.out == as_it_is.out, "a file that nobody approved changes nothing"
    assert (proposed.code, approved.code) == (0, 0), (proposed.err, approved.err)
    assert "in quarantine, whole: 1 of this source's messages" in loaded.out
    assert as_it_is.out == "1 replayed, 1 still in quarantine\n"
    assert desk("mappings", "replay", "nobody").code == 1
    assert corrected.out == "1 replayed, 0 still in quarantine\n"
    assert desk("source", "list", "--json").json[1]["filed"] == 1


def signed(desk, login: str) -> tuple[object, ...]:
    """The words by which a person of the IT office says who they are; opens their account."""
    word = desk.folder / f"{login}.password"
    if not word.exists():
        word.write_text("correct horse battery\n")
        account = ("--name", login, "--organization", "people", "--roles", "it")
        assert desk("user", "add", login, *account, "--password-file", word).code == 0
    return "--as", login, "--password-file", word


def copy_of_people(sites: Path) -> None:
    """The shipped map, but type ZZ is a patient number."""
    shutil.copytree(Path(mappings.__path__[0]) / "sites" / "people", sites / "people")
    source = sites / "people" / "source.toml"
    source.write_text(
        source.read_text("utf-8").replace("ids      = {", 'ids      = { "ZZ" = "mrn",')
    )


# Keys


def test_keys_are_counted_and_rotated_and_everything_stays_readable(desk, messages):
    desk("load", "people-his", messages(1, 2))
    before = desk("keys", "status", "--json").json

    for tier in ("general", "restricted", "sealed", "audit", "intake"):
        told = desk("keys", "rotate", tier)
        assert told.code == 0, told.err
        assert "wrapped again" in told.out

    after = desk("keys", "status", "--json").json
    assert after["keys"]["chart"] == before["keys"]["chart"] > 0
    assert after["limits"]
    assert desk("keys", "rotate", "gold").code == 2
    # New messages for the same charts need the old keys.
    raw = messages(1, 2)
    raw.write_bytes(raw.read_bytes().replace(b"31.0", b"41.0").replace(b"|C0", b"|D0"))
    told = desk("load", "people-his", raw, "--json").json
    assert told["tally"]["filed"] == 4
    assert desk("audit", "verify").code == 0


def test_shredding_wants_a_whole_chart_id_and_a_yes(desk):
    assert desk("keys", "shred", "abc", "--yes").code == 2
    assert desk("keys", "shred", "0" * 32).code == 2
    told = desk("keys", "shred", "0" * 32, "--yes")
    assert (told.code, "nothing was destroyed" in told.err) == (1, True)


# The access log


@pytest.fixture
def logged(desk, messages):
    """A desk whose log has entries under a checkpoint."""
    desk("load", "people-his", messages(1, 2, 3))
    desk("keys", "rotate", "intake")
    desk("load", "people-his", messages(4, name="more.hl7"))  # its worker gives them their place
    assert desk("audit", "verify", "--json").json["signed"] > 0
    return desk


def test_the_log_is_verified_exported_and_verified_again_without_the_county(
    logged, empty, tmp_path
):
    folder = tmp_path / "export"
    key = logged("audit", "key").out.strip()

    exported = logged("audit", "export", folder)

    assert (exported.code, exported.out.strip()) == (0, key)
    assert logged("audit", "export", folder).code == 1  # never over another
    told = empty("audit", "verify", "--archive", folder, "--key", key, "--json", data="/nowhere")
    assert (told.code, told.json["ok"]) == (0, True)
    assert told.json["entries"] == logged("audit", "verify", "--json").json["signed"]
    assert empty("audit", "verify", "--archive", folder, "--key", "rubbish").code == 2
    assert empty("audit", "verify", "--archive", tmp_path / "none", "--key", key).code == 2


def test_one_flipped_byte_anywhere_in_an_export_is_found(logged, tmp_path):
    folder = tmp_path / "export"
    key = logged("audit", "key").out.strip()
    logged("audit", "export", folder)

    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for at in {0, len(whole) // 3, len(whole) // 2, len(whole) - 2}:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            told = logged("audit", "verify", "--archive", folder, "--key", key)
            assert told.code == 1, f"{path.relative_to(folder)} at {at}"
            assert "NOT WHOLE" in told.out
        path.write_bytes(whole)

    assert logged("audit", "verify", "--archive", folder, "--key", key).code == 0


def test_an_entry_is_proved_to_somebody_with_the_public_key_alone(logged):
    proof = logged("audit", "prove", "0").json

    assert proof.keys() == {"entry", "size", "key", "leaf", "path", "checkpoint"}
    assert proof["key"] == logged("audit", "key").out.strip()
    told = logged("audit", "prove", "999999")
    assert (told.code, told.err.count("\n")) == (1, 1)


def test_a_witness_checkpoint_of_a_longer_log_shows_that_ours_was_cut(logged, messages, tmp_path):
    before = tmp_path / "before.sqlite"
    shutil.copy(logged.folder / "data" / "records.sqlite", before)
    logged("keys", "rotate", "general")
    with closing(sqlite3.connect(logged.folder / "data" / "records.sqlite")) as db:
        db.execute("DELETE FROM lease")  # as if the earlier worker had ended a while ago
        db.commit()
    logged("load", "people-his", messages(5, name="five.hl7"))
    witness = tmp_path / "witness"
    shutil.copy(logged.folder / "data" / "checkpoint", witness)
    shutil.copy(before, logged.folder / "data" / "records.sqlite")
    (logged.folder / "data" / "checkpoint").unlink()

    assert logged("audit", "verify").code == 0  # alone it cannot know
    told = logged("audit", "verify", "--witnessed", witness)

    assert told.code == 1
    assert "截断" in told.out
