"""Strict JSON: what is refused and where, agreement with the standard reader, and edits that touch nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mappings.engine import jsontext
from mappings.engine.jsontext import Edit, JsonFault, Number

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(NAMES, below, max_size=4),
    max_leaves=20,
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Valid JSON in various spellings: with and without escapes and white space."""
    value = draw(VALUES)
    ascii_only = draw(st.booleans())
    indent = draw(st.sampled_from([None, 0, 2]))
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()


def reading(text: bytes) -> Any:
    return json.loads(text, parse_float=Number, parse_int=Number)


def fault(text: bytes) -> JsonFault:
    with pytest.raises(JsonFault) as caught:
        jsontext.parse(text)
    with pytest.raises(JsonFault) as quick:
        jsontext.check(text)
    assert (quick.value.code, quick.value.line, quick.value.column) == (
        caught.value.code,
        caught.value.line,
        caught.value.column,
    )
    return caught.value


@given(texts())
def test_valid_text_is_read_as_the_standard_reader_reads_it(text: bytes) -> None:
    assert jsontext.parse(text).plain() == reading(text)
    assert jsontext.check(text) == json.loads(text)


@given(texts())
def test_every_span_is_the_text_of_its_value(text: bytes) -> None:
    def look(value: jsontext.Value) -> None:
        assert reading(text[value.start : value.end]) == value.plain()
        for name, member in value.members().items():
            assert json.JSONDecoder().raw_decode(text[member.key :].decode())[0] == name
            look(member)
        for item in value.items():
            look(item)

    look(jsontext.parse(text))


@given(texts(), st.data())
@example(b'{"a":1}', None)
def test_the_quick_and_the_exact_reader_accept_the_same_texts(text: bytes, data: Any) -> None:
    if data is not None:
        at = data.draw(st.integers(0, len(text)))
        piece = data.draw(
            st.binary(max_size=2)
            | st.sampled_from([b",", b"]", b"}", b'"', b"\\", b"0", b"e9", b"-", b"NaN", b'"":1,'])
        )
        text = text[:at] + piece + text[at + data.draw(st.integers(0, 2)) :]

    def accepted(reader: Any) -> object:
        try:
            reader(text)
        except JsonFault as refused:
            return (refused.code, refused.line, refused.column)
        return "accepted"

    assert accepted(jsontext.check) == accepted(jsontext.parse)


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        (b'{"a":1,\n "a":2}', "duplicate", 2, 2),
        (b'{"a":1,"\\u0061":2}', "duplicate", 1, 8),
        (b'{"x":[{"id":"1","id":"1"}]}', "duplicate", 1, 17),
        (b'{"a":"\xff"}', "not-utf8", 1, 7),
        (b'{"a":"\xed\xa0\x80"}', "not-utf8", 1, 7),
        ('{"名":"王\n"}'.encode(), "control", 1, 8),
        ('{"姓名":"王","b":tru}'.encode(), "syntax", 1, 15),
        (b"\xef\xbb\xbf{}", "byte-order-mark", 1, 1),
        (b'["\\ud83d"]', "surrogate", 1, 2),
        (b'["\\ude00\\ud83d"]', "surrogate", 1, 2),
        (b'{"\\ud800":1}', "surrogate", 1, 2),
        (b"[NaN]", "not-a-number", 1, 2),
        (b"[-Infinity]", "not-a-number", 1, 2),
        (b"[1e999]", "number-range", 1, 2),
        (b"[01]", "syntax", 1, 3),
        (b"[1.]", "syntax", 1, 3),
        (b"[+1]", "syntax", 1, 2),
        (b"[1,]", "syntax", 1, 4),
        (b'{"a":1,}', "syntax", 1, 8),
        (b"{} {}", "trailing", 1, 4),
        (b'{"a":"b', "truncated", 1, 8),
        (b'{"a":', "truncated", 1, 6),
        (b'{"a"', "truncated", 1, 5),
        (b"[1", "truncated", 1, 3),
        (b"", "truncated", 1, 1),
        (b"[" * 65 + b"]" * 65, "depth", 1, 65),
        (b'["\\x"]', "syntax", 1, 3),
        (b"<Patient/>", "syntax", 1, 1),
    ],
)
def test_what_other_parsers_let_pass_is_refused_with_its_place(
    text: bytes, code: str, line: int, column: int
) -> None:
    found = fault(text)
    assert (found.code, found.line, found.column) == (code, line, column)


def test_sixty_four_levels_are_still_read() -> None:
    text = b"[" * 64 + b"]" * 64
    assert jsontext.check(text) == json.loads(text)
    jsontext.parse(text)


def test_a_hostile_depth_neither_crashes_nor_hangs() -> None:
    assert fault(b'{"a":' * 200_000).code == "depth"


def test_a_fault_never_quotes_what_stood_there() -> None:
    found = fault('{"name":"王玘","name":"王玘"}'.encode())
    for sentence in (found.text("zh"), found.text("en"), str(found), repr(found)):
        assert "王玘" not in sentence
    assert found.text("zh") == "第 1 行第 14 列：同一对象内成员名重复。"
    assert "two members" in found.text("en")


def test_numbers_keep_the_digits_they_were_written_with() -> None:
    value = jsontext.parse(b'{"value":6.10,"n":-0.00e+2,"i":12345678901234567890123}')
    assert value.plain() == {"value": "6.10", "n": "-0.00e+2", "i": "12345678901234567890123"}
    assert all(type(member.data) is Number for member in value.members().values())


@given(texts())
def test_no_edits_change_nothing(text: bytes) -> None:
    assert jsontext.apply(text, ()) == text


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5), st.data())
def test_an_edit_changes_one_member_and_leaves_every_other_byte(
    content: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(content, indent=data.draw(st.sampled_from([None, 1]))).encode()
    parent = jsontext.parse(text)
    name = data.draw(st.sampled_from(sorted(content)))

    gone = jsontext.removed(parent, name)
    left = {other: value for other, value in content.items() if other != name}
    assert json.loads(jsontext.apply(text, [gone])) == left

    put = jsontext.replaced(parent.members()[name], b'"\xe6\x96\xb0"')
    edited = jsontext.apply(text, [put])
    assert json.loads(edited) == content | {name: "新"}
    assert edited.startswith(text[: put.start])
    assert edited.endswith(text[put.end :])

    new_name = data.draw(NAMES.filter(lambda new: new not in content))
    behind = jsontext.inserted(parent.members()[name], new_name, b"1.50")
    assert reading(jsontext.apply(text, [behind])) == reading(text) | {new_name: "1.50"}


@given(st.dictionaries(NAMES, VALUES, max_size=3), NAMES)
def test_a_member_is_set_whether_it_was_there_or_not(content: dict[str, Any], name: str) -> None:
    text = json.dumps(content).encode()
    edited = jsontext.apply(text, [jsontext.with_member(jsontext.parse(text), name, b"[1]")])
    assert json.loads(edited) == content | {name: [1]}


@given(st.lists(VALUES, max_size=3))
def test_an_element_is_added_behind_the_others(content: list[Any]) -> None:
    text = json.dumps(content).encode()
    edited = jsontext.apply(text, [jsontext.appended(jsontext.parse(text), b"true")])
    assert json.loads(edited) == [*content, True]


def test_edits_that_overlap_are_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="overlap"):
        jsontext.apply(b'{"a":1}', [Edit(1, 5, b""), Edit(4, 6, b"")])
    with pytest.raises(ValueError, match="overlap"):
        jsontext.apply(b"{}", [Edit(1, 9, b"")])
