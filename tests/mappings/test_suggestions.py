"""Suggestions: the right item first, with its reasons, and nothing where nothing is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.engine import Unmapped
from mappings.engine.suggestions import SENTENCES, Precedent, kind_of, suggest

ITEMS = [
    # code, name, specimen, unit as sent; LOINC that must come first, empty for none
    ("0302", "肌酐(酶法)", "血清", "umol/L", "14682-9"),
    ("0302", "【全国HR】血清肌酐测定", "SER", "μmol/L", "14682-9"),
    ("CRE", "肌酐", "SER", "mg/dL", "2160-0"),
    ("PCT", "", "SER", "ng/mL", "33959-8"),
    ("PCT", "降钙素原", "SER", "ng/mL", "33959-8"),
    ("PCT", "PCT", "BLD", "%", ""),  # plateletcrit: not in the catalogue, and not procalcitonin
    ("TP", "总蛋白", "SER", "g/L", "2885-2"),
    ("TP", "梅毒螺旋体抗体", "SER", "", "24110-9"),
    ("BUN", "尿素氮(BUN)", "SER", "mmol/L", "22664-7"),
    ("GLU", "葡萄糖", "SER", "mmol/L", "14749-6"),
    ("GLU", "葡萄糖", "UR", "", "25428-4"),
    ("P", "P", "SER", "mmol/L", "14879-1"),
    ("N1", "中性粒细胞", "BLD", "10*9/L", "751-8"),
    ("N2", "中性粒细胞", "BLD", "%", "770-8"),
    ("HBSAG", "乙肝表面抗原", "SER", "", "5196-1"),
    ("CT01", "胸部CT平扫(64排)", "", "", "29252-4"),
    ("DR1", "胸部正位片DR", "", "", "24648-8"),
    ("CR", "肌酐", "UR", "umol/L", ""),  # another item than in serum, and not in the catalogue
    ("CP01", "铜蓝蛋白", "SER", "g/L", ""),
    ("", "", "", "", ""),
]


@pytest.mark.parametrize(("code", "name", "specimen", "unit", "loinc"), ITEMS)
def test_the_right_item_comes_first_or_none_comes(code, name, specimen, unit, loinc):
    found = suggest(Unmapped("items", code, name, specimen, unit), "items")
    assert (found[0].cells["loinc"] if found else "") == loinc
    assert all(one.reasons for one in found)


def test_every_suggestion_says_why_in_both_languages():
    (best, *_) = suggest(Unmapped("items", "0302", "肌酐", "SER", "mmol/L"), "items")
    assert best.text("zh") == "名称相似度 100%（肌酐），标本相符，单位可换算（umol/L）"
    assert best.text("en") == (
        "the names agree by 100% (肌酐), the specimen fits, the unit can be converted (umol/L)"
    )
    assert all(zh and en and zh.count("{") == en.count("{") for zh, en in SENTENCES.values())


def test_the_row_says_the_unit_the_laboratory_reports_in():
    met = Unmapped("items", "hs-cTnI", "高敏肌钙蛋白I", "SER", "ng/mL")
    (best, *_) = suggest(met, "items")
    assert (best.cells["loinc"], best.cells["unit"]) == ("89579-7", "ng/mL")


def test_another_hospitals_approved_row_counts_and_is_named():
    met = Unmapped("items", "9", "铜蓝蛋白", "SER", "g/L")
    row = {"code": "77", "name": "★铜蓝蛋白", "loinc": "14338-8"}
    assert suggest(met, "items") == ()

    (one,) = suggest(met, "items", [Precedent("people", row)])

    assert one.cells["loinc"] == "14338-8"
    assert "在people已有批准的对照" in one.text()
    (again,) = suggest(met, "items", [Precedent("people", row)] * 3)
    assert again == one, "a hospital of three maps is one hospital"


def test_an_own_code_that_differs_only_by_zeros_is_told():
    own = [Precedent("", {"code": "0302", "name": "肌酐", "loinc": "14682-9"})]
    (best, *_) = suggest(Unmapped("items", "302", "", "血清", "umol/L"), "items", own)
    assert best.cells["loinc"] == "14682-9"
    assert "只差前面的零" in best.text()


UNITS = [
    Precedent("", {"text": "U/L", "ucum": "U/L"}),
    Precedent("", {"text": "mg/L", "ucum": "mg/L"}),
    Precedent("people", {"text": "克/升", "ucum": "g/L"}),
]


@pytest.mark.parametrize(
    ("sent", "ucum", "why"),
    [
        ("mmol/mL", "mmol/mL", "UCUM"),
        ("u/L", "U/L", "只差大小写"),
        ("克/升", "g/L", "people"),
        ("S", "", ""),  # a siemens, or a second: nobody guesses
        ("mm/H", "", ""),
        ("COI", "", ""),
    ],
)
def test_units_are_suggested_from_approved_rows_and_never_because_they_parse(sent, ucum, why):
    found = suggest(Unmapped("units", sent), "units", UNITS)
    assert (found[0].cells["ucum"] if found else "") == ucum
    assert not found or why in found[0].text()


def test_other_codes_follow_own_rows_that_look_alike_and_neighbours():
    own = [
        Precedent("", {"code": "审核", "target": "final"}),
        Precedent("", {"code": "初审", "target": "preliminary"}),
    ]
    neighbours = [
        Precedent("tcm", {"code": "已打印", "target": "final"}),
        Precedent("mch", {"code": "已打印", "target": "final"}),
    ]
    (best, *_) = suggest(Unmapped("state", "已打印"), "codes", own + neighbours)
    assert (best.cells["target"], len(best.reasons)) == ("final", 2)
    assert suggest(Unmapped("state", "审核 "), "codes", own)[0].cells["target"] == "final"
    assert suggest(Unmapped("state", "Z"), "codes", own) == ()


def test_what_a_table_gives_decides_what_is_suggested():
    assert kind_of(("code", "name", "loinc")) == "items"
    assert kind_of(("text", "ucum")) == "units"
    assert kind_of(("code", "target")) == "codes"


words = st.text(st.characters(codec="utf-8"), max_size=12)


@given(words, words, words, words, st.sampled_from(["items", "units", "codes"]))
def test_whatever_a_sender_writes_gives_few_ranked_suggestions(code, name, specimen, unit, kind):
    met = Unmapped(kind, code, name, specimen, unit)
    found = suggest(met, kind, UNITS)
    assert found == suggest(met, kind, UNITS)
    assert len(found) <= 5
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert all(45 <= one.score <= 100 for one in found)
