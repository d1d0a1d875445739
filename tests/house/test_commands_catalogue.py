"""The catalogue and the register at the command line: from a workbook to what is in force."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from openpyxl import load_workbook

from tests.house.conftest import Desk


def officer(desk: Desk, login: str) -> tuple[str, ...]:
    """An account of the commission, and how it signs what it does."""
    file = desk.folder / f"{login}.txt"
    file.write_text("a long enough password\n", "utf-8")
    told = desk(
        "user", "add", login, "--name", login, "--organization", "county",
        "--roles", "commission", "--password-file", file,
    )  # fmt: skip
    assert told.code == 0, told.err
    return ("--as", login, "--password-file", str(file))


def test_a_workbook_is_drafted_by_one_and_put_in_force_by_two(desk: Desk) -> None:
    xu, shen = officer(desk, "xu"), officer(desk, "shen")
    file = desk.folder / "catalogue.xlsx"
    assert desk("catalogue", "export", file).code == 0
    book = load_workbook(file)
    tab = book["项目"]
    row = next(n for n in range(2, 999) if tab[f"A{n}"].value == "HR-L-0001")
    tab[f"N{row}"].value = "七"
    book.save(file)
    wrong = desk("catalogue", "import", file)
    assert wrong.code == 1
    assert f"“项目”第 {row} 行“门诊时限（天）”列：不是整数" in wrong.out
    tab[f"N{row}"].value = 5
    book.save(file)

    drafted = desk("catalogue", "draft", file, "--note", "shorter", *xu)
    own = desk("catalogue", "approve", "2", "--reason", "mine", "--yes", *xu)
    agreed = desk("catalogue", "approve", "2", "--reason", "right", "--yes", *shen)
    put = desk("catalogue", "publish", "2", *xu)

    assert "- 项目 HR-L-0001 2026-01-01 丙氨酸氨基转移酶：门诊时限（天）由“7”改为“5”" in drafted.out
    assert (drafted.code, own.code, agreed.code, put.code) == (0, 1, 0, 0), put.err
    states = [one["state"] for one in desk("catalogue", "versions", "--json").json]
    assert states == ["retired", "in-force"]
    shown = desk("catalogue", "show", "--json").json["items"]
    assert next(one for one in shown if one["code"] == "HR-L-0001")["op_days"] == 5
    assert (
        desk("catalogue", "diff", "1", "2", "--english").out.count("op_days from “7” to “5”") == 1
    )
    assert desk("catalogue", "verify").code == 0


def test_a_version_that_was_taken_away_is_named_and_put_back(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.folder / "data" / "records.sqlite")) as db:
        db.execute("DELETE FROM catalogue_version")
        db.commit()
    stopped, found = desk("catalogue", "versions"), desk("catalogue", "verify")
    assert (stopped.code, found.code) == (2, 1)
    assert "health-gateway catalogue recover" in stopped.err
    assert desk("catalogue", "recover").code == 0
    assert desk("catalogue", "verify").code == 0
    assert desk("catalogue", "show").code == 0


def test_an_entitlement_is_granted_suspended_restored_and_revoked(desk: Desk) -> None:
    xu = officer(desk, "xu")
    granted = desk(
        "entitlement", "grant", "mch", "CN-ZJ-JX", "--group", "ultrasound", "--basis", "IMG-QC",
        "--evidence", "2026-7", "--from", "2026-01-01", "--reason", "passed", *xu,
    )  # fmt: skip
    assert granted.code == 0, granted.err
    number = granted.out.split()[-1]
    for act in ("suspend", "restore", "revoke"):
        assert desk("entitlement", act, number, "--reason", act, *xu).code == 0
    stretches = [
        one["state"]
        for one in desk("entitlement", "list", "--organization", "mch", "--json").json
        if one["number"] == number
    ]
    assert stretches == ["active", "suspended", "active", "revoked"]
    assert desk("entitlement", "restore", number, "--reason", "x", *xu).code == 1
    assert desk("entitlement", "export", desk.folder / "register.xlsx").code == 0


def test_a_file_is_shown_first_and_added_only_when_told_to(desk: Desk) -> None:
    xu = officer(desk, "xu-file")
    file = desk.folder / "more.xlsx"
    assert desk("entitlement", "export", file).code == 0
    book = load_workbook(file)
    book["互认资格"].append(
        ["mch", "HR-L-0034", "", "CN-ZJ", "2026-01-01", "", "active", "ZJ-EQA", "2026-1", "县", ""]
    )
    book.save(file)
    asked = ("entitlement", "import", file, "--reason", "batch", *xu)
    shown = desk(*asked)
    assert shown.code == 0, shown.err
    assert "+ mch HR-L-0034 CN-ZJ 2026-01-01" in shown.out
    assert "registered" not in shown.out
    assert "registered as numbers" in desk(*asked, "--apply").out
    assert "0 rows" in desk(*asked).out

    book["互认资格"].append(
        ["mch", "HR-L-9999", "", "CN-ZJ", "2026-01-01", "", "active", "x", "x", "x"]
    )
    book.save(file)
    wrong = desk(*asked, "--apply")
    assert wrong.code != 0
    assert "列：没有这个项目：HR-L-9999" in wrong.out
