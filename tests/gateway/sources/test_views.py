"""Reading a hospital's view: exactly its rows, in order, as text, read-only, and nothing of it in any error."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Dialect, text
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql, sqlite
from sqlalchemy.sql.elements import quoted_name

from gateway.sources.secret import SecretRefused, read_secret
from gateway.sources.views import Mark, View, ViewFault, _Cells, query, read, unmarked
from tests.conftest import apart, new_database
from tests.hospital import COLUMNS, VIEW, Hospital, result

LIS = View(VIEW, COLUMNS, ("BRID", "BGDH"), "GXSJ", "gb18030")


@pytest.fixture(params=["sqlite", "postgresql"])
def hospital(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hospital]:
    if request.param == "postgresql":
        address = apart(new_database(request.getfixturevalue("postgres")))
    else:
        address = f"sqlite:///{tmp_path}/lis.sqlite"
    made = Hospital(address)
    made.found()
    yield made
    made.close()


def cells(hospital: Hospital, name: str, view: View = LIS, since: Mark | None = None) -> list[str]:
    at = view.columns.index(name)
    return [row.cells[at] or "" for row in read(hospital.address, view, since)]


def test_rows_come_by_watermark_and_group_with_the_digits_of_the_database(
    hospital: Hospital,
) -> None:
    hospital.add(
        result("R2", "B", "7.00", "2026-02-28 10:00:00"),
        result("R1", "A", "6.10", "2026-02-28 10:00:00"),
        result("R3", "A", "0.50", "2026-02-28 09:00:00"),
    )
    assert cells(hospital, "BGDH") == ["R3", "R1", "R2"]
    assert cells(hospital, "JG") == ["0.50", "6.10", "7.00"]
    first = next(iter(read(hospital.address, LIS, None)))
    assert first.cells[COLUMNS.index("SFZH")] is None
    assert first.cells[COLUMNS.index("XM")] == "周燶"
    assert first.cells[COLUMNS.index("GXSJ")] == "2026-02-28 09:00:00"


def test_reading_goes_on_at_the_watermark_and_takes_its_ties_again(hospital: Hospital) -> None:
    hospital.add(*(result(f"R{n}", "A", 1, f"2026-02-28 10:00:0{n // 2}") for n in range(6)))
    marks = [row.mark for row in read(hospital.address, LIS, None)]
    assert cells(hospital, "BGDH", since=marks[3]) == ["R2", "R3", "R4", "R5"]
    earlier = marks[3].before(1)
    assert cells(hospital, "BGDH", since=earlier) == ["R0", "R1", "R2", "R3", "R4", "R5"]


def test_rows_without_a_watermark_are_told_of_and_not_read(hospital: Hospital) -> None:
    hospital.add(result("R1", "A", 1, "2026-02-28 10:00:00"))
    assert not unmarked(hospital.address, LIS)
    hospital.add(result("R2", "A", 1, None))  # type: ignore[arg-type]
    assert unmarked(hospital.address, LIS)
    assert cells(hospital, "BGDH") == ["R1"]


def test_columns_are_a_contract(hospital: Hospital) -> None:
    more = View(VIEW, (*COLUMNS, "YQBH"), (), "GXSJ")
    fewer = View(VIEW, COLUMNS[1:], (), "GXSJ")
    for view, kind in ((more, "columns-missing"), (fewer, "columns-new")):
        with pytest.raises(ViewFault) as caught:
            list(read(hospital.address, view, None))
        assert caught.value.kind == kind


def test_a_database_that_folds_names_still_gives_the_maps_columns(hospital: Hospital) -> None:
    hospital.run("CREATE VIEW folded AS SELECT 'x' AS brid, 1 AS gxsj")
    (row,) = read(hospital.address, View("folded", ("GXSJ", "BRID"), (), "GXSJ"), None)
    assert row.cells == ("1", "x")


@pytest.mark.parametrize(
    "name",
    [
        'V_LIS_JG"; DROP TABLE "LIS_JG"; --',
        "V_LIS_JG WHERE 1=1",
        "(SELECT * FROM LIS_JG)",
        "V_LIS_JG--",
        "V LIS",
        "",
        "a.b.c.d",
        "V_LIS_JG'",
        "V_LIS_JG\0",
        "NOT_THERE",
    ],
)
def test_a_hostile_or_wrong_name_reaches_nothing(hospital: Hospital, name: str) -> None:
    hospital.add(result("R1", "A", 1, "2026-02-28 10:00:00"))
    with pytest.raises(ViewFault) as caught:
        list(read(hospital.address, View(name, COLUMNS, (), "GXSJ"), None))
    assert caught.value.kind == "refused"
    assert cells(hospital, "BGDH") == ["R1"]


def test_names_that_look_like_sql_are_only_names(hospital: Hospital) -> None:
    """Columns too are quoted: one that holds quotes, percents and colons is read like any other."""
    strange = 'a"; DROP TABLE "LIS_JG" %s %(x)s '
    quoted = strange.replace('"', '""')
    hospital.run(f'CREATE VIEW odd AS SELECT 1 AS "{quoted}", 2 AS "SELECT"')
    (row,) = read(hospital.address, View("odd", (strange, "SELECT"), (strange,), "SELECT"), None)
    assert row.cells == ("1", "2")


def test_our_hands_are_tied(hospital: Hospital) -> None:
    """Even SQL of ours could not write: the transaction is read only."""
    from gateway.sources.views import _connected

    hospital.add(result("R1", "A", 1, "2026-02-28 10:00:00"))
    with _connected(hospital.address, 10) as db, pytest.raises(Exception, match="read"):
        db.execute(text('DELETE FROM "LIS_JG"'))
    assert cells(hospital, "BGDH") == ["R1"]


def test_a_view_that_takes_for_ever_is_given_up(hospital: Hospital) -> None:
    if not hospital.postgresql:
        pytest.skip("SQLite has no statement timeout, and no view that waits")
    hospital.run("CREATE VIEW slow AS SELECT pg_sleep(3600)::text AS a, 1 AS w")
    with pytest.raises(ViewFault) as caught:
        list(read(hospital.address, View("slow", ("a", "w"), (), "w"), None, timeout=1))
    assert caught.value.kind == "unreachable"


def test_a_reading_sees_one_moment_whatever_is_written_meanwhile(hospital: Hospital) -> None:
    hospital.add(*(result(f"R{n:05}", "A", n, "2026-02-28 10:00:00") for n in range(2_000)))
    reading = read(hospital.address, LIS, None)
    seen = [next(reading).cells[5]]
    if hospital.postgresql:  # SQLite has one writer, which waits
        hospital.run('DELETE FROM "LIS_JG" WHERE "JG" > 1000')
        hospital.add(result("R99999", "A", 1, "2026-02-28 11:00:00"))
    seen += [row.cells[5] for row in reading]
    assert len(seen) == 2_000
    assert len(set(seen)) == 2_000


def test_a_hundred_thousand_rows_are_never_held_at_once(hospital: Hospital) -> None:
    if hospital.postgresql:
        hospital.run(
            'INSERT INTO "LIS_JG" ("BRID", "BGDH", "XMMC", "GXSJ") '
            "SELECT 'T' || n, 'R' || n, repeat('x', 400), TIMESTAMP '2026-02-28' FROM generate_series(1, 100000) n"
        )
    else:
        hospital.run(
            'INSERT INTO "LIS_JG" ("BRID", "BGDH", "XMMC", "GXSJ") '
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000) "
            "SELECT 'T' || n, 'R' || n, printf('%.400c', 'x'), '2026-02-28' FROM n"
        )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(1 for _ in read(hospital.address, LIS, None))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert count == 100_000
    # The rows are 45 MB; SQLite sorts them in the reader's own memory, up to its page cache.
    assert grown < 30_000


def test_nothing_of_the_database_stands_in_what_is_raised(hospital: Hospital) -> None:
    hospital.run("CREATE VIEW broken AS SELECT 'SECRET-NAME' AS a, 'w' AS w")
    view = View("broken", ("a", "w"), (), "w")
    faults = []
    for address, asked, mark in (
        (hospital.address, View("SECRET_VIEW", ("a", "w"), (), "w"), None),
        ("postgresql://u:SECRET-PASSWORD@127.0.0.1:1/d", view, None),
        ("nonsense://u:SECRET-PASSWORD@h/d", view, None),
        ("SECRET", view, None),
    ):
        with pytest.raises(ViewFault) as caught:
            list(read(address, asked, mark))
        fault = caught.value
        faults.append(fault)
        assert "SECRET" not in repr(fault) + str(fault) + repr(fault.__cause__)
        assert fault.__suppress_context__
    assert [fault.kind for fault in faults][-3:] == ["unreachable", "driver", "address"]


@pytest.mark.parametrize("driver", ["oracle", "mssql", "mysql"])
def test_a_database_whose_driver_is_not_installed_says_so(driver: str) -> None:
    pytest.importorskip("sqlalchemy")
    with pytest.raises(ViewFault) as caught:
        list(read(f"{driver}://u:p@127.0.0.1:1/d", LIS, None))
    assert caught.value.kind in {"driver", "unreachable"}


@pytest.mark.parametrize(
    ("dialect", "open_", "close"),
    [
        (oracle.dialect(), '"', '"'),
        (mssql.dialect(), "[", "]"),
        (mysql.dialect(), "`", "`"),
        (postgresql.dialect(), '"', '"'),
        (sqlite.dialect(), '"', '"'),
    ],
    ids=lambda one: getattr(one, "name", None),
)
def test_every_database_is_asked_with_quoted_names_and_bound_values(
    dialect: Dialect, open_: str, close: str
) -> None:
    hostile = f"JG{close}; DROP TABLE x --"
    view = View("LIS.V_LIS_JG", ("GXSJ", "BGDH", hostile), ("BGDH",), "GXSJ")
    names = {name: quoted_name(name, True) for name in view.columns}
    moment = Mark("datetime", "2026-02-28T10:00:00")
    statement = query(view, names, moment).compile(dialect=dialect)
    said = " ".join(str(statement).split())
    quoted = [
        open_ + name.replace(close, close * 2) + close for name in ("LIS", "V_LIS_JG", hostile)
    ]
    assert f"FROM {quoted[0]}.{quoted[1]} WHERE" in said
    assert said.count(quoted[2]) == 1
    assert said.count("DROP TABLE") == 1
    assert "2026" not in said
    assert said.endswith(f"ORDER BY {open_}GXSJ{close}, {open_}BGDH{close}")
    assert list(statement.params.values()) == [moment.python()]


# --- cells and marks -------------------------------------------------------------------------------

CELLS = _Cells(LIS)
EAST = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("6.10", "6.10"),
        (Decimal("6.10"), "6.10"),
        (Decimal("1E+2"), "100"),
        (Decimal("0.0000001"), "0.0000001"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        (True, "1"),
        (12345678901234567890, "12345678901234567890"),
        (datetime(2026, 2, 28, 9, 30), "2026-02-28 09:30:00"),
        (datetime(2026, 2, 28, 9, 30, 0, 120000, EAST), "2026-02-28 09:30:00.120000+08:00"),
        (date(2026, 2, 28), "2026-02-28"),
        (time(9, 30), "09:30:00"),
        ("周燶".encode("gb18030"), "周燶"),
        (memoryview(b"\xff\xff"), "ffff"),
        ("x\udc80", "x?"),
    ],
)
def test_a_cell_is_the_text_the_database_shows(value: object, expected: str | None) -> None:
    assert CELLS.text(value) == expected


def test_gbk_under_a_latin_label_is_read_again_and_what_is_fine_stays() -> None:
    mislabelled = _Cells(View(VIEW, COLUMNS, (), "GXSJ", "gb18030", "latin-1"))
    assert mislabelled.text("周燶".encode("gb18030").decode("latin-1")) == "周燶"
    assert mislabelled.text("周燶") == "周燶"
    assert mislabelled.text("ALT") == "ALT"
    assert mislabelled.text("é") == "é"  # no GBK: stays as it came


def test_a_cell_of_another_kind_is_refused() -> None:
    with pytest.raises(ViewFault) as caught:
        CELLS.text(["SECRET"])
    assert caught.value.kind == "cell"


@pytest.mark.parametrize(
    ("mark", "overlap", "expected"),
    [
        (Mark("datetime", "2026-03-01T00:00:05"), 10, "2026-02-28T23:59:55"),
        (Mark("datetime", "2026-03-01T00:00:05.250000+08:00"), 10, "2026-02-28T23:59:55.250000+08:00"),
        (Mark("date", "2026-03-01"), 10, "2026-02-28"),
        (Mark("int", "100"), 10, "90"),
        (Mark("text", "2026-03-01 00:00:05"), 10, "2026-02-28 23:59:55"),
        (Mark("text", "2026-03-01T00:00:05.25"), 10, "2026-02-28T23:59:55.25"),
        (Mark("text", "V17"), 10, "V17"),
        (Mark("text", "2026-03-01 00:00:05"), 0, "2026-03-01 00:00:05"),
        (Mark("decimal", "100.5"), 10, "100.5"),
        (Mark("bytes", "00ff"), 10, "00ff"),
    ],
)  # fmt: skip
def test_a_mark_goes_back_by_the_overlap(mark: Mark, overlap: int, expected: str) -> None:
    assert mark.before(overlap) == Mark(mark.kind, expected)


def test_the_address_is_read_only_from_a_file_that_nobody_else_may_read(tmp_path: Path) -> None:
    file = tmp_path / "address"
    file.write_text("sqlite:///x\n")
    file.chmod(0o644)
    with pytest.raises(SecretRefused, match="chmod 600"):
        read_secret(file)
    file.chmod(0o600)
    assert read_secret(file) == "sqlite:///x"
    file.write_text("two\nlines\n")
    for path in (file, tmp_path, tmp_path / "nothing"):
        with pytest.raises(SecretRefused):
            read_secret(path)


def test_utc_marks_compare_with_themselves() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    assert Mark("datetime", moment.isoformat()).python() == moment
