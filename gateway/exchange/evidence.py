"""What proves a signature: kept scans, one-time codes answered, signatures verified.

How much a consent is worth is derived here and nowhere else: 1 where staff recorded what they were
told or shown, 2 where the signer typed a code sent to their telephone, 3 where a qualified signature
verifies. Nothing in a Consent can claim it. Evidence is sealed with the keys of the chart it is
about, so that it goes when they are destroyed.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, NamedTuple

import msgspec

from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange.ask import nothing
from gateway.exchange.person import ALL_TIERS
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import evidence as kept_rows
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, RecordName, Tier

EvidenceKind = Literal["scan", "code", "signature"]
ASSURANCE: dict[EvidenceKind, int] = {"scan": 1, "code": 2, "signature": 3}
TYPE = "DocumentReference"  # what a Consent's source calls it
TRANSCRIPT = "application/vnd.signing-code+json"

DIGITS = 6
CODE_LIFE = 10 * 60 * 1_000_000  # µs
TRIES = 5
SENT_AN_HOUR = 5
_HOUR = 3600 * 1_000_000
_KEPT = 24 * _HOUR  # a code's row, after it ended

# What is signed; the rest of a Consent says how, by whom it was recorded, or where it stands.
_STATEMENT = (
    "status",
    "scope",
    "category",
    "patient",
    "dateTime",
    "performer",
    "organization",
    "policy",
    "policyRule",
    "provision",
)


def statement(resource: Mapping[str, Any]) -> bytes:
    """What a signature under a Consent covers: these elements as JSON, members sorted, UTF-8.

    Not its source, its verification or its narrative. A signature made elsewhere is
    over exactly these bytes.
    """
    said = {name: resource[name] for name in _STATEMENT if name in resource}
    text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


# Keeping


class Kept(NamedTuple):
    """Evidence on file. `chart` is whose signature it proves, not whom the consent is about."""

    id: str
    chart: str
    kind: EvidenceKind
    assurance: int
    media_type: str
    at: int

    @property
    def reference(self) -> str:
        """How a Consent names it in `sourceReference`."""
        return f"{TYPE}/{self.id}"


class Opened(NamedTuple):
    """Evidence as it was handed in."""

    kept: Kept
    content: bytes
    recorded_by: str


class Transcript(msgspec.Struct, frozen=True):
    """What is kept of a code that was answered; `statement` is the SHA-256 of what was signed."""

    statement: str
    signer: str  # chart
    phone: str  # masked
    proof: str  # how the telephone was known
    sent: int
    answered: int
    attempts: int
    asked_by: str


def id_of(chart: str, digest: bytes, services: Services) -> str:
    """The id of evidence with this SHA-256, so that keeping it twice keeps it once."""
    return services.vault.resource_id("", "evidence", TYPE, (chart, digest.hex()))


async def keep(
    chart: str,
    kind: EvidenceKind,
    content: bytes,
    media_type: str,
    caller: Caller,
    services: Services,
) -> Kept:
    """Seal evidence of the person of `chart` and keep it; one `create` event. The same bytes again
    are the same evidence."""
    made, row, draft = await prepare(chart, kind, content, media_type, caller, services)
    await services.db.do(_write, row, draft, services)
    return made


async def prepare(
    chart: str,
    kind: EvidenceKind,
    content: bytes,
    media_type: str,
    caller: Caller,
    services: Services,
) -> tuple[Kept, kept_rows.EvidenceRow, Draft]:
    """The evidence, its row, and its event, for a transaction that writes more than this."""
    at = services.now()
    id = id_of(chart, sha256(content).digest(), services)
    want = ChartTier(chart, Tier.GENERAL)
    await services.vault.ensure([want], [(chart, moment(at).year)])
    keys = await services.vault.records(Grant("filing", f"evidence.{at}", ALL_TIERS), [want])
    sealed = keys[want].seal(content, RecordName(TYPE, id, 1), dictionary=False)
    row = kept_rows.EvidenceRow(
        id, chart, kind, ASSURANCE[kind], media_type, sealed, caller.user or caller.client, at
    )
    body = Body(
        request=f"evidence.{at}",
        details={"resource": f"{TYPE}/{id}", "evidence": kind, "assurance": str(row.assurance)},
    ).asked_by(caller)
    draft = await services.log.draft(Kind.CREATE, Outcome.PERMIT, caller, at, body, (chart,))
    return Kept(id, chart, kind, row.assurance, media_type, at), row, draft


def write(tx: Tx, row: kept_rows.EvidenceRow) -> None:
    """Keep a prepared row, inside the caller's transaction."""
    tx.run(kept_rows.ADD_EVIDENCE, *row)


