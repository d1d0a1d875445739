"""`patient-consent-consult`: may records of a kind be shared with the person this call speaks for?

The hook of the LEAP consent decision service, with one thing turned round: a caller cannot steer. Who
asks, where, in which role and for what comes from the signature or token; a context that says
something else is refused, and consents, thresholds or switches in it are not listened to.

Context: `patientId` (a Patient id of ours, or a list of {system, value} of one person; required);
`scope`, `purposeOfUse` and `actor`, which must agree with what was proved; what is asked for:
`class` (FHIR types), `category` and `securityLabel` (codings of v3-Confidentiality and of protected
categories), `custodian` (the organisation that wrote it).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from consent.labels import V3_ACT_CODE, V3_CONFIDENTIALITY
from consent.policy import LEVELS
from consent.reading import CONSENT_SCOPE, RESOURCE_TYPES, V3_ACT_REASON
from gateway.auth.bearer import allows
from gateway.cds.call import MOST, Call, Cards, card, extension_key, gateway_name, subject_of
from gateway.errors import Kind, Problem
from gateway.exchange import consulting
from gateway.exchange.consulting import Answer, Matter
from gateway.records.instant import instant_text
from gateway.services import Services

ID: Final = "patient-consent-consult"
HOOK: Final = "patient-consent-consult"
NAME: Final = "consent-decision"
_HEARD = frozenset(
    {"patientId", "scope", "purposeOfUse", "actor", "class", "category", "securityLabel"}
    | {"custodian"}
)
_LOINC = "http://loinc.org"
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")


async def answer(call: Call) -> Cards:
    """One card that says yes or no, and the same for machines in its extension.

    Problem MALFORMED or REQUIRED names the element; REFUSED when the context says somebody else asks.
    """
    context, caller = call.context, call.caller
    subject = subject_of(context)
    _agrees(call)
    matters = tuple(_matters(call))
    for matter in matters:
        if not allows(caller.scopes, matter.type, "read"):
            raise Problem(Kind.REFUSED, "The scopes of this client do not allow this.")
    unheard = (*call.unheard, *(name[:32] for name in context if name not in _HEARD))
    clean = tuple(name if name.isascii() and name.isalnum() else "?" for name in unheard[:20])
    found = await consulting.consult(subject, matters, caller, call.services, clean)
    return _cards(found, bool(unheard), call.services)


def _cards(found: Answer, unheard: bool, services: Services) -> Cards:
    label = gateway_name(services)
    zone = services.settings.zone
    if found.permit:
        shown = card(
            "可以共享 / May be shared",
            "info",
            label,
            "此刻可以为这一用途给这个人查阅。 May be shared with this person for this purpose now.",
        )
    else:
        shown = card(
            "不能共享 / May not be shared",
            "warning",
            label,
            "此刻不能为这一用途给这个人查阅，或者没有这样的患者。 "
            "May not be shared with this person for this purpose now, or there is no such patient.",
        )
    told: dict[str, Any] = {
        "decision": "permit" if found.permit else "deny",
        "obligations": [obligation.value for obligation in found.obligations],
    }
    if found.valid_until is not None:
        told["validUntil"] = instant_text(found.valid_until, zone)
    if unheard:
        told["note"] = "Members this service does not know were ignored."
    return {
        "cards": [shown | {"extension": {extension_key(services.settings.canonical, NAME): told}}]
    }


# What was said


def _agrees(call: Call) -> None:
    """What the context says of the request must be what was proved; it is never used instead."""
    caller, services = call.caller, call.services
    for scope in _words(call.context, "scope", CONSENT_SCOPE):
        if scope != "patient-privacy":
            raise Problem(Kind.NOT_SUPPORTED, "Only patient-privacy.", "context.scope")
    for purpose in _words(call.context, "purposeOfUse", V3_ACT_REASON):
        if purpose != caller.purpose:
            raise Problem(Kind.REFUSED, "Another purpose than was proved.", "context.purposeOfUse")
    chain = services.register.chain(caller.organization)
    proved = {caller.user, caller.client, caller.role, *chain}
    proved |= {f"Practitioner/{caller.user}", *(f"Organization/{id}" for id in chain)}
    for actor in _listed(call.context, "actor"):
        who = actor.get("value") if isinstance(actor, dict) else actor
        if not isinstance(who, str) or who not in proved - {""}:
            raise Problem(Kind.REFUSED, "Somebody else than was proved.", "context.actor")


def _matters(call: Call) -> Iterator[Matter]:
    policy = call.services.policy
    level, labels = "N", set()
    for element in ("category", "securityLabel"):
        for coding in _listed(call.context, element):
            system, code = _coding(coding, element)
            if system == V3_CONFIDENTIALITY and code in LEVELS:
                level = max(level, code, key=lambda letter: LEVELS[letter])
            elif system == V3_ACT_CODE and code in policy.known_labels:
                labels.add(code)
            elif element == "securityLabel" or system not in (CONSENT_SCOPE, _LOINC):
                # A consent's own category says nothing about records.
                raise Problem(Kind.MALFORMED, "Not a label known here.", f"context.{element}")
    custodian = call.context.get("custodian", "")
    if not isinstance(custodian, str) or (
        custodian and custodian not in {one.id for one in call.services.register}
    ):
        raise Problem(Kind.MALFORMED, "Not an organisation known here.", "context.custodian")
    types = [*_words(call.context, "class", RESOURCE_TYPES)] or ["Observation"]
    for type in dict.fromkeys(types):
        if not _TYPE.fullmatch(type):
            raise Problem(Kind.MALFORMED, "Not a type of resource.", "context.class")
        yield Matter(type, level, frozenset(labels), custodian)


def _coding(said: Any, element: str) -> tuple[str, str]:
    match said:
        case {"system": str(system), "code": str(code)}:
            return system, code
    raise Problem(Kind.MALFORMED, "{system, code} is needed.", f"context.{element}")


def _words(context: Mapping[str, Any], element: str, system: str) -> Iterator[str]:
    """Codes of one system, each alone or as {system, code}."""
    for one in _listed(context, element):
        match one:
            case str():
                yield one
            case {"system": str(named), "code": str(code)} if named == system:
                yield code
            case _:
                raise Problem(Kind.MALFORMED, "A code is needed.", f"context.{element}")


def _listed(context: Mapping[str, Any], element: str) -> list[Any]:
    said = context.get(element, [])
    several = said if isinstance(said, list) else [said]
    if len(several) > MOST:
        raise Problem(Kind.MALFORMED, "Too many.", f"context.{element}")
    return several
