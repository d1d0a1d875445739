"""What happened to one question: may this earlier result spare the patient the same test again?

Prompt, view, decision and revocation are events of their own: who says nothing has not declined. All
figures on recognition come from these events and from nowhere else.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Happened(StrEnum):
    """What an event tells."""

    ELIGIBLE = "eligible"  # an order met a result that may be recognised
    PROMPT = "prompt"  # and the doctor was told of it
    DISMISSED = "dismissed"  # the prompt was closed without a reason: no decision
    VIEW = "view"  # the doctor looked at the result itself
    DECISION = "decision"
    REVOCATION = "revocation"
    REPEATED = "repeated"  # the same item was measured here after all
    ORDERED = "ordered"  # the order was signed after all
    UNANSWERED = "unanswered"  # the check took too long, so nothing was said


class Comparison(StrEnum):
    """What a repetition was found to be beside what the doctor had been told of."""

    SAME_VALUE = "same-value"  # in words or on a scale: equal
    OTHER_VALUE = "other-value"
    SAME_FLAG = "same-flag"  # a quantity: both laboratories flag it alike, or neither does
    OTHER_FLAG = "other-flag"
    UNKNOWN = "unknown"


SAME = frozenset({Comparison.SAME_VALUE, Comparison.SAME_FLAG})


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event. `question` is the same for all events on one item (and side, where the item has
    sides) of one patient in one visit.

    `patient` and `result` are keyed hashes: the same person and the same result can be recognised as
    the same, and by nobody without the county's keys. `at` is µs UTC. `choice` is a word of
    `decisions.Choice`, `reason` a code of `decisions.Declined` or of the hospital's own list. `price`
    is the receiver's own price of the item in CNY as decimal text, as the catalogue then said it.
    """

    kind: Happened
    question: str
    at: int
    organization: str  # the receiver
    issuer: str  # who issued the earlier result
    item: str  # code of the catalogue
    patient: str
    result: str
    department: str = ""
    practitioner: str = ""
    hook: str = ""  # a word of `figure_words.HOOKS`
    patient_class: str = "OP"
    counted: bool = True  # false for emergencies: shown, and left out of the figures
    choice: str = ""
    reason: str = ""
    task: str = ""  # the decision's Task
    price: str = ""
    catalogue: str = ""  # version
    rules: str = ""  # version
    comparison: str = ""  # of a repetition with the earlier result: a word of Comparison
    side: str = ""  # left, right, both; empty where sides do not matter
    finding: str = ""  # of what was prompted: a keyed hash, see `exchange.same_finding`


def encode(event: Event) -> bytes:
    """Canonical JSON, the same for the same event."""
    return msgspec.json.encode(event, order="deterministic")


def decode(data: bytes) -> Event:
    """The event again; msgspec.MsgspecError when it is none."""
    return msgspec.json.decode(data, type=Event)
