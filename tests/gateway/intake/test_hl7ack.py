"""Acknowledgments: addressed to the sender, in its version and character set, repeating nothing."""

from __future__ import annotations

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.intake import hl7ack
from gateway.intake.hl7ack import Fault

STAMP = "20260301120000+0800"
PID = "PID|1||0000812345^^^330421A&HIS||王珅||19800101|M\r"


def message(version: str = "2.4", charset: str = "GBK", facility: str = "330421A") -> str:
    return (
        f"MSH|^~\\&|LIS|{facility}|GATEWAY|COUNTY|20260302102100||ORU^R01|L20260302000123|P|{version}"
        f"||||||{charset}\r"
    )


def answered(raw: bytes, fault: Fault | None, charset: str = "") -> list[list[str]]:
    header = hl7ack.peek(raw, charset)
    text = hl7ack.ack(header, fault, STAMP, "OWN1").decode(header.codec if header else "ascii")
    return [line.split("|") for line in text.rstrip("\r").split("\r")]


def test_a_kept_message_is_accepted_in_the_senders_own_terms():
    msh, msa = answered((message() + PID).encode("gb18030"), None)

    assert msh == [
        "MSH", "^~\\&", "GATEWAY", "COUNTY", "LIS", "330421A", STAMP, "", "ACK^R01^ACK", "OWN1",
        "P", "2.4", "", "", "", "", "", "GBK",
    ]  # fmt: skip
    assert msa == ["MSA", "AA", "L20260302000123"]


def test_version_2_4_tells_errors_in_err_1_and_the_text_in_msa_3():
    _, msa, err = answered(message("2.4").encode(), Fault.UNKNOWN_SENDER, "gb18030")

    assert msa[:3] == ["MSA", "AR", "L20260302000123"]
    assert "发送方未登记" in msa[3]
    assert err == ["ERR", "MSH^1^4^204&Unknown key identifier&HL70357"]


@pytest.mark.parametrize("version", ["2.5", "2.5.1", "2.6", "2.10"])
def test_version_2_5_tells_errors_in_err_2_to_8(version):
    _, msa, err = answered(message(version).encode(), Fault.BUSY, "gb18030")

    assert msa == ["MSA", "AE", "L20260302000123"]
    assert err[3] == "207^Application internal error^HL70357"
    assert err[4] == "E"
    assert err[8] == "暂时无法保存，请重发 The message could not be kept now; send it again"


def test_a_character_whose_second_byte_is_a_bar_does_not_shift_the_header():
    raw = message(facility="珅玘医院").encode("gb18030")
    assert raw.count(b"|") > message().count("|")

    header = hl7ack.peek(raw)

    assert header is not None
    assert (header.facility, header.control_id) == ("珅玘医院", "L20260302000123")


def test_the_sources_character_set_beats_what_the_header_says():
    raw = message(charset="UTF-8", facility="珅玘医院").encode("gb18030")
    header = hl7ack.peek(raw, "gb18030")

    assert header is not None
    assert (header.facility, header.codec) == ("珅玘医院", "gb18030")


def test_without_chinese_in_the_character_set_the_answer_is_english():
    text = hl7ack.ack(hl7ack.peek(message(charset="").encode()), Fault.BUSY, STAMP, "OWN1")
    assert text.isascii()
    assert b"send it again" in text


@pytest.mark.parametrize("fault", Fault)
def test_chinese_sentences_hold_no_byte_that_looks_like_a_delimiter(fault):
    chinese = fault.value[5].encode("gb18030")
    assert not set(b"|^~\\&\r\n") & set(chinese)


def test_what_is_not_hl7_is_refused_without_a_header_to_answer_to():
    msh, msa, err = answered(b"GET / HTTP/1.1", Fault.NOT_HL7)
    assert msh[8] == "ACK"
    assert msa[:3] == ["MSA", "AR", ""]
    assert err == ["ERR", "MSH^^^100&Segment sequence error&HL70357"] or err[1].startswith("MSH")


def test_nothing_but_header_fields_is_repeated():
    raw = (message() + PID).encode("gb18030")
    for fault in (None, *Fault):
        text = hl7ack.ack(hl7ack.peek(raw), fault, STAMP, "OWN1").decode("gb18030")
        assert "王珅" not in text
        assert "0000812345" not in text


@pytest.mark.parametrize("fault", [None, *Fault])
@pytest.mark.parametrize("version", ["2.3.1", "2.4", "2.5.1"])
def test_python_hl7_reads_every_answer(fault, version):
    text = hl7ack.ack(hl7ack.peek(message(version).encode(), "gb18030"), fault, STAMP, "OWN1")
    parsed = hl7.parse(text.decode("gb18030"))
    assert str(parsed.segment("MSA")[1]) == (fault.code if fault else "AA")
    assert str(parsed.segment("MSA")[2]) == "L20260302000123"


def test_own_delimiters_are_answered_in_kind():
    text = hl7ack.ack(hl7ack.peek(b"MSH#!~\\&#A#B#C#D#1##ADT!A01#ID1#P#2.4\r"), None, STAMP, "OWN1")
    assert text.startswith(b"MSH#!~\\&#C#D#A#B#")
    assert b"ACK!A01!ACK" in text
    assert b"MSA#AA#ID1" in text


@pytest.mark.parametrize(
    "raw",
    [b"", b"MSH", b"MSH|^~\\&", b"MSHA^~\\&AAAAA", b"MSH|^^^^|a|b|c", b"PID|1||", b"MSH |^~\\&|"],
)
def test_broken_headers_are_no_headers_or_at_least_answerable(raw):
    header = hl7ack.peek(raw)
    assert hl7ack.ack(header, Fault.NOT_HL7, STAMP, "OWN1").startswith(b"MSH|^~\\&|")


@given(st.binary(max_size=300), st.sampled_from(["", "gb18030", "utf-8", "no-such"]))
def test_any_bytes_after_msh_get_an_answer_of_two_or_three_lines(tail, charset):
    header = hl7ack.peek(b"MSH|^~\\&|" + tail, charset)
    for fault in (None, Fault.BUSY):
        lines = hl7ack.ack(header, fault, STAMP, "OWN1").split(b"\r")
        assert len(lines) == (4 if fault else 3)
        assert lines[-1] == b""


# Several messages in one delivery.


def test_one_message_stays_byte_for_byte_what_was_sent():
    raw = ("\r\n" + message() + PID + "\n").encode("gb18030")
    assert hl7ack.cut(raw) == [raw]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_several_messages_are_cut_at_each_header(end):
    one, two = message("2.4"), message("2.5")
    raw = ("FHS|^~\\&|A\rBHS|^~\\&|B\r" + one + PID + two + "BTS|2\rFTS|1\r").replace("\r", end)

    pieces = hl7ack.cut(raw.encode("gb18030"))

    assert [hl7ack.peek(piece).version for piece in pieces] == ["2.4", "2.5"]
    assert b"PID" in pieces[0]
    assert not any(b"BTS" in piece or b"FTS" in piece or b"BHS" in piece for piece in pieces)
    assert not hl7ack.missing(raw.encode(), 2)
    assert hl7ack.missing(raw.encode(), 1)


def test_text_before_the_header_is_no_message():
    assert hl7ack.cut(b"hello\r" + message().encode()) == []
    assert hl7ack.cut(b"") == []
