"""Writes and reads the events of recognition, sealed; the statistics' only source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.exchange import vouched
from gateway.exchange.aside import aside
from gateway.exchange.person import Person
from gateway.exchange.same_finding import Said, keyed
from gateway.recognition.ledger import Event, Happened, decode, encode
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import AccessLog, Draft, append
from gateway.store import ledger as rows
from gateway.store.engine import Tx
from gateway.store.ledger import EventRow

_TABLE = "recognition_event"


@dataclass(frozen=True, slots=True)
class Visit:
    """How and where something was asked or decided; what a caller does not know stays empty.

    `hook` is a word of `Event.hook`, `order` a reference to the receiver's own ServiceRequest, `card`
    what a card said, word for word, `number` the receiver's own number of the visit. An empty `patient_class` is that of the receiver's open visit.
    """

    encounter: str = ""
    department: str = ""
    patient_class: str = ""
    hook: str = "portal"
    order: str = ""
    card: str = ""
    number: str = ""


PORTAL = Visit()
"""At a page of ours; the receiver's open visit tells the rest."""


class Asked(NamedTuple):
    """What a question is about: may this earlier `result` be recognised for this person here?

    `person` is the name `person_name` gives them, `result` the id of the record, `item`
    a code of the catalogue, `side` the judgement's, `rules` the versions that it names.
    """

    caller: Caller
    person: str
    result: str
    issuer: str
    item: str
    rules: Mapping[str, str]
    visit: Visit
    said: Said = Said()  # what of the result a repetition is compared with
    side: str = ""


def person_name(person: Person, caller: Caller) -> str:
    """Whom events are about: the oldest chart another organisation keeps of them.

    The folder that the caller's own organisation gets with its first decision changes nothing, nor does
    one that another hospital opens afterwards: a card that asked anew would tell that there is one.
    """
    others = [row for row in person.charts if row.organization != caller.organization]
    return min((row.created, row.id) for row in others or person.charts)[1]


def event(
    kind: Happened,
    asked: Asked,
    at: int,
    services: Services,
    *,
    choice: str = "",
    reason: str = "",
    task: str = "",
) -> Event:
    """The event of one thing that happened to a question, with today's price of the item here."""
    caller, visit, told = asked.caller, asked.visit, kind is Happened.PROMPT
    organization = caller.organization
    patient = pseudonym("patient", asked.person, services)
    item = services.catalogue.item(asked.item, at)
    level = services.register.get(organization).level
    return Event(
        kind=kind,
        question=question_of(
            organization, patient, asked.item, _when(visit, at, services), services, asked.side
        ),
        at=at,
        organization=organization,
        issuer=asked.issuer,
        item=asked.item,
        patient=patient,
        result=pseudonym("result", asked.result, services),
        department=visit.department,
        practitioner=caller.user,
        hook=visit.hook,
        patient_class=visit.patient_class or "OP",
        counted=visit.patient_class != "EM",
        choice=choice,
        reason=reason,
        task=task,
        price=item.price(level) if item else "",
        catalogue=asked.rules.get("catalogue", ""),
        rules=asked.rules.get("rules", ""),
        side=asked.side,
        finding=keyed(asked.said, patient, asked.item, services) if told else "",
    )


def questions(
    caller: Caller,
    person: str,
    about: Iterable[tuple[str, str]],
    visit: Visit,
    at: int,
    services: Services,
) -> dict[tuple[str, str], str]:
    """The names of one visit's questions about a person (as `person_name` gives it), by item and side."""
    patient, when = pseudonym("patient", person, services), _when(visit, at, services)
    return {
        (item, side): question_of(caller.organization, patient, item, when, services, side)
        for item, side in about
    }


def _when(visit: Visit, at: int, services: Services) -> str:
    return visit.encounter or moment(at, services.settings.zone).date().isoformat()


def pseudonym(about: str, name: str, services: Services) -> str:
    """The keyed hash (32 hex) by which events know a person's identity group or a record."""
    return services.vault.digest(f"ledger-{about}", name.encode())[:16].hex()


def question_of(
    organization: str, patient: str, item: str, visit: str, services: Services, side: str = ""
) -> str:
    """The name of one question. `visit` is the encounter's id, or the county day when there is none;
    `side` the judgement's, where the item has sides: one knee is not the other."""
    parts = (organization, patient, item, visit, *([side] if side else []))
    return services.vault.digest("ledger-question", "\n".join(parts).encode())[:16].hex()


class Prepared(NamedTuple):
    """Rows about to be added, with the event of the access log that vouches for them."""

    rows: Sequence[EventRow]
    event: Draft | None
    log: AccessLog


def prepared(events: Iterable[Event], services: Services, *, once: bool = False) -> Prepared:
    """Rows to be added. The same kind at the same question and time is the same row; with `once` the
    same whenever it happens to the same clinician, so that asking again adds nothing."""
    found = []
    for event in events:
        when = event.practitioner if once else event.at
        name = f"{event.question}\n{event.kind}\n{event.result}\n{when}"
        id = services.vault.digest("ledger-event", name.encode())[:16].hex()
        sealed = services.vault.seal_field(_TABLE, id, encode(event))
        found.append(
            EventRow(
                id,
                event.kind.value,
                event.at,
                event.organization,
                event.question,
                event.patient,
                sealed,
            )
        )
    return Prepared(found, vouched.event(found, services) if found else None, services.log)


def add(tx: Tx, prepared: Prepared, *, alone: bool = False) -> None:
    """Add them in the caller's transaction; `alone` where that appends no event of its own, so that
    nobody at the point of care waits for whoever is filing."""
    if prepared.event is not None:
        log = prepared.log
        append(tx, log.ledger_writer if alone else log.filing_writer, [prepared.event], log.now)
        tx.many(rows.ADD, prepared.rows)


def write(tx: Tx, prepared: Prepared) -> None:
    """Add them in a transaction that does nothing else."""
    add(tx, prepared, alone=True)


async def between(start: int, end: int, services: Services) -> list[Event]:
    """Events with start ≤ at < end (µs UTC), oldest first."""
    return [_opened(row, services) for row in await services.db.read(rows.BETWEEN, start, end)]


async def of_question(question: str, services: Services) -> list[Event]:
    """All events of one question, oldest first."""
    return [_opened(row, services) for row in await services.db.read(rows.OF_QUESTION, question)]


async def arisen(start: int, end: int, until: int, services: Services) -> list[Event]:
    """All events before `until` of the questions that arose in [start, end), oldest first."""
    rows_ = await services.db.read(rows.ARISEN, start, end, until)
    size = sum(len(row[-1]) for row in rows_)
    return await aside(size, lambda: [_opened(row, services) for row in rows_])


def of_patients(
    tx: Tx, patients: Sequence[str], organization: str, since: int, services: Services
) -> list[Event]:
    """What one receiver was asked about any of these patients since then, oldest first."""
    found = tx.all(rows.OF_PATIENTS, list(patients), organization, since)
    return [_opened(row, services) for row in found]


async def of_questions(questions: Sequence[str], services: Services) -> list[Event]:
    """All events of several questions, oldest first."""
    if not questions:
        return []
    return [_opened(row, services) for row in await services.db.read(rows.OF_EACH, questions)]


def _opened(row: Sequence[object], services: Services) -> Event:
    found = EventRow(*row)  # type: ignore[arg-type]
    return decode(services.vault.open_field(_TABLE, found.id, found.sealed))
