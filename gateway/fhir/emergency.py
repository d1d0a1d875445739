"""Emergency access at the FHIR door: asked for by an operation, never claimed by a header.

`POST Patient/[id]/$break-glass`, or `POST Patient/$break-glass` with an identifier, from a system
whose token speaks for a named clinician with the purpose BTG. A system's word is enough for care, not
for this: the clinician has an account here, and types a code of their own second factor. What is
granted is looked up by user and patient at every later request; nothing a request says of itself counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from gateway.auth import factors
from gateway.auth.bearer import allows
from gateway.errors import Kind, Problem
from gateway.exchange import emergency
from gateway.fhir.answers import Answer
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from mappings.engine import jsontext

if TYPE_CHECKING:
    from gateway.fhir.door import Request

LONGEST = 64_000
JSON = frozenset({"application/fhir+json", "application/json"})
_VALUES = {
    "reason": "valueCode",
    "words": "valueString",
    "keep-back": "valueString",
    "identifier": "valueIdentifier",
    "code": "valueString",
}
# Names under which other systems let a caller declare an emergency or switch consent off.
_CLAIMS = re.compile(
    rb"break.?(the.?)?glass|btg|emergency|bypass|purpose.?of.?(use|event)|consent-(scope|override)",
    re.IGNORECASE,
)
_VALUE = re.compile(rb"=[^&]*")  # of a query: what is looked for stands in names


async def break_glass(request: Request, caller: Caller) -> Answer:
    """POST Patient/$break-glass and Patient/[id]/$break-glass: Parameters in, Parameters out.

    In: `reason` (code), `words` (string), `code` (string: the clinician's one-time code of this moment),
    `keep-back` (string, optional) and, where no id stands in the address, `identifier`. Out: `grant`
    (id) and `end` (instant). The same whoever it is about.
    """
    services = request.services
    if not allows(caller.scopes, "Patient", "read"):
        raise Problem(Kind.REFUSED, "The token's scopes do not allow this.")
    if caller.purpose != services.policy.emergency_override:
        raise Problem(Kind.REFUSED, "The token's purpose is another.", "purpose_of_use")
    given = _parameters(await _plain(request))
    asked = emergency.Asked(
        _text(given, "reason"), _text(given, "words"), _text(given, "keep-back")
    )
    if len(request.parts) == 3:
        if "identifier" in given:
            raise Problem(Kind.MALFORMED, "The address names the patient already.", "identifier")
        await _step_up(_text(given, "code"), caller, services)
        granted = await emergency.break_glass(request.parts[1], asked, caller, services)
    else:
        number = given.get("identifier")
        system = number.get("system") if isinstance(number, dict) else None
        value = number.get("value") if isinstance(number, dict) else None
        if not (isinstance(system, str) and isinstance(value, str) and system and value):
            raise Problem(Kind.REQUIRED, "Give one identifier with system and value.", "identifier")
        await _step_up(_text(given, "code"), caller, services)
        granted = await emergency.by_number(system, value, asked, caller, services)
    end = moment(granted.end, services.settings.zone)
    return Answer(
        200,
        orjson.dumps(
            {
                "resourceType": "Parameters",
                "parameter": [
                    {"name": "grant", "valueId": granted.id},
                    {"name": "end", "valueInstant": end.isoformat(timespec="milliseconds")},
                ],
            }
        ),
    )


async def _step_up(code: str, caller: Caller, services: Services) -> None:
    """Problem REFUSED unless the code is one of the caller's own second factor, not used before."""
    if not await factors.proved(services, caller, code):
        raise Problem(Kind.REFUSED, "A one-time code of this person's own is needed.", "code")


async def _plain(request: Request) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in JSON:
        raise Problem(Kind.MEDIA_TYPE, "Send application/fhir+json.")
    try:
        return jsontext.parse(await request.body(LONGEST)).plain()
    except jsontext.JsonFault as fault:
        place = f"line {fault.line}, column {fault.column}"
        raise Problem(Kind.MALFORMED, fault.text("en"), place) from None


def _parameters(plain: Any) -> dict[str, Any]:
    """The values by name; Problem MALFORMED for what is not exactly these, each once."""
    said = plain.get("parameter") if isinstance(plain, Mapping) else None
    if (
        not isinstance(plain, Mapping)
        or plain.get("resourceType") != "Parameters"
        or not isinstance(said, list)
        or len(said) > len(_VALUES)
    ):
        raise Problem(Kind.MALFORMED, "Send a Parameters resource.", "Parameters")
    given: dict[str, Any] = {}
    for place, one in enumerate(said):
        name = one.get("name") if isinstance(one, Mapping) else None
        wanted = _VALUES.get(name) if isinstance(name, str) else None
        if wanted is None or name in given or set(one) != {"name", wanted}:
            raise Problem(
                Kind.MALFORMED,
                "Not a parameter of this operation.",
                f"Parameters.parameter[{place}]",
            )
        given[str(name)] = one[wanted]
    return given


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise Problem(Kind.MALFORMED, "A text is needed.", name)
    return value


async def notice_claims(request: Request, caller: Caller) -> None:
    """Note that a request claims an emergency by a header or parameter; it counts for nothing.

    One event each time, one alarm while none of this client's stands.
    """
    said = _claims(request)
    if said:
        await emergency.claimed(said, caller, request.services)


def _claims(request: Request) -> str:
    """The first name that claims one; empty for an honest request."""
    names = b"\n".join(name for name, _ in request.headers.raw)
    found = _CLAIMS.search(names + b"\n" + _VALUE.sub(b"", request.query.encode()))
    category = request.headers.get("category", "")
    if found is None:
        return "category" if category and _CLAIMS.search(category.encode()) else ""
    return found[0].decode("latin-1").lower()
