"""Tells a hospital's own system what its doctor decided: written with the decision, handed over until taken.

The address and form of each hospital stand in the register (`write_back`). A message is sealed like
the decision it tells of, has one name however often it is sent, and is given up aloud, never lost.
Before each try the county's matrix is asked whether decisions may be sent on; while they may not, the
message is held, which counts as no try.
"""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import msgspec
import structlog

from gateway.errors import Kind, Problem
from gateway.exchange import mllp_client, own_numbers, rights, vouched
from gateway.exchange.own_numbers import Number
from gateway.exchange.person import ALL_TIERS
from gateway.recognition.rights import DataClass, Use
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.register import Endpoint
from gateway.store import write_backs as rows
from gateway.store.engine import Tx
from gateway.store.write_backs import MessageRow
from gateway.vault import (
    ChartTier,
    Grant,
    KeyMissing,
    RecordKey,
    RecordName,
    SealBroken,
    Shredded,
    Tier,
)

log = structlog.get_logger(__name__)

TYPE = "WriteBack"
SENDER = "write-back"
BATCH = 16
PATIENCE = 10.0  # seconds
FIRST_WAIT = 5_000_000
LONGEST_WAIT = 3_600_000_000
HELD_FOR = 600_000_000  # µs until the right to send is asked for again
ATTEMPTS = 24  # about a day; then a person must look
LONGEST = 60.0  # seconds for one message, however slowly it is answered
LARGEST = 65_536  # bytes of an answer that are read
_AGAIN = frozenset({408, 409, 425, 429})


class Letter(msgspec.Struct, frozen=True):
    """What a message says, whatever form it takes. `resources` are FHIR JSON texts, the Task first, or
    an alert's Communication alone."""

    kind: str  # decision | revocation | alert
    at: int
    organization: str
    patient: str  # the folder at the hospital
    encounter: str
    order: str
    doctor: str
    text: str
    resources: tuple[str, ...]
    numbers: tuple[Number, ...] = ()  # what the hospital itself calls the patient
    visit: str = ""  # and the visit


async def message(
    letter: Letter, task: str, key: RecordKey, services: Services
) -> list[MessageRow]:
    """The row to be written with the decision, none where the hospital takes no messages.

    The numbers by which its system knows patient and visit are put in; a hospital that never sent this
    person is told our own id of the folder alone.
    """
    if services.register.get(letter.organization).write_back is None:
        return []
    known = await own_numbers.known(letter.patient, letter.encounter, letter.organization, services)
    letter = msgspec.structs.replace(
        letter, numbers=known.patient, visit=letter.visit or known.visit
    )
    ids = services.ids(letter.organization)
    id = ids("recognition", TYPE, (task, letter.kind, str(letter.at)))
    plain = msgspec.json.encode(letter)
    sealed = key.seal(plain, RecordName(TYPE, id, 1), dictionary=False)
    return [
        MessageRow(
            id, letter.organization, letter.patient, task, letter.at, "waiting", 0, letter.at, "",
            sealed, letter.kind,
        )
    ]  # fmt: skip


def write(tx: Tx, messages: Sequence[MessageRow], services: Services) -> None:
    """Keep them, in the caller's transaction; the access log vouches for each, and that it was taken."""
    if messages:
        tx.many(rows.ADD, [tuple(one) for one in messages])
        vouched.vouch(tx, messages, services)


async def send_due(services: Services) -> int:
    """Try every message whose time has come; how many were taken.

    Each is counted and put off before it is tried: a crash in the middle means once more, under the
    same name. One hospital's follow each other; no hospital waits for another's system.
    """
    now = services.now()
    found: dict[str, list[MessageRow]] = {}
    for row in await services.db.read(rows.DUE, now, BATCH):
        one = MessageRow(*row)
        found.setdefault(one.organization, []).append(one)

    async def of_one(own: Sequence[MessageRow]) -> int:
        return sum([await _send(one, now, services) for one in own])

    return sum(await asyncio.gather(*map(of_one, found.values())))


