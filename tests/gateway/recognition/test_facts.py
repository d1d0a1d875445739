"""Facts are what the FHIR text says, read with care and nothing added."""

from __future__ import annotations

import csv
import json
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.recognition import facts
from gateway.recognition.facts import ResultFacts, facts_of
from mappings.engine import files

ZONE = ZoneInfo("Asia/Shanghai")
BASE = "https://gateway.example/fhir"
EIGHT = 1_772_409_600_000_000  # 2026-03-02 08:00 +08:00

OBSERVATION = {
    "resourceType": "Observation",
    "id": "a" * 32,
    "status": "final",
    "extension": [{"url": f"{BASE}/StructureDefinition/hr-mark", "valueString": "【全国HR】"}],
    "category": [{"coding": [{"code": "laboratory"}]}],
    "code": {
        "coding": [
            {"system": "http://loinc.org", "code": "14682-9"},
            {"system": f"{BASE}/CodeSystem/people-items", "code": "CREA", "display": "肌酐(酶法)"},
        ],
        "text": "肌酐",
    },
    "subject": {"reference": "Patient/" + "p" * 32},
    "effectiveDateTime": "2026-03-02T08:00:00+08:00",
    "issued": "2026-03-02T10:21:00.123+08:00",
    "performer": [{"reference": "Organization/o1"}],
    "method": {"text": "酶法"},
    "valueQuantity": {
        "value": 88.4, "unit": "μmol/L", "system": "http://unitsofmeasure.org", "code": "umol/L",
    },
}  # fmt: skip
SPECIMEN = {
    "resourceType": "Specimen",
    "type": {"coding": [{"code": "SER", "display": "血清"}]},
    "collection": {"collectedDateTime": "2026-03-02T00:00:00Z"},
}
REPORT = {
    "resourceType": "DiagnosticReport",
    "id": "b" * 32,
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "24558-9"}]},
    "category": [{"coding": [{"code": "RUS"}]}],
    "effectiveDateTime": "2026-03-02",
    "conclusion": "见报告",
}


def of(result: object = OBSERVATION, **options: object) -> ResultFacts:
    given_ = {
        "version": "v1", "content": "c" * 64, "organization": "people", "identity_tier": 1,
        "zone": ZONE,
    }  # fmt: skip
    return facts_of(result, **(given_ | options))  # type: ignore[arg-type]


def test_a_laboratory_value_with_its_specimen_and_visit():
    found = of(
        specimen=SPECIMEN,
        report={"status": "corrected"},
        encounter={"class": {"code": "AMB"}},
        sensitivities=("B", "A", "B"),
    )
    assert found == ResultFacts(
        result="Observation/" + "a" * 32, version="v1", content="c" * 64, organization="people",
        identity_tier=1, status="final", report_status="corrected", source_class="clinical",
        sensitivities=("A", "B"), loinc=("14682-9",), specimen="serum", method="酶法",
        collected=EIGHT, effective=EIGHT, issued=EIGHT + (2 * 60 + 21) * 60_000_000 + 123_000,
        value="quantity", unit="umol/L", marks=("【全国HR】",),
    )  # fmt: skip


def test_an_examination_is_its_own_report():
    found = of(REPORT)
    assert (found.result, found.modality, found.value) == (
        "DiagnosticReport/" + "b" * 32,
        "US",
        "report",
    )
    assert found.effective == EIGHT - 8 * 3_600_000_000  # midnight of the county
    assert found.collected is None
    assert of({**REPORT, "conclusion": ""}).value == "none"


def test_facts_hold_nothing_that_names_a_patient_or_a_value():
    text = msgspec.json.encode(of(specimen=SPECIMEN)).decode()
    for canary in ("88.4", "p" * 32, "肌酐", "Patient"):
        assert canary not in text


