"""A patch on bytes: what was not named keeps its bytes, arrays of references grow where they may."""

from __future__ import annotations

import json

from gateway.records import merge

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
