"""Decisions on results at the FHIR door: a hospital's system speaks for its named clinician.

The same rules as at a page of ours: one decision for each version of a result, all or none, with a
reason where it declines. A call said twice is a decision made once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from gateway.auth.bearer import allows
from gateway.errors import Kind, Problem
from gateway.exchange import reasons
from gateway.exchange.decide import Made, Verdict, Visit, decide_results, everything_from
from gateway.exchange.revoking import revoke
from gateway.fhir.answers import Answer
from gateway.recognition.decisions import Choice
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts
from mappings.engine import jsontext

if TYPE_CHECKING:
    from gateway.fhir.door import Request

LONGEST = 256_000
MOST = 200  # results of one call
JSON = frozenset({"application/fhir+json", "application/json"})
_DECISION = {
    "result": "valueReference",
    "patient": "valueReference",
    "issuer": "valueCode",
    "choice": "valueCode",
    "reason": "valueCode",
    "words": "valueString",
    "informed": "valueBoolean",
    "acknowledgement": "valueString",
    "encounter": "valueString",
    "order": "valueString",
    "department": "valueString",
    "patient-class": "valueCode",
    "card": "valueString",
}
_REVOCATION = {"task": "valueReference", "words": "valueString"}
_MANY = frozenset({"result"})
_VERSION = re.compile(
    r"(?:Observation|DiagnosticReport)/([0-9a-f]{32})/_history/([A-Za-z0-9.\-]{1,64})"
)
_TASK = re.compile(r"Task/([0-9a-f]{32})")
_PATIENT = re.compile(r"Patient/([0-9a-f]{32})")
_CLASSES = frozenset({"", "OP", "IP", "EM"})


async def decision(request: Request, caller: Caller) -> Answer:
    """POST $recognition-decision: Parameters in, Parameters out.

    In: `result` (Reference to a version, repeated), or `patient` and `issuer` for everything of that
    hospital that may be recognised; `choice`, `reason`, `words`, `informed`, `acknowledgement`,
    `encounter`, `order`, `department`, `patient-class`, `card`. Out: a `decision` for each result.
    """
    services = request.services
    _speaks(caller)
    given = await _parameters(request, _DECISION)
    verdict = _verdict(given, caller, services)
    visit = Visit(
        encounter=_text(given, "encounter"),
        department=_text(given, "department"),
        patient_class=_class(given),
        hook="fhir",
        order=_text(given, "order"),
        card=_text(given, "card"),
    )
    targets = [_matched(_VERSION, one, "result") for one in given.get("result", ())]
    if not targets and "patient" in given:
        chart = _matched(_PATIENT, given["patient"], "patient")[0]
        issuer = _text(given, "issuer")
        if not issuer:
            raise Problem(Kind.REQUIRED, "Say whose results.", "issuer")
        targets = list(
            await everything_from(issuer, chart, verdict.choice, caller, services, visit)
        )
    elif targets and not given.keys().isdisjoint({"patient", "issuer"}):
        raise Problem(Kind.MALFORMED, "Name results, or a patient and an issuer.", "patient")
    else:
        current = await charts.current(services.db, targets[0][0]) if targets else None
        chart = current.chart if current else ""
    pinned = [(id, version) for id, version in targets]
    made = await decide_results(chart, pinned, verdict, caller, services, visit)
    return _answer([_told(one) for one in made])


async def revocation(request: Request, caller: Caller) -> Answer:
    """POST $recognition-revocation: `task` (Reference) and `words` (why) in, the `task` out."""
    _speaks(caller)
    given = await _parameters(request, _REVOCATION)
    if "task" not in given:
        raise Problem(Kind.REQUIRED, "Say which decision.", "task")
    (id,) = _matched(_TASK, given["task"], "task")
    await revoke(id, _text(given, "words"), caller, request.services, Visit(hook="fhir"))
    return _answer([{"name": "task", "valueReference": {"reference": f"Task/{id}"}}])


def _speaks(caller: Caller) -> None:
    if not allows(caller.scopes, "Task", "create"):
        raise Problem(Kind.REFUSED, "The token's scopes do not allow this.")
    if not caller.user or caller.role != "clinician":
        raise Problem(Kind.REFUSED, "A decision is a named clinician's.")


def _verdict(given: Mapping[str, Any], caller: Caller, services: Services) -> Verdict:
    said = _text(given, "choice")
    if said not in set(Choice):
        raise Problem(Kind.REQUIRED, "Say accept, accept-reread or decline.", "choice")
    code = _text(given, "reason")
    reason = reasons.named(code, caller.organization, services) if code else None
    return Verdict(
        Choice(said),
        reason.national if reason else None,
        _text(given, "words"),
        _whether(given, "informed"),
        reason.local if reason else None,
        _text(given, "acknowledgement"),
    )


def _class(given: Mapping[str, Any]) -> str:
    said = _text(given, "patient-class")
    if said not in _CLASSES:
        raise Problem(Kind.MALFORMED, "A patient class is OP, IP or EM.", "patient-class")
    return said


def _told(one: Made) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"name": "task", "valueReference": {"reference": f"Task/{one.task}"}},
        {"name": "result", "valueString": f"{one.target}/_history/{one.version}"},
        {"name": "choice", "valueCode": one.choice.value},
        {"name": "new", "valueBoolean": one.new},
    ]
    return {"name": "decision", "part": parts}


def _answer(parameters: Sequence[Mapping[str, Any]]) -> Answer:
    return Answer(200, orjson.dumps({"resourceType": "Parameters", "parameter": parameters}))


async def _parameters(request: Request, known: Mapping[str, str]) -> dict[str, Any]:
    """The values by name, lists for those that may be repeated; MALFORMED for anything else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in JSON:
        raise Problem(Kind.MEDIA_TYPE, "Send application/fhir+json.")
    try:
        plain = jsontext.parse(await request.body(LONGEST)).plain()
    except jsontext.JsonFault as fault:
        place = f"line {fault.line}, column {fault.column}"
        raise Problem(Kind.MALFORMED, fault.text("en"), place) from None
    said = plain.get("parameter") if isinstance(plain, Mapping) else None
    if (
        not isinstance(plain, Mapping)
        or plain.get("resourceType") != "Parameters"
        or not isinstance(said, list)
        or len(said) > MOST + len(known)
    ):
        raise Problem(Kind.MALFORMED, "Send a Parameters resource.", "Parameters")
    given: dict[str, Any] = {}
    for number, one in enumerate(said):
        name = one.get("name") if isinstance(one, Mapping) else None
        wanted = known.get(name) if isinstance(name, str) else None
        if wanted is None or set(one) != {"name", wanted} or (name in given and name not in _MANY):
            at = f"Parameters.parameter[{number}]"
            raise Problem(Kind.MALFORMED, "Not a parameter of this operation.", at)
        if name in _MANY:
            given.setdefault(str(name), []).append(one[wanted])
        else:
            given[str(name)] = one[wanted]
    if len(given.get("result", ())) > MOST:
        raise Problem(Kind.TOO_LARGE, f"At most {MOST} results in one call.", "result")
    return given


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str) or len(value) > 2_000:
        raise Problem(Kind.MALFORMED, "A text of at most 2,000 characters is needed.", name)
    return value.strip()


def _whether(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise Problem(Kind.MALFORMED, "True or false is needed.", name)
    return value


def _matched(pattern: re.Pattern[str], value: Any, place: str) -> tuple[str, ...]:
    said = value.get("reference") if isinstance(value, Mapping) else None
    found = pattern.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise Problem(Kind.MALFORMED, "This is not a reference of the kind that is needed.", place)
    return found.groups()
