"""The same questions and answers as CDS Hooks, in SOAP: for hospital systems that cannot speak JSON.

`GET /cds-soap?wsdl` describes three operations: CheckOrders (prompts while ordering), Answer (what the
doctor did) and OpenPage (an address for the HIS's embedded browser, good once). Each is turned into the
call of a CDS service and its cards into XML; nothing is decided here. Who asks is the access token, in
the HTTP header or as wsse:BinarySecurityToken; a token that speaks for nobody takes the doctor of the
message, as far as its registration allows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import structlog
from lxml import etree
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.auth import hooks
from gateway.cds import door, feedback
from gateway.cds.call import Call
from gateway.cds.soap_words import said_of
from gateway.errors import Kind, Problem, place_of
from gateway.exchange import launching
from gateway.services import Services, even
from mappings.engine import xmlparse
from mappings.engine.reader import Limits
from mappings.engine.xmlparse import XmlStop

PATH: Final = "/cds-soap"
NAMESPACE: Final = "urn:gateway:recognition"
ENVELOPES: Final = {
    "http://schemas.xmlsoap.org/soap/envelope/": "text/xml",
    "http://www.w3.org/2003/05/soap-envelope": "application/soap+xml",
}
_OLDER: Final = next(iter(ENVELOPES))  # SOAP 1.1
WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
LIMITS: Final = Limits(bytes=512_000, elements=20_000)
SERVICES: Final = {
    "open": "recognition-patient-view",
    "select": "recognition-order-select",
    "sign": "recognition-order-sign",
}
WSDL: Final = (Path(__file__).parent / "recognition.wsdl").read_bytes()
_MOMENT = "2000-01-01T00:00:00Z"  # our own clock counts; the field has to be there

Element = Any
log = structlog.get_logger(__name__)


def routes(services: Services) -> list[Route]:
    """The description, and the operations."""

    async def describe(request: Request) -> Response:
        address = f"{services.settings.base_url.rstrip('/')}{PATH}"
        text = WSDL.replace(b"ADDRESS", escape(address, {'"': "&quot;"}).encode())
        return Response(text, media_type="text/xml; charset=utf-8")

    async def call(request: Request) -> Response:
        began = even.now()
        kind = _media_type(request)
        envelope = next((one for one, name in ENVELOPES.items() if name == kind), _OLDER)
        try:
            root = await _read(request)
            envelope = etree.QName(root).namespace
            asked = _operation(root)
            caller = await _caller(asked, root, request, services)
            work = OPERATIONS[etree.QName(asked).localname]
            answer = await work(asked, Call({}, caller, services), began)
            response = _answered(envelope, answer, 200)
        except Problem as problem:
            response = _fault(envelope, problem)
        except ClientDisconnect:
            raise
        except Exception as fault:
            log.error("unforeseen", kind=type(fault).__name__, place=place_of(fault))
            response = _fault(envelope, Problem(Kind.BUSY, "Something broke here."))
        await even.even(began, services.settings.answer_floor_ms)
        return response

    return [Route(PATH, describe, methods=["GET"]), Route(PATH, call, methods=["POST"])]


# Reading


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read(request: Request) -> Element:
    """The envelope: hardened, of a bounded size, in UTF-8 or as its declaration says."""
    if _media_type(request) not in ENVELOPES.values():
        raise Problem(Kind.MEDIA_TYPE, "Send text/xml or application/soap+xml.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LIMITS.bytes:
            raise Problem(Kind.TOO_LARGE, "The body is larger than this service accepts.")
    try:
        root, _ = xmlparse.parse(bytes(body), "utf-8", LIMITS, (), [])
    except XmlStop as stop:
        raise Problem(Kind.MALFORMED, "The XML cannot be read.", stop.place) from None
    if etree.QName(root).namespace not in ENVELOPES or etree.QName(root).localname != "Envelope":
        raise Problem(Kind.MALFORMED, "An Envelope of SOAP 1.1 or 1.2 is needed.", "Envelope")
    return root


def _operation(root: Element) -> Element:
    space = etree.QName(root).namespace
    bodies = root.findall(f"{{{space}}}Body")
    inside = list(bodies[0]) if len(bodies) == 1 else []
    if len(inside) != 1 or etree.QName(inside[0]).namespace != NAMESPACE:
        raise Problem(Kind.MALFORMED, "One operation of this service is needed.", "Body")
    if etree.QName(inside[0]).localname not in OPERATIONS:
        raise Problem(Kind.NO_SUCH_ROUTE, "There is no such operation.", "Body")
    return inside[0]


async def _caller(asked: Element, root: Element, request: Request, services: Services) -> Any:
    """Who calls, and for which doctor: what the token says, else the message within its bounds."""
    headers: Mapping[str, str] = request.headers
    tokens = root.findall(f".//{{{WSSE}}}BinarySecurityToken")
    if tokens and "authorization" not in headers:
        headers = {"authorization": f"Bearer {(tokens[0].text or '').strip()}"}
    address = request.client.host if request.client else ""
    audience = f"{services.settings.base_url.rstrip('/')}{PATH}"
    caller = await hooks.caller_of(headers, services, audience, address)
    doctor = _one(asked, "doctor")
    return await hooks.for_doctor(
        caller, _text(doctor, "id", place="doctor"), _text(doctor, "name", optional=True), services
    )


def _one(parent: Element, name: str) -> Element:
    found = parent.findall(f"{{{NAMESPACE}}}{name}")
    if len(found) != 1:
        raise Problem(Kind.REQUIRED, "This element is needed once.", name)
    return found[0]


def _text(parent: Element, name: str, *, optional: bool = False, place: str = "") -> str:
    found = parent.findall(f"{{{NAMESPACE}}}{name}")
    where = f"{place}/{name}" if place else name
    if len(found) > 1 or (not found and not optional):
        raise Problem(Kind.REQUIRED, "This element is needed once.", where)
    text = (found[0].text or "").strip() if found else ""
    if not text and not optional:
        raise Problem(Kind.REQUIRED, "This element is empty.", where)
    return text


# Operations


async def _check(asked: Element, call: Call, began: float) -> Element:
    moment = _text(asked, "moment")
    if moment not in SERVICES:
        raise Problem(Kind.MALFORMED, "open, select or sign.", "moment")
    patient = _one(asked, "patient")
    context: dict[str, Any] = {
        "userId": f"Practitioner/{call.caller.user}",
        "patientId": _text(patient, "id", optional=True)
        or [
            {"system": _text(one, "system"), "value": _text(one, "value")}
            for one in patient.findall(f"{{{NAMESPACE}}}identifier")
        ],
    }
    if not context["patientId"]:
        raise Problem(Kind.REQUIRED, "Say which patient.", "patient")
    if visit := _text(asked, "visit", optional=True):
        context["encounterId"] = visit
    if moment != "open":
        orders = [_order(one) for one in asked.findall(f"{{{NAMESPACE}}}order")]
        context["draftOrders"] = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": one} for one in orders],
        }
        if moment == "select":
            context["selections"] = [f"ServiceRequest/{one['id']}" for one in orders]
    english = _text(asked, "language", optional=True).lower().startswith("en")
    body = json.dumps({"context": context}).encode()
    made = Call(context, call.caller, call.services, (), body, english)
    told = await door.answered(door.KNOWN[SERVICES[moment]], made, began)
    answer = _element("CheckOrdersResponse")
    for card in told["cards"]:
        _prompt(answer, card)
    return answer


def _order(one: Element) -> dict[str, Any]:
    """A draft ServiceRequest; the HIS's own number of the order is its id."""
    code: dict[str, Any] = {
        "coding": [
            {"system": _text(each, "system"), "code": _text(each, "value")}
            for each in one.findall(f"{{{NAMESPACE}}}code")
        ]
    }
    name = _text(one, "name", optional=True)
    if name:
        code["text"] = name
    if not name and not code["coding"]:
        raise Problem(Kind.REQUIRED, "A code or a name is needed.", "order/code")
    made: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "id": _text(one, "id", place="order"),
        "status": "draft",
        "intent": "order",
        "code": code,
    }
    if group := _text(one, "group", optional=True):
        made["requisition"] = {"value": group}
    if specimen := _text(one, "specimen", optional=True):
        made["specimen"] = [{"display": specimen}]
    if body := _text(one, "bodySite", optional=True):
        made["bodySite"] = [{"text": body}]
    return made


