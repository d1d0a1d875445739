"""Tallies: the order of messages does not matter, two halves merged are the whole, memory is bounded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.quality import Result, Sighting, Tally
from tests.mappings.quality.build import AT_E, concept, number, patient, report, result, seen, visit

days = st.sampled_from(["2026-03-01", "2026-03-02", "2026-03-03"])
times = st.sampled_from(
    ["2026-03-02T09:30:00+08:00", "2026-03-02T07:30:00+08:00", "2026-03-02", "nonsense"]
)
raw = st.tuples(
    st.sampled_from(["OBX-14", "MSH-7", "PID-22", "JG"]),
    st.sampled_from(
        ["01", "0", "M", "20260302093000", "2026-03-02T09:30:00Z", "2026-03-02 09:30", "双肺" * 64]
    ),
)


@st.composite
def sightings(draw: st.DrawFn) -> Sighting:
    code = concept(
        draw(st.sampled_from("12399")), draw(st.sampled_from(["甲", "乙", "其他", "丙、丁"]))
    )
    return seen(
        patient(draw(st.sampled_from(["", "male", "female", "unknown"])), number(draw(st.booleans()))),
        report(
            code=code,
            effectiveDateTime=draw(times),
            encounter=AT_E,
            result=[{"reference": f"Observation/{id}"} for id in draw(st.sets(st.sampled_from("abcd")))],
        ),
        *(
            result(
                id,
                code=code,
                effectiveDateTime=draw(times),
                status=draw(st.sampled_from(["final", "cancelled"])),
            )
            for id in sorted(draw(st.sets(st.sampled_from("abcd"), max_size=2)))
        ),
        visit(draw(st.sampled_from(["", "AMB"]))),
        raw=tuple(draw(st.lists(raw, max_size=4))),
        day=draw(days),
    )  # fmt: skip


def tallied(messages: Sequence[Sighting], most: int = 20_000) -> Tally:
    tally = Tally(most=most)
    for one in messages:
        tally.add(one)
    return tally


several = st.lists(sightings(), max_size=12)
SMALL = st.sampled_from([1, 2, 3, 20_000])


@settings(max_examples=60, deadline=None)
@given(several, SMALL, st.randoms(use_true_random=False))
def test_the_order_of_messages_does_not_matter(
    messages: list[Sighting], most: int, random: object
) -> None:
    shuffled = random.sample(messages, len(messages))  # type: ignore[attr-defined]
    assert tallied(shuffled, most).results() == tallied(messages, most).results()


@settings(max_examples=60, deadline=None)
@given(several, several, SMALL)
def test_merging_two_tallies_is_tallying_both(
    one: list[Sighting], other: list[Sighting], most: int
) -> None:
    merged = tallied(one, most)
    merged.merge(tallied(other, most))
    assert merged.results() == tallied([*one, *other], most).results()


@settings(max_examples=60, deadline=None)
@given(several)
def test_nothing_is_struck_that_was_not_seen_and_details_add_up(messages: list[Sighting]) -> None:
    for row in tallied(messages).results():
        assert row.seen > 0
        assert sum(row.detail.values()) == row.struck  # at most 20 places here
        if row.detector != "time-formats":  # one time may be both in another form and shifted
            assert row.struck <= row.seen


@settings(max_examples=20, deadline=None)
@given(several)
def test_tallying_twice_doubles_what_each_message_says_for_itself(messages: list[Sighting]) -> None:
    alone = {"equal-times", "last-item-only", "share-of-other", "gender-unknown", "clock-source"}

    def counts(rows: list[Result]) -> dict[tuple[str, str], tuple[int, int]]:
        return {(r.day, r.detector): (r.seen, r.struck) for r in rows if r.detector in alone}

    once, twice = counts(tallied(messages).results()), counts(tallied(messages * 2).results())
    assert twice == {key: (2 * s, 2 * n) for key, (s, n) in once.items()}


def test_a_tally_of_many_codes_keeps_a_sample_of_bounded_size() -> None:
    tally = Tally(most=50)
    for n in range(1_000):
        tally.add(seen(report(result=[]), result(code=concept(str(n), f"项目{n}"))))
    held = tally._counts["code-meaning"]
    assert len(held.groups) <= 100
    (row,) = [one for one in tally.results() if one.detector == "code-meaning"]
    assert row.seen >= 50  # every code of the sample with all its counts


@pytest.mark.parametrize("most", [1, 5, 1_000])
def test_what_stays_in_a_sample_has_everything_ever_counted_for_it(most: int) -> None:
    codes = [f"C{n}" for n in range(20)]
    messages = [seen(result(code=concept(code, code))) for code in codes * 3]
    tally = tallied(messages, most)
    tally.results()
    (counted,) = tally._counts["code-meaning"].days.values()
    assert set(counted.values()) == {3}
    assert len(counted) == min(most, 20)


words = st.sampled_from(
    ["code", "coding", "category", "system", "display", "text", "subject", "reference", "result",
     "encounter", "class", "effectiveDateTime", "issued", "identifier", "value", "use", "specimen",
     "collection", "type", "modality", "orderDetail", "basedOn", "effectivePeriod", "start", "id"]
)  # fmt: skip
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=12), times),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
TYPES = ["Patient", "Observation", "DiagnosticReport", "Encounter", "ServiceRequest", "Specimen", "ImagingStudy"]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(TYPES), st.dictionaries(words, anything, max_size=6)), max_size=4
    )
)
def test_no_shape_of_a_resource_stops_the_count(odd: list[tuple[str, dict[str, object]]]) -> None:
    tally = tallied([seen(*({**members, "resourceType": kind} for kind, members in odd)), SOUND])
    rows = {row.detector: row for row in tally.results()}
    assert rows["encounter-class"].seen >= 1


SOUND = seen(report(encounter=AT_E), visit("AMB"))
