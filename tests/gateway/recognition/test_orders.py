"""What of an order set is already there, what is missing, what stands in it twice."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.recognition.catalogue import Catalogue, Item, Panel, Span
from gateway.recognition.judgement import Flag, Judgement, Outcome, Reason
from gateway.recognition.orders import Candidate, Comparison, Cover, Order, Repeat, compare, meant

FROZEN = msgspec.json.decode((Path(__file__).parent / "annex-d-1" / "catalogue.json").read_bytes())
ITEMS = {row["code"]: msgspec.convert(row, Item) for row in FROZEN["items"]}
ALT, AST, ALP, GGT = (ITEMS[f"HR-L-000{n}"] for n in (1, 2, 3, 4))
DAY = 86_400_000_000
NOW = 1_772_596_800_000_000
HIS = "https://his.people/order"


def judged(item: Item, outcome: Outcome = Outcome.ELIGIBLE, age: float = 1, **more: object):
    reason = {Outcome.ELIGIBLE: None, Outcome.INFORMATIONAL: Reason.EMERGENCY}.get(
        outcome, Reason.PROTECTED
    )
    return msgspec.structs.replace(
        Judgement(
            eligible=outcome is Outcome.ELIGIBLE, reason=reason, item=item.code, age_days=int(age),
            window_days=7, rules={}, trace=(), outcome=outcome, clock=NOW - int(age * DAY),
        ),
        **more,
    )  # fmt: skip


def result(item: Item, issuer: str = "people", **options: object) -> Candidate[str]:
    key = f"Observation/{item.code}{issuer}{options.get('age', 1)}"
    return Candidate(judged(item, **options), issuer, key, key)


def only(found: Comparison[str]):
    assert len(found.orders) == 1
    return found.orders[0]


def test_the_newest_of_several_hospitals_comes_first_and_the_others_stay_behind_it():
    old, new = result(ALT, "people", age=5), result(ALT, "tcm", age=2)
    [line] = only(compare([Order("o", (ALT,))], [old, new])).lines
    assert line.best is new
    assert line.eligible == (new, old)


def test_a_panel_is_covered_partly_and_only_the_rest_need_be_ordered():
    found = only(compare([Order("o", (ALT, AST, ALP))], [result(ALT), result(ALP)]))
    assert (found.cover, found.covered, found.missing) == (Cover.PARTLY, (ALT, ALP), (AST,))


def test_a_panel_is_covered_by_results_of_two_hospitals_together():
    found = only(compare([Order("o", (ALT, AST))], [result(ALT, "tcm"), result(AST, "people")]))
    assert (found.cover, found.missing) == (Cover.ALL, ())


def test_a_part_that_is_not_in_the_catalogue_is_never_covered():
    found = only(compare([Order("o", (ALT,), beyond=("HR-L-0099",))], [result(ALT)]))
    assert (found.cover, found.missing) == (Cover.PARTLY, ())


@pytest.mark.parametrize(
    ("items", "there", "cover"),
    [((), [ALT], Cover.UNKNOWN), ((ALT,), [], Cover.NONE), ((ALT,), [AST], Cover.NONE)],
)
def test_nothing_is_covered_by_what_is_not_there(items, there, cover):
    found = only(compare([Order("o", items)], [result(one) for one in there]))
    assert (found.cover, found.missing) == (cover, items)


def test_what_is_only_informational_is_told_and_covers_nothing():
    seen = result(ALT, outcome=Outcome.INFORMATIONAL)
    found = only(compare([Order("o", (ALT, AST))], [seen]))
    assert (found.cover, found.missing) == (Cover.NONE, (ALT, AST))
    assert found.lines[0].informational == (seen,)


def test_a_hidden_result_and_an_absent_one_give_the_same_comparison():
    orders = [Order("o", (ALT, AST))]
    assert compare(orders, [result(ALT, outcome=Outcome.NONE)]) == compare(orders, [])


def test_the_receivers_own_result_is_told_apart():
    own = result(ALT, "tcm", flags=(Flag.OWN_RESULT,))
    found = only(compare([Order("o", (ALT,))], [own]))
    assert (found.cover, found.lines[0].own, found.lines[0].eligible) == (Cover.NONE, (own,), ())


def test_an_order_that_stands_twice_and_two_that_overlap():
    orders = [Order("liver", (ALT, AST)), Order("again", (AST,)), Order("other", (AST, ALP))]
    assert compare(orders, []).repeats == (
        Repeat("liver", "again", (AST.code,), whole=True),
        Repeat("liver", "other", (AST.code,), whole=False),
        Repeat("again", "other", (AST.code,), whole=False),
    )


KNEE = ITEMS["HR-E-0027"]


@pytest.mark.parametrize(
    ("ordered", "measured", "covered", "shown"),
    [
        ("left", "left", True, False),
        ("left", "both", True, False),
        ("left", "right", False, False),
        ("both", "left", False, False),
        ("", "left", False, True),  # nobody knows which knee is meant: there to look at
    ],
)
def test_a_knee_is_covered_by_the_same_knee(ordered, measured, covered, shown):
    found = only(compare([Order("o", (KNEE,), side=ordered)], [result(KNEE, side=measured)]))
    assert (found.covered == (KNEE,), bool(found.lines[0].informational)) == (covered, shown)
    assert (found.spared == (KNEE,)) == covered, "who orders the other knee takes nothing back"


def test_whoever_orders_what_was_recognised_after_all_takes_it_back_though_it_is_old_by_now():
    assert only(compare([Order("o", (ALT,))], [])).spared == (ALT,)


def test_a_left_and_a_right_knee_are_no_repeat():
    left, right, again = (
        Order(key, (KNEE,), side=key[:4].strip("2")) for key in ("left", "righ", "left2")
    )
    assert [(r.first, r.again) for r in compare([left, right, again], []).repeats] == [
        ("left", "left2")
    ]


@pytest.mark.parametrize(
    ("codings", "name", "side"),
    [
        ([("http://loinc.org", "36508-0")], "", "left"),
        ([], "左膝关节MR平扫", "left"),
        ([], "MR Knee right WO contrast", "right"),
        ([], "双膝关节正侧位", "both"),
        ([], "膝关节MR平扫", ""),
        ([], "左膝及右膝关节MR", ""),
    ],
)
def test_an_order_says_which_side_by_code_or_name(codings, name, side):
    assert meant(catalogue(), "o", "people", codings, name, NOW).side == side


def catalogue(*panels: Panel, ended: tuple[str, ...] = ()) -> Catalogue:
    over = Span(0, NOW - 1)
    items = [
        msgspec.structs.replace(i, effective=over) if i.code in ended else i
        for i in (ALT, AST, ALP, GGT)
    ]
    return Catalogue(items, [], [], [], "v", panels)


LIVER = Panel("P", "肝功能", "Liver", (f"{HIS}|LIV",), (ALT.code, AST.code), "people", ("肝功能",))


def test_an_order_means_what_its_hospital_means_by_it():
    known = catalogue(LIVER)
    by_code = meant(known, "o", "people", [(HIS, "LIV")], "", NOW)
    assert by_code == Order("o", (ALT, AST))
    assert meant(known, "o", "people", [], "肝功能", NOW) == by_code
    assert meant(known, "o", "tcm", [(HIS, "LIV")], "肝功能", NOW) == Order("o", ())
    assert meant(known, "o", "tcm", [("http://loinc.org", "1742-6")], "", NOW).items == (ALT,)


def test_an_order_with_a_part_no_longer_in_force_says_so():
    found = meant(catalogue(LIVER, ended=(AST.code,)), "o", "people", [(HIS, "LIV")], "", NOW)
    assert found == Order("o", (ALT,), beyond=(AST.code,))


candidates = st.lists(
    st.builds(
        result,
        st.sampled_from([ALT, AST, ALP]),
        st.sampled_from(["people", "tcm", "mch"]),
        outcome=st.sampled_from(list(Outcome)),
        age=st.integers(0, 9),
    ),
    max_size=12,
    unique_by=lambda one: one.key,
)
order_sets = st.lists(
    st.lists(st.sampled_from([ALT, AST, ALP, GGT]), unique=True, max_size=4).map(
        lambda items: Order("o", tuple(items))
    ),
    max_size=4,
)


@given(order_sets, candidates, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_every_item_is_covered_or_missing_and_the_order_of_results_does_not_matter(
    orders, there, random
):
    found = compare(orders, there)
    assert compare(orders, random.sample(there, len(there))) == found
    for order in found.orders:
        assert sorted((*order.covered, *order.missing), key=lambda i: i.code) == sorted(
            order.order.items, key=lambda i: i.code
        )
        for line in order.lines:
            ages = [one.judgement.clock for one in line.eligible]
            assert ages == sorted(ages, reverse=True)
            assert all(one.judgement.item == line.item.code for one in line.eligible)


@given(order_sets, candidates, candidates)
@settings(max_examples=100, deadline=None)
def test_more_results_never_cover_less(orders, some, more):
    before, after = compare(orders, some), compare(orders, some + more)
    for one, two in zip(before.orders, after.orders, strict=True):
        assert set(one.covered) <= set(two.covered)
