"""The pretend county sends what real hospitals send, and sends it the same way every time."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
from collections import Counter
from datetime import date
from decimal import Decimal

import pytest

from gateway.demo import mch, story, tcm, township
from gateway.demo.story import County, county
from gateway.demo.volume import PER_MESSAGE, person, volume

TODAY = date(2026, 11, 20)


@pytest.fixture(scope="module")
def yunxi() -> County:
    return county(TODAY)


def segments(raw: bytes) -> list[list[str]]:
    """Decoded first, split afterwards."""
    lines = raw.decode("gb18030").split("\r")
    assert lines.pop() == ""
    return [line.split("|") for line in lines]


def obx(raw: bytes) -> dict[str, list[str]]:
    return {line[3].split("^")[0]: line for line in segments(raw) if line[0] == "OBX"}


def hl7(yunxi: County) -> list[bytes]:
    return [one.raw for one in yunxi.messages if one.channel == "mllp"]


def test_the_same_day_gives_the_same_bytes(yunxi):
    again = county(TODAY)

    assert again.messages == yunxi.messages
    assert again.forms == yunxi.forms


def test_another_process_gives_the_same_bytes_too(yunxi):
    digest = hashlib.sha256(b"".join(one.raw for one in yunxi.messages)).hexdigest()

    code = (
        "import hashlib; from datetime import date; from gateway.demo.story import county;"
        "print(hashlib.sha256(b''.join(o.raw for o in county(date(2026,11,20)).messages)).hexdigest())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77", "PYTHONPATH": "."},
    )
    assert told.stdout.strip() == digest


def test_another_day_moves_every_time_and_changes_no_value(yunxi):
    later = county(date(2027, 1, 2))
    before, after = obx(yunxi.about("story")[1].raw), obx(later.about("story")[1].raw)

    assert {c: line[5] for c, line in before.items()} == {c: line[5] for c, line in after.items()}
    assert before["ALT"][14] != after["ALT"][14]


def test_a_small_county_keeps_everybody_who_has_a_name():
    small = county(TODAY, size=30)

    assert len(small.residents) == 30
    assert small.about("duplicate")
    assert small.about("wrong patient")


def test_every_hl7_message_decodes_and_has_its_fields_in_place(yunxi):
    for raw in hl7(yunxi):
        head, *rest = segments(raw)
        assert head[:2] == ["MSH", "^~\\&"]
        assert (head[3], head[11]) == ("330421A", "2.4")
        assert {line[0] for line in rest} <= {"EVN", "PID", "PV1", "DG1", "OBR", "OBX"}
        person = next(line for line in rest if line[0] == "PID")
        assert person[3].endswith("^^^330421A&HIS")
        assert person[8] in {"M", "F", ""}
        assert len(person) == 20
        for line in rest:
            if line[0] == "OBX":
                assert line[11] in {"F", "C", "X", "W"}
                assert len(line[14]) == 14


def test_splitting_before_decoding_would_tear_some_messages(yunxi):
    raw = yunxi.about("story")[1].raw
    torn = next(line for line in raw.split(b"\r") if line.startswith(b"PID")).split(b"|")

    assert len(torn) > 20


def test_the_story_holds_the_values_the_check_looks_for(yunxi):
    found = {}
    for one in yunxi.about("story"):
        found |= obx(one.raw)

    assert len(story.SEEN) == 11
    for seen in story.SEEN:
        line = found[seen.code]
        assert line[3].endswith(seen.name)
        assert (line[5], line[6], line[7], line[8]) == (
            seen.value,
            seen.unit,
            seen.range,
            seen.flag,
        )
    assert found["ALT"][3] == "ALT^【全国HR】丙氨酸氨基转移酶"
    assert {"6.10", "1.00", "13.20"} <= {seen.value for seen in story.SEEN}


def test_the_shapes_of_values_are_all_there(yunxi):
    lines = [line for raw in hl7(yunxi) for line in segments(raw) if line[0] == "OBX"]
    values, units = {line[5] for line in lines}, {line[6] for line in lines}

    assert {"<0.01", "6.10", "阴性(-)", "1:80", "溶血", "++", "0-1"} <= values
    assert {"10^9/L", "10^12/L", "μmol/L"} <= units
    assert {"↑", ""} <= {line[8] for line in lines}
    assert any("★" in line[3] for line in lines)


def test_a_corrected_and_a_cancelled_value_follow_the_first_one(yunxi):
    first, corrected = (obx(one.raw) for one in yunxi.about("corrected")[1:])
    cancelled = obx(yunxi.about("cancelled")[0].raw)

    assert (first["CREA"][5], first["CREA"][11]) == ("884.0", "F")
    assert (corrected["CREA"][5], corrected["CREA"][11]) == ("88.40", "C")
    assert (cancelled["UA"][5], cancelled["UA"][11]) == ("", "X")
    assert first["CREA"][14] < corrected["CREA"][14] < cancelled["CREA"][14]


def test_results_of_the_wrong_patient_are_taken_back(yunxi):
    _, first, taken_back = yunxi.about("wrong patient")

    assert {line[11] for line in obx(first.raw).values()} == {"F"}
    assert {line[11] for line in obx(taken_back.raw).values()} == {"W"}
    assert obx(first.raw).keys() == obx(taken_back.raw).keys()


def test_one_message_comes_twice_and_one_control_id_comes_with_other_content(yunxi):
    (duplicate,), (other,) = yunxi.about("duplicate"), yunxi.about("control id again")
    twins = [one for one in yunxi.messages if one.raw == duplicate.raw]
    namesakes = [one for one in yunxi.messages if one.control_id == other.control_id]

    assert len(twins) == 2
    assert len({one.raw for one in namesakes}) == 2
    repeated = Counter(one.control_id for one in yunxi.messages if one.channel == "mllp")
    assert [control_id for control_id, times in repeated.items() if times > 1] == [other.control_id]


def test_a_result_comes_before_its_patient(yunxi):
    kinds = [segments(one.raw)[0][8] for one in yunxi.about("result before patient")]

    assert kinds == ["ORU^R01", "ADT^A04"]


def test_one_specimen_number_names_two_people(yunxi):
    (second,) = yunxi.about("specimen of another chart")
    first = next(
        one
        for one in yunxi.about("same name")
        if segments(one.raw)[0][8] == "ORU^R01"
        and segments(one.raw)[3][3] == segments(second.raw)[3][3]
    )

    assert segments(first.raw)[1][5] == segments(second.raw)[1][5] == "王芳"
    assert segments(first.raw)[1][3] != segments(second.raw)[1][3]


def test_nothing_is_sent_twice_by_accident(yunxi):
    specimens = Counter(
        line[3]
        for one in yunxi.messages
        if one.channel == "mllp" and not one.about
        for line in segments(one.raw)
        if line[0] == "OBR"
    )
    assert max(specimens.values()) == 1


def test_rows_keep_reports_together_and_later_ones_correct_and_withdraw(yunxi):
    export, changes = (one for one in yunxi.messages if one.source == "tcm-lis")
    rows = list(csv.DictReader(io.StringIO(export.raw.decode("gb18030"), newline="")))
    later = json.loads(changes.raw)

    assert tuple(rows[0]) == tuple(later[0]) == tcm.COLUMNS
    groups = [row["BGDH"] for row in rows]
    starts = [
        number for number, before in zip(groups, ["", *groups], strict=False) if number != before
    ]
    assert len(starts) == len(set(starts))
    assert {row["ZT"] for row in rows} == {"2"}
    assert {row["ZT"] for row in later} == {"3", "9"}
    assert {row["BGDH"] for row in later} <= set(groups)
    assert {"<0.01"} <= {row["JG"] for row in rows}
    assert any(row["SFZH"].endswith("x") for row in rows)
    assert any("•" in row["XM"] for row in rows)


def test_the_patient_of_the_story_is_known_at_two_hospitals(yunxi):
    number = yunxi.resident(story.STORY).number
    sources = {
        one.source
        for one in yunxi.messages
        if number.encode() in one.raw or number.lower().encode() in one.raw
    }

    assert sources == {"people-his", "tcm-lis"}
    assert yunxi.resident(story.STORY).will == "broad"


def test_message_bundles_begin_with_their_header_and_keep_their_digits(yunxi):
    bundles = [one for one in yunxi.messages if one.channel == "fhir"]

    assert len(bundles) >= 20
    for one in bundles:
        bundle = json.loads(one.raw, parse_float=Decimal)
        entries = bundle["entry"]
        assert (bundle["type"], bundle["id"]) == ("message", one.control_id)
        assert entries[0]["resource"]["resourceType"] == "MessageHeader"
        inside = {e["fullUrl"].removeprefix(f"{mch.BASE}/") for e in entries}
        for reference in json_references(bundle):
            assert reference in inside
    assert any(b'0,"unit"' in one.raw for one in bundles)  # a trailing zero survives


def json_references(node) -> list[str]:
    match node:
        case dict():
            own = [node["reference"]] if "reference" in node else []
            return own + [r for value in node.values() for r in json_references(value)]
        case list():
            return [r for value in node for r in json_references(value)]
        case _:
            return []


def test_digits_are_written_as_given():
    assert mch.text_of({"value": mch.Digits("6.10")}) == '{"value":6.10}'


def test_the_spreadsheet_has_visits_without_a_number_and_a_few_results(yunxi):
    (sheet,) = (one for one in yunxi.messages if one.source == "township-csv")
    text = sheet.raw.decode(township.CHARSET)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))

    assert tuple(rows[0]) == township.COLUMNS
    assert any(not row["身份证号"] for row in rows)
    assert {bool(row["项目代码"]) for row in rows} == {True, False}


def test_the_psychiatric_record_is_written_at_one_hospital_only(yunxi):
    for one in yunxi.messages:
        text = one.raw.decode("gb18030" if one.channel in {"mllp"} else "utf-8", "ignore")
        if any(code in text for code in story.RESTRICTED_CODES):
            assert one.about == "restricted"
            assert yunxi.resident(story.RESTRICTED).name in text


def test_four_named_callers_are_expected_to_see_different_things(yunxi):
    accounts = {account.login: account for account in story.ACCOUNTS}
    forms = [form for form in yunxi.forms if form.resident.key == story.RESTRICTED]

    assert len(story.EXPECTED) == 4
    assert {one.answer for one in story.EXPECTED} == {
        "everything",
        "without the restricted",
        "refused",
    }
    assert all(accounts[one.login].role == "clinician" for one in story.EXPECTED)
    assert [form.kind for form in forms] == ["broad", "psychiatry"]
    assert accounts[forms[1].to].organization != "people"


def test_forms_follow_what_each_resident_wants(yunxi):
    kinds = Counter(form.kind for form in yunxi.forms)
    will = Counter(one.will for one in yunxi.residents)

    assert kinds["broad"] == will["broad"] + 2
    assert (kinds["refusal"], kinds["withdrawal"], kinds["psychiatry"]) == (1, 1, 1)
    broad, withdrawal = (form for form in yunxi.forms if form.resident.key == "withdrawn")
    assert broad.signed < withdrawal.signed


def test_volume_gives_twenty_results_a_message_and_equal_persons():
    messages = list(volume(3, 50))

    assert PER_MESSAGE == 20
    assert len(messages) == 9
    assert all(len(obx(one.raw)) == 20 for one in messages)
    assert len({one.control_id for one in messages}) == 9
    assert [one.raw for one in volume(3, 50)] == [one.raw for one in messages]
    assert messages[0].raw != next(volume(3, 50, seed="other")).raw


def test_persons_of_the_volume_have_numbers_of_their_own():
    numbers = {person(index).number for index in (*range(200), *range(29_990, 30_010), 209_999)}

    assert len(numbers) == 221
    assert all(number[14:17] == "000" for number in numbers)