async def _send(one: MessageRow, now: int, services: Services) -> int:
    if not await _may_leave(one, services):
        await services.db.do(_hold, one, now + HELD_FOR)
        return 0
    wait = min(FIRST_WAIT << min(one.attempts, 12), LONGEST_WAIT)
    if await services.db.do(_take, one, now + wait) is None:
        return 0  # another worker has it
    endpoint = services.register.get(one.organization).write_back
    if endpoint is None:
        await services.db.do(_end, one.id, "failed", "no-endpoint", services)
        return 0
    try:
        error, final = await _hand_over(await _opened(one, services), one.id, endpoint, services)
    except KeyMissing:
        error, final = "no-key", False
    except (SealBroken, Shredded) as fault:
        error, final = type(fault).__name__, True
    if not error:
        await services.db.do(_end, one.id, "delivered", "", services)
        return 1
    given_up = final or one.attempts + 1 >= ATTEMPTS
    log.warning("message not taken", message=one.id, kind=error, attempts=one.attempts + 1)
    await services.db.do(_end, one.id, "failed" if given_up else "waiting", error, services)
    return 0


async def _opened(one: MessageRow, services: Services) -> Letter:
    """What a row says; SealBroken when it was altered or is another hospital's, too."""
    want = ChartTier(one.chart, Tier.GENERAL)
    keys = await services.vault.records(Grant("job", f"write-back.{one.id}", ALL_TIERS), [want])
    plain = keys[want].open(one.sealed, RecordName(TYPE, one.id, 1))
    letter = msgspec.json.decode(plain, type=Letter)
    if (letter.organization, letter.patient) != (one.organization, one.chart):
        raise SealBroken("A message stands under another hospital or folder.")
    return letter


async def _may_leave(one: MessageRow, services: Services) -> bool:
    """Whether decisions of this hospital may be sent on now. The first no is an event and an alarm."""
    sender = Caller(f"{SENDER}/{one.organization}", one.organization, "operator", "worker")
    ask = rights.may if one.state == "held" else rights.granted
    try:
        return await ask(sender, DataClass.DECISIONS, Use.FORWARD, services)
    except Problem as problem:
        if problem.kind is not Kind.BUSY:
            raise
        return False  # nobody knows now whose right it is


def _hold(tx: Tx, one: MessageRow, next_at: int) -> None:
    tx.run(rows.HOLD, one.id, one.due, rights.NO_RIGHT, next_at)


def _take(tx: Tx, one: MessageRow, next_at: int) -> int | None:
    row = tx.one(rows.TAKE, one.id, one.due, next_at)
    return int(row[0]) if row else None


def _end(tx: Tx, id: str, state: str, error: str, services: Services) -> None:
    ended = [MessageRow(*row) for row in tx.all(rows.END, id, state, error)]
    if state == "delivered":
        vouched.vouch(tx, ended, services)


async def _hand_over(
    letter: Letter, id: str, endpoint: Endpoint, services: Services
) -> tuple[str, bool]:
    """("", …) when taken, else the kind of failure and whether trying again is of no use."""
    fhir = endpoint.form == "fhir"
    if endpoint.url.startswith("mllp"):
        try:
            return await mllp_client.hand_over(
                as_hl7(letter, id, services), control_id(id), endpoint, PATIENCE
            )
        except (OSError, ValueError) as fault:
            return type(fault).__name__, False
    body = as_fhir(letter, id, services) if fhir else as_hl7(letter, id, services)
    kind = "application/fhir+json" if fhir else "x-application/hl7-v2+er7; charset=gb18030"
    headers = {"content-type": kind, "idempotency-key": id, "accept-encoding": "identity"}
    try:
        if endpoint.token_file:
            token = Path(endpoint.token_file).read_text("ascii").strip()
            headers["authorization"] = f"Bearer {token}"
        trust = ssl.create_default_context(cafile=endpoint.ca_file or None)
        async with (
            asyncio.timeout(LONGEST),
            httpx.AsyncClient(
                timeout=PATIENCE, follow_redirects=False, verify=trust, trust_env=False
            ) as client,
            client.stream("POST", endpoint.url, content=body, headers=headers) as answer,
        ):
            status, text = answer.status_code, b"" if fhir else await _beginning(answer)
    except (httpx.HTTPError, OSError, ValueError) as fault:
        return type(fault).__name__, False
    if not 200 <= status < 300:
        return f"status-{status}", 400 <= status < 500 and status not in _AGAIN
    return ("", False) if fhir else mllp_client.said(text, control_id(id))


async def _beginning(answer: httpx.Response) -> bytes:
    """As much of an answer as an acknowledgment has; nothing is unpacked."""
    text = bytearray()
    async for piece in answer.aiter_raw():
        text += piece
        if len(text) >= LARGEST:
            break
    return bytes(text[:LARGEST])


# Forms


