"""The figures on recognition, counted from the ledger's events: the same events give the same figures.

What is counted is the question (one item of one patient in one visit at one receiver), once, at its
last state. A question is asked when the doctor was told of the earlier result, or decided on it
unprompted. Who is asked and says nothing is undecided, which is not declined. Emergencies are left
out and told apart. P, R, N and X of the definitions are `prompted`, `accepted` + `reread`,
`declined` (reasons that count) and `uncounted` (98 and 99).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation

import msgspec

from gateway.recognition.decisions import Choice, Declined
from gateway.recognition.ledger import SAME, Event, Happened

QUICK = 5_000_000
"""µs. A decision within so short a time of its prompt was hardly read."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "eligible": ("prompted", "silent"),
    "prompted": ("accepted", "reread", "declined", "uncounted", "undecided"),
    "declined": tuple(
        f"reason-{one}" for one in (*sorted(one.value for one in Declined if one.counted), "local")
    ),
    "uncounted": tuple(f"reason-{one.value}" for one in Declined if not one.counted),
}
"""Which counts are the sum of which others; the reasons of a hospital's own list count as `local`."""
LONE = ("viewed", "repeated", "saved")
"""Counts that are part of no sum but that of their column."""
COLUMNS = (
    "eligible", "silent", "prompted", "viewed", "accepted", "reread", "declined", *PARTS["declined"],
    "uncounted", *PARTS["uncounted"], "undecided", "repeated", "saved",
)  # fmt: skip


class Case(msgspec.Struct, frozen=True):
    """One question at its last state. `outcome` is a column: accepted, reread, declined, uncounted,
    undecided or silent; `reason` a `reason-…` column or empty. `first` is when it arose, µs UTC."""

    question: str
    first: int
    organization: str
    issuer: str
    item: str
    department: str
    hook: str
    outcome: str
    reason: str = ""
    counted: bool = True
    asked: bool = False  # prompted, or decided unprompted
    prompted: bool = False
    viewed: bool = False
    seen_first: bool = False  # the result was looked at before it was decided on
    quick: bool = False
    repeated: bool = False
    unchanged: bool = False  # and the repetition found the same
    saved: bool = False
    price: str = ""


class Counts(msgspec.Struct, frozen=True):
    """Counts by name (absent is 0), and the money of orders not placed in CNY."""

    of: Mapping[str, int]
    saved: Decimal = Decimal(0)

    def __getitem__(self, name: str) -> int:
        return self.of.get(name, 0)


def cases(events: Iterable[Event]) -> tuple[tuple[Case, ...], int]:
    """The questions in these events, and how many were never answered in time and never asked.

    The order of the events and events that come twice change nothing. All events of a question are
    needed: who leaves out its revocation gets another outcome.
    """
    by_question: dict[str, set[Event]] = {}
    for event in events:
        by_question.setdefault(event.question, set()).add(event)
    found = []
    unanswered = 0
    for question in sorted(by_question):
        ordered = sorted(by_question[question], key=_order)
        told = [one for one in ordered if one.kind is not Happened.UNANSWERED]
        if told:
            found.append(_case(question, told))
        else:
            unanswered += ordered[0].counted
    return tuple(found), unanswered


_KINDS = {kind: place for place, kind in enumerate(Happened)}


def _order(event: Event) -> tuple[object, ...]:
    return (event.at, _KINDS[event.kind], event.task, event.result, event.choice, event.reason,
            event.hook, event.department, event.practitioner, event.issuer, event.price)  # fmt: skip