@pytest.mark.parametrize(
    ("specimen", "word"),
    [
        ({"type": {"coding": [{"code": "SER"}]}}, "serum"),
        ({"type": {"text": "血清"}}, "serum"),
        ({"type": {"coding": [{"code": "119364003"}], "text": "血清"}}, "serum"),
        ({"type": {"text": "枸橼酸血浆"}}, "plasma"),
        ({"type": {"text": "EDTA抗凝全血"}}, "blood"),
        ({"type": {"text": "末梢血"}}, "capillary blood"),
        ({"type": {"text": "尿液"}}, "urine"),
        ({"type": {"text": "脑脊液"}}, "other"),
        ({"type": {"coding": [{"code": "SER"}], "text": "全血"}}, "other"),
        ({"type": {}}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_specimens_are_read_in_codes_and_words(specimen, word):
    assert of(specimen=specimen).specimen == word


@pytest.mark.parametrize(
    ("encounter", "method", "word"),
    [
        (None, None, "unknown"),
        ({"class": {"code": "AMB"}}, None, "clinical"),
        ({"class": {"code": "PE"}}, None, "health-check"),
        ({"class": {"code": "AMB"}, "type": [{"text": "职工健康体检"}]}, None, "health-check"),
        ({"serviceType": {"text": "临床试验"}}, None, "research"),
        ({"class": {"code": "AMB"}}, "床旁检测", "poct"),
        (None, "poct", "poct"),
    ],
)
def test_where_a_result_comes_from(encounter, method, word):
    result = {**OBSERVATION, "method": {"text": method}} if method else OBSERVATION
    assert of(result, encounter=encounter).source_class == word


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-03-02T08:00:00+08:00", EIGHT),
        ("2026-03-02T00:00:00Z", EIGHT),
        ("2026-03-02T00:00:00.5Z", EIGHT + 500_000),
        ("2026-03-02", EIGHT - 8 * 3_600_000_000),
        ("2026-03", None),
        ("2026", None),
        ("2026-03-02T08:00:00", None),
        ("2026-02-30", None),
        ("99999-01-01T00:00:00Z", None),
        ("", None),
        (20260302, None),
    ],
)
def test_times_are_instants_days_are_county_days_and_less_is_nothing(text, micros):
    assert of({**OBSERVATION, "effectiveDateTime": text}).effective == micros


def test_a_laboratory_that_is_only_a_contractor_is_looked_up():
    assert of().organization == "people"
    assert of(performers={"Organization/o1": "centre"}).organization == "centre"
    assert of(performers={}).organization == "Organization/o1"  # no register knows it
    nobody = {key: value for key, value in OBSERVATION.items() if key != "performer"}
    assert of(nobody, performers={}).organization == "people"
    person = {**OBSERVATION, "performer": [{"reference": "Practitioner/d1"}]}
    assert of(person, performers={}).organization == "people"


def test_marks_are_found_plain_in_parts_and_on_the_report():
    parts = {"url": "https://gw.example/ext/hr-mark",
             "extension": [{"url": "scope", "valueCode": "CN"}, {"url": "raw", "valueString": "★"}]}  # fmt: skip
    found = of(
        {**OBSERVATION, "extension": [parts]}, report={"extension": OBSERVATION["extension"]}
    )
    assert found.marks == ("★", "【全国HR】")
    assert of({**OBSERVATION, "extension": [{"url": "x", "valueString": "y"}]}).marks == ()


@pytest.mark.parametrize(
    ("element", "kind", "unit"),
    [
        ({"valueQuantity": {"value": 1, "code": "U/L"}}, "quantity", ""),
        (
            {"valueQuantity": {"code": "U/L", "system": "http://unitsofmeasure.org"}},
            "quantity",
            "U/L",
        ),
        ({"valueCodeableConcept": {}}, "concept", ""),
        ({"valueRatio": {}}, "ratio", ""),
        ({"valueString": "见报告"}, "absent", ""),
        ({"valueString": "弱阳性(±)"}, "ordinal", ""),
        ({"valueString": "淡黄色，微浑"}, "text", ""),
        ({"dataAbsentReason": {}}, "absent", ""),
        ({}, "none", ""),
    ],
)
def test_kinds_of_values(element, kind, unit):
    result = {k: v for k, v in OBSERVATION.items() if k != "valueQuantity"} | element
    assert (of(result).value, of(result).unit) == (kind, unit)


def test_sides_are_read_only_when_one_is_said():
    def side(text: str) -> str:
        return of({**OBSERVATION, "bodySite": {"text": text}}).laterality

    assert [side(t) for t in ("左膝", "右膝关节", "双侧", "膝", "左右膝")] == [
        "left", "right", "both", "", "",
    ]  # fmt: skip


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
members = st.sampled_from(
    ["status", "code", "category", "extension", "performer", "method", "bodySite", "specimen",
     "effectiveDateTime", "effectivePeriod", "issued", "valueQuantity", "collection", "type",
     "class", "serviceType", "device"]
)  # fmt: skip
resources = st.dictionaries(members, json_values, max_size=8)


@given(resources, resources, resources, resources)
@settings(max_examples=300, deadline=None)
def test_nothing_in_a_resource_makes_reading_fail(result, report, specimen, encounter):
    found = of(result, report=report, specimen=specimen, encounter=encounter, performers={"a": "b"})
    again = msgspec.json.decode(msgspec.json.encode(found), type=ResultFacts)
    assert again == found


def test_facts_do_not_depend_on_how_the_json_was_written():
    text = json.dumps(OBSERVATION, ensure_ascii=True, sort_keys=True)
    assert of(json.loads(text)) == of()


QUALITY = f"{BASE}/StructureDefinition/image-quality"
STUDY = {
    "resourceType": "ImagingStudy",
    "started": "2026-03-02T08:00:00+08:00",
    "description": "上腹部平扫",
    "series": [
        {"laterality": {"code": "L"}, "bodySite": {"code": "KNEE", "display": "膝"},
         "extension": [{"url": QUALITY, "extension": [
             {"url": "sliceThickness", "valueQuantity": {"value": "1.25", "code": "mm"}},
             {"url": "detectorRows", "valueInteger": "64"}]}]},
        {"extension": [{"url": QUALITY, "extension": [
            {"url": "sliceThickness", "valueQuantity": {"value": "5", "code": "mm"}}]}]},
    ],
}  # fmt: skip


def test_images_say_when_what_side_and_of_what_quality():
    found = of(REPORT, study=STUDY)
    assert (found.acquired, found.laterality, found.body_parts) == (EIGHT, "left", ("KNEE", "膝"))
    assert found.quality == (
        ("detectorRows", "64"), ("series", "2"), ("sliceThickness", "1.25 mm"),
        ("sliceThickness", "5 mm"),
    )  # fmt: skip
    assert found.contrast == "without"


def test_an_agent_in_the_images_is_believed_before_the_name():
    agent = {"url": QUALITY, "extension": [{"url": "contrastAgent", "valueString": "碘海醇"}]}
    study = {**STUDY, "series": [{"extension": [agent]}]}
    assert of(REPORT, study=study).contrast == "with"


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("胸部CT平扫", "without"),
        ("胸部CT增强", "with"),
        ("腹部CT平扫+增强", "both"),
        ("腹部CT平扫＋增强", "both"),
        ("腹部CT(平扫、增强)", "both"),
        ("肺动脉CTA", "with"),
        ("头颅MRA", ""),
        ("CT Abdomen WO and W contrast IV", "both"),
        ("CT Chest WO contrast", "without"),
        ("CT Chest W contrast IV", "with"),
        ("胸部CT非增强", "without"),
        ("胸部CT", ""),
    ],
)
def test_contrast_is_read_from_the_name(name, contrast):
    assert of({**REPORT, "code": {"text": name}}).contrast == contrast


