"""Makes the cards of one check: what was measured where, why it counts, and what the HIS may do.

HL7 CDS Hooks 2.0, "CDS Service Response". A suggestion proposes; only the HIS removes or places an
order. Every text of a sender goes through `inert`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.cds.call import Call, Cards, card, extension_key, gateway_name
from gateway.cds.markdown import inert, plain, table
from gateway.cds.orders import Written
from gateway.cds.words import age, hospital_name, item_name, late, say
from gateway.exchange.duplicates import Checked, Measured
from gateway.exchange.issued import flag, laboratories, reference_range, unit, value, words
from gateway.exchange.ledger import person_name
from gateway.exchange.prompting import Card, Kept, Target, card_id, uuid_of
from gateway.exchange.reasons import Reason
from gateway.exchange.reasons import of as known_reasons
from gateway.exchange.results import Hospital
from gateway.recognition.catalogue import LOINC, Item
from gateway.recognition.judgement import Flag
from gateway.recognition.judgement import Reason as Why
from gateway.recognition.orders import Compared
from gateway.services import Services

NAME: Final = "recognition"
_SHORT: Final = 139
_QUIET = frozenset({Flag.SOURCE_CLASS_UNKNOWN, Flag.OWN_RESULT})
_ORDER = ("07", "01", "02", "03", "04", "99", "98", "09", "05", "06", "08")
"""Reasons as doctors need them, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One item a card asks about, and its newest result that counts."""

    item: Item
    best: Measured

    @property
    def about(self) -> tuple[str, str]:
        """Its item, and its side where the item has sides."""
        judgement = self.best.judged.judgement
        return self.item.code, judgement.side if judgement else ""


@dataclass(frozen=True, slots=True)
class Part:
    """One order of a group: what is shown of it, and what would still have to be ordered."""

    written: Written
    shown: tuple[Shown, ...]
    left: tuple[Item, ...]
    beyond: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Orders that are asked about together; `counted` is false where it is for information only."""

    parts: tuple[Part, ...]
    counted: bool = True

    @property
    def shown(self) -> tuple[Shown, ...]:
        """Each item and side once."""
        found = {one.about: one for part in self.parts for one in part.shown}
        return tuple(found.values())


def groups(written: Sequence[Written], checked: Checked) -> tuple[Group, ...]:
    """Orders of one requisition together, laboratory orders without one together, others alone.

    An item that has been asked and settled in this visit is asked no more, nor one twice in a call.
    """
    gathered: dict[tuple[str, bool], list[Part]] = {}
    asked: dict[tuple[str, str], tuple[str, bool]] = {}
    for number, (one, order) in enumerate(zip(written, checked.orders, strict=True)):
        for counted in (True, False):
            name = (_group(one, order, number), counted)
            part = _part(one, order, checked, counted)
            fresh = tuple(s for s in part.shown if asked.setdefault(s.about, name) == name)
            if fresh:
                gathered.setdefault(name, []).append(
                    Part(one, fresh, part.left, part.beyond or len(fresh) < len(part.shown))
                )
    return tuple(Group(tuple(parts), name[1]) for name, parts in gathered.items())


def _group(one: Written, order: Compared[Measured], number: int) -> str:
    if one.draft.group:
        return f"requisition {one.draft.group}"
    lab = all(line.item.kind == "lab" for line in order.lines)
    return "laboratory" if lab else f"order {number}"


def _part(one: Written, order: Compared[Measured], checked: Checked, counted: bool) -> Part:
    shown, left = [], []
    for line in order.lines:
        if counted:
            best = line.best.result if line.best else None
        else:
            emergency = (
                c.result for c in line.informational if c.judgement.reason is Why.EMERGENCY
            )
            best = None if line.best else next(emergency, None)
        questions = checked.of_order(order.order, line.item)
        questions += (checked.question(best),) if best is not None else ()
        settled = any(question.settled for question in questions)
        if best is not None and not settled:
            shown.append(Shown(line.item, best))
        elif not any(question.accepted for question in questions):
            left.append(line.item)
    return Part(one, tuple(shown), tuple(left), bool(order.order.beyond))