def _write(tx: Tx, row: kept_rows.EvidenceRow, draft: Draft, services: Services) -> None:
    write(tx, row)
    append(tx, services.log.filing_writer, [draft], services.now)


async def find(id: str, services: Services) -> kept_rows.EvidenceRow | None:
    """The row of kept evidence, sealed as it is."""
    found = await services.db.read(kept_rows.EVIDENCE, [id])
    return kept_rows.EvidenceRow(*found[0]) if found else None


READERS = frozenset({"registrar", "privacy"})


async def read(id: str, caller: Caller, services: Services) -> Opened:
    """Evidence for whoever records consents or decides about them, as a `read` event; UNKNOWN
    where there is none, REFUSED for everybody else."""
    if caller.role not in READERS:
        raise Problem(Trouble.REFUSED, "Evidence is read by those who record consents.")
    row = await find(id, services)
    if row is None:
        raise nothing()
    at = services.now()
    body = Body(
        request=f"evidence.{at}", returned=1, details={"resource": f"{TYPE}/{id}"}
    ).asked_by(caller)
    leaf = await services.log.note(Kind.READ, Outcome.PERMIT, caller, at, body, (row.chart,))
    want = ChartTier(row.chart, Tier.GENERAL)
    grant = Grant("request", f"evidence.{at}", ALL_TIERS, leaf)
    keys = await services.vault.records(grant, [want])
    return Opened(_kept(row), _content(row, keys[want]), row.recorded_by)


async def transcript(row: kept_rows.EvidenceRow, services: Services) -> Transcript:
    """The transcript of a code that was answered, for deriving what a consent is worth."""
    want = ChartTier(row.chart, Tier.GENERAL)
    grant = Grant("filing", f"evidence.{row.id}", ALL_TIERS)
    keys = await services.vault.records(grant, [want])
    return msgspec.json.decode(_content(row, keys[want]), type=Transcript)


def _content(row: kept_rows.EvidenceRow, key: Any) -> bytes:
    plain: bytes = key.open(row.sealed, RecordName(TYPE, row.id, 1))
    return plain


def _kept(row: kept_rows.EvidenceRow) -> Kept:
    kind: EvidenceKind = row.kind  # type: ignore[assignment]
    return Kept(row.id, row.chart, kind, row.assurance, row.media_type, row.at)


# One-time codes


class Phone(NamedTuple):
    """A telephone number known to be the signer's, and how: "own-account" or "source"."""

    number: str
    proof: str

    @property
    def masked(self) -> str:
        """As much of it as a page may show."""
        return f"{self.number[:3]}****{self.number[-4:]}"


@dataclass(frozen=True, slots=True)
class Pending:
    """A code on its way. `phone` is masked; the code ends at `ends` (µs UTC)."""

    id: str
    phone: str
    ends: int


