"""`recognition-patient-view`: when a record is opened, how much of it other hospitals have measured.

One card that counts; nobody is asked anything, so it is no prompt in the figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.cds.call import Call, Cards, card, extension_key, gateway_name
from gateway.cds.cards import NAME, response
from gateway.cds.markdown import inert, plain, table
from gateway.cds.orders import asked_of
from gateway.cds.words import age, hospital_name, item_name, late, say
from gateway.exchange import duplicates, prompting
from gateway.exchange.duplicates import Checked, Measured
from gateway.exchange.ledger import person_name
from gateway.exchange.prompting import Card, Kept, card_id
from gateway.exchange.results import Hospital, hospitals
from gateway.recognition.catalogue import Item

ID: Final = "recognition-patient-view"
HOOK: Final = "patient-view"
MOST: Final = 6  # names in a cell

Found = list[tuple[Item, Measured]]


async def answer(call: Call) -> Cards:
    """One card (info) when anything may be recognised here, else none."""
    asked = asked_of(call, HOOK)
    checked = await duplicates.survey(asked.subject, asked.visit, call.caller, call.services)
    found = [(line.item, line.best.result) for line in checked.orders[0].lines if line.best]
    if not found:
        return response(())
    states = await hospitals(call.services)
    best = [one for _, one in found]
    id = card_id(ID, best, checked, call.caller, call.services)
    told = card(
        _summary(found, call),
        "info",
        gateway_name(call.services),
        _detail(found, checked, states, call),
    )
    told["uuid"] = id
    told["links"] = [
        {
            "label": say("link", call.english),
            "url": f"{call.services.settings.base_url.rstrip('/')}/portal/cards/{id}",
            "type": "absolute",
        }
    ]
    counts = {name: len(list(own)) for name, own in _by_hospital(found).items()}
    key = extension_key(call.services.settings.canonical, NAME)
    told["extension"] = {key: {"eligible": len(found), "hospitals": counts}}
    kept = Kept(
        service=ID,
        chart=checked.chart,
        person=person_name(checked.person, call.caller) if checked.person else "",
        encounter=checked.visit.encounter,
        department=checked.visit.department,
        patient_class=checked.visit.patient_class,
        hook=HOOK,
        order="",
        said=told["summary"],
        targets=(),
        suggestions={},
        rules={},
        reports=tuple(dict.fromkeys(one.report for one in best)),
    )
    await prompting.tell(checked, (), (), [Card(id, kept)], call.caller, call.services)
    return response([told])


def _by_hospital(found: Found) -> dict[str, Found]:
    """Newest first, by hospital."""
    sorted_ = sorted(found, key=lambda pair: -_clock(pair[1]))
    by: dict[str, Found] = {}
    for item, one in sorted_:
        by.setdefault(one.organization, []).append((item, one))
    return by


def _clock(one: Measured) -> int:
    found = one.judged.judgement
    return found.clock or 0 if found else 0


def _summary(found: Found, call: Call) -> str:
    by = _by_hospital(found)
    name = plain(hospital_name(next(iter(by)), call.services, call.english), 60)
    key = "view-one" if len(by) == 1 else "view"
    return say(key, call.english, hospital=name, count=len(found))


def _detail(found: Found, checked: Checked, states: tuple[Hospital, ...], call: Call) -> str:
    english = call.english
    head = [say(key, english) for key in ("hospital", "count", "newest", "items")]
    rows = [
        [
            inert(hospital_name(organization, call.services, english)),
            str(len(own)),
            age(_clock(own[0][1]), checked.at, english),
            _names((item for item, _ in own), english),
        ]
        for organization, own in _by_hospital(found).items()
    ]
    parts = [table(head, rows)]
    behind = late(states, call.caller.organization, call.services, english)
    if behind:
        parts.append(say("late", english, hospitals=behind))
    return "\n\n".join(parts)


def _names(items: Iterable[Item], english: bool) -> str:
    names = [inert(item_name(item, english)) for item in items]
    shown = say("comma", english).join(names[:MOST])
    if len(names) <= MOST:
        return shown
    return say("several-items", english, name=shown, count=len(names), more=len(names) - MOST)