def _case(question: str, events: list[Event]) -> Case:
    prompts = [one for one in events if one.kind is Happened.PROMPT]
    views = [one for one in events if one.kind is Happened.VIEW]
    standing = _standing(events)
    after = {Happened.ORDERED, Happened.REPEATED}
    decided = _deciding(standing)
    repeats = [one for one in events if one.kind is Happened.REPEATED]
    base = prompts[0] if prompts else events[0]
    outcome, reason = _outcome(decided, bool(prompts))
    taken = outcome in {"accepted", "reread"}
    return Case(
        question=question,
        first=events[0].at,
        organization=base.organization,
        issuer=(decided or base).issuer,
        item=base.item,
        department=next((one.department for one in (base, *events) if one.department), ""),
        hook=base.hook,
        outcome=outcome,
        reason=reason,
        counted=all(one.counted for one in events),
        asked=bool(prompts) or decided is not None,
        prompted=bool(prompts),
        viewed=bool(views),
        seen_first=decided is not None and any(one.at <= decided.at for one in views),
        quick=decided is not None
        and bool(prompts)
        and 0
        <= decided.at - max((p.at for p in prompts if p.at <= decided.at), default=decided.at + 1)
        < QUICK,
        repeated=bool(repeats),
        unchanged=any(one.comparison in SAME for one in repeats),
        saved=taken and not any(one.kind in after for one in events),
        price=next((one.price for one in (base, *events) if one.price), ""),
    )


def _standing(events: list[Event]) -> list[Event]:
    """The decisions that stand, oldest first: the last on each result, unless it was revoked."""
    last: dict[str, Event] = {}
    for event in events:
        if event.kind is Happened.DECISION:
            last[event.result] = event
        elif event.kind is Happened.REVOCATION:
            held = last.get(event.result)
            if held is not None and event.task in ("", held.task):
                del last[event.result]
    return sorted(last.values(), key=_order)


def _deciding(standing: list[Event]) -> Event | None:
    """The decision that speaks for the question: where any result is accepted nothing is repeated."""
    takes = [one for one in standing if one.choice in (Choice.ACCEPT, Choice.ACCEPT_REREAD)]
    return (takes or standing or [None])[-1]  # type: ignore[list-item]


def _outcome(decided: Event | None, prompted: bool) -> tuple[str, str]:
    if decided is None:
        return ("undecided" if prompted else "silent"), ""
    if decided.choice == Choice.ACCEPT:
        return "accepted", ""
    if decided.choice == Choice.ACCEPT_REREAD:
        return "reread", ""
    known = decided.reason in set(Declined)
    counts = not known or Declined(decided.reason).counted
    return ("declined" if counts else "uncounted"), f"reason-{decided.reason if known else 'local'}"


def counted(found: Iterable[Case], unanswered: int = 0) -> Counts:
    """The counts of these questions; emergencies are only counted as such."""
    of: Counter[str] = Counter({"unanswered": unanswered})
    saved = Decimal(0)
    for case in found:
        if not case.counted:
            of["emergencies"] += 1
            continue
        of.update(_counts_in(case))
        if case.saved:
            price = _money(case.price)
            saved += price or 0
            of["unpriced"] += price is None
    return Counts({name: n for name, n in of.items() if n}, saved)


def _counts_in(case: Case) -> list[str]:
    decided = case.outcome not in {"undecided", "silent"}
    told = {
        "prompted": case.asked,
        "viewed": case.asked and case.viewed,
        "repeated": case.asked and case.repeated,
        "saved": case.saved,
        "unprompted": decided and not case.prompted,
        "unseen": decided and not case.seen_first,
        "quick": decided and case.quick,
        "questionable": case.outcome == "declined" and case.repeated and case.unchanged,
    }
    found = ["eligible", case.outcome, *(name for name, holds in told.items() if holds)]
    if case.reason:
        found.append(case.reason)
    if case.asked and case.repeated:
        outcome = "accepted" if case.outcome == "reread" else case.outcome
        found.append(f"repeated-{outcome}")
    return found


def _money(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and found >= 0 else None


Dimension = Callable[[Case], str]
DIMENSIONS: Mapping[str, Dimension] = {
    "item": lambda case: case.item,
    "pair": lambda case: f"{case.issuer}>{case.organization}",
    "department": lambda case: f"{case.organization}/{case.department}",
    "hook": lambda case: case.hook,
}
"""How figures may be broken down. There is no dimension of persons: nobody is ranked."""


def broken_down(found: Iterable[Case], by: str) -> dict[str, Counts]:
    """The counts by a dimension, keys sorted; emergencies are in none of them."""
    groups: dict[str, list[Case]] = {}
    for case in found:
        if case.counted:
            groups.setdefault(DIMENSIONS[by](case), []).append(case)
    return {key: counted(groups[key]) for key in sorted(groups)}
