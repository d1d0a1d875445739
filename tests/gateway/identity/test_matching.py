"""Only what is surely one person is linked; everything else waits for somebody who looks."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import names
from gateway.identity.matching import Ground, Known, Match, Tier, match, own_number, quality

WANG = Known("王珅", "330421198001010005", date(1980, 1, 1), "female")
MOTHER = Known("李玘", "33042119550615000X", date(1955, 6, 15), "female")
YOUNG_MOTHER = Known("陈晓兰", "330421197212200007", date(1972, 12, 20), "female")


def known(of: Known, **other: object) -> Known:
    values = {field: getattr(of, field) for field in Known.__struct_fields__}
    return Known(**(values | other))  # type: ignore[arg-type]


TABLE = [
    # situation, one, other, tier, a ground that must be named
    ("the same number, name and birth", WANG, WANG, Tier.SAME, Ground.SAME_NUMBER),
    ("number written otherwise", WANG, known(WANG, number="３３０４２１-19800101-0005"),
     Tier.SAME, Ground.SAME_NUMBER),
    ("birth and sex not told", WANG, Known("王珅", WANG.number), Tier.SAME, Ground.SAME_BIRTH),
    ("a rare character lost on the way", WANG, known(WANG, name="王?"),
     Tier.SAME, Ground.SAME_NAME),
    ("a space and full width in the name", WANG, known(WANG, name="王　珅"),
     Tier.SAME, Ground.SAME_NAME),
    ("another given name", WANG, known(WANG, name="王坤"), Tier.NONE, Ground.OTHER_NAME),
    ("a borrowed card", WANG, known(WANG, name="赵建国"), Tier.NONE, Ground.OTHER_NAME),
    ("births disagree", WANG, known(WANG, birth=date(1980, 1, 2)), Tier.NONE, Ground.OTHER_BIRTH),
    ("sexes disagree", WANG, known(WANG, sex="male"), Tier.NONE, Ground.OTHER_SEX),
    ("both contradict the number the same way", known(WANG, sex="male"), known(WANG, sex="male"),
     Tier.SAME, Ground.SAME_NUMBER),
    ("two residents of one name", WANG, known(WANG, number=YOUNG_MOTHER.number, birth=None),
     Tier.NONE, Ground.OTHER_NUMBER),
    ("two residents of one name, birth and telephone",
     known(WANG, phones=frozenset({"13800000000"})),
     known(WANG, number="330402198001010006", phones=frozenset({"13800000000"})),
     Tier.NONE, Ground.OTHER_NUMBER),
    ("one name, no numbers", Known("王珅"), Known("王珅"), Tier.NONE, Ground.NO_NUMBER),
    ("one name and birth, no numbers", Known("王珅", birth=WANG.birth),
     Known("王珅", birth=WANG.birth), Tier.NONE, Ground.NO_NUMBER),
    ("one name, birth and telephone", Known("王珅", birth=WANG.birth, phones=frozenset({"1"})),
     known(WANG, phones=frozenset({"1", "2"})), Tier.POSSIBLE, Ground.SAME_PHONE),
    ("one name, birth and insurance", Known("王珅", birth=WANG.birth, insurance="A1"),
     Known("王珅", birth=WANG.birth, insurance="A1"), Tier.POSSIBLE, Ground.SAME_INSURANCE),
    ("a family's telephone", Known("王珅", birth=WANG.birth, phones=frozenset({"1"})),
     Known("王强", birth=WANG.birth, phones=frozenset({"1"})), Tier.NONE, Ground.OTHER_NAME),
    ("nobody's insurance number", Known("王珅", birth=WANG.birth),
     Known("王珅", birth=WANG.birth, insurance=""), Tier.NONE, Ground.NO_NUMBER),
    ("a wrong check digit", WANG, known(WANG, number="330421198001010006"),
     Tier.NONE, Ground.NO_NUMBER),
    ("a masked number", WANG, known(WANG, number="330421********0005"),
     Tier.NONE, Ground.NO_NUMBER),
    ("a placeholder on both sides", known(WANG, number="111111111111111111"),
     known(WANG, number="111111111111111111"), Tier.NONE, Ground.NO_NUMBER),
    ("an old number of 15 digits", WANG, known(WANG, number="330421800101000"),
     Tier.POSSIBLE, Ground.LEGACY_NUMBER),
    ("a newborn by its name", MOTHER, Known("李玘之子", MOTHER.number),
     Tier.NONE, Ground.MOTHERS_NUMBER),
    ("a newborn by its birth, with the mother's name",
     YOUNG_MOTHER, known(YOUNG_MOTHER, birth=date(2018, 9, 9)),
     Tier.NONE, Ground.MOTHERS_NUMBER),
    ("twins under the mother's number",
     Known("陈晓兰之大子", YOUNG_MOTHER.number, date(2018, 9, 9), phones=frozenset({"1"})),
     Known("陈晓兰之小子", YOUNG_MOTHER.number, date(2018, 9, 9), phones=frozenset({"1"})),
     Tier.NONE, Ground.MOTHERS_NUMBER),
    ("a child with its own number but no name yet, twice",
     Known("陈晓兰之女", "330421201809090006", date(2018, 9, 9)),
     Known("陈晓兰之女", "330421201809090006"), Tier.NONE, Ground.MOTHERS_NUMBER),
    ("a child with its own number and birth date, no name yet, twice",
     Known("陈晓兰之女", "330421201809090006", date(2018, 9, 9)),
     Known("陈晓兰之女", "330421201809090006", date(2018, 9, 9)), Tier.SAME, Ground.SAME_NUMBER),
    ("an unknown man brought in", Known("无名氏", birth=WANG.birth, phones=frozenset({"1"})),
     Known("无名氏", birth=WANG.birth, phones=frozenset({"1"})), Tier.NONE, Ground.NO_NAME),
    ("a number used for an unknown patient", WANG, known(WANG, name="无名氏"),
     Tier.NONE, Ground.NO_NAME),
    ("no name", WANG, known(WANG, name=""), Tier.NONE, Ground.NO_NAME),
    ("nothing at all", Known(""), Known(""), Tier.NONE, Ground.NO_NAME),
]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "tier", "ground"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_the_linking_table(one, other, tier, ground):
    found = match(one, other)
    assert found.tier is tier
    assert ground in found.grounds
    assert set(match(other, one).grounds) == set(found.grounds)
    assert all(ground.zh and ground.en for ground in found.grounds)


texts = st.text(alphabet="王珅李玘之子?·无名氏 aＡ", max_size=6)
persons = st.builds(
    Known,
    name=texts,
    number=st.sampled_from(["", WANG.number, MOTHER.number, "330421800101000", "1" * 18]),
    birth=st.sampled_from([None, date(1980, 1, 1), date(1955, 6, 15), date(2018, 9, 9)]),
    sex=st.sampled_from([None, "male", "female"]),
    phones=st.sets(st.sampled_from(["1", "2"])).map(frozenset),
    insurance=st.sampled_from(["", "A1"]),
)


@given(persons, persons)
def test_the_order_never_matters(one, other):
    assert match(one, other).tier is match(other, one).tier


@given(persons, persons)
def test_without_one_valid_number_on_both_sides_nothing_links_by_itself(one, other):
    found = match(one, other)
    if found.tier is Tier.SAME:
        mine, theirs = own_number(one), own_number(other)
        assert mine
        assert mine == theirs
        assert not mine.legacy
        assert not {Ground.OTHER_BIRTH, Ground.OTHER_SEX, Ground.OTHER_NAME} & set(found.grounds)


def test_a_record_that_contradicts_its_own_number_is_named_not_refused():
    assert quality(WANG) == ()
    assert quality(known(WANG, birth=date(1981, 1, 1), sex="male")) == (
        Ground.OTHER_BIRTH, Ground.OTHER_SEX,
    )  # fmt: skip
    assert quality(known(WANG, number="330421800101000")) == (Ground.LEGACY_NUMBER,)
    assert quality(Known("李玘之女", MOTHER.number)) == (Ground.MOTHERS_NUMBER,)
    assert quality(Known("王珅")) == ()
    assert match(Known("甲"), Known("乙")) == Match(
        Tier.NONE, (Ground.NO_NUMBER, Ground.OTHER_NAME)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [("阿卜杜拉·买买提", "阿卜杜拉•买买提"), ("阿卜杜拉·买买提", "阿卜杜拉买买提"),
     ("ＬＩ　Ming", "li ming"), ("O'Brien", "O’brien"), ("葛\U000e0100", "葛")],
)  # fmt: skip
def test_spellings_of_one_name_are_equal(one, other):
    assert names.similarity(one, other) == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [("王珅", "王坤"), ("王小明", "王小红"), ("王珅", "王"), ("?珅", "王珅"), ("??", "王珅"),
     ("王?", "李珅"), ("", ""), ("王??", "王小明")],
)  # fmt: skip
def test_other_names_stay_below_the_line(one, other):
    assert names.similarity(one, other) < 0.8


@given(texts, texts)
def test_similarity_is_the_same_both_ways_and_bounded(one, other):
    assert names.similarity(one, other) == names.similarity(other, one)
    assert 0 <= names.similarity(one, other) <= 1


@pytest.mark.parametrize("name", ["李玘之子", "李玘之女", "李玘 之婴", "李玘之大女", "新生儿"])
def test_newborn_names_are_known(name):
    assert names.is_newborn(name)


@pytest.mark.parametrize("name", ["王之光", "李子之", "张婴宁", "欧阳之舟"])
def test_names_that_only_look_like_a_newborns_are_not(name):
    assert not names.is_newborn(name)
