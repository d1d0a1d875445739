"""A row more in a map: as a person would have typed it, in the hospital's own files only."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mappings
from mappings.engine import load, tables
from mappings.engine.additions import CannotAdd, add_row, declared, kind, with_row

SITES = Path(mappings.__path__[0]) / "sites"
PEOPLE, TCM, TOWNSHIP, MCH = (
    load(SITES / name).contents for name in ("people", "tcm", "township", "mch")
)
ITEM = {
    "name": "铜蓝蛋白", "specimen": "", "loinc": "2064-4", "relation": "equivalent", "unit": "g/L",
    "state": "approved", "by": "李敏, 王敏", "on": "2026-03-02", "note": "",
}  # fmt: skip


def table(contents: dict[str, bytes], changed: dict[str, bytes], name: str):
    made = load({**contents, **changed})
    return next(part.tables[name] for part in made.parts if name in part.tables)


def test_a_row_is_added_at_the_end_of_the_hospitals_own_table():
    changed = add_row(TCM, "items", "0999", ITEM)

    assert list(changed) == ["codes/lis_items.csv"]
    before, after = TCM["codes/lis_items.csv"], changed["codes/lis_items.csv"]
    assert after.startswith(before)
    assert after.removeprefix(before).decode() == (
        '0999,铜蓝蛋白,,2064-4,equivalent,g/L,approved,"李敏, 王敏",2026-03-02,\n'
    )
    assert table(TCM, changed, "items").get("0999")["loinc"] == "2064-4"


def test_the_row_that_waited_for_an_answer_is_replaced():
    cells = ITEM | {"specimen": "SER"}
    changed = add_row(PEOPLE, "items", "NEWX", cells)

    text = changed["codes/lis_items.csv"].decode()
    assert text.count("NEWX") == 1
    assert len(text.splitlines()) == len(PEOPLE["codes/lis_items.csv"].decode().splitlines())
    assert table(PEOPLE, changed, "items").get("NEWX", "SER")["loinc"] == "2064-4"


def test_a_code_that_has_its_row_is_refused():
    with pytest.raises(CannotAdd, match="already"):
        add_row(TCM, "items", "0101", ITEM | {"unit": "U/L"})


def test_another_kind_of_unit_is_another_row_of_the_same_code():
    changed = add_row(TCM, "items", "0505", ITEM | {"loinc": "751-8", "unit": "10*9/L"})
    items = table(TCM, changed, "items")
    assert (items.get("0505", "", "NFr")["loinc"], items.get("0505", "", "NCnc")["loinc"]) == (
        "770-8",
        "751-8",
    )


def test_a_unit_makes_a_table_of_the_hospitals_own_and_the_countys_stays():
    for contents in (PEOPLE, TCM, MCH):
        changed = add_row(contents, "units", "克/升", {"ucum": "g/L", "state": "approved"})
        assert "codes/units.csv" in changed
        assert all(not path.startswith("/") for path in changed)
        made = load({**contents, **changed})
        for part in made.parts:  # whichever part of the map reads units, it knows this one
            if "units" in part.tables:
                assert part.tables["units"].get("克/升")["ucum"] == "g/L", part.file.id
        assert table(contents, changed, "county_units").get("mmol/L") is not None


def test_a_shipped_table_is_copied_with_all_it_says():
    changed = add_row(PEOPLE, "flags", "偏怪", {"target": "A"})
    flags = table(PEOPLE, changed, "flags")
    assert flags.get("偏怪")["target"] == "A"
    before = next(part.tables["flags"] for part in load(PEOPLE).parts if "flags" in part.tables)
    assert len(flags) == len(before) + 1


def test_a_shipped_table_that_the_site_names_is_named_anew():
    changed = add_row(TOWNSHIP, "sex", "男士", {"target": "male"})
    assert set(changed) == {"codes/sex.csv", "visits.toml"}
    assert table(TOWNSHIP, changed, "sex").get("男士")["target"] == "male"


def test_pairs_in_a_rule_file_get_one_more():
    rules = b'[map]\nbase = "base/lab_rows@1"\n[source]\norg = "x"\ntimezone = "Asia/Shanghai"\n'
    for pairs, kept in (
        (b'state = { "A" = "final", "}" = "amended" }   # agreed\n', b"# agreed"),
        (b"state = { }\n", b""),
    ):
        contents = {
            **TCM, "lis.toml": rules + b"[tables]\n" + pairs + b'items = "codes/lis_items.csv"\n'
        }  # fmt: skip
        changed = add_row(contents, "state", "已打印", {"target": "final", "state": "approved"})
        assert list(changed) == ["lis.toml"]
        assert kept in changed["lis.toml"]
        assert table(contents, changed, "state").get("已打印")["target"] == "final"


def test_what_a_table_gives_is_seen_from_its_columns():
    assert [kind(PEOPLE, name) for name in ("items", "units", "county_units", "flags")] == [
        "items", "units", "units", "codes",
    ]  # fmt: skip
    assert declared(MCH, "items").file == "fhir.toml"
    with pytest.raises(CannotAdd, match="no table"):
        declared(MCH, "nonsense")


@pytest.mark.parametrize("code", ["", " ", "#1", "=1+1", "@x", "a\nb", " a", "a\t"])
def test_codes_that_cannot_stand_in_a_table_are_refused(code):
    with pytest.raises(CannotAdd) as refused:
        add_row(TCM, "items", code, ITEM)
    assert refused.value.zh
    assert "cannot stand in a table" in refused.value.en


def test_a_row_that_gives_nothing_is_refused():
    with pytest.raises(CannotAdd, match="loinc is empty"):
        add_row(TCM, "items", "0999", ITEM | {"loinc": ""})


def test_no_cell_is_run_by_a_spreadsheet():
    text = with_row("x", b"code,name,loinc\n", "A", {"name": '=HYPERLINK("x")', "loinc": "1742-6"})
    assert "'=HYPERLINK" in text.decode()


def test_mark_and_line_ends_stay_as_they_were():
    raw = b"\xef\xbb\xbfcode,loinc\r\nA,1742-6\r\n"
    assert with_row("x", raw, "B", {"loinc": "1920-8"}) == raw + b"B,1920-8\r\n"


codes = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1)


@given(codes, st.text(st.characters(codec="utf-8"), max_size=20))
def test_whatever_the_code_and_name_the_table_answers_with_the_row(code, name):
    code = f"x{code}".strip()
    changed = add_row(TCM, "items", code, ITEM | {"name": name})

    raw = changed["codes/lis_items.csv"]
    made, findings = tables.read_csv(Path("x.csv"), raw, "items", "urn:x")
    assert findings == []
    assert made.get(code)["loinc"] == "2064-4"
