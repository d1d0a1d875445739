"""Which records the shipped lists protect, and that labels only rise."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import labels, policy
from consent.labels import LabelFacts, Labels, label, shipped

LOINC = "http://loinc.org"
GB = "https://gateway.example/fhir/CodeSystem/icd10-gb"
CODES = Path(labels.__file__).parent / "codes"


def of(facts: LabelFacts) -> tuple[str, set[str]]:
    found = label(facts)
    return found.confidentiality, set(found.sensitivities)


@pytest.mark.parametrize(
    ("code", "level", "sensitivities"),
    [
        ("B20", "R", {"HIV"}),
        ("B24.x00", "R", {"HIV"}),
        ("Z21", "R", {"HIV"}),
        ("R75.x00x001", "R", {"HIV"}),
        ("A53.900", "R", {"STD"}),
        ("A65.000", "N", set()),
        ("F32.900", "R", {"PSY"}),
        ("F32.x00", "R", {"PSY"}),
        ("f32.9", "R", {"PSY"}),
        ("Ｆ32.9", "R", {"PSY"}),
        ("F10.200", "R", {"ETH", "ETHUD"}),
        ("F11.200", "R", {"ETH", "OPIOIDUD"}),
        ("O04.900", "R", {"SEX"}),
        ("O09.900", "N", set()),
        ("N97.900", "R", {"SEX"}),
        ("T74.100", "R", {"SDV"}),
        ("Y06.000", "R", {"SDV"}),
        ("B18.100", "N", {"IDS"}),
        ("J06.903", "N", set()),
        ("I10.x00x002", "N", set()),
    ],
)
def test_a_diagnosis_is_labelled_by_its_stem_in_any_chinese_dictionary(
    code: str, level: str, sensitivities: set[str]
) -> None:
    assert of(LabelFacts("Condition", ((GB, code),))) == (level, sensitivities)
    assert of(LabelFacts("Condition", (("urn:local:diagnoses", code),))) == (level, sensitivities)


def test_a_local_item_code_that_looks_like_a_diagnosis_is_not_one() -> None:
    assert of(LabelFacts("Observation", (("urn:local:items", "F32"),))) == ("N", set())
    assert of(LabelFacts("Observation", ((GB, "F32.9"),))) == ("R", {"PSY"})


@pytest.mark.parametrize(
    ("code", "sensitivities"),
    [("56888-1", {"HIV"}), ("31201-7", {"HIV"}), ("24312-1", {"STD"}), ("24110-9", {"STD"})],
)
def test_an_item_is_labelled_by_its_loinc_code(code: str, sensitivities: set[str]) -> None:
    assert of(LabelFacts("Observation", ((LOINC, code),))) == ("R", sensitivities)


@pytest.mark.parametrize(
    ("text", "sensitivities"),
    [
        ("HIV抗体初筛", {"HIV"}),
        ("hiv 1/2 antibody", {"HIV"}),
        ("ＨＩＶ抗体", {"HIV"}),
        ("H\u200bIV抗体", {"HIV"}),
        ("HIV1抗体", {"HIV"}),
        ("人类免疫缺陷病毒抗体", {"HIV"}),
        ("AIDS", {"HIV"}),
        ("hearing aids", set()),
        ("achiving", set()),
        ("xHIV", set()),
        ("HIVE", set()),
        ("CD4+T淋巴细胞计数", set()),
        ("CD4+T淋巴细胞计数，抗病毒治疗中", {"HIV"}),
        ("TPPA", {"STD"}),
        ("TRUST滴度", {"STD"}),
        ("National Health Service Trust", set()),
        ("梅毒螺旋体抗体", {"STD"}),
        ("gonorrhoea", {"STD"}),
        ("诊断：抑郁发作", {"PSY"}),
        ("神志清，精神可，食纳可", set()),
        ("schizophrenia", {"PSY"}),
        ("BRCA1 基因检测", {"GDIS"}),
        ("染色体核型分析", {"GDIS"}),
        ("β-HCG", {"SEX"}),
        ("精液常规", {"SEX"}),
        ("人身损害鉴定", {"SDV"}),
        ("血红蛋白", set()),
        ("", set()),
    ],
)
def test_free_text_is_labelled_by_words_in_both_languages(
    text: str, sensitivities: set[str]
) -> None:
    level = "R" if sensitivities else "N"
    assert of(LabelFacts("DiagnosticReport", texts=(text,))) == (level, sensitivities)
    long = "患者于三天前出现咳嗽，" * 10 + text + "，" + "余无特殊。" * 5
    assert of(LabelFacts("DiagnosticReport", texts=(long,))) == (level, sensitivities)


def test_fetal_sex_is_never_shared() -> None:
    assert of(LabelFacts("DiagnosticReport", texts=("胎儿性别：",)))[0] == "V"


@pytest.mark.parametrize(
    ("department", "sensitivities"),
    [
        ("艾滋病门诊", {"HIV"}),
        ("市精神卫生中心", {"PSY"}),
        ("Psychiatry", {"PSY"}),
        ("生殖医学中心", {"SEX"}),
        ("皮肤性病科", set()),
        ("心血管内科", set()),
    ],
)
def test_a_department_labels_all_its_records(department: str, sensitivities: set[str]) -> None:
    level = "R" if sensitivities else "N"
    assert of(LabelFacts("Observation", departments=(department,))) == (level, sensitivities)


def test_hepatitis_b_of_a_health_check_is_not_shared_and_of_a_patient_is() -> None:
    item, name = (LOINC, "5196-1"), "乙肝表面抗原"
    check = LabelFacts("Observation", (item,), (name,), encounter_class="health-check")

    assert of(check) == ("V", {"IDS"})
    assert of(LabelFacts("Observation", (item,), (name,), encounter_class="AMB")) == ("N", set())


def test_notifiable_diagnoses_are_told_apart() -> None:
    assert label(LabelFacts("Condition", ((GB, "A16.200"),))).notifiable
    assert not label(LabelFacts("Condition", ((GB, "J06.903"),))).notifiable


@pytest.mark.parametrize(
    ("given_label", "expected"),
    [
        ((labels.V3_CONFIDENTIALITY, "R"), ("R", set())),
        ((labels.V3_CONFIDENTIALITY, "U"), ("N", set())),
        ((labels.V3_CONFIDENTIALITY, "secret"), ("R", set())),
        ((labels.V3_ACT_CODE, "HIV"), ("R", {"HIV"})),
        ((labels.V3_ACT_CODE, "XYZ"), ("N", {"XYZ"})),
        (("urn:other", "R"), ("N", set())),
    ],
)
def test_a_source_can_raise_its_own_labels(
    given_label: tuple[str, str], expected: tuple[str, set[str]]
) -> None:
    assert of(LabelFacts("Observation", given=(given_label,))) == expected


PIECES = st.sampled_from(
    ["HIV", "梅毒", "F32.9", "B20", "718-7", "血红蛋白", "艾滋病门诊", "U", "V"]
)
FACTS = st.builds(
    LabelFacts,
    type=st.sampled_from(["Observation", "Condition"]),
    codes=st.lists(st.tuples(st.sampled_from([LOINC, GB]), PIECES), max_size=2).map(tuple),
    texts=st.lists(PIECES, max_size=2).map(tuple),
    departments=st.lists(PIECES, max_size=2).map(tuple),
    given=st.lists(
        st.tuples(st.sampled_from([labels.V3_CONFIDENTIALITY, labels.V3_ACT_CODE]), PIECES),
        max_size=2,
    ).map(tuple),
)


@settings(deadline=None)
@given(FACTS, FACTS)
def test_more_facts_never_lower_a_label(some: LabelFacts, more: LabelFacts) -> None:
    both = LabelFacts(
        type=some.type,
        codes=some.codes + more.codes,
        texts=some.texts + more.texts,
        departments=some.departments + more.departments,
        given=some.given + more.given,
    )

    before, after = label(some), label(both)

    assert before.raised_by(after) == after


@settings(deadline=None)
@given(FACTS, FACTS)
def test_raising_takes_the_stricter_of_everything(one: LabelFacts, other: LabelFacts) -> None:
    a, b = label(one), label(other)

    assert a.raised_by(b) == b.raised_by(a)
    assert a.raised_by(a) == a


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_breaks_the_labeller(text: str) -> None:
    facts = LabelFacts("Condition", ((text, text),), (text,), (text,), text, ((text, text),))

    assert isinstance(label(facts), Labels)


def test_item_names_are_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "_REMEMBERED", 3)
    labeller = labels.read(CODES)
    for number in range(10):
        labeller.label(LabelFacts("Observation", texts=(f"item {number}",)))

    assert len(labeller._texts) <= 3


def test_the_version_changes_with_the_lists(tmp_path: Path) -> None:
    shutil.copytree(CODES, tmp_path / "codes")
    assert labels.read(tmp_path / "codes").version == shipped().version

    words = tmp_path / "codes" / "words.csv"
    words.write_text(words.read_text(encoding="utf-8") + "麻风,IDS,R,,,\n", encoding="utf-8")
    changed = labels.read(tmp_path / "codes")

    assert changed.version != shipped().version
    assert changed.label(LabelFacts("Observation", texts=("麻风",))).confidentiality == "R"


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("words.csv", "词,PSY,R\n"),
        ("words.csv", "词,PSY,Q,,,\n"),
        ("diagnoses.csv", "A1,B24,HIV,R,\n"),
        ("diagnoses.csv", "A01,B24,HIV,R,\n"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(tmp_path: Path, file: str, line: str) -> None:
    shutil.copytree(CODES, tmp_path / "codes")
    table = tmp_path / "codes" / file
    table.write_text(table.read_text(encoding="utf-8") + line, encoding="utf-8")

    with pytest.raises(ValueError):
        labels.read(tmp_path / "codes")


def test_a_word_that_begins_inside_another_is_found_too(tmp_path: Path) -> None:
    county = tmp_path / "county"
    county.mkdir()
    header = "word,sensitivity,confidentiality,near,only,why\n"
    rows = "人工流产术后抑,IDS,R,,,\n人工流产术后,STD,R,,,\n"
    (county / "words.csv").write_text(header + rows, encoding="utf-8")
    labeller = labels.read(CODES, county)

    found = labeller.label(LabelFacts("Condition", texts=("人工流产术后抑郁",)))

    assert found.sensitivities == {"IDS", "STD", "SEX", "PSY"}


def test_every_category_of_the_lists_is_known_to_both_presets() -> None:
    for preset in ("cn-optin", "opt-out"):
        assert shipped().sensitivities <= policy.load(preset, "UTC").known_labels
    assert {"HIV", "STD", "PSY", "SEX", "GDIS", "SDV", "IDS", "ETHUD"} <= shipped().sensitivities


# Protected categories, row by row.

ATC = "http://www.whocc.no/atc"


@pytest.mark.parametrize(
    ("facts", "level", "sensitivities"),
    [
        (LabelFacts("MedicationRequest", ((ATC, "J05AR10"),)), "R", {"HIV"}),
        (LabelFacts("MedicationRequest", ((ATC, "J05AE30"),)), "N", set()),
        (
            LabelFacts("MedicationRequest", (("urn:oid:2.16.840.1.113883.6.73", "N05AN01"),)),
            "R",
            {"PSY"},
        ),
        (LabelFacts("MedicationRequest", (("urn:local", "N05AN01"),)), "N", set()),
        (LabelFacts("MedicationRequest", texts=("洛匹那韦利托那韦片",)), "R", {"HIV"}),
        (LabelFacts("MedicationRequest", texts=("奈玛特韦片/利托那韦片",)), "N", set()),
        (LabelFacts("MedicationRequest", texts=("拉米夫定片",)), "N", set()),
        (LabelFacts("MedicationRequest", texts=("拉米夫定+替诺福韦",)), "R", {"HIV"}),
        (LabelFacts("Observation", ((LOINC, "14334-7"),)), "R", {"PSY"}),
        (LabelFacts("Observation", texts=("血锂测定",)), "R", {"PSY"}),
        (LabelFacts("Observation", texts=("Lithium level",)), "R", {"PSY"}),
        (LabelFacts("Observation", texts=("lithium battery",)), "N", set()),
        (LabelFacts("Observation", ((LOINC, "6896-5"),)), "R", {"PSY"}),
        (LabelFacts("Observation", ((LOINC, "21198-7"),)), "R", {"SEX"}),
        (LabelFacts("Specimen", texts=("精液",)), "R", {"SEX"}),
        (LabelFacts("Observation", ((LOINC, "29770-5"),)), "R", {"GDIS"}),
        (LabelFacts("DiagnosticReport", texts=("BRCA1/2基因突变检测",)), "R", {"GDIS"}),
        (LabelFacts("DiagnosticReport", texts=("病原NGS检测",)), "N", set()),
        (LabelFacts("DiagnosticReport", texts=("肿瘤NGS基因突变",)), "R", {"GDIS"}),
        (LabelFacts("DiagnosticReport", texts=("单活女胎",)), "V", {"SEX"}),
        (LabelFacts("Observation", ((LOINC, "11882-8"),)), "V", {"SEX"}),
        (LabelFacts("DiagnosticReport", texts=("羊水细胞染色体核型分析",)), "V", {"SEX", "GDIS"}),
        (LabelFacts("Observation", texts=("羊水深度 52 mm",)), "N", set()),
        (LabelFacts("Observation", departments=("IVF中心",)), "R", {"SEX"}),
        (LabelFacts("Condition", texts=("提供精确治疗",)), "N", set()),
        (LabelFacts("Condition", ((GB, "T74.200"),)), "R", {"SDV"}),
        (LabelFacts("DiagnosticReport", texts=("法医临床：人身损害鉴定",)), "R", {"SDV"}),
        (LabelFacts("Observation", organization=("x", "县精神病医院")), "R", {"PSY"}),
        (LabelFacts("Observation", organization=("x", "县妇幼保健计划生育服务中心")), "N", set()),
    ],
)
def test_each_row_of_the_protected_categories(
    facts: LabelFacts, level: str, sensitivities: set[str]
) -> None:
    assert of(facts) == (level, sensitivities)


def test_a_denial_of_a_disease_raises_as_the_disease_does() -> None:
    assert of(LabelFacts("DocumentReference", texts=("否认HIV感染史",))) == ("R", {"HIV"})


def test_a_record_of_a_health_check_is_known_by_its_visit_or_its_department() -> None:
    item = (LOINC, "63557-3")
    assert of(LabelFacts("Observation", (item,), departments=("健康体检中心",)))[0] == "V"
    assert of(LabelFacts("Observation", (item,), departments=("感染科",)))[0] == "N"
    visit = LabelFacts("Encounter", departments=("体检中心",))
    assert label(visit).health_check
    assert not label(LabelFacts("Encounter")).health_check


# The county's own rows.


def test_a_county_adds_rows_and_takes_none_away(tmp_path: Path) -> None:
    (tmp_path / "persons.csv").write_text(
        "system,value,sensitivity,why\nurn:military,,VIP,\nurn:staff,S1,EMP,\n", encoding="utf-8"
    )
    (tmp_path / "organizations.csv").write_text(
        "contains,sensitivity,confidentiality,why\n=kangning,PSY,R,\n", encoding="utf-8"
    )
    own = labels.read(CODES, tmp_path)

    def of_person(system: str, value: str) -> Labels:
        return own.label(LabelFacts("Patient", identifiers=((system, value),)))

    assert of_person("urn:military", "军字第1号") == Labels("V", frozenset({"VIP"}), own.version)
    assert of_person("urn:staff", "S1").confidentiality == "V"
    assert of_person("urn:staff", "S2").confidentiality == "N"
    assert own.label(
        LabelFacts("Observation", organization=("kangning", "康宁"))
    ).sensitivities == {"PSY"}
    assert own.version != shipped().version
    assert own.items == shipped().items
    assert own.words.marks == shipped().words.marks


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wrods.csv", "word,sensitivity,confidentiality,near,only,why\n"),
        ("words.csv", "word,sensitivity\n某词,PSY\n"),
        ("words.csv", "word,sensitivity,confidentiality,near,only,why\n,PSY,R,,,\n"),
        ("words.csv", "word,sensitivity,confidentiality,near,only,why\n某词,PSY,R,(,,\n"),
    ],
)
def test_a_county_file_that_cannot_be_meant_is_refused(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=name):
        labels.read(CODES, tmp_path)