def _prompt(answer: Element, card: Mapping[str, Any]) -> None:
    prompt = _added(answer, "prompt")
    _added(prompt, "id", card["uuid"])
    _added(prompt, "level", card["indicator"])
    _added(prompt, "summary", card["summary"])
    _added(prompt, "detail", card.get("detail", ""))
    for one in card.get("suggestions", ()):
        suggestion = _added(prompt, "suggestion")
        _added(suggestion, "id", one["uuid"])
        _added(suggestion, "label", one["label"])
        for action in one.get("actions", ()):
            if action["type"] == "delete":
                _added(suggestion, "remove", _removed(action).rpartition("/")[2])
        for action in one.get("actions", ()):
            if action["type"] == "create":
                _added(suggestion, "place", str(action["description"]))
    for one in card.get("overrideReasons", ()):
        reason = _added(prompt, "reason")
        _added(reason, "code", one["code"])
        _added(reason, "text", one["display"])


def _removed(action: Mapping[str, Any]) -> str:
    said = action.get("resourceId", "")
    return str(said[0] if isinstance(said, list) else said)


async def _answer(asked: Element, call: Call, began: float) -> Element:
    moment = _text(asked, "moment")
    if moment not in SERVICES:
        raise Problem(Kind.MALFORMED, "open, select or sign.", "moment")
    entry: dict[str, Any] = {
        "card": _text(asked, "prompt"),
        "outcome": _text(asked, "outcome"),
        "outcomeTimestamp": _MOMENT,
    }
    suggestions = asked.findall(f"{{{NAMESPACE}}}suggestion")
    if suggestions:
        entry["acceptedSuggestions"] = [{"id": (one.text or "").strip()} for one in suggestions]
    reason = _text(asked, "reason", optional=True)
    words = _text(asked, "words", optional=True)
    if reason or words:
        entry["overrideReason"] = {
            **({"reason": {"code": reason}} if reason else {}),
            **({"userComment": words} if words else {}),
        }
    await feedback.take(SERVICES[moment], {"feedback": [entry]}, call)
    answer = _element("AnswerResponse")
    _added(answer, "recorded", "true")
    return answer


