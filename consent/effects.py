"""What a standing says, and what changes between two of them, in sentences: plain words for residents,
precise ones for officers, in Chinese and English."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import Literal

from consent.policy import PolicySet
from consent.standing import ELSEWHERE, OWN, Asker, Cell, Column, Need, Standing

Language = Literal["zh", "en"]
Register = Literal["plain", "precise"]


class Reach(StrEnum):
    """How far an asker gets, as a resident understands it."""

    NOW = "now"
    TREATING = "treating"
    PRESENT = "present"
    CONSENT = "consent"
    EMERGENCY = "emergency"
    CLOSED = "closed"


SEES = frozenset({Reach.NOW, Reach.TREATING, Reach.PRESENT})


def reach(cell: Cell) -> Reach:
    """The least that opens a cell; an emergency counts only where nothing else but it does."""
    least = cell.least
    if least is None:
        return Reach.CLOSED
    if not least:
        return Reach.NOW
    if Need.CONSENT in least:
        return Reach.CONSENT
    return {
        Need.RELATIONSHIP: Reach.TREATING,
        Need.PRESENCE: Reach.PRESENT,
        Need.EMERGENCY: Reach.EMERGENCY,
    }[least[0]]


def in_emergency(cell: Cell) -> bool:
    """Whether a recorded emergency opens it, whatever else does."""
    return any(way.needs in ((), (Need.EMERGENCY,)) for way in cell.ways)


# --- what changes ---------------------------------------------------------------------------------


class Turn(StrEnum):
    """What becomes different for somebody."""

    LOST = "lost"
    GAINED = "gained"
    GAINED_PRESENT = "gained-present"
    FREED = "freed"  # the person need not be there any more
    BOUND = "bound"  # only when the person is there
    EMERGENCY_LOST = "emergency-lost"
    EMERGENCY_GAINED = "emergency-gained"
    ASKABLE = "askable"  # a consent can open it now, or cannot any more
    UNASKABLE = "unaskable"


@dataclass(frozen=True, slots=True)
class Change:
    """One cell before and after, and what that means; `turns` is empty when only the rule differs."""

    asker: Asker
    before: Cell
    after: Cell
    turns: tuple[Turn, ...]


def changes(before: Standing, after: Standing) -> tuple[Change, ...]:
    """Every cell whose answers differ. Both standings have the same askers and contents."""
    found = []
    for old, new in zip(before.columns, after.columns, strict=True):
        if old.asker.requester != new.asker.requester or old.asker.purpose != new.asker.purpose:
            raise ValueError("the two standings are of different askers")
        for was, becomes in zip(old.cells, new.cells, strict=True):
            if was != becomes:
                found.append(Change(new.asker, was, becomes, _turns(was, becomes)))
    return tuple(found)


def _turns(was: Cell, becomes: Cell) -> tuple[Turn, ...]:
    turns = []
    match reach(was), reach(becomes):
        case before, after if before == after:
            pass
        case before, after if before in SEES and after not in SEES:
            turns.append(Turn.LOST)
        case before, Reach.PRESENT if before in SEES:
            turns.append(Turn.BOUND)
        case _, Reach.PRESENT:
            turns.append(Turn.GAINED_PRESENT)
        case Reach.PRESENT, after if after in SEES:
            turns.append(Turn.FREED)
        case before, after if after in SEES and before not in SEES:
            turns.append(Turn.GAINED)
        case _, Reach.CONSENT:
            turns.append(Turn.ASKABLE)
        case Reach.CONSENT, _:
            turns.append(Turn.UNASKABLE)
    if in_emergency(was) != in_emergency(becomes):
        turns.append(Turn.EMERGENCY_LOST if in_emergency(was) else Turn.EMERGENCY_GAINED)
    return tuple(turns)


# --- in words -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Names:
    """What organisations and persons are called, by id and language."""

    organization: Callable[[str, Language], str]
    person: Callable[[str, Language], str]


CONTENTS: dict[str, tuple[str, str]] = {
    "basic": (
        "基本信息（过敏、用药、疫苗、血型）",
        "basics (allergies, medicines, vaccinations, blood group)",
    ),
    "general": ("就诊和检查检验结果", "visits and test results"),
    "sealed": ("封存的记录", "sealed records"),
    "restricted": ("受保护的记录", "protected records"),
    "BH": ("行为健康记录", "behavioural health records"),
    "ETH": ("物质使用（酒精、药物）记录", "alcohol and drug use records"),
    "GDIS": ("遗传病与基因记录", "genetic records"),
    "HIV": ("艾滋病病毒感染记录", "HIV records"),
    "MH": ("心理健康记录", "mental health records"),
    "PSY": ("精神卫生记录", "psychiatric records"),
    "SDV": ("性侵害与家庭暴力记录", "records of sexual assault and domestic violence"),
    "SEX": ("性与生殖健康记录", "sexual and reproductive health records"),
    "STD": ("性传播疾病记录", "records of sexually transmitted disease"),
    "SUD": ("成瘾与戒断治疗记录", "addiction treatment records"),
}
_ALL_PROTECTED = ("所有受保护类别的记录", "records of every protected category")

_SENTENCES: dict[Turn, tuple[str, str]] = {
    Turn.LOST: ("{who}将不再看到{what}。", "{who} will no longer see {what}."),
    Turn.GAINED: (
        "{who}给您看病时，将可以看到{what}。",
        "{who} will see {what} when treating you.",
    ),
    Turn.GAINED_PRESENT: (
        "您在场并出示凭证时，{who}将可以看到{what}。",
        "{who} will see {what} when you are there and show your code.",
    ),
    Turn.FREED: (
        "{who}给您看病时，不用您出示凭证就可以看到{what}。",
        "{who} will see {what} when treating you, without your showing a code.",
    ),
    Turn.BOUND: (
        "只有您在场并出示凭证时，{who}才能看到{what}。",
        "{who} will see {what} only when you are there and show your code.",
    ),
    Turn.EMERGENCY_LOST: (
        "即使在抢救时，{who}也不能看到{what}。",
        "Not even in an emergency will {who} see {what}.",
    ),
    Turn.EMERGENCY_GAINED: (
        "抢救时，{who}可以看到{what}；事后会通知您。",
        "In an emergency {who} can see {what}; you are told afterwards.",
    ),
    Turn.ASKABLE: (
        "您另行同意后，{who}才能看到{what}。",
        "{who} can see {what} only if you agree to it separately.",
    ),
    Turn.UNASKABLE: (
        "{who}不能看到{what}，另行同意也不行。",
        "{who} cannot see {what}, not even if you agree to it separately.",
    ),
}
_PURPOSES = {
    "HPAYMT": ("为付费", "for payment"),
    "HRESCH": ("为科研", "for research"),
    "HOPERAT": ("为管理", "for management"),
    "PUBHLTH": ("为公共卫生", "for public health"),
}
NEEDS: dict[Need, tuple[str, str]] = {
    Need.RELATIONSHIP: ("诊疗关系", "a treatment relationship"),
    Need.PRESENCE: ("患者在场并出示凭证", "the patient's presence with a fresh proof"),
    Need.CONSENT: ("患者同意", "the patient's consent"),
    Need.EMERGENCY: ("紧急查阅授权", "an emergency grant"),
}


def sentences(
    found: Sequence[Change],
    among: Sequence[Asker],
    policy: PolicySet,
    names: Names,
    language: Language,
    register: Register,
) -> tuple[str, ...]:
    """What changes, grouped: those who are told the same in one sentence. Empty: nothing changes.

    `among` are all askers of the standings, so that "all other hospitals" can be said. Plain words
    tell what a resident would notice; precise ones every cell whose answer or rule differs.
    """
    if register == "precise":
        return tuple(_precise(one, names, language) for one in _first_of_equal(found))
    told: dict[tuple[Turn, tuple[_Place, ...]], list[Asker]] = {}
    for turn in Turn:
        by_asker: dict[Asker, list[_Place]] = {}
        for one in found:
            if turn in one.turns:
                by_asker.setdefault(one.asker, []).append(_place(one.after))
        said = {asker: tuple(dict.fromkeys(places)) for asker, places in by_asker.items()}
        houses = {(a.requester.organization, p) for a, p in said.items() if not a.requester.user}
        for asker, places in said.items():
            # A person is named where more, or less, is true of them than of their house.
            if not asker.requester.user or (asker.requester.organization, places) not in houses:
                told.setdefault((turn, places), []).append(asker)
    return tuple(
        _upper(
            _SENTENCES[turn][_of(language)].format(
                who=_who(askers, among, names, language),
                what=_what(places, policy, names, language),
            )
        )
        for (turn, places), askers in told.items()
    )


def _first_of_equal(found: Sequence[Change]) -> Iterable[tuple[Change, list[Asker]]]:
    """Changes that differ only in the asker, told together."""
    groups: list[tuple[Change, list[Asker]]] = []
    for one in found:
        for first, askers in groups:
            if (first.before, first.after) == (one.before, one.after) and (
                first.asker.purpose == one.asker.purpose
            ):
                askers.append(one.asker)
                break
        else:
            groups.append((one, [one.asker]))
    return groups


def _precise(group: tuple[Change, list[Asker]], names: Names, language: Language) -> str:
    one, askers = group
    who = _joined([_asker(asker, names, language) for asker in askers], language)
    requester = one.asker.requester
    what = " + ".join(one.after.content.names) + _source_of(
        _place(one.after).source, names, language
    )
    before, after = (_answer(cell, language) for cell in (one.before, one.after))
    if language == "zh":
        return f"{who}（{requester.role}，{one.asker.purpose}）对 {what}：由{before}改为{after}。"
    return f"{who} ({requester.role}, {one.asker.purpose}), {what}: from {before} to {after}."


def _answer(cell: Cell, language: Language) -> str:
    """The ways to a yes with the reason and rules of each."""
    told = []
    for way in cell.ways:
        needs = _joined([NEEDS[need][_of(language)] for need in way.needs], language, " + ")
        rules = [rule for rule in way.decision.rules if not rule.startswith("Consent/would-be/")]
        because = ", ".join([way.decision.reason.value, *rules])
        told.append(f"{needs}〔{because}〕" if needs else f"〔{because}〕")
    if not told:
        told = [f"{('不可', 'never')[_of(language)]}〔{cell.now.reason.value}〕"]
    return "「" + ("；" if language == "zh" else "; ").join(told) + "」"


@dataclass(frozen=True, slots=True)
class _Place:
    """What a change is about, as a sentence can name it."""

    names: tuple[str, ...]
    source: str


def _place(cell: Cell) -> _Place:
    return _Place(cell.content.names, cell.content.source)


def _of(language: Language) -> int:
    return 0 if language == "zh" else 1


def _upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _who(askers: Sequence[Asker], among: Sequence[Asker], names: Names, language: Language) -> str:
    """Named while they are few; else all but those left out."""
    chinese = language == "zh"
    if len(askers) == 2 and all(_is_house(asker) for asker in askers):
        both = _joined([_asker(asker, names, language) for asker in askers], language)
        return f"这两家医院（{both}）" if chinese else f"these two hospitals ({both})"
    if len(askers) > 2 and all(_is_house(asker) for asker in askers):
        left = [asker for asker in among if _is_house(asker) and asker not in askers]
        if not left:
            return "县内所有医疗机构" if chinese else "all hospitals of the county"
        if len(left) <= 2:
            others = _joined([_asker(asker, names, language) for asker in left], language)
            if chinese:
                return f"除{others}外的县内所有医疗机构"
            return f"all hospitals of the county except {others}"
    return _joined([_asker(asker, names, language) for asker in askers], language)


def _is_house(asker: Asker) -> bool:
    """Anybody who treats patients at one organisation."""
    requester = asker.requester
    return bool(requester.organization and not requester.user and asker.purpose not in _PURPOSES)


def _asker(asker: Asker, names: Names, language: Language) -> str:
    requester = asker.requester
    who = names.person(requester.user, language) if requester.user else ""
    where = names.organization(requester.organization, language) if requester.organization else ""
    if not who and not where:
        where = ("任何机构", "any organisation")[_of(language)]
    who = who or where
    purpose = _PURPOSES.get(asker.purpose)
    if purpose is None:
        return who
    return f"{who}（{purpose[0]}）" if language == "zh" else f"{who} ({purpose[1]})"


def _what(
    places: Sequence[_Place],
    policy: PolicySet,
    names: Names,
    language: Language,
    register: Register = "plain",
) -> str:
    """Contents with the same source in one breath."""
    by_names: dict[tuple[str, ...], list[str]] = {}
    for place in places:
        by_names.setdefault(place.names, []).append(place.source)
    by_sources: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for called, where in by_names.items():
        by_sources.setdefault(tuple(dict.fromkeys(where)), []).append(called)
    told = []
    for sources, called_so in by_sources.items():
        what = _contents(called_so, policy, language)
        told.append(_written(what, sources, names, language, register))
    if language == "zh":
        return "，以及".join(told)
    return _joined(told, language)


def _contents(contents: Sequence[tuple[str, ...]], policy: PolicySet, language: Language) -> str:
    at = _of(language)
    listed = list(contents)
    told: list[str] = []
    if len(policy.restricted) > 1 and {(code,) for code in policy.restricted} <= set(listed):
        listed = [one for one in listed if not set(one) <= policy.restricted]
        told = [_ALL_PROTECTED[at]]
    plain = [" + ".join(CONTENTS.get(name, (name, name))[at] for name in one) for one in listed]
    return _joined(list(dict.fromkeys([*plain, *told])), language)


def _written(
    what: str, sources: Sequence[str], names: Names, language: Language, register: Register
) -> str:
    """The person's own, and where it was written when it is not everywhere."""
    chinese = language == "zh"
    if register == "precise":
        if set(sources) >= {OWN, ELSEWHERE}:
            return what
        told = _joined([_source_of(source, names, language) for source in sources], language)
        return f"{what}{told}"
    if set(sources) >= {OWN, ELSEWHERE}:
        return f"您的{what}（不论在哪里产生）" if chinese else f"your {what} (wherever written)"
    where = []
    for source in sources:
        if source == OWN:
            where.append("在该院" if chinese else "there")
        elif source == ELSEWHERE:
            where.append("在其他医院" if chinese else "elsewhere")
        else:
            name = names.organization(source, language)
            where.append(f"在{name}" if chinese else f"at {name}")
    if chinese:
        return f"您{_joined(where, language)}的{what}"
    return f"your {what} written {_joined(where, language)}"


