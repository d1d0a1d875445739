"""What was learnt from one item of a document holds for the next of the same form, whatever it says, and for no other."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.engine import Map, load, xmlscope
from tests.mappings.test_executors import SITES, ids
from tests.mappings.test_xml_repairs import CASES

SOUND = (CASES / "c0007-one-organizer-an-item.xml").read_text(encoding="utf-8")
HEAD = SOUND[: SOUND.index("<structuredBody>")] + (
    '<structuredBody><component><section><code code="30954-2"/>'
)
TAIL = "</section></component></structuredBody></component></ClinicalDocument>"
CODES = ("DE04.30.019.00", "DE04.30.020.00", "DE04.50.134.00", "DE04.30.017.00", "DE04.30.015.00", "DE04.30.016.00")  # fmt: skip
VALUES = (
    "<value>0101</value>", "<value>血清</value>", "<value/>", "", '<value value="6.10"/>', '<value value=""/>',
    "<value/><value>0102</value>", "<value>0103</value><value>0104</value>", '<value code="2" displayName="偏高"/>',
    '<value code=""><translation code="1"/></value>', '<value nullFlavor="NI"/>', "<value><low value='1'/></value>",
)  # fmt: skip
TIMES = (
    "", "", '<effectiveTime><low value="20260302080000"/></effectiveTime>', "<effectiveTime/>",
    '<effectiveTime><high value="20260302090000"/></effectiveTime>', '<effectiveTime value="20260302100000"/>',
    "<effectiveTime/><effectiveTime><low value='20260302070000'/></effectiveTime>",
)  # fmt: skip


@cache
def site() -> Map:
    return load(SITES / "tcm-cda")


@st.composite
def acts(draw: st.DrawFn, depth: int = 2) -> str:
    """An act with what it says, and sometimes another within."""
    name = draw(st.sampled_from(["observation"] * 8 + ["act"]))
    within = ""
    if depth and draw(st.booleans()):
        within = f"<entryRelationship>{draw(acts(depth - 1))}</entryRelationship>"
    code = draw(st.sampled_from([f'<code code="{one}"/>' for one in CODES] + ["<code/>"]))
    return f"<{name}>{code}{draw(st.sampled_from(TIMES))}{draw(st.sampled_from(VALUES))}{within}</{name}>"


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A laboratory report of a few forms of items, each with several fillings, cut either way."""
    items = []
    for form in draw(st.lists(st.lists(acts(), min_size=1, max_size=3), min_size=1, max_size=3)):
        for number in range(draw(st.integers(1, 3))):
            filled = [one.replace("0101", f"010{number + 1}") for one in form]
            number_said = draw(st.sampled_from(['"6.10"', '"5.20"', '""']))
            filled = [one.replace('"6.10"', number_said) for one in filled]
            items.append(filled)
    whole = draw(st.booleans())
    entries = "".join(
        '<entry><organizer classCode="CLUSTER">'
        + "".join(f"<component>{one}</component>" for one in item)
        + "</organizer></entry>"
        if whole
        else "".join(f"<entry>{one}</entry>" for one in item)
        for item in items
    )
    return f"{HEAD}{entries}{TAIL}".encode()


@settings(max_examples=60)
@given(documents())
def test_items_of_one_form_are_read_as_if_each_were_the_first(raw: bytes) -> None:
    slow = site().interpreted().read(raw, ids, "0011")
    assert slow.messages
    for _ in range(2):  # learning, and remembering
        assert site().read(raw, ids, "0011") == slow


def forms(loaded: Map) -> list[int]:
    """How many forms each part of a map remembers, where it does."""
    return [len(found) for part in loaded.parts if (found := getattr(part.dialect, "forms", None))]


def test_a_form_is_learnt_once_and_a_full_memory_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = load(SITES / "tcm-cda")
    first = loaded.read(SOUND.encode(), ids)
    learnt = forms(loaded)
    assert sum(learnt) > 1
    assert loaded.read(SOUND.encode(), ids) == first
    assert forms(loaded) == learnt
    monkeypatch.setattr(xmlscope, "_FORMS", 1)
    short = load(SITES / "tcm-cda")
    assert [short.read(SOUND.encode(), ids) for _ in range(2)] == [first, first]
    assert max(forms(short)) == 1


def test_the_same_names_in_another_order_of_levels_are_another_form() -> None:
    items = [
        '<observation><code code="DE04.30.019.00"/><text/><value>0101</value></observation>',
        '<observation><code code="DE04.30.019.00"/><text><value>0102</value></text></observation>',
        '<observation><code code="DE04.30.019.00"/><text/><value>0103</value></observation>',
    ]
    entries = "".join(
        f'<entry><organizer classCode="CLUSTER"><component>{item}</component></organizer></entry>'
        for item in items
    )
    raw = f"{HEAD}{entries}{TAIL}".encode()
    slow = site().interpreted().read(raw, ids)
    assert [site().read(raw, ids) for _ in range(2)] == [slow, slow]
    codes = [one.key[1] for one in slow.messages[0].resources if one.type == "Observation"]
    assert codes == ["0101", "0103"]
