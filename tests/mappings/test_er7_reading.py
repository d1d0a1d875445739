"""HL7 v2 bytes: character sets, line ends, delimiters, escapes, batches, limits, and never an exception."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import hl7
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.engine import Map, Reading, load
from mappings.engine.er7 import DIALECT
from mappings.engine.er7segments import Wire, compile_address
from mappings.engine.reader import AddressFault, Limits
from tests import public

HERE = Path(__file__).parent
PEOPLE = load(HERE.parent.parent / "mappings" / "sites" / "people")
SAMPLES_SITE = load(HERE.parent / "journeys" / "sites" / "hl7v2")
SAMPLES = public.files("ms-fhir-converter-hl7v2", suffixes=(".hl7",))

MSH = "MSH|^~\\&|LIS|330421A|GW|330421|20260302102100||ORU^R01|L1|P|2.4"
PID = "PID|1||0000812345^^^330421A&HIS^MR||王珅||19800101|M"
OBR = "OBR|1|R1|S1|LFT^肝功能|||20260302075800|||||||||||||||20260302102100||CH|F"


def obx(value: str, unit: str = "", kind: str = "ST", more: str = "||||F") -> str:
    return f"OBX|1|{kind}|ALT^谷丙||{value}|{unit}|{more}"


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    return hashlib.blake2b("\x1f".join((space, type_, *key)).encode(), digest_size=16).hexdigest()


def read(*segments: str, site: Map = PEOPLE, charset: str = "gb18030") -> Reading:
    return site.read("\r".join(segments).encode(charset), ids)


def codes(reading: Reading) -> list[tuple[str, str]]:
    found = [*reading.issues, *(issue for m in reading.messages for issue in m.issues)]
    return [(issue.severity, issue.code) for issue in found]


def body(reading: Reading, type_: str) -> dict[str, object]:
    for message in reading.messages:
        for mapped in message.resources:
            if mapped.type == type_:
                return msgspec.json.decode(mapped.text(), type=dict[str, object])
    raise AssertionError(f"no {type_}")


# --- what is not a message -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "empty"),
        (b"\x0b\x1c\r", "empty"),
        (b"GET / HTTP/1.1\r\n\r\n", "not-hl7"),
        (b"PID|1||2\r", "not-hl7"),
        (b'{"resourceType":"Patient"}', "not-hl7"),
        (b"\xff\xfe\x00\x01" * 50, "not-hl7"),
    ],
)
def test_what_is_not_hl7_is_a_stop_and_not_an_exception(raw: bytes, code: str) -> None:
    reading = PEOPLE.read(raw, ids)
    assert reading.messages == ()
    assert codes(reading) == [("stop", code)]


def test_delimiters_that_cannot_be_told_apart_stop_the_message() -> None:
    reading = read("MSH||||||LIS", PID)
    assert ("stop", "bad-delimiters") in codes(reading)


def test_a_message_without_patient_stops() -> None:
    assert ("stop", "no-patient") in codes(read(MSH, OBR, obx("1")))


def test_a_kind_without_map_is_said_in_chinese() -> None:
    reading = read(MSH.replace("ORU^R01", "BAR^P01"), PID)
    (message,) = reading.messages
    assert message.control_id == "L1"
    assert message.resources == ()
    assert "这种消息没有对应的映射" in message.issues[0].text("zh")


# --- character sets --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["珅", "玘", "燶", "珇", "王珅", "李玘"])
def test_a_character_whose_second_byte_is_a_delimiter_stays_whole(name: str) -> None:
    assert any(sign in name.encode("gb18030") for sign in b"|^~\\")
    reading = read(MSH, PID.replace("王珅", name), OBR, obx("1"))
    assert body(reading, "Patient")["name"] == [{"text": name}]


def test_bytes_outside_the_charset_stop_the_message_but_keep_its_control_id() -> None:
    raw = f"{MSH}\r{PID}".encode("gb18030") + b"\xff\xff\r"
    (message,) = PEOPLE.read(raw, ids).messages
    assert message.control_id == "L1"
    assert [issue.code for issue in message.issues] == ["charset-broken"]


def test_utf_8_sent_by_a_gb18030_source_raises_an_alarm() -> None:
    # A pair of GB18030 characters is three bytes of UTF-8 twice over, so such text decodes silently.
    text = "浙江省云溪县罗星街道人民医院"
    raw = "\r".join((MSH, f"{PID}|||{text}", OBR, obx("1"))).encode()
    found = codes(PEOPLE.read(raw, ids))
    assert ("alarm", "charset-suspicious-utf8") in found or ("stop", "charset-broken") in found


def test_gb18030_sent_by_a_utf_8_source_is_refused_with_that_guess() -> None:
    site = replace(PEOPLE, source=msgspec.structs.replace(PEOPLE.source, charset="utf-8"))
    assert codes(read(MSH, PID, OBR, site=site)) == [("stop", "charset-suspicious-gb")]


@pytest.mark.parametrize("damage", ["锟斤拷", "王\ufffd"])
def test_text_already_broken_by_the_sender_raises_an_alarm_at_its_segment(damage: str) -> None:
    (message,) = read(MSH, PID.replace("王珅", damage), OBR, obx("1")).messages
    alarm = next(issue for issue in message.issues if issue.severity == "alarm")
    assert (alarm.code, alarm.place) == ("charset-mojibake", "PID (line 2)")


def test_a_byte_order_mark_is_no_content() -> None:
    site = replace(PEOPLE, source=msgspec.structs.replace(PEOPLE.source, charset="utf-8"))
    plain = "\r".join((MSH, PID, OBR, obx("1"))).encode()
    assert site.read(b"\xef\xbb\xbf" + plain, ids) == site.read(plain, ids)


# --- segments, fields, escapes ---------------------------------------------------------------------


def test_a_line_feed_inside_a_note_is_text_when_segments_end_with_cr() -> None:
    reading = read(MSH, PID, OBR, obx("1"), "NTE|1||第一行\n第二行")
    assert body(reading, "Observation")["note"] == [{"text": "第一行\n第二行"}]


def test_indented_segments_are_segments_and_other_lines_continue_the_last() -> None:
    raw = "\n".join((MSH, "  " + PID, OBR, obx("一段文字", kind="FT"))).replace("一段", "一\n段")
    observation = body(PEOPLE.read(raw.encode("gb18030"), ids), "Observation")
    assert observation["valueString"] == "一\n段文字"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("a\\T\\b\\S\\c\\F\\d\\R\\e\\E\\f", "a&b^c|d~e\\f"),
        ("一\\.br\\二", "一\n二"),
        ("\\XB0A2\\x", "阿x"),
        ("\\X41\\", "A"),
        ("\\Zneu\\", "\\Zneu\\"),
        ("lone\\", "lone\\"),
        ("\\XZZ\\", "\\XZZ\\"),
    ],
)
def test_escapes_are_undone_last_and_hex_goes_through_the_sources_codec(
    sent: str, meant: str
) -> None:
    wire = Wire("|", "^", "~", "\\", "&", "gb18030")
    assert wire.unescape(sent) == meant


def test_an_unknown_escape_is_kept_and_noted() -> None:
    reading = read(MSH, PID, OBR, obx("\\Zneu\\", kind="TX"))
    assert ("note", "unknown-escape") in codes(reading)
    assert body(reading, "Observation")["valueString"] == "\\Zneu\\"


@given(st.text(st.characters(codec="gb18030", exclude_categories=("Cc", "Cs", "Co"))))
def test_whatever_is_escaped_comes_back(text: str) -> None:
    wire = Wire("|", "^", "~", "\\", "&", "gb18030")
    sent = text.replace("\\", "\\E\\")
    for sign, code in (("|", "F"), ("^", "S"), ("~", "R"), ("&", "T")):
        sent = sent.replace(sign, f"\\{code}\\")
    assert wire.unescape(sent) == text


@pytest.mark.parametrize(
    "bad", ["PID", "PID-", "PID-0", "pid-5", "PID-5.0", "PID-5[", "PID.5", "PIDX-5", ""]
)
def test_an_address_that_means_nothing_is_refused_when_the_map_is_loaded(bad: str) -> None:
    with pytest.raises(AddressFault):
        compile_address(bad)


def test_addresses_filter_repetitions_and_segments() -> None:
    segments = (
        MSH,
        "PID|1||~A^^^^XX~B^^^^NI",
        OBR,
        "OBX|1|TX|F^所见||一~二||||||F",
        "OBX|2|TX|IMP^印象||三||||||F",
    )
    (letter,), _ = DIALECT.cut("\r".join(segments).encode("gb18030"), PEOPLE.source)

    def got(address: str) -> list[str]:
        return [value.text for value in compile_address(address)(letter.root)]

    assert got("PID-3.1") == ["A"]  # empty repetitions in front are passed over
    assert got("PID-3[5=NI].1") == ["B"]
    assert got("PID-3[2].1") == ["A"]
    assert got("PID-3[*].1") == ["A", "B"]
    assert got("MSH-2") == ["^~\\&"]
    (order,) = letter.root.children("OBR")
    assert [v.text for v in compile_address("OBX[3.1=IMP]-5")(order)] == ["三"]
    assert [v.text for v in compile_address("OBX[*]-5[*]")(order)] == ["一", "二", "三"]
    assert str(compile_address("OBX[3.1=IMP]-5")(order)[0].place) == "OBX[2]-5 (line 5)"


# --- several messages ------------------------------------------------------------------------------


def test_two_messages_in_one_frame_are_two() -> None:
    one = "\r".join((MSH, PID, OBR, obx("1")))
    two = one.replace("|L1|", "|L2|")
    reading = PEOPLE.read(f"{one}\r{two}\r".encode("gb18030"), ids)
    assert [message.control_id for message in reading.messages] == ["L1", "L2"]


def test_a_short_batch_is_read_and_alarmed() -> None:
    one = "\r".join((MSH, PID, OBR, obx("1")))
    reading = PEOPLE.read(f"BHS|^~\\&\r{one}\rBTS|3\r".encode("gb18030"), ids)
    assert len(reading.messages) == 1
    assert codes(reading)[0] == ("alarm", "batch-short")


def test_one_broken_message_of_a_batch_does_not_stop_the_others() -> None:
    good = "\r".join((MSH, PID, OBR, obx("1"))).encode("gb18030")
    bad = good.replace(b"|L1|", b"|L2|") + b"\xff\xff"
    reading = PEOPLE.read(good + b"\r" + bad + b"\r" + good.replace(b"|L1|", b"|L3|"), ids)
    assert [bool(message.resources) for message in reading.messages] == [True, False, True]


def test_a_second_patient_in_one_message_is_a_message_of_its_own() -> None:
    other = PID.replace("0000812345", "0000812346")
    reading = read(MSH, PID, OBR, obx("1"), other, OBR.replace("S1", "S2"), obx("2"))
    assert [message.control_id for message in reading.messages] == ["L1", "L1#2"]
    numbers = [message.patient.number for message in reading.messages if message.patient]
    assert numbers == ["0000812345", "0000812346"]
    for message in reading.messages:
        results = [mapped for mapped in message.resources if mapped.type == "Observation"]
        assert len(results) == 1


def test_a_result_without_order_is_an_orphan_and_bound_to_nobody() -> None:
    reading = read(MSH, PID, obx("1"), OBR)
    assert ("hold", "orphan") in codes(reading)
    assert "Observation" not in {m.type for message in reading.messages for m in message.resources}


# --- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(bytes=50), "too-many-bytes"),
        (Limits(messages=1), "too-many-messages"),
        (Limits(segments=3), "too-many-segments"),
        (Limits(fields=10), "too-many-fields"),
        (Limits(repetitions=0), "too-many-repetitions"),
    ],
)
def test_beyond_a_limit_is_a_stop(limits: Limits, code: str) -> None:
    site = replace(PEOPLE, source=msgspec.structs.replace(PEOPLE.source, limits=limits))
    one = "\r".join((MSH, PID, OBR, obx("1~2")))
    assert ("stop", code) in codes(read(one, one, site=site))


def test_a_thousand_results_are_a_thousand_results() -> None:
    rows = [f"OBX|{n}|NM|C{n}^项目||{n}.10|U/L|||||F" for n in range(1000)]
    (message,) = read(MSH, PID, OBR, *rows).messages
    assert sum(mapped.type == "Observation" for mapped in message.resources) == 1000


# --- nobody's invention ----------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_published_message_is_read_and_mapped_or_its_kind_is_named(sample: Path) -> None:
    reading = SAMPLES_SITE.read(sample.read_bytes(), ids)
    assert reading.messages
    for message in reading.messages:
        stopped = [issue.code for issue in message.issues if issue.severity == "stop"]
        held = [issue.code for issue in message.issues if issue.severity == "hold"]
        mapped = {resource.type for resource in message.resources}
        if stopped:
            assert stopped == ["no-map"]
        elif "no-local-id" in held:
            assert mapped == set()
        else:
            assert {"Patient", "Provenance"} <= mapped
        if message.kind.startswith(("ORU", "OUL")):
            assert mapped, "every result message gives resources"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_python_hl7_counts_the_same_segments(sample: Path) -> None:
    text = sample.read_text("utf-8-sig")
    oracle = hl7.parse("\r".join(line for line in text.splitlines() if line.strip()))
    seen: dict[str, int] = {}
    for segment in oracle:
        seen[str(segment[0])] = seen.get(str(segment[0]), 0) + 1
    letters, _ = DIALECT.cut(sample.read_bytes(), SAMPLES_SITE.source)
    counted: dict[str, int] = {}
    known: set[int] = set()

    def count(group: object) -> None:
        for found in group.own.values():  # type: ignore[attr-defined]
            for segment in found:
                if id(segment) not in known:
                    known.add(id(segment))
                    counted[segment.name] = counted.get(segment.name, 0) + 1
        for member in group.members:  # type: ignore[attr-defined]
            count(member)

    orphans = 0
    for letter in letters:
        count(letter.root)
        orphans += sum(issue.code == "orphan" for issue in letter.issues)
    assert sum(counted.values()) + orphans == sum(seen.values())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_behind_a_header_are_survived(noise: bytes) -> None:
    head = f"{MSH}\r{PID}\r{OBR}\r".encode("gb18030")
    for raw in (noise, head + noise, noise + head):
        assert isinstance(PEOPLE.read(raw, ids), Reading)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 3), st.integers(1, 25), st.text(max_size=30))
def test_any_text_in_any_field_is_survived(segment: int, field: int, text: str) -> None:
    segments = [MSH, PID, OBR, obx("1")]
    fields = segments[segment].split("|")
    fields += [""] * (field + 1 - len(fields))
    fields[field] = text
    segments[segment] = "|".join(fields)
    raw = "\r".join(segments).encode("utf-8", "replace")
    assert isinstance(SAMPLES_SITE.read(raw, ids), Reading)
