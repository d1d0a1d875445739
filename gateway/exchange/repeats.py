"""Notices from what a hospital files that it measured again what it had been told of.

In the transaction that files the report, so that filing twice counts once. The county does this for
its own statistics: nothing is shown to anybody, no other hospital's record is opened, and consent is neither asked nor
touched. The event `repeated` says which question it belongs to and whether the finding is the one that
was prompted (`same_finding`), never what was found. Of an item with sides only its own side counts. What is
dated by the day alone counts from the day after the prompt: on the day itself it may have come first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.exchange import ledger
from gateway.exchange.issued import parsed
from gateway.exchange.planning import Plan
from gateway.exchange.same_finding import compared, keyed, said
from gateway.recognition.catalogue import Item
from gateway.recognition.facts import LOINC, facts_of
from gateway.recognition.ledger import Event, Happened
from gateway.services import Services
from gateway.store import links
from gateway.store.engine import Tx
from mappings.engine import Mapped

DAY = 86_400_000_000
LONGEST = 366
"""Days. No window of a catalogue is longer; older prompts are not looked at."""
_DONE = frozenset({"final", "amended", "corrected", "preliminary", "registered"})
_MEASURED = frozenset({"Observation", "DiagnosticReport", "ImagingStudy"})


class _Measured(NamedTuple):
    """An item as measured here: when (µs UTC, of a day alone its beginning), and the record that says so."""

    item: Item
    start: int
    record: Mapped


def note(tx: Tx, plans: Sequence[Plan], services: Services) -> int:
    """Write what was repeated in these plans, which have just been written; returns how many."""
    found = []
    for plan in plans:
        if not _MEASURED.isdisjoint(plan.written):
            found += _of(tx, plan, services)
    ledger.add(tx, ledger.prepared(found, services))
    return len(found)


def _of(tx: Tx, plan: Plan, services: Services) -> list[Event]:
    measured: dict[tuple[str, str], _Measured] = {}  # by item and side, the first of each
    for one in plan.resources:
        if one.said.type not in _MEASURED or one.said.start is None or one.said.status not in _DONE:
            continue
        codes = [code.partition("|")[2] for code in one.said.codes if code.startswith(LOINC + "|")]
        for item in services.catalogue.items_for(codes, one.said.start):
            side = _side(one.mapped, services) if item.laterality_required else ""
            before = measured.get((item.code, side))
            if before is None or one.said.start < before.start:
                measured[item.code, side] = _Measured(item, one.said.start, one.mapped)
    if not measured:
        return []
    # A person is named by the oldest of their charts, which may have been another when it was asked.
    names = [str(row[0]) for row in tx.all(links.COMPANIONS, plan.chart)]
    patients = [ledger.pseudonym("patient", name, services) for name in names]
    since = plan.at - LONGEST * DAY
    questions: dict[str, list[Event]] = {}
    for event in ledger.of_patients(tx, patients, plan.organization, since, services):
        questions.setdefault(event.question, []).append(event)
    return [
        repeated
        for events in questions.values()
        if (repeated := _repeated(events, measured, plan.at, services)) is not None
    ]


def _side(record: Mapped, services: Services) -> str:
    said = facts_of(
        parsed(record.text()), version="", content="", organization="", identity_tier=0,
        zone=services.settings.zone,
    )  # fmt: skip
    return said.laterality


def _same_side(asked: str, measured: str) -> bool:
    """Is what was measured the side that was asked about, or a part of it?"""
    return asked == measured or (bool(asked and measured) and "both" in (asked, measured))


def _repeated(
    events: Sequence[Event],
    measured: dict[tuple[str, str], _Measured],
    at: int,
    services: Services,
) -> Event | None:
    """What is added to a question that was asked before the item was measured, within its window."""
    asked = next((one for one in events if one.kind is Happened.PROMPT), None)
    known = any(one.kind is Happened.REPEATED for one in events)
    if asked is None or known:
        return None
    fitting = [
        one
        for (item, side), one in measured.items()
        if item == asked.item and _same_side(asked.side, side)
    ]
    if not fitting:
        return None
    item, start, record = min(fitting, key=lambda one: one.start)
    told = [one.finding for one in events if one.kind is Happened.PROMPT]
    now = keyed(said(parsed(record.text())), asked.patient, asked.item, services)
    days = max(item.window(asked.patient_class, asked.department).days, 1)
    if start <= asked.at or start > asked.at + days * DAY:
        return None
    return Event(
        kind=Happened.REPEATED,
        question=asked.question,
        at=at,
        organization=asked.organization,
        issuer=asked.issuer,
        item=asked.item,
        patient=asked.patient,
        result=ledger.pseudonym("result", record.id, services),
        department=asked.department,
        hook=asked.hook,
        patient_class=asked.patient_class,
        counted=asked.counted,
        catalogue=services.catalogue.version,
        comparison=compared(told, now),
        side=asked.side,
    )
