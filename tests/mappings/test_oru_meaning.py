"""What results and visits mean beyond their values: status, order, identity, patches, references."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mappings.engine import Mapped, Message, load

PEOPLE = load(Path(__file__).parent.parent.parent / "mappings" / "sites" / "people")
PID = "PID|1||0000812345^^^330421A&HIS^MR||王珅||19800101|M"


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    return hashlib.blake2b("\x1f".join((space, type_, *key)).encode(), digest_size=16).hexdigest()


def message(*segments: str, kind: str = "ORU^R01", sent: str = "20260302102100") -> Message:
    head = f"MSH|^~\\&|LIS|330421A|GW|330421|{sent}||{kind}|L1|P|2.4"
    (made,) = PEOPLE.read("\r".join((head, *segments)).encode("gb18030"), ids).messages
    return made


def obr(status: str = "F", reported: str = "20260302102100", number: str = "S1") -> str:
    return f"OBR|1|R1|{number}|LFT^肝功能|||20260302075800||||||||SER^血清|||||||{reported}||CH|{status}"


def obx(code: str = "ALT", value: str = "62.40", status: str = "F", flag: str = "") -> str:
    return f"OBX|1|NM|{code}^项目||{value}|U/L|9--50|{flag}|||{status}"


def of(made: Message, type_: str) -> list[Mapped]:
    return [mapped for mapped in made.resources if mapped.type == type_]


def body(mapped: Mapped) -> dict[str, Any]:
    return msgspec.json.decode(mapped.text(), type=dict[str, Any])


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("F", "final"), ("C", "corrected"), ("A", "amended"), ("P", "preliminary"),
        ("S", "preliminary"), ("R", "preliminary"), ("I", "registered"), ("V", "final"),
        ("B", "final"), ("X", "cancelled"), ("D", "entered-in-error"), ("W", "entered-in-error"),
        ("N", "final"),
    ],
)  # fmt: skip
def test_obx_11_has_its_own_table(sent: str, meant: str) -> None:
    (result,) = of(message(PID, obr(), obx(status=sent)), "Observation")
    assert body(result)["status"] == meant


@pytest.mark.parametrize(
    ("sent", "meant"),
    [("F", "final"), ("C", "corrected"), ("P", "preliminary"), ("A", "partial"), ("R", "partial"),
     ("X", "cancelled"), ("S", "registered")],
)  # fmt: skip
def test_obr_25_has_another_table(sent: str, meant: str) -> None:
    (report,) = of(message(PID, obr(sent), obx()), "DiagnosticReport")
    assert body(report)["status"] == meant


def test_a_result_without_status_takes_the_reports_and_is_held_when_there_is_none() -> None:
    (result,) = of(message(PID, obr("P"), obx(status="")), "Observation")
    assert body(result)["status"] == "preliminary"
    made = message(PID, obr(""), obx(status=""))
    assert of(made, "Observation") == []
    assert ("hold", "must-missing", "OBX[1]-11 (line 4)") in [
        (issue.severity, issue.code, issue.place) for issue in made.issues
    ]


def test_a_result_that_only_describes_the_order_is_no_observation_and_no_issue() -> None:
    made = message(PID, obr(), obx(status="O"))
    assert of(made, "Observation") == []
    assert made.issues == ()


def test_a_result_of_the_wrong_patient_raises_an_alarm() -> None:
    made = message(PID, obr(), obx(status="W"))
    assert [(i.severity, i.code) for i in made.issues] == [("alarm", "wrong-patient")]


def test_a_status_change_without_value_patches_the_stored_result() -> None:
    (result,) = of(message(PID, obr(), obx(value="", status="U")), "Observation")
    assert result.mode == "patch"
    assert "dataAbsentReason" not in body(result)


def test_the_same_result_keeps_its_id_and_a_correction_has_a_later_clock() -> None:
    (first,) = of(message(PID, obr(), obx()), "Observation")
    corrected = message(
        PID, obr("C", "20260302142100"), obx(value="26.4", status="C"), sent="20260302142100"
    )
    (second,) = of(corrected, "Observation")
    assert first.id == second.id
    assert first.clock is not None
    assert second.clock is not None
    assert second.clock - first.clock == 4 * 3600 * 1_000_000


def test_two_results_with_one_key_are_both_kept_and_told() -> None:
    made = message(PID, obr(), obx(), obx(value="63.0"), obx())
    results = of(made, "Observation")
    assert len({result.id for result in results}) == 2
    assert "key-collision" in [issue.code for issue in made.issues]
    (report,) = of(made, "DiagnosticReport")
    shown = {reference["reference"] for reference in body(report)["result"]}
    assert shown == {f"Observation/{result.id}" for result in results}


def test_a_held_result_is_left_out_of_its_report_and_the_rest_goes_through() -> None:
    made = message(PID, obr(), obx(), obx("CREA", "-"))
    assert len(of(made, "Observation")) == 1
    (report,) = of(made, "DiagnosticReport")
    assert len(body(report)["result"]) == 1
    assert ("hold", "ambiguous-dash") in [(i.severity, i.code) for i in made.issues]


def test_one_bad_time_costs_one_element_only() -> None:
    made = message(PID, obr().replace("20260302075800", "2026O302"), obx())
    (result,) = of(made, "Observation")
    assert "effectiveDateTime" not in body(result)
    assert "valueQuantity" in body(result)
    assert "bad-time" in [issue.code for issue in made.issues]


def test_a_time_more_than_a_day_after_the_message_is_left_out() -> None:
    made = message(PID, obr().replace("20260302075800", "20260309075800"), obx())
    assert "future-time" in [issue.code for issue in made.issues]
    (result,) = of(made, "Observation")
    assert "effectiveDateTime" not in body(result)


def test_the_specimen_decides_what_a_code_means() -> None:
    serum = of(message(PID, obr(), obx("GLU", "5.6")), "Observation")
    urine = of(message(PID, obr().replace("SER^血清", "UR^尿液"), obx("GLU", "5.6")), "Observation")
    none = of(message(PID, obr().replace("SER^血清", ""), obx("GLU", "5.6")), "Observation")

    def loinc(results: list[Mapped]) -> list[str]:
        codings = body(results[0])["code"]["coding"]
        return [coding["code"] for coding in codings if coding["system"] == "http://loinc.org"]

    assert loinc(serum) == ["14749-6"]
    assert loinc(urine) == ["25428-4"]
    assert loinc(none) == []


def test_the_senders_own_code_is_always_beside_the_loinc() -> None:
    (result,) = of(message(PID, obr(), obx()), "Observation")
    codings = body(result)["code"]["coding"]
    assert {coding["system"].rpartition("/")[2] for coding in codings} == {
        "loinc.org",
        "people-items",
    }


def test_every_reference_in_a_message_points_into_it() -> None:
    made = message(PID, "PV1|1|O|0203^内科||||||||||||||||V1", obr(), obx(), obx("CREA", "88"))
    there = {f"{mapped.type}/{mapped.id}" for mapped in made.resources}
    for mapped in made.resources:
        for part in mapped.text().split(b'"reference":"')[1:]:
            assert part.split(b'"')[0].decode() in there


def test_the_patient_of_a_result_never_overwrites_and_of_a_visit_patches() -> None:
    (from_result,) = of(message(PID, obr(), obx()), "Patient")
    visit = message("EVN|A08|20260302", PID, "PV1|1|O", kind="ADT^A08")
    (from_visit,) = of(visit, "Patient")
    assert (from_result.mode, from_visit.mode) == ("reference", "patch")
    assert from_result.id == from_visit.id == ids("mrn", "Patient", ["0000812345"])


def test_an_empty_field_says_nothing_and_two_quotes_delete() -> None:
    pid = 'PID|1||0000812345^^^330421A&HIS^MR||王珅||""||||""||'
    (patient,) = of(message("EVN|A08|20260302", pid, "PV1|1|O", kind="ADT^A08"), "Patient")
    assert patient.deletes == ("birthDate", "address")
    assert "gender" not in body(patient)
    assert "telecom" not in body(patient)


def test_head_and_tail_take_a_meta_between_them() -> None:
    for mapped in message(PID, obr(), obx()).resources:
        stored = mapped.head + b'"meta":{"versionId":"1"},' + mapped.tail
        assert msgspec.json.decode(stored)["meta"] == {"versionId": "1"}
        assert msgspec.json.decode(mapped.text())["id"] == mapped.id


def test_digits_reach_the_stored_text_exactly() -> None:
    for value in ("6.10", "1.00000", "0.1000000000000000055511151231257827", "100"):
        (result,) = of(message(PID, obr(), obx(value=value)), "Observation")
        assert b'"value":%s,' % value.encode() in result.text()


def test_an_arrow_that_contradicts_the_flag_is_noted_and_the_flag_stays() -> None:
    made = message(PID, obr(), obx(value="62.4↑", flag="L"))
    (result,) = of(made, "Observation")
    assert body(result)["interpretation"][0]["coding"][0]["code"] == "L"
    assert "flag-disagrees" in [issue.code for issue in made.issues]


def test_provenance_names_the_received_bytes_and_the_release() -> None:
    head = "MSH|^~\\&|LIS|330421A|GW|330421|20260302102100||ORU^R01|L1|P|2.4"
    raw = "\r".join((head, PID, obr(), obx())).encode("gb18030")
    (made,) = PEOPLE.read(raw, ids, origin="digest-of-the-raw").messages
    (provenance,) = of(made, "Provenance")
    node = body(provenance)
    assert node["entity"][0]["what"]["identifier"]["value"] == "digest-of-the-raw"
    assert node["recorded"] == "2026-03-02T10:21:00+08:00"
    assert node["policy"] == [f"https://gateway.example/fhir/map-release/{PEOPLE.release}"]
    others = {f"{m.type}/{m.id}" for m in made.resources if m.type != "Provenance"}
    assert {target["reference"] for target in node["target"]} == others