def _source_of(source: str, names: Names, language: Language) -> str:
    """The source of a content in a precise sentence."""
    chinese = language == "zh"
    if source == OWN:
        return "（本机构产生）" if chinese else " (own source)"
    if source == ELSEWHERE:
        return "（其他机构产生）" if chinese else " (another's)"
    name = names.organization(source, language)
    return f"（{name}产生）" if chinese else f" (from {name})"


def _joined(parts: Sequence[str], language: Language, sign: str = "") -> str:
    if sign or language == "zh":
        return (sign or "、").join(parts)
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]


# --- a standing, told ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """Contents that a group of askers reaches in the same way, in words."""

    contents: str
    count: int
    cell: Cell  # the first of those that are told together
    reach: Reach
    emergency: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Askers with the same answers, and what those are."""

    who: str
    role: str
    purpose: str
    lines: tuple[Line, ...]


def told(
    standing: Standing,
    policy: PolicySet,
    names: Names,
    language: Language,
    register: Register = "plain",
) -> tuple[Group, ...]:
    """A whole standing in words: equal columns and, within them, equal answers side by side."""
    among = [column.asker for column in standing.columns]
    return tuple(
        Group(
            _upper(_who([column.asker for column in group], among, names, language)),
            group[0].asker.requester.role,
            group[0].asker.purpose,
            tuple(_lines(group[0], policy, names, language, register)),
        )
        for group in standing.groups
    )


def _lines(
    column: Column, policy: PolicySet, names: Names, language: Language, register: Register
) -> Iterable[Line]:
    alike: list[list[Cell]] = []
    for cell in column.cells:
        for cells in alike:
            if _same_answer(cells[0], cell):
                cells.append(cell)
                break
        else:
            alike.append([cell])
    for cells in alike:
        places = list(dict.fromkeys(map(_place, cells)))
        yield Line(
            _what(places, policy, names, language, register),
            sum(cell.content.count for cell in cells),
            cells[0],
            reach(cells[0]),
            in_emergency(cells[0]),
        )


def _same_answer(one: Cell, other: Cell) -> bool:
    """The same but for obligations and the name of the tier in a county rule."""
    return (
        (one.now.reason, one.varies, one.since) == (other.now.reason, other.varies, other.since)
        and len(one.ways) == len(other.ways)
        and all(
            a is not None
            and b is not None
            and a.needs == b.needs
            and (a.decision.reason, _stem(a.decision.rules))
            == (b.decision.reason, _stem(b.decision.rules))
            for a, b in zip_longest(one.ways, other.ways)
        )
    )


def _stem(rules: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(r.rpartition("/")[0] if r.startswith("policy/") else r for r in rules)
