"""Reads the context of hooks that are about ordering: who, whom, in which visit, what is being written.

HL7 CDS Hooks 2.0 library: patient-view, order-select, order-sign. What cannot be read is refused with
its place; nothing in it is taken for a fact about the patient, and no address in it is followed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.auth.bearer import allows
from gateway.cds.call import Call, subject_of
from gateway.errors import Kind, Problem
from gateway.exchange.consulting import Subject
from gateway.exchange.duplicates import Draft, stated
from gateway.exchange.issued import codings, listed, words
from gateway.exchange.ledger import Visit

MOST: Final = 200  # orders in one call
_LONG = 200  # characters of a code or a name
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_PLAIN_ID = re.compile(r"[0-9a-f]{32}")
_OVER = frozenset({"revoked", "completed", "entered-in-error"})

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a call is about and in which visit."""

    subject: Subject
    visit: Visit


@dataclass(frozen=True, slots=True)
class Written:
    """One draft order: what it means to say, and its resource with every number as it was written."""

    draft: Draft
    resource: Resource


def asked_of(call: Call, hook: str) -> Asked:
    """Patient and visit of a context; Problem REFUSED when it speaks for somebody else than was proved."""
    context, caller = call.context, call.caller
    if not caller.user or not caller.purpose or caller.role != "clinician":
        raise Problem(Kind.REFUSED, "Say for which clinician and for what purpose.")
    user = context.get("userId")
    if user is None:
        raise Problem(Kind.REQUIRED, "Say who asks.", "context.userId")
    if not isinstance(user, str) or "/" not in user:
        raise Problem(Kind.MALFORMED, "A reference such as Practitioner/id.", "context.userId")
    if user != f"Practitioner/{caller.user}":
        raise Problem(Kind.REFUSED, "Somebody else than was proved.", "context.userId")
    for type in ("Observation", "DiagnosticReport"):
        if not allows(caller.scopes, type, "read"):
            raise Problem(Kind.REFUSED, "The scopes of this client do not allow this.")
    subject = subject_of(context)
    encounter = context.get("encounterId", "")
    if not isinstance(encounter, str) or (encounter and not _ID.fullmatch(encounter)):
        raise Problem(Kind.MALFORMED, "An id without its type.", "context.encounterId")
    number = ""
    if encounter and not _PLAIN_ID.fullmatch(encounter):
        ids, number = call.services.ids(caller.organization), encounter
        encounter = ids("visit", "Encounter", [encounter])
    return Asked(subject, Visit(encounter=encounter, hook=hook, number=number))


def written_in(call: Call) -> tuple[Written, ...]:
    """The draft service requests of a context; other kinds of orders are none of ours.

    Problem REFUSED for an order that is for another patient than the context's.
    """
    context = call.context
    bundle = context.get("draftOrders")
    place = "context.draftOrders"
    if bundle is None:
        raise Problem(Kind.REQUIRED, "The draft orders are needed.", place)
    if not isinstance(bundle, Mapping) or bundle.get("resourceType") != "Bundle":
        raise Problem(Kind.MALFORMED, "A Bundle is needed.", place)
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise Problem(Kind.MALFORMED, "A list is needed.", f"{place}.entry")
    if len(entries) > MOST:
        raise Problem(Kind.MALFORMED, f"No more than {MOST} orders at once.", f"{place}.entry")
    digits = _with_digits(call.body) if entries else []
    found: list[Written] = []
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        at = f"{place}.entry[{number}].resource"
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if not isinstance(resource, Mapping) or not isinstance(resource.get("resourceType"), str):
            raise Problem(Kind.MALFORMED, "A resource is needed.", at)
        _for_this_patient(resource, context.get("patientId"), at)
        id = resource.get("id", "")
        if not isinstance(id, str) or (id and not _ID.fullmatch(id)):
            raise Problem(Kind.MALFORMED, "This is not an id.", f"{at}.id")
        key = f"{resource['resourceType']}/{id}" if id else ""
        if key and key in seen:
            raise Problem(Kind.MALFORMED, "This order stands here twice.", f"{at}.id")
        seen.add(key)
        if resource["resourceType"] != "ServiceRequest" or resource.get("doNotPerform") is True:
            continue
        if resource.get("status") not in _OVER:
            found.append(Written(_draft(key, resource, at), digits[number]))
    return tuple(found)


def selected(call: Call, written: Sequence[Written]) -> tuple[Written, ...]:
    """Those of the orders that were newly selected (order-select)."""
    said = call.context.get("selections")
    if said is None:
        raise Problem(Kind.REQUIRED, "Say what was selected.", "context.selections")
    if not isinstance(said, list) or len(said) > MOST:
        raise Problem(Kind.MALFORMED, "A list of ids is needed.", "context.selections")
    keys = _keys(call.context["draftOrders"])
    chosen = set()
    for number, one in enumerate(said):
        match = [key for key in keys if one in (key, key.partition("/")[2])]
        if not isinstance(one, str) or not match:
            place = f"context.selections[{number}]"
            raise Problem(Kind.MALFORMED, "Not one of the draft orders.", place)
        chosen.update(match)
    return tuple(one for one in written if one.draft.key in chosen)


def _keys(bundle: Resource) -> list[str]:
    resources = [listed(entry.get("resource"))[0] for entry in listed(bundle.get("entry"))]
    return [f"{one['resourceType']}/{one['id']}" for one in resources if one.get("id")]


def _for_this_patient(resource: Resource, patient: object, at: str) -> None:
    for said in listed(resource.get("subject")):
        reference = said.get("reference")
        if reference is None or not isinstance(patient, str):
            continue
        kind, _, id = str(reference).rpartition("/")
        if kind.rpartition("/")[2] != "Patient" or id != patient:
            raise Problem(Kind.REFUSED, "An order for another patient.", f"{at}.subject")


def _draft(key: str, resource: Resource, at: str) -> Draft:
    code = resource.get("code")
    if code is not None and not isinstance(code, Mapping):
        raise Problem(Kind.MALFORMED, "A CodeableConcept is needed.", f"{at}.code")
    group = listed(resource.get("requisition"))[:1]
    name = _short(code.get("text")) if code else ""
    bodies = listed(resource.get("bodySite")) + listed(resource.get("orderDetail"))
    named = [{"text": name}] if name else []
    specimens = [{"text": words(one) or one.get("display")} for one in _specimens(resource)]
    specimen, side = stated([*bodies, *named], specimens)
    return Draft(
        key,
        tuple((_short(system), _short(one)) for system, one in codings(code))[:20],
        name or _short(words(code)),
        _short(group[0].get("value")) if group else "",
        specimen,
        side,
    )


def _specimens(resource: Resource) -> list[Mapping[str, Any]]:
    """What is said of the material: by reference with a display, or contained."""
    contained = {f"#{one.get('id')}": one for one in listed(resource.get("contained"))}
    found = []
    for said in listed(resource.get("specimen")):
        inner = contained.get(str(said.get("reference")), {})
        found += listed(inner.get("type")) or [said]
    return [one for one in found if words(one) or one.get("display")]


def _short(text: object) -> str:
    return text[:_LONG] if isinstance(text, str) else ""


def _with_digits(body: bytes) -> list[Resource]:
    """The resources of the draft orders with every number as it was written."""

    def number(digits: str) -> msgspec.Raw:
        return msgspec.Raw(digits.encode())

    said = json.loads(body, parse_float=number, parse_int=number)
    entries = said["context"]["draftOrders"]["entry"]
    return [entry.get("resource", {}) if isinstance(entry, dict) else {} for entry in entries]