async def _open(asked: Element, call: Call, began: float) -> Element:
    name = await launching.ticket(_text(asked, "prompt").lower(), call.caller, call.services)
    answer = _element("OpenPageResponse")
    base = call.services.settings.base_url.rstrip("/")
    _added(answer, "address", f"{base}/portal/launch/{name}")
    _added(answer, "seconds", str(launching.LIFE // 1_000_000))
    return answer


Operation = Callable[[Element, Call, float], Awaitable[Element]]
OPERATIONS: Final[Mapping[str, Operation]] = {
    "CheckOrders": _check,
    "Answer": _answer,
    "OpenPage": _open,
}


# Writing

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _element(name: str) -> Element:
    return etree.Element(f"{{{NAMESPACE}}}{name}", nsmap={None: NAMESPACE})


def _added(parent: Element, name: str, text: str | None = None) -> Element:
    made = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    if text is not None:
        made.text = _NOT_XML.sub("\ufffd", text)
    return made


def _answered(envelope: str, inside: Element, status: int) -> Response:
    root = etree.Element(f"{{{envelope}}}Envelope", nsmap={"s": envelope})
    etree.SubElement(root, f"{{{envelope}}}Body").append(inside)
    text = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    fixed = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(text, status, fixed, f"{ENVELOPES[envelope]}; charset=utf-8")


def _fault(envelope: str, problem: Problem) -> Response:
    """A fault in the caller's own terms: the element it is about, in Chinese and in English.

    As HTTP: what a proxy or browser would say of the door itself keeps its status; else SOAP 1.2 part 2,
    7.5.2.2 (a sender's fault is 400), and 500 in SOAP 1.1.
    """
    place = _place(problem.place)
    text = said_of(problem, place)
    detail = _element("Problem")
    for name, said in (("code", problem.kind.code), ("place", place), ("text", text)):
        _added(detail, name, said)
    ours = problem.kind.status >= 500
    fault = etree.Element(f"{{{envelope}}}Fault", nsmap={"s": envelope})
    if envelope == _OLDER:
        prefix = "Server" if ours else "Client"
        etree.SubElement(fault, "faultcode").text = f"s:{prefix}"
        etree.SubElement(fault, "faultstring").text = text
        etree.SubElement(fault, "detail").append(detail)
    else:
        code = etree.SubElement(fault, f"{{{envelope}}}Code")
        side = "Receiver" if ours else "Sender"
        etree.SubElement(code, f"{{{envelope}}}Value").text = f"s:{side}"
        reason = etree.SubElement(fault, f"{{{envelope}}}Reason")
        words = etree.SubElement(reason, f"{{{envelope}}}Text")
        words.text = text
        words.set("{http://www.w3.org/XML/1998/namespace}lang", "zh")
        etree.SubElement(fault, f"{{{envelope}}}Detail").append(detail)
    status = problem.kind.status
    if status not in (401, 403, 413, 415):
        status = 500 if ours or envelope == _OLDER else 400
    return _answered(envelope, fault, status)


_ENTRY = re.compile(r"context\.draftOrders\.entry\[(\d+)\]\.resource")
_PLACES: Final[Sequence[tuple[str, str]]] = (
    ("context.userId", "doctor/id"),
    ("context.patientId", "patient"),
    ("context.encounterId", "visit"),
    ("context.draftOrders", "order"),
    ("context.selections", "order"),
    ("feedback[0].overrideReason.userComment", "words"),
    ("feedback[0].overrideReason.reason", "reason"),
    ("feedback[0].acceptedSuggestions", "suggestion"),
    ("feedback[0].outcome", "outcome"),
    ("feedback[0].card", "prompt"),
    ("feedback[0]", "prompt"),
)


def _place(said: str) -> str:
    """The place in the caller's own message that a place in the hook's call means."""
    if found := _ENTRY.match(said):
        rest = said[found.end() :].strip(".").replace(".", "/")
        return f"order[{int(found[1]) + 1}]" + (f"/{rest}" if rest else "")
    for hook, own in _PLACES:
        if said.startswith(hook):
            return own
    return said