def made(
    group: Group,
    checked: Checked,
    call: Call,
    *,
    service: str,
    indicator: str,
    hospitals: tuple[Hospital, ...],
) -> tuple[dict[str, Any], Card]:
    """The card of a group, and what is to be remembered of it."""
    services = call.services
    best = [one.best for one in group.shown]
    id = card_id(service, best, checked, call.caller, services)
    detail = _detail(group, checked, call, hospitals)
    told = card(_summary(group, checked, call), indicator, gateway_name(services), detail)
    told["uuid"] = id
    told["source"] |= {"topic": _topic(services, call.english)}
    suggestions = _suggestions(group, id, call) if group.counted else []
    if suggestions:
        told["suggestions"] = suggestions
        told["selectionBehavior"] = "at-most-one"
    if group.counted:
        told["overrideReasons"] = reasons(call.caller.organization, services, call.english)
    told["links"] = [
        {
            "label": say("link", call.english),
            "url": f"{services.settings.base_url.rstrip('/')}/portal/cards/{id}",
            "type": "absolute",
        }
    ]
    told["extension"] = {extension_key(services.settings.canonical, NAME): _machine(group, checked)}
    covered = tuple(one.item.code for one in group.shown)
    kept = Kept(
        service=service,
        chart=checked.chart,
        person=person_name(checked.person, call.caller) if checked.person else "",
        encounter=checked.visit.encounter,
        department=checked.visit.department,
        patient_class=checked.visit.patient_class,
        hook=checked.visit.hook,
        order=" ".join(part.written.draft.key for part in group.parts if part.written.draft.key),
        said=f"{told['summary']}\n\n{detail}",
        targets=tuple(_target(one) for one in group.shown) if group.counted else (),
        suggestions={one["uuid"]: covered for one in suggestions},
        rules=dict(best[0].judged.judgement.rules) if best[0].judged.judgement else {},
        reports=tuple(dict.fromkeys(one.report for one in best)),
        number=checked.visit.number,
    )
    return told, Card(id, kept)


def reasons(organization: str, services: Services, english: bool) -> list[dict[str, str]]:
    """The coded reasons a doctor may give for repeating, the most frequent first, then the hospital's own."""
    known = known_reasons(organization, services)
    return [
        {
            "code": code,
            "system": reason_system(known[code], services),
            "display": known[code].en if english else known[code].zh,
        }
        for code in dict.fromkeys((*_ORDER, *known))
    ]


def reason_system(reason: Reason, services: Services) -> str:
    """The code system that a reason is from: the county's, or the hospital's own."""
    base = services.settings.canonical
    if reason.local is not None:
        return f"{base}/sid/{reason.local.organization}/decline-reason"
    return f"{base}/CodeSystem/recognition-decline"


def _target(one: Shown) -> Target:
    item, side = one.about
    opened = one.best.opened
    return Target(item, opened.id, opened.version, one.best.organization, side)


def _topic(services: Services, english: bool) -> dict[str, str]:
    return {
        "system": f"{services.settings.canonical}/CodeSystem/cds-topic",
        "code": "mutual-recognition",
        "display": "Mutual recognition of results" if english else "检查检验结果互认",
    }


# Words


def _clock(one: Measured) -> int | None:
    return one.judged.judgement.clock if one.judged.judgement else None


def _summary(group: Group, checked: Checked, call: Call) -> str:
    """Test, hospital and age in fewer than 140 characters; names are the county's, never a sender's."""
    english, services = call.english, call.services
    shown = group.shown
    hospitals = list(dict.fromkeys(one.best.organization for one in shown))
    newest = max(shown, key=lambda one: _clock(one.best) or 0)
    name = plain(item_name(shown[0].item, english), 40)
    hospital = plain(hospital_name(hospitals[0], services, english), 40)
    if len(hospitals) > 1:
        more = len(hospitals) - 1
        hospital = say("several", english, hospital=hospital, count=len(hospitals), more=more)
    old = age(_clock(newest.best), checked.at, english)
    if not group.counted:
        if len(shown) > 1:
            name = say("several-items", english, name=name, count=len(shown), more=len(shown) - 1)
        key = "for-information"
    else:
        key = "summary" if len(shown) == 1 else "summary-more"
    said = say(
        key, english, name=name, hospital=hospital, age=old, count=len(shown), more=len(shown) - 1
    )
    return said[:_SHORT]


def _detail(group: Group, checked: Checked, call: Call, hospitals: tuple[Hospital, ...]) -> str:
    """Value, unit, range and flag as issued, first; then where, how, why it counts, what is missing."""
    english, services = call.english, call.services
    comma = say("comma", english)
    head = [
        say(key, english)
        for key in ("item", "result", "range", "flag", "collected", "hospital", "how")
    ]
    parts = [table(head, [_row(one, checked, call) for one in group.shown])]
    said = []
    if group.counted:
        windows = say("stop", english).join(
            _window(one, checked, english) for one in group.shown[:6]
        )
        said.append(say("why", english, windows=windows))
    else:
        said.append(say("emergency", english))
    flags = dict.fromkeys(
        flag.en if english else flag.zh
        for one in group.shown
        if one.best.judged.judgement
        for flag in one.best.judged.judgement.flags
        if flag not in _QUIET
    )
    if flags:
        said.append(say("look-at", english, flags=say("stop", english).join(flags)))
    left = dict.fromkeys(
        inert(item_name(item, english)) for part in group.parts for item in part.left
    )
    if left:
        said.append(say("missing", english, items=comma.join(left)))
    if any(part.beyond for part in group.parts):
        said.append(say("beyond", english))
    behind = late(hospitals, call.caller.organization, services, english)
    if behind:
        said.append(say("late", english, hospitals=behind))
    if group.counted:
        said.append(say("yours", english))
    return "\n\n".join([*parts, *said])