class _Asked(msgspec.Struct, frozen=True, array_like=True):
    """What a code was sent for, sealed in its row."""

    text: bytes
    phone: str
    proof: str
    asked_by: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A Consent whose code was answered: its text now names the transcript as its source."""

    text: bytes
    kept: Kept


async def begin_code(
    text: bytes, signer: str, phone: Phone, caller: Caller, services: Services
) -> Pending:
    """Send a one-time code that signs the Consent `text`, exactly as it stands.

    `signer` is a chart of the person who signs: the patient, or the guardian's own; `phone` is
    theirs, known beforehand. The text carries its dateTime and no source yet. One `signing-code`
    event. Problem THROTTLED after five codes in an hour, BUSY when the message was not taken.
    """
    at = services.now()
    id, code = secrets.token_hex(16), f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    asked = _Asked(text, phone.number, phone.proof, caller.user or caller.client)
    pending = Pending(id, phone.masked, at + CODE_LIFE)
    row = (
        id,
        signer,
        _subject(text, services),
        _digest(id, code, services),
        services.vault.seal_field("signing_code", id, msgspec.msgpack.encode(asked)),
        0,
        at,
        pending.ends,
        0,
    )
    draft = await _draft(Kind.SIGNING_CODE, Outcome.PERMIT, signer, caller, services, sent="1")
    await services.db.do(_write_code, row, draft, services, at)
    minutes = CODE_LIFE // 60_000_000
    words = f"验证码 {code}，{minutes} 分钟内有效，用于签署健康信息授权。不是您本人在办理，请不要告诉任何人。"
    if not await services.messenger.send(phone.number, words):
        raise Problem(Trouble.BUSY, "The code could not be sent; please try again.", "code")
    return pending


async def confirm_code(id: str, code: str, caller: Caller, services: Services) -> Signed:
    """The signed Consent, for `consents.create` or `consents.replace`; one `signature` event.

    A code is good once, for ten minutes and five attempts. A wrong one, a late one, one spent and
    one that never was are the same Problem UNPROCESSABLE.
    """
    at = services.now()
    tried = await services.db.do(_try_code, id, at)
    if tried is None:
        raise _wrong()
    row = kept_rows.CodeRow(*tried)
    given = _digest(id, "".join(code.split()), services)
    if not hmac.compare_digest(given, row.code):
        draft = await _draft(Kind.SIGNATURE, Outcome.DENY, row.chart, caller, services)
        await services.db.do(_note, draft, services)
        raise _wrong()
    asked = msgspec.msgpack.decode(
        services.vault.open_field("signing_code", id, row.sealed), type=_Asked
    )
    if not hmac.compare_digest(_subject(asked.text, services), row.subject):
        raise _wrong()  # the row was altered
    said = Transcript(
        statement=sha256(statement(json.loads(asked.text))).hexdigest(),
        signer=row.chart,
        phone=Phone(asked.phone, asked.proof).masked,
        proof=asked.proof,
        sent=row.made,
        answered=at,
        attempts=row.attempts,
        asked_by=asked.asked_by,
    )
    kept, evidence, _ = await prepare(
        row.chart, "code", msgspec.json.encode(said), TRANSCRIPT, caller, services
    )
    draft = await _draft(
        Kind.SIGNATURE, Outcome.PERMIT, row.chart, caller, services, resource=kept.reference
    )
    if not await services.db.do(_use_code, id, evidence, draft, services, at):
        raise _wrong()  # two answers at once: one wins
    resource = json.loads(asked.text)
    resource.pop("sourceAttachment", None)
    resource["sourceReference"] = {"reference": kept.reference}
    signed = json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
    return Signed(signed, kept)


def _wrong() -> Problem:
    return Problem(Trouble.UNPROCESSABLE, "This code does not sign anything now.", "code")


def _subject(text: bytes, services: Services) -> bytes:
    return services.vault.digest("signed", statement(json.loads(text)))


def _digest(id: str, code: str, services: Services) -> bytes:
    return services.vault.digest("signing-code", f"{id}/{code}".encode("utf-8", "replace"))


async def _draft(
    kind: Kind, outcome: Outcome, signer: str, caller: Caller, services: Services, **details: str
) -> Draft:
    at = services.now()
    body = Body(request=f"signature.{at}", details=details).asked_by(caller)
    return await services.log.draft(kind, outcome, caller, at, body, (signer,))


def _write_code(tx: Tx, row: tuple[Any, ...], draft: Draft, services: Services, at: int) -> None:
    """Keep a code, with the signer's others held still while they are counted."""
    signer = row[1]
    tx.run(rows.TAKE_CHART, signer, 0, 0)
    sent = tx.one(kept_rows.CODES_SENT, at - _HOUR + CODE_LIFE, signer)
    if sent is not None and int(sent[0]) >= SENT_AN_HOUR:
        raise Problem(Trouble.THROTTLED, "Too many codes were sent; wait an hour.", "code")
    tx.run(kept_rows.DROP_CODES, at - _KEPT)
    tx.run(kept_rows.ADD_CODE, *row)
    append(tx, services.log.filing_writer, [draft], services.now)


def _try_code(tx: Tx, id: str, at: int) -> Any:
    return tx.one(kept_rows.TRY_CODE, id, at, TRIES)


def _note(tx: Tx, draft: Draft, services: Services) -> None:
    append(tx, services.log.filing_writer, [draft], services.now)


def _use_code(
    tx: Tx, id: str, evidence: kept_rows.EvidenceRow, draft: Draft, services: Services, at: int
) -> bool:
    if tx.one(kept_rows.USE_CODE, id, at) is None:
        return False
    write(tx, evidence)
    append(tx, services.log.filing_writer, [draft], services.now)
    return True
