"""Grouping: every segment in just one place, results with the order above them, nothing bound to a neighbour."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.engine import load
from mappings.engine.er7 import DIALECT
from mappings.engine.er7segments import Group, Segment
from mappings.engine.reader import Letter

PEOPLE = load(Path(__file__).parent.parent.parent / "mappings" / "sites" / "people")
CASES = Path(__file__).parent / "cases" / "people"
KINDS = (
    "ORU^R01",
    "OUL^R21",
    "OUL^R22",
    "OUL^R24",
    "ORM^O01",
    "OML^O33",
    "MDM^T02",
    "ADT^A40",
    "ADT^A37",
)
NAMES = ("PID", "PV1", "EVN", "ORC", "OBR", "OBX", "NTE", "SPM", "SAC", "TQ1", "TXA", "DG1", "MRG",
         "RXO", "PRT", "ZZZ")  # fmt: skip


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    text = "\x1f".join((space, type_, *key))
    return hashlib.blake2b(text.encode(), digest_size=16, key=b"test").hexdigest()


def cut(kind: str, names: Sequence[str]) -> tuple[Letter, ...]:
    """Letters of a message of these segments, each numbered in its first field."""
    lines = [f"MSH|^~\\&|H|F|G|C|20260301||{kind}|1|P|2.4"]
    lines += [f"{name}|{number}||{number}" for number, name in enumerate(names, 1)]
    letters, _ = DIALECT.cut("\r".join(lines).encode(), PEOPLE.source)
    return tuple(letters)


def groups(group: Group) -> Iterator[Group]:
    yield group
    for member in group.members:
        yield from groups(member)


def placed(letters: Sequence[Letter]) -> list[Segment]:
    """Each segment once for each group that heads it or holds it alone."""
    found: dict[int, Segment] = {}
    for letter in letters:
        for group in groups(letter.root) if letter.root is not None else ():
            for segments in group.own.values():
                found |= {segment.line: segment for segment in segments}
    return [found[line] for line in sorted(found)]


messages = st.tuples(
    st.sampled_from(KINDS),
    st.lists(st.sampled_from([*NAMES, *["OBR", "OBX", "NTE"] * 6]), max_size=25).map(
        lambda names: ["PID", *names]
    ),
)


@given(messages)
def test_every_segment_is_in_some_group_or_said_to_have_none(
    made: tuple[str, list[str]],
) -> None:
    kind, names = made
    letters = cut(kind, names)
    lost = {issue.place for letter in letters for issue in letter.issues if issue.code == "orphan"}
    lines = {segment.line for segment in placed(letters)}
    missing = [n + 1 for n in range(1, len(names) + 1) if n + 1 not in lines]
    assert len(missing) == len(lost)
    for line in missing:
        assert any(f"(line {line})" in place for place in lost)


@given(messages)
def test_a_result_belongs_to_the_last_order_above_it_or_to_none(
    made: tuple[str, list[str]],
) -> None:
    kind, names = made
    for letter in cut(kind, names):
        for group in groups(letter.root):
            if group.kind not in ("OBX", "DOC") or kind.startswith("MDM"):
                continue
            above = group.segments("OBR")
            before = [n for n in range(1, group.head.line - 1) if names[n - 1] == "OBR"]
            first = letter.root.own["PID"][0].line if "PID" in letter.root.own else 0
            before = [n + 1 for n in before if n + 1 > first]
            if above:
                assert above[0].line == before[-1], "never an order further up, never one below"


@given(messages)
def test_a_note_right_below_a_result_is_that_results(made: tuple[str, list[str]]) -> None:
    kind, names = made
    results = {
        group.head.line: group
        for letter in cut(kind, names)
        for group in groups(letter.root)
        if group.kind in ("OBX", "DOC")
    }
    for line, (above, below) in enumerate(pairwise(names), 2):
        if (above, below) == ("OBX", "NTE") and line in results:
            assert line + 1 in {note.line for note in results[line].own["NTE"]}


@given(st.lists(st.sampled_from(NAMES), max_size=12))
def test_a_second_patient_is_a_letter_of_its_own_and_shares_nothing(names: list[str]) -> None:
    rest = [name for name in names if name != "PID"]
    letters = cut("ORU^R01", ["PID", *rest, "PID", *rest])
    assert len(letters) == 2
    first, second = ({s.line for s in placed([letter])} for letter in letters)
    shared = {line for line in first & second if line > 1}
    assert {(["PID", *rest, "PID", *rest])[line - 2] for line in shared} <= {"EVN"}


def test_a_merge_is_two_letters_and_the_second_is_about_the_number_that_goes() -> None:
    one, two = cut("ADT^A40", ["EVN", "PID", "MRG"])
    assert (one.kind, two.kind) == ("ADT^A40", "MRG^A40")
    assert set(two.root.own) == {"MSH", "EVN", "PID", "MRG"}


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("ADT^A04^ADT_A01", "ADT^A04"),
        ("ORU^R01", "ORU^R01"),
        ("ORU", "ORU"),
        ("ORU_R01", "ORU^R01"),
        ("ORU^^ORU_R01", "ORU^R01"),
        ("ADT", "ADT^A08"),
        ("ADT^^ADT_A01", "ADT^A08"),
    ],
)
def test_the_kind_is_found_with_and_without_a_structure(written: str, kind: str) -> None:
    raw = f"MSH|^~\\&|H|F|G|C|20260301||{written}|1|P|2.3\rEVN|A08\rPID|1||1"
    (letter, *_), _ = DIALECT.cut(raw.encode(), PEOPLE.source)
    assert letter.kind == kind


HEAD = [
    "MSH|^~\\&|LIS|330421A|GATEWAY|330421|20260302102100||ORU^R01|P1|P|2.4|||AL|AL|CHN|GBK",
    "PID|1||0000812345^^^330421A&HIS^MR||王珅||19800101|M",
    "OBR|1|R1|S1|X^某项|||20260302075800|||||||20260302081500|SER^血清|||||||20260302102100||CH|F",
]
RESULTS = [
    "OBX|1|NM|ALT^丙氨酸氨基转移酶||62.40|U/L|9-50|↑|||F",
    "OBX|2|ST|HBsAg^乙肝表面抗原||阴性(-)|COI||||||F",
    "OBX|3|SN|ANA^抗核抗体||^1^:^80||||||F",
    "OBX|4|NM|CR^肌酐||<5|umol/L|57-97||||F",
]


@given(st.permutations(RESULTS))
def test_results_may_come_in_any_order(order: list[str]) -> None:
    def made(lines: Sequence[str]) -> dict[str, object]:
        (message,) = PEOPLE.read("\r".join([*HEAD, *lines]).encode("gb18030"), ids).messages
        found = {one.id: json.loads(one.text()) for one in message.resources}
        for one in found.values():
            if one["resourceType"] == "Provenance":
                one["id"] = one["target"] = one["entity"] = None
            one.get("result", []).sort(key=lambda ref: ref["reference"])
        return {one["id"] or "provenance": one for one in found.values()}

    assert made(order) == made(RESULTS)


def test_the_groups_of_a_mapped_message_are_freed_without_the_collector() -> None:
    raw = (CASES / "oru-base64-in-a-text-result.hl7").read_bytes()
    gc.collect()
    gc.disable()
    try:
        kept = PEOPLE.letters(raw)[0]
        assert any(isinstance(one, Group) for one in gc.get_objects())
        del kept
        gc.collect()
        assert PEOPLE.read(raw, ids).messages[0].resources
        assert not [one for one in gc.get_objects() if isinstance(one, Group)]
    finally:
        gc.enable()
