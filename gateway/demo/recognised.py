"""What doctors of the pretend county did with prompts in the last two months, through the real ledger.

Invented from beginning to end: its patients are names of nobody ("demo-…"), so that no figure of a
real person is touched, and every event says that the catalogue version is the demo's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from gateway.demo.dice import Dice
from gateway.exchange import ledger
from gateway.exchange.frozen import GRACE_DAYS, freeze_due
from gateway.recognition.decisions import Choice, Declined
from gateway.recognition.ledger import Event, Happened
from gateway.records.instant import micros, moment
from gateway.services import Services
from gateway.store.engine import Tx

DICE = Dice("recognition")
A_DAY = 6  # questions
SECOND = 1_000_000
MARK = "demo"
PAIRS = (("people", "tcm"), ("people", "township"), ("tcm", "people"), ("people", "mch"))
DEPARTMENTS = {
    "tcm": ("心病科", "脾胃病科", "骨伤科"),
    "people": ("心血管内科", "消化内科"),
    "township": ("全科",),
    "mch": ("产科", "妇科"),
}
ITEMS = (
    ("HR-L-0001", "6.00"), ("HR-L-0002", "6.00"), ("HR-L-0013", "6.00"), ("HR-L-0012", "5.00"),
)  # fmt: skip
"""Items of the catalogue, and what they cost where the catalogue names no price."""
REASONS = (
    *(Declined.CHANGED,) * 3, *(Declined.FAST,) * 2, *(Declined.JUDGEMENT,) * 3, Declined.DECISIVE,
)  # fmt: skip


async def write(services: Services) -> int:
    """Write two months of events once (again, nothing changes) and freeze the month before last if it
    is due; returns how many events there are."""
    found = list(events(moment(services.now(), services.settings.zone).date(), services))

    def add(tx: Tx) -> None:
        ledger.add(tx, ledger.prepared(found, services))

    await services.db.do(add)
    await freeze_due(services)
    return len(found)


def events(today: date, services: Services) -> Iterator[Event]:
    """The events of the last full two months and of this one until yesterday."""
    first = (today.replace(day=1) - timedelta(days=GRACE_DAYS)).replace(day=1)
    day = (first - timedelta(days=1)).replace(day=1)
    while day < today:
        for number in range(A_DAY):
            yield from _question(day, number, today, services)
        day += timedelta(days=1)


def _question(day: date, number: int, today: date, services: Services) -> Iterator[Event]:
    about = (day, number)
    issuer, receiver = DICE.pick(PAIRS, "pair", *about)
    code, price = DICE.pick(ITEMS, "item", *about)
    minutes = DICE.between(0, 500, "time", *about)
    asked = datetime.combine(day, time(8), services.settings.zone) + timedelta(minutes=minutes)
    at = micros(asked)
    patient = ledger.pseudonym("patient", f"{MARK}-{day}-{number}", services)
    item = services.catalogue.item(code, at)
    listed = item.price(services.register.get(receiver).level) if item else ""

    def event(kind: Happened, seconds: int, **more: str) -> Event:
        return Event(
            kind=kind,
            question=ledger.question_of(receiver, patient, code, day.isoformat(), services),
            at=at + seconds * SECOND,
            organization=receiver,
            issuer=issuer,
            item=code,
            patient=patient,
            result=ledger.pseudonym("result", f"{MARK}-{day}-{number}", services),
            department=DICE.pick(DEPARTMENTS[receiver], "department", *about),
            practitioner=MARK,
            hook=DICE.pick(
                ("order-select", "order-select", "order-sign", "patient-view"), "hook", *about
            ),
            counted=not emergency,
            price=listed or price,
            catalogue=MARK,
            rules=MARK,
            **more,
        )

    emergency = DICE.chance(6, "emergency", *about)
    if DICE.chance(4, "late", *about):
        yield event(Happened.UNANSWERED, 0)
        return
    yield event(Happened.ELIGIBLE, 0)
    yield event(Happened.PROMPT, 0)
    if DICE.chance(75, "view", *about):
        yield event(Happened.VIEW, 15)
    fate = DICE.number(100, "fate", *about)
    task = f"{MARK}-{day}-{number}"
    if fate < 58:
        choice = Choice.ACCEPT
        yield event(Happened.DECISION, 60, choice=choice, task=task)
        if DICE.chance(5, "changed", *about):
            yield event(Happened.REVOCATION, 300, task=task)
    elif fate < 80:
        reason = DICE.pick(REASONS, "reason", *about)
        yield event(Happened.DECISION, 45, choice=Choice.DECLINE, reason=reason, task=task)
    elif fate < 87:
        other = DICE.pick((Declined.MONITORING, Declined.NOT_RECEIVED), "other", *about)
        yield event(Happened.DECISION, 45, choice=Choice.DECLINE, reason=other, task=task)
    repeats = DICE.chance(60 if fate >= 58 else 4, "again", *about)
    if repeats and day + timedelta(days=2) < today:
        same = DICE.pick(("same-flag", "other-flag", "unknown"), "same", *about)
        yield event(Happened.REPEATED, 86_400, comparison=same)
