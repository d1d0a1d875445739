"""The county's catalogue: whole, of one mind with itself, and clear of the known traps."""

from __future__ import annotations

import csv
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import mappings
from gateway.recognition.catalogue import SHIPPED
from gateway.recognition.catalogue.reader import load as load_catalogue
from mappings.engine import tables, terms, unit_kinds

TABLES = Path(mappings.__path__[0]) / "tables"


def rows(name: str) -> list[dict[str, str]]:
    lines = (TABLES / name).read_text("utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


LAB, EXAMS, PANELS = (rows(f"{name}.csv") for name in ("lab_items", "exam_items", "lab_panels"))
BY_LOINC = {row["loinc"]: row for row in (*LAB, *EXAMS, *PANELS)}

# Item by item: its LOINC numbers with their confidence.
LAB_ITEMS = """
1 1742-6A|2 1920-8A|3 6768-6A|4 2324-2A|5 2885-2A|6 1751-7A|7 10834-0B|8 14631-6C|9 14629-0C
10 14630-8C|11 14628-2B|12 22664-7C|13 14682-9C|14 14933-6C|15 14749-6C|16 14771-0C|17 4548-4A
18 59261-8B|19 14647-2C|20 14927-8C|21 14646-4C|22 22748-8C 69419-0C 39469-2C|23 1869-7B|24 1884-6B
25 10835-7C 43583-4C|26 2157-6A|27 13969-1A 32673-6B|28 14804-9B 2532-0A|29 1798-8A|30 33863-2B
31 2823-3A|32 2951-2A|33 2075-0A|34 2000-8C|35 14879-1C|36 2601-3C|37 2028-9A|38 14798-3C|39 2276-4A
40 1988-5A|41 30522-7A|42 33959-8B 75241-0B|43 89579-7B 10839-9A|44 33762-6A|45 30934-4B
46 6690-2A 26464-8A|47 789-8A|48 718-7A|49 4544-3A 20570-8A|50 787-2A|51 785-6A|52 786-4A|53 777-3A
54 770-8A 751-8A|55 736-9A 731-0A|56 5905-5A 742-7A|57 713-8A 711-2A|58 4537-7A|59 5902-2A 6301-6A
60 14979-9A|61 3243-3A|62 3255-7A|63 48065-7A 48066-5A|64 3016-3A|65 14928-6C 14920-3C
66 14930-2C 14921-1C|67 1834-1A 53962-7A|68 2039-6A|69 10334-1A 24108-3A 6875-9B|70 2857-1A 10886-0B
71 5196-1A 5193-8A 13954-3A 13953-5A 13952-7A 63557-3B|72 13955-0A 24312-1B 24110-9B 20507-0A 31147-2A
73 56888-1A 31201-7B|74 20454-5A 25428-4A 2514-8A 5794-3A 5799-2A 5802-4A 5803-2B 5811-5B 5770-3B 5818-0B
"""

# The examinations.
EXAM_ITEMS = """
1 DX 24648-8 36554-4|2 DX 36643-5 24647-0|3 DX 37046-0 36550-2|4 DX 24942-5|5 DX 30753-8|6 DX 24970-6
7 DX 28561-9|8 DX 36709-4 36710-2|9 DX 30779-3 36685-6|10 DX 24909-4 26158-6 26159-4|11 CT 30799-1
12 CT 29252-4|13 CT 24628-0 30598-7|14 CT 36424-0|15 CT 36267-3|16 CT 36952-0 36813-4|17 CT 30592-0
18 CT 30620-9|19 CT 36529-6|20 CT 36866-2|21 CT 36147-7|22 CT 79089-9|23 MR 30657-1|24 MR 24587-8
25 MR 36881-1|26 MR 30667-0 30679-5 36532-0|27 MR 30691-0 36508-0 36510-6|28 MR 30668-8 30669-6
29 MR 30673-8 36519-7|30 US 24558-9|31 US 38036-0 24531-6|32 US 24869-0 24677-7
33 US 25010-0 24601-7 26214-7|34 US 24616-5 30881-7|35 US 42148-7 34552-0|36 ECG 34534-8 11524-6
"""

EXTENSION = """
883-9 10331-7 17849-1 788-0 21000-5 32623-1 11572-5 5370-2 2458-8 2465-3 2472-9 4485-9 4498-2 8099-4
8098-6 2132-9 14685-2 2284-8 14732-2 1989-3 14635-7 62292-8 20448-7 14796-7 1986-9 42595-9 29615-2
9318-7 2335-8 29771-3 14338-8 1952-1 12841-3 62238-1 25390-6 15060-7 9679-2
"""


def listed(text: str) -> dict[str, list[str]]:
    lines = [part.split() for part in text.strip().replace("\n", "|").split("|")]
    return {number: rest for number, *rest in lines}


@pytest.mark.parametrize(("number", "codes"), listed(LAB_ITEMS).items())
def test_every_laboratory_item_is_there_with_its_numbers_and_confidence(number, codes):
    found = {
        row["loinc"] + row["sure"]
        for row in LAB
        if row["number"] == number and row["role"] != "imported"
    }
    # Item 28 names the method of the other range by its number: a row of its own here.
    assert found - {"14805-6B"} == set(codes)


@pytest.mark.parametrize(("number", "codes"), listed(EXAM_ITEMS).items())
def test_every_examination_is_there_with_its_modality_and_numbers(number, codes):
    modality, *loinc = codes
    found = [row for row in EXAMS if row["number"] == number]
    assert [row["loinc"] for row in found] == loinc
    assert {row["modality"] for row in found} == {modality}
    assert all(row["body_part"] for row in found)


def test_there_are_74_items_36_examinations_and_the_codes_for_extension():
    assert {int(row["number"]) for row in LAB if row["number"]} == set(range(1, 75))
    assert {int(row["number"]) for row in EXAMS if row["number"]} == set(range(1, 37))
    extension = {row["loinc"] for row in LAB if row["role"] == "extension"}
    assert extension >= set(EXTENSION.split())
    assert {row["loinc"] for row in PANELS} == {
        "57021-8", "24325-3", "24362-6", "24326-1", "24331-1", "24356-8",
    }  # fmt: skip


def test_only_what_the_document_doubts_is_marked_uncertain():
    uncertain = {row["loinc"] for row in (*LAB, *EXAMS) if row["sure"] == "Q"}
    assert uncertain == {"79089-9", "42595-9", "29615-2", "25390-6", "15060-7", "9679-2"}


def test_numbers_and_codes_stand_once_and_have_their_check_digit():
    every = [*LAB, *EXAMS, *PANELS]
    assert len({row["loinc"] for row in every}) == len(every)
    for table in (LAB, EXAMS, PANELS):
        assert len({row["code"] for row in table}) == len(table)
    assert all(tables.loinc_valid(row["loinc"]) for row in every)


def test_every_unit_is_approved_and_measures_the_property():
    approved = {row["ucum"] for row in rows("units.csv")}
    for row in LAB:
        assert not row["unit"] or row["unit"] in approved, row["code"]
        assert unit_kinds.fits(row["unit"], row["property"]), row["code"]
        assert bool(row["unit"]) == (
            row["property"] not in ("PrThr", "Titr", "Type", "LsCnc", "RelDens")
        )


def test_every_specimen_is_one_of_the_table():
    known = {row["target"] for row in rows("v2_0487_specimen.csv")} | {"BLDC"}
    assert {row["specimen"] for row in LAB} <= known


def test_a_panel_holds_items_of_the_catalogue():
    codes = {row["code"] for row in LAB}
    for row in PANELS:
        items = row["items"].split(";")
        assert set(items) <= codes
        assert len(items) == len(set(items))


def test_a_side_is_of_an_examination_that_requires_one():
    paired = {row["number"] for row in EXAMS if row["laterality"] == "required"}
    sides = [row for row in EXAMS if row["role"] == "side"]
    assert sides
    assert all(row["number"] in paired for row in sides)
    assert paired == {"8", "9", "10", "27", "33", "34"}


def test_the_recognition_catalogue_says_the_same_of_its_items():
    """Windows and scopes stand there, codes and units here: neither may drift."""
    for item in load_catalogue(SHIPPED, zone=ZoneInfo("Asia/Shanghai")).items:
        for loinc in item.loinc:
            row = BY_LOINC[loinc]
            number = int(item.code[5:9])  # HR-L-0054-2 is the second test of row 54
            assert row["number"] == ("" if number > 100 else str(number)), item.code
            if loinc == item.loinc[0]:
                assert item.confidence == row["sure"], item.code
                if item.kind == "lab":
                    assert item.property == row["property"], item.code
            assert item.modality == row.get("modality", ""), item.code
            if item.ucum:
                assert row["unit"] in item.ucum, item.code


# --- the traps of laboratory items and examinations --------------------------------------------------------------


@pytest.mark.parametrize("code", ["48067-5", "48066-7"])
def test_numbers_often_seen_for_d_dimer_fail_the_check_digit(code):
    assert not tables.loinc_valid(code)
    assert terms.traps()[code].instead in BY_LOINC


@pytest.mark.parametrize(
    ("code", "instead"),
    [("47238-1", "24110-9"), ("59826-8", "14682-9"), ("24627-2", "24648-8")],
)
def test_numbers_that_mean_something_else_are_no_items_and_point_to_the_right_one(code, instead):
    assert tables.loinc_valid(code)
    assert code not in BY_LOINC
    assert terms.traps()[code].instead == instead
    assert instead in BY_LOINC


def test_pct_is_procalcitonin_here_and_no_share_of_platelets():
    pct = next(row for row in LAB if row["code"] == "PCT")
    assert (pct["loinc"], pct["specimen"]) == ("33959-8", "SER")
    assert not unit_kinds.fits("%", pct["property"])


def test_a_chest_x_ray_is_dx_and_a_chest_ct_is_ct():
    for row in EXAMS:
        word = row["display"].split(" ")[0]
        expected = {"XR": "DX", "CTA": "CT", "MRA": "MR", "EKG": "ECG", "2D": "US"}.get(word, word)
        assert row["modality"] == expected, row["code"]


def test_fractions_and_counts_of_the_same_cells_are_two_numbers():
    for cells in ("NEUT", "LYMPH", "MONO", "EO"):
        share, count = (next(r for r in LAB if r["code"] == cells + sign) for sign in "%#")
        assert (share["property"], count["property"]) == ("NFr", "NCnc")
        assert not unit_kinds.alike(share["unit"], count["unit"])


def test_feu_and_ddu_are_two_numbers_whose_units_are_not_alike():
    feu, ddu = (next(r for r in LAB if r["code"] == code) for code in ("D-D", "D-DU"))
    assert feu["loinc"] != ddu["loinc"]
    assert not unit_kinds.alike(feu["unit"], ddu["unit"])
    assert unit_kinds.alike("ug/mL{FEU}", "mg/L{FEU}")


def test_terms_that_are_looked_up_are_the_rows_of_the_files():
    assert set(BY_LOINC) < set(terms.licensed())
    assert terms.licensed()["14682-9"].aliases[:1] == ("Cr",)
