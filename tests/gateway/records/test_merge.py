"""A patch on bytes: what was not named keeps its bytes, arrays of references grow where they may."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.records import merge
from mappings.engine import jsontext

OLD = (
    b'{"resourceType":"DiagnosticReport","id":"r","meta":{"versionId":"1"},"status":"final",'
    b'"note":[{"text":"6.10"}],"result":[{"reference":"Observation/a"},{"reference":"Observation/b"}]}'
)


def test_a_view_of_some_rows_adds_results_and_takes_none_away() -> None:
    new = (
        b'{"resourceType":"DiagnosticReport","id":"r","status":"amended",'
        b'"result":[{"reference":"Observation/b"},{"reference":"Observation/c"}]}'
    )

    head, tail = merge.patched(OLD, new, (), ("result",))

    merged = json.loads(head + tail)
    assert [one["reference"] for one in merged["result"]] == [
        "Observation/a",
        "Observation/b",
        "Observation/c",
    ]
    assert merged["status"] == "amended"
    assert b'"note":[{"text":"6.10"}]' in head + tail


def test_without_being_told_an_array_is_replaced() -> None:
    new = b'{"resourceType":"DiagnosticReport","id":"r","result":[{"reference":"Observation/c"}]}'

    head, tail = merge.patched(OLD, new, ())

    assert json.loads(head + tail)["result"] == [{"reference": "Observation/c"}]


def test_a_union_with_an_absent_or_silent_side_is_the_other() -> None:
    silent = b'{"resourceType":"DiagnosticReport","id":"r","status":"final"}'
    head, tail = merge.patched(OLD, silent, (), ("result",))
    assert len(json.loads(head + tail)["result"]) == 2
    head, tail = merge.patched(silent, OLD, (), ("result",))
    assert len(json.loads(head + tail)["result"]) == 2


def test_a_member_that_is_taken_out_stays_out() -> None:
    new = b'{"resourceType":"DiagnosticReport","id":"r","status":"final"}'
    head, tail = merge.patched(OLD, new, ("result", "note"), ("result",))
    assert set(json.loads(head + tail)) == {"resourceType", "id", "status"}


# Properties: texts written as senders write them, with their own spaces, digits and escapes.

spaces = st.sampled_from(["", " ", "\n", "  "])
numbers = st.sampled_from(
    ["6.10", "13.20", "0.0", "-0", "1E+2", "100", "1.0e-5", "12345678901234567890.10"]
)
scalars = st.one_of(
    numbers,
    st.sampled_from(["true", "false", "null", '"\\u738b"', '"珅"', '"a\\"b"', '"\\/"', '""']),
    st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=False)),
)
names = st.sampled_from(["status", "code", "value", "note", "component", "result", "x-é"])


@st.composite
def written(draw: st.DrawFn, depth: int = 2) -> str:
    kind = draw(st.integers(0, 3 if depth else 0))
    if kind < 2:
        return draw(scalars)
    gap = draw(spaces)
    inner = draw(st.lists(written(depth - 1), max_size=3))
    if kind == 2:
        return f"[{gap}{f',{gap}'.join(inner)}{gap}]"
    keys = draw(st.lists(names, min_size=len(inner), max_size=len(inner), unique=True))
    return (
        "{" + ",".join(f'{gap}"{k}"{gap}:{gap}{v}' for k, v in zip(keys, inner, strict=True)) + "}"
    )


@st.composite
def resources(draw: st.DrawFn, meta: bool = True) -> tuple[bytes, dict[str, str]]:
    """(text, members as written) of a resource."""
    members = draw(st.dictionaries(names, written(), max_size=5))
    gap = draw(spaces)
    text = f'{{{gap}"resourceType":"Observation",{gap}"id":"r"'
    if meta and draw(st.booleans()):
        text += f',{gap}"meta":{{"versionId":"9"}}'
    for name, value in members.items():
        text += f',{gap}"{name}"{gap}:{gap}{value}'
    return (text + gap + "}").encode(), members


def members_of(text: bytes) -> dict[str, bytes]:
    root = jsontext.parse(text)
    return {name: text[value.start : value.end] for name, value in root.members().items()}


@given(resources())
def test_without_its_meta_a_text_has_the_same_members_byte_for_byte(
    made: tuple[bytes, dict[str, str]],
) -> None:
    text, members = made
    head, tail = merge.split_meta(text)
    found = members_of(head + tail)
    assert list(found) == ["resourceType", "id", *members]
    assert {name: found[name].decode() for name in members} == members


@given(resources(), st.sampled_from([b"", b'"tag":[]', b'"profile":["p"],"security":[]']))
def test_stored_text_is_whole_and_keeps_every_digit(
    made: tuple[bytes, dict[str, str]], kept: bytes
) -> None:
    text, members = made
    head, tail = merge.split_meta(text)
    stored = merge.with_meta(head, tail, kept, "v1", "2026-01-01T00:00:00.000+08:00")
    found = members_of(stored)
    assert json.loads(found.pop("meta"))["versionId"] == "v1"
    assert {name: found[name].decode() for name in members} == members
    assert list(found) == ["resourceType", "id", *members]
    assert merge.split_meta(stored) == (head, tail), "what was stored can be taken apart again"


@given(resources(), resources(), st.lists(names, max_size=3))
def test_a_patch_changes_what_it_names_and_nothing_else(
    old: tuple[bytes, dict[str, str]], new: tuple[bytes, dict[str, str]], deletes: list[str]
) -> None:
    head, tail = merge.patched(old[0], new[0], deletes)
    expected = {n: v for n, v in {**old[1], **new[1]}.items() if n not in deletes}
    found = members_of(head + tail)
    assert {name: found[name].decode() for name in expected} == expected
    assert set(found) == {"resourceType", "id", *expected}
    stays = [name for name in old[1] if name in expected]
    assert [name for name in found if name in stays] == stays, "members keep their order"
    stored = merge.with_meta(head, tail, b"", "v", "t")
    assert set(members_of(stored)) == {"resourceType", "id", "meta", *expected}


@given(resources())
def test_patching_with_the_same_changes_nothing(made: tuple[bytes, dict[str, str]]) -> None:
    once = b"".join(merge.patched(made[0], made[0], ()))
    assert b"".join(merge.patched(once, made[0], ())) == once
    assert members_of(once) == {
        name: value for name, value in members_of(made[0]).items() if name != "meta"
    }


@given(resources())
def test_under_our_id_the_rest_stays_as_sent(made: tuple[bytes, dict[str, str]]) -> None:
    text, members = made
    swapped = text.replace(b'"resourceType":"Observation",', b"", 1).replace(
        b'"id":"r"', b'"id":"r", "resourceType":"Observation"', 1
    )
    for one in (text, swapped):
        head, tail = merge.renamed(one, "ff" * 16)
        found = members_of(head + tail)
        assert list(found)[:2] == ["resourceType", "id"]
        assert found["id"] == b'"' + b"ff" * 16 + b'"'
        assert {name: found[name].decode() for name in members} == members
        assert "meta" not in found
        json.loads(merge.with_meta(head, tail, b"", "v", "t"))


# Lists in lists


def study(*series: dict[str, object], **more: object) -> bytes:
    body = {"resourceType": "ImagingStudy", "id": "s", "series": list(series), **more}
    return json.dumps(body, separators=(",", ":")).encode()


def one_series(uid: str, *instances: str, **more: object) -> dict[str, object]:
    return {
        "uid": uid,
        "numberOfInstances": len(instances),
        "instance": [{"uid": instance} for instance in instances],
        **more,
    }


PATHS = ("identifier", "series.instance")


def test_series_and_their_instances_are_united_and_counted() -> None:
    old = study(one_series("a", "1", description="old"), numberOfSeries=1, numberOfInstances=1)
    new = study(
        one_series("a", "2", description="new"),
        one_series("b", "3"),
        numberOfSeries=2,
        numberOfInstances=2,
    )

    head, tail = merge.patched(old, new, (), PATHS)

    merged = json.loads(head + tail)
    assert [one["uid"] for one in merged["series"]] == ["a", "b"]
    assert merged["series"][0]["description"] == "new"
    assert [one["uid"] for one in merged["series"][0]["instance"]] == ["1", "2"]
    assert merged["series"][0]["numberOfInstances"] == 2
    assert (merged["numberOfSeries"], merged["numberOfInstances"]) == (2, 3)


def test_a_count_that_was_told_is_never_lowered() -> None:
    old = study(one_series("a", "1", numberOfInstances=412), numberOfInstances=500)

    head, tail = merge.patched(old, study(one_series("a", "2")), (), PATHS)

    merged = json.loads(head + tail)
    assert merged["series"][0]["numberOfInstances"] == 412
    assert merged["numberOfInstances"] == 500


def test_additions_change_nothing_that_stands() -> None:
    old = study(one_series("a", "1", description="stands"), status="available")
    new = study(
        one_series("a", "2", description="comes", number=7),
        one_series("b", "3"),
        status="cancelled",
        description="new here",
    )

    head, tail = merge.added(old, new, PATHS)

    merged = json.loads(head + tail)
    assert merged["status"] == "available"
    assert merged["description"] == "new here"
    assert merged["series"][0] == one_series("a", "1", "2", description="stands", number=7)
    assert merged["series"][1]["uid"] == "b"


def test_the_status_of_a_stub_gives_way() -> None:
    head, tail = merge.added(study(status="unknown"), study(status="available"), PATHS)
    assert json.loads(head + tail)["status"] == "available"


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.sets(st.sampled_from("1234")), min_size=1),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_is_united_in_whatever_order_lists_every_instance(
    deliveries: list[dict[str, set[str]]],
) -> None:
    texts = [
        study(*(one_series(uid, *sorted(found)) for uid, found in sorted(one.items())))
        for one in deliveries
    ]
    expected: dict[str, set[str]] = {}
    for one in deliveries:
        for uid, found in one.items():
            expected.setdefault(uid, set()).update(found)
    for unite in (
        lambda a, b: merge.patched(a, b, (), PATHS),
        lambda a, b: merge.added(a, b, PATHS),
    ):
        standing = texts[0]
        for text in texts[1:]:
            standing = b"".join(unite(standing, text))
        merged = json.loads(standing)
        listed = {s["uid"]: {i["uid"] for i in s["instance"]} for s in merged["series"]}
        assert listed == expected
        if len(texts) > 1:
            assert merged["numberOfInstances"] >= sum(len(found) for found in expected.values())