def as_fhir(letter: Letter, id: str, services: Services) -> bytes:
    """A FHIR R4 message Bundle: MessageHeader, then what was filed, then the Patient these name, with the
    hospital's own identifiers where it has any; the same letter gives the same bytes."""
    base, zone = services.settings.canonical, services.settings.zone
    found = [msgspec.json.decode(text) for text in letter.resources]
    entries = [{"fullUrl": _urn(one["id"]), "resource": one} for one in found]
    header = {
        "resourceType": "MessageHeader",
        "id": str(uuid.UUID(id)),
        "eventCoding": {
            "system": f"{base}/CodeSystem/recognition",
            "code": f"recognition-{letter.kind}",
        },
        "destination": [{"endpoint": f"{base}/sid/organization/{letter.organization}"}],
        "source": {"endpoint": f"{services.settings.base_url}/fhir"},
        "focus": [{"reference": one["fullUrl"]} for one in entries],
    }
    return msgspec.json.encode(
        {
            "resourceType": "Bundle",
            "id": str(uuid.UUID(id)),
            "type": "message",
            "timestamp": moment(letter.at, zone).isoformat(timespec="milliseconds"),
            "entry": [{"fullUrl": _urn(id), "resource": header}, *entries, *_patient(letter)],
        }
    )


def _patient(letter: Letter) -> list[dict[str, object]]:
    said = [{"system": one.system, "value": one.value} for one in letter.numbers]
    if not said:
        return []
    patient = {"resourceType": "Patient", "id": letter.patient, "identifier": said}
    return [{"fullUrl": _urn(letter.patient), "resource": patient}]


def _urn(id: str) -> str:
    return f"urn:uuid:{uuid.UUID(id)}"


def control_id(id: str) -> str:
    """The name of an HL7 v2 message (MSH-10, 20 characters in v2.4), the same however often it is sent."""
    return id[:20]


def as_hl7(letter: Letter, id: str, services: Services) -> bytes:
    """An HL7 v2.4 MDM^T02 in GB18030: the document for the record, one OBX for each line."""
    stamp = f"{moment(letter.at, services.settings.zone):%Y%m%d%H%M%S}"
    status = "CA" if letter.kind == "revocation" else "AV"  # HL7 table 0273
    own = [_cx(one, letter.organization) for one in letter.numbers]
    lines = [
        f"MSH|^~\\&|GATEWAY|COUNTY|HIS|{_said(letter.organization)}|{stamp}||MDM^T02|{control_id(id)}|P|2.4|||||CHN|GB18030",
        f"EVN|T02|{stamp}",
        f"PID|1||{'~'.join([*own, f'{letter.patient}^^^GATEWAY'])}",
        f"PV1|1|U|||||||||||||||||{_said(letter.visit)}",
        f"TXA|1|RECOGNITION|TX|{stamp}|{_said(letter.doctor)}|||||||{id}||{_said(letter.order)}|||LA||{status}",
    ]
    lines += [
        f"OBX|{number}|TX|RECOGNITION^互认决定||{_said(line)}||||||F"
        for number, line in enumerate(letter.text.splitlines(), 1)
    ]
    return ("\r".join(lines) + "\r").encode("gb18030", "replace")


def _cx(one: Number, organization: str) -> str:
    """A number of the hospital's own as HL7 v2.4 CX, 2.9.12, with who assigned it as it was sent.

    Where it was not sent by HL7 v2: the OID or URI of its system, else the organisation.
    """
    system = one.system.removeprefix("urn:oid:")
    universal = f"&{_said(system)}&{'URI' if system == one.system else 'ISO'}"
    made = f"{_said(organization)}{universal}"
    return f"{_said(one.value)}^^^{one.authority or made}^{one.type or 'PI'}"


_ESCAPED: Mapping[int, str] = str.maketrans(
    {
        "\\": "\\E\\",
        "|": "\\F\\",
        "^": "\\S\\",
        "&": "\\T\\",
        "~": "\\R\\",
        **dict.fromkeys((*map(chr, range(32)), "\x7f"), " "),
    }
)


def _said(text: str) -> str:
    """Text in a field, HL7 v2.4 2.10: what parts fields is escaped."""
    return text.translate(_ESCAPED)


async def counts(services: Services) -> dict[str, int]:
    """How many messages wait, are held for want of a right to send, were taken, or were given up."""
    found: dict[str, int] = dict(await services.db.read(rows.COUNTS))
    return {state: int(found.get(state, 0)) for state in ("waiting", "held", "delivered", "failed")}
