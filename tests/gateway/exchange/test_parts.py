"""A long record a part at a time: nothing twice, nothing lost, and nothing corrected missed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.model import Permit, Reason
from gateway.errors import Problem
from gateway.exchange import results
from gateway.exchange.page_records import in_parts
from gateway.exchange.shelf import Match, Permitted, Shown
from gateway.exchange.succeeding import replaced_among
from gateway.portal.stories import Results
from gateway.records.entry import Entry, Nature, pack_segment, unpack_segment
from gateway.services import Services
from tests.gateway.exchange.portal_county import LI, REGISTRAR, Town, town

YES = Permit(Reason.DIRECTIVE)
small = st.integers(0, 3)


def _id(kind: int, number: int) -> bytes:
    return bytes([kind, number]) * 8


@st.composite
def records(draw: st.DrawFn) -> list[Match]:
    """Results and reports of few hospitals, times, samples and items, so that they meet."""
    found = []
    count = draw(st.integers(0, 10))
    for number in range(count):
        samples = [("specimen", _id(2, one)) for one in draw(st.lists(small, max_size=1))]
        nature = Nature(
            "Observation", f"h{draw(small)}", codes=(f"c|{draw(small)}",), status="final"
        )
        at = draw(st.one_of(st.none(), small))
        told = draw(st.integers(1, 9))
        found.append((nature, Entry(_id(0, number), 1, number, 0, at, at, 5, told, tuple(samples))))
    for number in range(draw(small)):
        held = draw(st.lists(st.sampled_from(range(count)), max_size=3)) if count else []
        links = [("result", _id(0, one)) for one in held] + [("specimen", _id(2, draw(small)))]
        nature = Nature("DiagnosticReport", f"h{draw(small)}", codes=("c|r",), status="final")
        told = draw(st.integers(1, 9))
        found.append((nature, Entry(_id(1, number), 1, number, 0, 1, 1, 5, told, tuple(links))))
    return [Match("c", pair, YES) for pair in found]


@st.composite
def known(draw: st.DrawFn) -> tuple[list[Shown], list[Match]]:
    """Two charts in a segment or two each, of which some may be known of; and those as a list."""
    shown, every = [], []
    for chart in "ab":
        own: list[Match] = []
        seq = 0
        for part in range(draw(st.integers(1, 2))):
            pairs, places = [], []
            for place in range(draw(st.integers(0, 20))):
                kind = draw(st.sampled_from(("Patient", "Observation", "DiagnosticReport")))
                seq, at = seq + 1, draw(st.one_of(st.none(), small))
                id = bytes([ord(chart), part, place, 0]) * 4
                nature = Nature(kind, f"h{draw(small)}", status="final")
                pairs.append((nature, Entry(id, 1, seq, 0, at, at, 5)))
                if draw(st.booleans()):
                    places.append(place)
            segment = unpack_segment(pack_segment(pairs))
            one = Shown(chart, segment, places, dict.fromkeys(range(20), YES), {})
            own += [one.match(place) for place in places]
            shown.append(one)
        own.sort(key=lambda match: (match.pair[0].type == "Patient", match.pair[1].seq))
        every += own
    return shown, every


@given(known(), small, st.booleans())
def test_what_is_asked_for_is_what_looking_through_everything_finds(
    both: tuple[list[Shown], list[Match]], since: int, junk: bool
) -> None:
    shown, every = both
    permitted = Permitted(shown)

    def wanted(nature: Nature) -> bool:
        return nature.type != "Patient" and nature.source < "h2"

    assert list(permitted) == every
    assert permitted.where(wanted) == [one for one in every if wanted(one.pair[0])]
    assert permitted.where(wanted, since) == [
        one
        for one in every
        if wanted(one.pair[0]) and (one.pair[1].start is None or one.pair[1].start >= since)
    ]
    # Asked for are some that may be known of, some that may not, and some that are nobody's.
    asked = {id for one in shown for id in one.segment.ids[::2]} | {bytes(16)}
    found = [one for one in every if one.pair[1].id in asked]
    assert permitted.among(asked) == found
    names = [id.hex() for id in asked] + ["", "visit 7", "F" * 32, "é" * 32] * junk
    assert permitted.named(names) == found


@given(records(), st.integers(1, 6))
def test_parts_together_are_the_whole_and_a_report_stays_with_its_results(
    main: list[Match], most: int
) -> None:
    parts = in_parts(main, most)

    assert sorted(m.pair[1].id for part in parts for m in part) == sorted(
        m.pair[1].id for m in main
    )
    assert all(parts)
    where = {m.pair[1].id: number for number, part in enumerate(parts) for m in part}
    named = [
        (report.pair[1].id, to)
        for report in main
        for said, to in report.pair[1].links
        if said == "result"
    ]
    for report, to in named:
        if [one for one, other in named if other == to and one != report] == []:
            assert where[report] == where[to]
    lone = [m for m in main if m.pair[1].id not in {to for _, to in named}]
    ages = [m.pair[1].start if m.pair[1].start is not None else 5 for m in lone]
    for number in range(len(parts) - 1):
        here = [at for m, at in zip(lone, ages, strict=True) if where[m.pair[1].id] == number]
        next_ = [at for m, at in zip(lone, ages, strict=True) if where[m.pair[1].id] == number + 1]
        assert not (here and next_) or min(here) >= max(next_)


@given(records(), st.sets(st.integers(0, 9)))
def test_looking_at_a_few_finds_what_replaces_them_as_looking_at_all_does(
    found: list[Match], few: set[int]
) -> None:
    pairs = [match.pair for match in found]
    ids = {_id(0, number) for number in few}

    whole = replaced_among(pairs)
    near = replaced_among(pairs, ids)

    assert near <= whole
    assert {id.hex() for id in ids} & whole <= near


@pytest.fixture
async def here(services: Services) -> Town:
    return await town(services, "shen", rows=False)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_a_record_turned_part_by_part_shows_what_it_shows_at_once(
    here: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MOST", 12)
    consent = await here.sign("shen")
    whole = await here.results("shen", LI)
    chart = whole.resident.chart

    first = await here.portal.results(chart, LI, None, 1)
    assert isinstance(first, Results)
    assert first.parts > 1
    turned = [await here.portal.results(chart, LI, None, n + 1) for n in range(first.parts)]
    reports = [one.id for each in turned if isinstance(each, Results) for one in each.reports]
    assert reports == [one.id for one in whole.reports]

    behind = await here.portal.results(chart, LI, None, 99)
    assert isinstance(behind, Results)
    assert (behind.part, behind.reports) == (first.parts, turned[-1].reports)  # type: ignore[union-attr]

    await here.portal.withdraw_consent(consent, "周立", REGISTRAR)
    with pytest.raises(Problem):  # nothing else is known of her where she is treated now
        await here.portal.results(chart, LI, None, first.parts)
