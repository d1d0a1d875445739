"""The gate: every new shape is looked at until it has proved itself, then a sample; a fault starts anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from hashlib import blake2b
from pathlib import Path

import pytest

from mappings.engine import Map, load
from mappings.engine.model import Mapped, Message, Mode
from mappings.engine.validation import STRICT, Validation
from mappings.r4.gate import FIRST, Gate

DAY = date(2026, 11, 26)
GOOD = (b'{"resourceType":"Observation",', b'"status":"final","code":{"text":"x"}}')
BAD = (b'{"resourceType":"Observation",', b'"status":"banana","code":{"text":"x"}}')
PATCH = (b'{"resourceType":"Observation",', b'"code":{"text":"x"}}')


def made(
    text: tuple[bytes, bytes], mask: int = 1, mode: Mode = "full", block: str = "Observation"
) -> Mapped:
    head, tail = text
    return Mapped(
        "Observation",
        "1",
        (),
        head,
        tail,
        mode=mode,
        place="OBX[1] (line 4)",
        block=block,
        mask=mask,
    )


def message(*resources: Mapped, kind: str = "ORU^R01") -> Message:
    return Message("1", kind, resources=resources)


def test_the_first_of_a_shape_are_all_looked_at_then_one_in_five_hundred() -> None:
    gate = Gate(STRICT)
    for _ in range(FIRST + 2 * STRICT.every):
        gate.message(message(made(GOOD)), DAY)
    assert gate.checked == FIRST + 2


def test_another_shape_block_or_kind_of_message_begins_anew() -> None:
    gate = Gate(STRICT)
    for _ in range(FIRST):
        gate.message(message(made(GOOD)), DAY)
    for other in (
        message(made(GOOD, mask=3)),
        message(made(GOOD, block="Observation.old")),
        message(made(GOOD), kind="OUL^R21"),
    ):
        before = gate.checked
        gate.message(other, DAY)
        assert gate.checked == before + 1
    before = gate.checked
    gate.message(message(made(GOOD)), DAY)
    assert gate.checked == before


def test_a_fault_holds_only_its_resource_and_names_source_path_and_rule() -> None:
    gate = Gate(STRICT, {("Observation", "status"): "oru.toml:12"})
    good = made(GOOD)
    answer = gate.message(message(good, made(BAD)), DAY)
    assert answer.resources == (good,)
    assert [(i.severity, i.code, i.place, i.rule) for i in answer.issues] == [
        ("hold", "r4-code", "OBX[1] (line 4) → Observation.status", "oru.toml:12")
    ]


def test_in_tier_report_the_resource_goes_through_with_a_note() -> None:
    gate = Gate(Validation("report", date(2027, 1, 1)))
    assert [i.severity for i in gate.message(message(made(BAD)), DAY).issues] == ["note"]
    assert gate.message(message(made(BAD)), DAY).resources == (made(BAD),)
    assert gate.message(message(made(BAD)), date(2027, 1, 1)).resources == ()


def test_a_shape_that_failed_is_watched_until_fifty_in_a_row_are_clean() -> None:
    gate = Gate(STRICT)
    for _ in range(FIRST + STRICT.every - FIRST):
        gate.message(message(made(GOOD)), DAY)
    gate.message(message(made(BAD)), DAY)  # the sampled one
    before = gate.checked
    for _ in range(FIRST + 10):
        gate.message(message(made(GOOD)), DAY)
    assert gate.checked == before + FIRST
    assert all(gate.message(message(made(GOOD)), DAY).issues == () for _ in range(10))


def test_a_bad_shape_never_gets_past_while_it_is_bad() -> None:
    gate = Gate(STRICT)
    assert all(gate.message(message(made(BAD)), DAY).resources == () for _ in range(3 * FIRST))


def test_what_a_patch_does_not_send_is_not_missing() -> None:
    gate = Gate(STRICT)
    assert gate.message(message(made(PATCH, mode="patch")), DAY).issues == ()
    assert [i.code for i in gate.message(message(made(PATCH)), DAY).issues] == ["r4-missing"]
    assert [i.code for i in gate.message(message(made(BAD, mode="patch")), DAY).issues] == [
        "r4-code"
    ]


def test_the_choice_is_the_same_every_time() -> None:
    stream = [message(made(GOOD if n % 7 else BAD, mask=n % 3)) for n in range(2000)]
    first, second = Gate(Validation(every=13)), Gate(Validation(every=13))
    assert [first.message(one, DAY) for one in stream] == [
        second.message(one, DAY) for one in stream
    ]


def test_everything_is_looked_at_where_that_is_wanted() -> None:
    gate = Gate(STRICT, everything=True)
    for _ in range(3 * FIRST):
        gate.message(message(made(GOOD)), DAY)
    assert gate.checked == 3 * FIRST
    sample = Gate(Validation(every=1))
    for _ in range(3 * FIRST):
        sample.message(message(made(GOOD)), DAY)
    assert sample.checked == 3 * FIRST


# --- in the map ------------------------------------------------------------------------------------

ROWS = """
[map]
id = "x"
version = "1"
input = "rows"

[source]
org = "x"
timezone = "Asia/Shanghai"
ids = { "" = "mrn" }
columns = "A,B,C"
group = "A"

[Patient]
mode = "reference"
"identifier(mrn)" = "A"
"birthDate" = "C"

[Observation]
each = "row"
key = ["A", "B"]
"status" = "'final'"
"code.text" = "B"
"subject" = "@Patient"
"""


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    return blake2b(repr((space, type_, tuple(key))).encode(), digest_size=16).hexdigest()


@pytest.fixture
def rows(tmp_path: Path) -> Map:
    (tmp_path / "view.toml").write_text(ROWS, "utf-8")
    return load(tmp_path)


def test_a_map_hands_what_it_made_to_its_gate(rows: Map) -> None:
    raw = "A,B,C\n1,钾,1976-5-2\n".encode()
    ungated = rows.read(raw, ids).messages[0]
    gated = rows.read(raw, ids, gate=rows.gate(), day=DAY).messages[0]
    assert [one.type for one in ungated.resources] == ["Patient", "Observation"]
    assert [one.type for one in gated.resources] == ["Observation"]
    (fault,) = gated.issues
    line = ROWS.split("\n").index('"birthDate" = "C"') + 1
    assert (fault.code, fault.rule) == ("r4-form", f"view.toml:{line}")
    assert fault.place.endswith("→ Patient.birthDate")
    assert "1976-5-2" not in fault.text("zh") + fault.text("en")


def test_a_gate_changes_nothing_where_nothing_is_wrong(rows: Map) -> None:
    raw = "A,B,C\n1,钾,1976-05-02\n1,钠,1976-05-02\n".encode()
    gate = rows.gate(everything=True)
    assert rows.read(raw, ids, gate=gate, day=DAY) == rows.read(raw, ids)
    assert gate.checked == 3
