"""Second factors and the share of emergencies, at the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tests.house.conftest import Desk


def test_a_second_factor_is_printed_once_and_taken_away(desk: Desk):
    password = desk.folder / "password"
    password.write_text("a-long-enough-one\n")
    given = ("--name", "李娜", "--organization", "people", "--roles", "clinician")
    assert desk("user", "add", "li", *given, "--password-file", password).code == 0

    told = desk("user", "second-factor", "LI")
    assert (told.code, told.err) == (0, "")
    secret = told.out.split()[-1]
    assert re.fullmatch("[A-Z2-7]{32}", secret)
    again = desk("user", "second-factor", "li")
    assert again.out.split()[-1] != secret, "anew, and the one before is worth nothing"
    assert desk("user", "second-factor", "li", "--reset").code == 0

    for words in (("li", "--reset"), ("nobody",), ("nobody", "--reset")):
        refused = desk("user", "second-factor", *words)
        assert (refused.code, refused.err.count("\n")) == (1, 1)


def test_a_month_of_emergencies_is_told_by_organisation(desk: Desk):
    this = datetime.now(UTC).strftime("%Y-%m")
    for month in ((), ("--month", this), ("--month", "2026-12")):
        told = desk("audit", "emergencies", *month, "--json")
        assert (told.code, told.json) == (0, [])
    wrong = desk("audit", "emergencies", "--month", "March")
    assert wrong.code == 2
    assert "YYYY-MM" in wrong.err