def _row(one: Shown, checked: Checked, call: Call) -> list[str]:
    english, best = call.english, one.best
    text = best.resource
    shown = value(text) or str(text.get("conclusion") or "")
    how = [
        laboratories(text),
        words(text.get("method")),
        best.judged.mark,
    ]
    old = age(_clock(best), checked.at, english)
    return [
        inert(item_name(one.item, english)),
        " ".join(filter(None, (inert(shown), inert(unit(text), 30)))) or "–",
        inert(reference_range(text), 40) or "–",
        _flagged(text) or "–",
        f"{_when(best)}（{old}）" if not english else f"{_when(best)} ({old})",
        inert(hospital_name(best.organization, call.services, english)),
        " · ".join(inert(part, 40) for part in how if part) or "–",
    ]


def _flagged(text: Mapping[str, Any]) -> str:
    _, issued = flag(text)
    return inert(issued, 20)


def _when(one: Measured) -> str:
    if one.collected is None:
        return "–"
    if isinstance(one.collected, datetime):
        return one.collected.strftime("%Y-%m-%d %H:%M")
    return one.collected.isoformat()


def _window(one: Shown, checked: Checked, english: bool) -> str:
    found = one.best.judged.judgement
    return say(
        "window",
        english,
        name=inert(item_name(one.item, english)),
        days=found.window_days if found and found.window_days is not None else "–",
        age=age(_clock(one.best), checked.at, english),
    )


# What the HIS may do


def _suggestions(group: Group, id: str, call: Call) -> list[dict[str, Any]]:
    """Remove what is covered; of what is partly covered place the rest. None when the HIS gave no ids."""
    actions: list[dict[str, Any]] = []
    creates: list[dict[str, Any]] = []
    whole = True
    for part in group.parts:
        draft = part.written.draft
        if not draft.key or part.beyond:
            whole = False
            continue
        name = draft.name or draft.key
        actions.append(
            {
                "type": "delete",
                "description": plain(say("delete", call.english, name=name)),
                "resourceId": draft.key,
            }
        )
        whole &= not part.left
        creates += [_create(part.written, item, call) for item in part.left]
    if not actions:
        return []
    key = "only-missing" if creates else "remove"
    suggestion: dict[str, Any] = {
        "label": say(key, call.english),
        "uuid": uuid_of("recognition-suggestion", f"{id}\n{key}", call.services),
        "actions": [*actions, *creates],
    }
    if whole:
        suggestion["isRecommended"] = True
    return [suggestion]


_OWN = frozenset({"id", "meta", "text", "identifier", "code", "status", "replaces"})


def _create(written: Written, item: Item, call: Call) -> dict[str, Any]:
    """An order for one item that is missing, in the words of the draft it was part of."""
    name = item_name(item, call.english)
    resource = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "code": {"coding": list(_codings(item, call)), "text": item.name_zh},
    } | {name: said for name, said in written.resource.items() if name not in _OWN}
    return {
        "type": "create",
        "description": plain(say("create", call.english, name=name)),
        "resource": resource,
    }


def _codings(item: Item, call: Call) -> Iterable[dict[str, str]]:
    """The hospital's own code for the item alone, where it has one, and its LOINC code."""
    for panel in call.services.catalogue.panels:
        if panel.organization == call.caller.organization and panel.items == (item.code,):
            for said in panel.codings[:1]:
                system, _, code = said.rpartition("|")
                yield {"system": system, "code": code, "display": panel.name_zh}
    for code in item.loinc[:1]:
        yield {"system": LOINC, "code": code, "display": item.name_en}


# For machines


def _machine(group: Group, checked: Checked) -> dict[str, Any]:
    items = []
    for one in group.shown:
        found = one.best.judged.judgement
        opened = one.best.opened
        told: dict[str, Any] = {
            "item": one.item.code,
            "result": f"{opened.type}/{opened.id}/_history/{opened.version}",
            "issuer": one.best.organization,
            "judgement": found.outcome.value if found else "none",
            "question": checked.question(one.best).id,
        }
        if one.best.judged.until is not None:
            told["until"] = one.best.judged.until.isoformat()
        items.append(told)
    rules = group.shown[0].best.judged.judgement
    return {
        "items": items,
        "missing": sorted({item.code for part in group.parts for item in part.left}),
        "rules": dict(rules.rules) if rules else {},
    }


def response(cards: Sequence[dict[str, Any]]) -> Cards:
    """What goes out."""
    return {"cards": list(cards)}