@pytest.mark.parametrize(
    ("more", "side"),
    [
        ({"bodySite": {"text": "右膝"}}, "right"),
        ({"code": {"coding": [{"system": "http://loinc.org", "code": "36508-0"}]}}, "left"),
        ({"code": {"text": "右膝关节MR平扫"}}, "right"),
        ({"code": {"text": "左、右膝关节"}}, ""),
        ({"code": {"text": "膝关节"}}, ""),
    ],
)
def test_a_side_is_read_from_the_site_else_from_the_code(more, side):
    assert of({**REPORT, **more}).laterality == side


def test_two_series_of_two_sides_are_both():
    series = [{"laterality": {"code": code}} for code in "LR"]
    assert of(REPORT, study={"series": series}).laterality == "both"


def test_the_sides_that_codes_name_are_those_of_the_countys_examinations():
    table = files.HOME / "tables" / "exam_items.csv"
    rows = csv.DictReader(line for line in table.open(encoding="utf-8") if line[0] != "#")
    sides = {"left": "left", "right": "right", "bilateral": "both"}
    named = {row["loinc"]: sides[row["laterality"]] for row in rows if row["role"] == "side"}
    assert named
    assert {code: facts._LOINC_SIDES.get(code) for code in named} == named


def test_the_instrument_is_kept_as_its_laboratory_names_it():
    assert of({**OBSERVATION, "device": {"display": "AU5800-2"}}).device == "AU5800-2"
    assert of().device == ""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("阴性", "ordinal"), ("阳性(+)", "ordinal"), ("2+", "ordinal"), ("+1", "ordinal"),
        ("±", "ordinal"), ("Negative", "ordinal"), ("(-)", "ordinal"), ("Reactive", "ordinal"),
        ("溶血", "absent"), ("标本不足", "absent"), ("见附页", "absent"), ("****", "absent"),
        ("/", "absent"), (".", "absent"), ("复查", "absent"), ("已退", "absent"), ("", "absent"),
        ("淡黄色", "text"), ("阳性，建议定量", "text"),
    ],
)  # fmt: skip
def test_words_are_an_answer_or_no_result_or_just_words(text, kind):
    result = {k: v for k, v in OBSERVATION.items() if k != "valueQuantity"}
    assert of({**result, "valueString": text}).value == kind
