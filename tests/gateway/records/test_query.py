"""Search parameters: what is taken, what is refused and by which name, and what matches."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Kind, Problem
from gateway.records.entry import Entry, Nature, pack_segment, unpack_segment
from gateway.records.instant import interval
from gateway.records.query import MAX_COUNT, PARAMETERS, Query, keys, parse, sort_key

ZONE = ZoneInfo("Asia/Shanghai")
CHART = "ab" * 16
LOINC = "http://loinc.org"


def ask(kind: str, *given: tuple[str, str], lenient: bool = False) -> Query:
    return parse(kind, [("patient", CHART), *given], ZONE, lenient=lenient)


def pair(
    start: str = "", end: str = "", *, id: int = 1, filed: int = 0, **nature: object
) -> tuple[Nature, Entry]:
    first = interval(start, ZONE) if start else None
    last = interval(end, ZONE) if end else None
    return (
        Nature("Observation", "people", **nature),  # type: ignore[arg-type]
        Entry(
            id=id.to_bytes(16),
            version=1,
            seq=id,
            nature=0,
            start=first[0] if first else None,
            end=last[1] if last else first[1] if first and not end and start != "open" else None,
            filed=filed,
        ),
    )


# Refusals


@pytest.mark.parametrize(
    ("given_", "kind", "place"),
    [
        ([("patient", "a b")], Kind.MALFORMED, "patient"),
        ([("patient", "a,b")], Kind.MALFORMED, "patient"),
        ([("subject", "urn:x")], Kind.MALFORMED, "subject"),
        ([("patient", "other")], Kind.MALFORMED, "patient"),
        ([("_id", "")], Kind.MALFORMED, "_id"),
        ([("_id", "a,,b")], Kind.MALFORMED, "_id"),
        ([("_count", "-1")], Kind.MALFORMED, "_count"),
        ([("_count", "ten")], Kind.MALFORMED, "_count"),
        ([("_count", "²")], Kind.MALFORMED, "_count"),
        ([("_count", "1" * 20)], Kind.MALFORMED, "_count"),
        ([("_sort", "value")], Kind.NOT_SUPPORTED, "_sort"),
        ([("_sort", "")], Kind.NOT_SUPPORTED, "_sort"),
        ([("_sort", "onset-date")], Kind.NOT_SUPPORTED, "_sort"),
        ([("_include", "Observation:subject")], Kind.NOT_SUPPORTED, "_include"),
        ([("_summary", "true")], Kind.NOT_SUPPORTED, "_summary"),
        ([("code", "")], Kind.MALFORMED, "code"),
        ([("code", ",")], Kind.MALFORMED, "code"),
        ([("code:in", "x")], Kind.NOT_SUPPORTED, "code:in"),
        ([("code:text", "x")], Kind.NOT_SUPPORTED, "code:text"),
        ([("date", "")], Kind.MALFORMED, "date"),
        ([("date", "yesterday")], Kind.MALFORMED, "date"),
        ([("date", "2026-02-30")], Kind.MALFORMED, "date"),
        ([("date", "xx2026")], Kind.MALFORMED, "date"),
        ([("date", "2026,never")], Kind.MALFORMED, "date"),
        ([("date:missing", "true")], Kind.NOT_SUPPORTED, "date:missing"),
        ([("encounter", "a b")], Kind.MALFORMED, "encounter"),
        ([("value-quantity", "5")], Kind.NOT_SUPPORTED, "value-quantity"),
        ([("patient.name", "x")], Kind.NOT_SUPPORTED, "patient.name"),
        (
            [("_has:Observation:patient:code", "x")],
            Kind.NOT_SUPPORTED,
            "_has:Observation:patient:code",
        ),
        ([("_filter", "x")], Kind.NOT_SUPPORTED, "_filter"),
        ([("_elements", "id")], Kind.NOT_SUPPORTED, "_elements"),
        ([("_format", "xml")], Kind.NOT_SUPPORTED, "_format"),
    ],
)
def test_a_refusal_names_the_parameter_and_never_the_value(
    given_: list[tuple[str, str]], kind: Kind, place: str
) -> None:
    with pytest.raises(Problem) as caught:
        ask("Observation", *given_)
    assert (caught.value.kind, caught.value.place) == (kind, place)
    value = given_[0][1]
    assert len(value) < 3 or value not in caught.value.text


@given(st.text(max_size=200))
def test_an_odd_name_is_shown_in_plain_characters(name: str) -> None:
    with pytest.raises(Problem) as caught:
        ask("Observation", (f"{name}:", "x"))
    assert caught.value.place.isascii()
    assert caught.value.place.isprintable()
    assert len(caught.value.place) <= 64


def test_a_clinical_search_names_one_patient_or_ids() -> None:
    with pytest.raises(Problem) as caught:
        parse("Observation", [("code", "x")], ZONE, lenient=False)
    assert caught.value.kind is Kind.REQUIRED


def test_a_patient_is_not_searched_by_patient() -> None:
    with pytest.raises(Problem):
        parse("Patient", [("patient", CHART)], ZONE, lenient=False)


def test_lenient_ignores_what_is_unknown_and_still_reads_what_is_known_strictly() -> None:
    query = ask("Observation", ("value-quantity", "5"), ("code", "x"), lenient=True)
    assert query.ignored == ("value-quantity",)
    assert ("value-quantity", "5") not in query.self_link
    with pytest.raises(Problem):
        ask("Observation", ("date", "never"), lenient=True)


@pytest.mark.parametrize("kind", sorted(PARAMETERS))
def test_every_offered_parameter_is_taken(kind: str) -> None:
    values = {"token": "x", "date": "2026", "reference": "Encounter/1"}
    for name, form in PARAMETERS[kind].items():
        given_ = [(name, values[form]), ("_id", "1")]
        assert len(parse(kind, given_, ZONE, lenient=False).tests) == 1


# What it means


def test_a_patient_may_be_named_by_bare_id_or_reference() -> None:
    assert ask("Observation", ("subject", f"Patient/{CHART}")).patient == CHART


@pytest.mark.parametrize(
    ("given_", "count"),
    [
        ([], 20),
        ([("_count", "5")], 5),
        ([("_count", "100000")], MAX_COUNT),
        ([("_count", "0")], 0),
        ([("_summary", "count")], 0),
        ([("_summary", "count"), ("_count", "5")], 0),
        ([("_summary", "false"), ("_count", "5")], 5),
    ],
)
def test_how_many_on_a_page(given_: list[tuple[str, str]], count: int) -> None:
    assert ask("Observation", *given_).count == count


def test_ids_in_one_value_are_any_and_said_twice_are_all() -> None:
    a, b = f"{1:032x}", f"{2:032x}"
    either = ask("Observation", ("_id", f"{a},{b}"))
    assert either.matches(pair(id=1))
    assert either.matches(pair(id=2))
    assert not either.matches(pair(id=3))
    both = parse("Observation", [("_id", f"{a},{b}"), ("_id", b)], ZONE, lenient=False)
    assert not both.matches(pair(id=1))
    assert both.matches(pair(id=2))
    none = parse("Observation", [("_id", a), ("_id", b)], ZONE, lenient=False)
    assert not none.matches(pair(id=1))
    assert not none.matches(pair(id=2))


CODED = {"codes": (f"{LOINC}|718-7", "|HGB", "urn:x|A|B")}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (f"{LOINC}|718-7", True),
        (f"{LOINC}|", True),
        ("718-7", True),
        ("|HGB", True),
        ("HGB", True),
        ("|718-7", False),
        ("http://loinc|718-7", False),
        ("http://loinc.or|", False),
        ("18-7", False),
        ("718", False),
        (f"{LOINC}|999,718-7", True),
        ("999,998", False),
        (f"{LOINC}|718-7|", False),
    ],
)
def test_forms_of_a_token(value: str, found: bool) -> None:
    assert ask("Observation", ("code", value)).matches(pair(**CODED)) is found
    assert ask("Observation", ("code:not", value)).matches(pair(**CODED)) is not found


def test_statuses_are_codes() -> None:
    final = pair(status="final")
    assert ask("Observation", ("status", "final")).matches(final)
    assert ask("Observation", ("status", "registered,final")).matches(final)
    assert ask("Observation", ("status", "http://hl7.org/fhir/observation-status|final")).matches(
        final
    )
    assert not ask("Observation", ("status", "fina")).matches(final)
    assert not ask("Observation", ("status:not", "final")).matches(final)


def test_parameters_are_anded_and_commas_are_ored() -> None:
    one = pair("2026-03-01", status="final", **CODED)
    assert ask("Observation", ("code", "718-7"), ("date", "2026")).matches(one)
    assert not ask("Observation", ("code", "718-7"), ("date", "2025")).matches(one)
    assert ask("Observation", ("date", "2025,2026")).matches(one)
    assert not ask("Observation", ("date", "ge2026-03-01"), ("date", "lt2026-03-01")).matches(one)


def test_references_match_by_element_and_id() -> None:
    nature, entry = pair()
    linked = (nature, Entry(entry.id, 1, 1, 0, links=(("encounter", bytes(16)),)))
    for value in ("0" * 32, f"Encounter/{'0' * 32}", f"x,{'0' * 32}"):
        assert ask("Observation", ("encounter", value)).matches(linked)
    assert not ask("Observation", ("encounter", "1" * 32)).matches(linked)


# R4 3.1.1.4.7, each prefix on a resource interval against the parameter's.
# The parameter is the day 2026-03-10; rows: where the resource's interval lies.
PLACES = {
    "before": ("2026-03-08", "2026-03-09"),
    "overlaps the beginning": ("2026-03-09", "2026-03-10"),
    "inside": ("2026-03-10T08:00:00", "2026-03-10T09:00:00"),
    "the same": ("2026-03-10", "2026-03-10"),
    "around": ("2026-03-09", "2026-03-11"),
    "overlaps the end": ("2026-03-10T08:00:00", "2026-03-11"),
    "after": ("2026-03-11", "2026-03-12"),
}
EXPECTED = {
    #        before     begins      inside     same       around     ends      after
    "eq": (False, False, True, True, False, False, False),
    "ne": (True, True, False, False, True, True, True),
    "gt": (False, False, False, False, True, True, True),
    "lt": (True, True, False, False, True, False, False),
    "ge": (False, False, True, True, True, True, True),
    "le": (True, True, True, True, True, False, False),
    "sa": (False, False, False, False, False, False, True),
    "eb": (True, False, False, False, False, False, False),
}


@pytest.mark.parametrize("prefix", sorted(EXPECTED))
def test_date_prefixes(prefix: str) -> None:
    query = ask("Observation", ("date", f"{prefix}2026-03-10"))
    found = tuple(query.matches(pair(*bounds)) for bounds in PLACES.values())
    assert found == EXPECTED[prefix]
    if prefix == "eq":
        bare = ask("Observation", ("date", "2026-03-10"))
        assert tuple(bare.matches(pair(*bounds)) for bounds in PLACES.values()) == found


def test_what_has_begun_and_not_ended_reaches_as_far_as_is_asked() -> None:
    nature, entry = pair("2026-03-10")
    going_on = (nature, Entry(entry.id, 1, 1, 0, start=entry.start, end=None))
    for value, found in (
        ("gt2030", True),
        ("ge2026-03-11", True),
        ("lt2026-03-10", False),
        ("2026-03-10", False),
        ("sa2026-03-09", True),
        ("eb2030", False),
    ):
        assert ask("Observation", ("date", value)).matches(going_on) is found, value


def test_what_has_no_date_matches_no_date() -> None:
    for prefix in EXPECTED:
        assert not ask("Observation", ("date", f"{prefix}2026")).matches(pair())


@given(st.sampled_from(sorted(EXPECTED)), st.integers(-40, 40), st.integers(0, 40))
def test_a_prefix_and_its_opposite_agree(prefix: str, begins: int, days: int) -> None:
    middle = interval("2026-03-10", ZONE)
    assert middle is not None
    hour = 3_600_000_000
    start = middle[0] + begins * hour
    one = (
        Nature("Observation", "p"),
        Entry(bytes(16), 1, 1, 0, start=start, end=start + days * hour + 1),
    )
    is_ = {p: ask("Observation", ("date", f"{p}2026-03-10")).matches(one) for p in EXPECTED}
    assert is_["eq"] is not is_["ne"]
    assert is_["ge"] is (is_["gt"] or is_["eq"])
    assert is_["le"] is (is_["lt"] or is_["eq"])
    assert not (is_["sa"] and is_["eb"])
    assert not is_["sa"] or is_["gt"]
    assert not is_["eb"] or is_["lt"]


# Order


plans = st.lists(
    st.tuples(st.sampled_from(["date", "_id", "_lastUpdated"]), st.booleans()), max_size=3
)
shown = st.lists(
    st.builds(
        lambda id, start, filed: (
            Nature("Observation", "p"),
            Entry(id.to_bytes(16), 1, 1, 0, start=start, filed=filed),
        ),
        st.integers(0, 50),
        st.one_of(st.none(), st.integers(-5, 5)),
        st.integers(0, 3),
    ),
    unique_by=lambda one: one[1].id,
    max_size=12,
)


@given(plans, shown, st.randoms(use_true_random=False))
def test_the_order_is_total_and_does_not_depend_on_where_records_come_from(
    plan: list[tuple[str, bool]], pairs: list[tuple[Nature, Entry]], random: object
) -> None:
    key = sort_key(Query("Observation", sort=tuple(plan)))
    keys = [key(one) for one in pairs]
    assert len(set(keys)) == len(keys)
    mixed = list(pairs)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert sorted(mixed, key=key) == sorted(pairs, key=key)


def test_without_a_wish_the_newest_comes_first_and_the_undated_last() -> None:
    key = sort_key(ask("Observation"))
    pairs = [pair("2026", id=1), pair(id=2), pair("2027", id=3)]
    assert [one[1].seq for one in sorted(pairs, key=key)] == [3, 1, 2]
    assert sorted(pairs, key=sort_key(ask("Observation", ("_sort", "-date")))) == sorted(
        pairs, key=key
    )


def test_sorting_by_several_things() -> None:
    key = sort_key(ask("Observation", ("_sort", "date,-_lastUpdated")))
    pairs = [pair("2026", id=1, filed=1), pair("2026", id=2, filed=2), pair("2025", id=3)]
    assert [one[1].seq for one in sorted(pairs, key=key)] == [3, 2, 1]


@pytest.mark.parametrize("sort", ["", "date", "-date,_lastUpdated", "-_id", "_lastUpdated"])
def test_columns_give_the_same_order_and_matches_as_entries(sort: str) -> None:
    pairs = [
        pair("2026-03-01", id=1, filed=5),
        pair(id=2, filed=3),
        pair("2026-03-01", id=3, filed=4, status="final"),
        pair("open", "2026-03-02", id=4),
        pair("2027", id=5),
    ]
    segment = unpack_segment(pack_segment(pairs))
    query = ask("Observation", *([("_sort", sort)] if sort else []))
    expected = [sort_key(query)(one) for one in pairs]
    found = list(keys(query, segment, range(5), 7))
    assert [key[:-2] for key in found] == expected
    assert [key[-2:] for key in found] == [(7, place) for place in range(5)]
    for value in ("2026", "lt2026-03-02", "gt2026-03-01", "eb2026-03-03", "ne2026-03-01"):
        dated = ask("Observation", ("date", value), ("_id", ",".join(p[1].hex for p in pairs[:4])))
        assert dated.among(segment, range(5)) == [
            place for place, one in enumerate(pairs) if dated.matches(one)
        ]
