"""The quality commands as an IT office meets them: counts, sentences, exit codes."""

from __future__ import annotations

from datetime import date, timedelta

import pytest


def test_a_scan_counts_and_show_tells_with_1_when_something_needs_a_look(desk, messages):
    desk("load", "people-his", messages(*range(60)))

    scanned = desk("quality", "scan", "people-his", "--json")
    told = desk("quality", "show", "people-his")

    assert (scanned.code, scanned.json["messages"]) == (0, 60)
    assert scanned.json["crossed"] == ["encounter-class"]
    assert told.code == 1
    assert "60 messages read, 0 unreadable" in told.out
    assert "! 就诊类别缺失" in told.out
    assert "没有就诊类别: 60" in told.out
    assert "→ 请厂商发送就诊类别" in told.out
    assert "王珅" not in told.out
    english = desk("quality", "show", "people-his", "--english").out
    assert "! No class of visit" in english
    assert "no class: 60" in english
    (row,) = [
        one
        for one in desk("quality", "show", "people-his", "--json").json["detectors"]
        if one["detector"] == "encounter-class"
    ]
    assert (row["seen"], row["struck"], row["crossed"]) == (60, 60, True)
    assert row["places"] == {"no class": 60}


def test_a_source_without_findings_is_told_with_0(desk):
    told = desk("quality", "show", "tcm-lis")

    assert told.code == 0
    assert "0 messages read, 0 unreadable, last of no day" in told.out


@pytest.mark.parametrize("command", ["show", "scan"])
def test_an_undeclared_source_is_one_sentence(desk, command):
    told = desk("quality", command, "nobody")

    assert told.code == 1
    assert "No such source is declared here." in told.err


def test_expected_counts_are_kept_and_compared(desk, messages, tmp_path):
    performed = date(2026, 3, 2)
    days = str((date.today() - performed + timedelta(days=3)).days)
    file = tmp_path / "performed.csv"
    file.write_text(
        "day,reason,count\n2026-03-02,已执行,30\n2026-03-02,无身份证号,4\n", "utf-8-sig"
    )
    desk("load", "people-his", messages(*range(20)))

    told = desk("quality", "expect", "people-his", file)
    desk("quality", "scan", "people-his", "--days", days)
    shown = desk("quality", "show", "people-his", "--days", days, "--json").json

    assert (told.code, told.out) == (0, "1 day kept\n")
    (row,) = [one for one in shown["detectors"] if one["detector"] == "reconcile"]
    assert (row["seen"], row["struck"]) == (26, 6)
    assert row["places"] == {"not received": 6, "not sent: no-resident-id": 4}


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "day,reason,count\n2026-03-02,performed,many\n", "day,reason,count\n2026-03-02\n"]
)  # fmt: skip
def test_a_file_of_another_shape_is_refused_in_one_sentence(desk, tmp_path, text):
    file = tmp_path / "performed.csv"
    file.write_text(text)

    told = desk("quality", "expect", "people-his", file)

    assert told.code == 1
    assert told.err == (
        "health-gateway: The file has the columns day,reason,count in UTF-8. (performed.csv)\n"
    )
