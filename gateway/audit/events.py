"""What is written about each access: the clear row that becomes a leaf, and the body sealed beside it.

The leaf holds the columns of the row and the SHA-256 of the *sealed* body, so anyone can check every
row without a key, and a body may expire without breaking the tree. Sealing uses a fresh nonce, so
the hash tells nothing about what is inside (it does the work of the salt in other designs).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, Protocol

import msgspec

from gateway.audit.merkle import HASH_BYTES
from gateway.audit.tiles import MAX_ENTRY

_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_REST = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
_AUTHZ = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType"


class Code(NamedTuple):
    """A code and the system it comes from."""

    system: str
    code: str


class Pattern(NamedTuple):
    """How an event is told as a FHIR AuditEvent: IHE BALP 1.1 where it has a pattern, else DICOM."""

    type: Code
    subtype: Code
    action: str  # C, R, U, D, E


def _rest(interaction: str, action: str) -> Pattern:
    return Pattern(Code(_REST, "rest"), Code(_INTERACTION, interaction), action)


def _dicom(type_: str, subtype: str, action: str = "E") -> Pattern:
    return Pattern(Code(_DCM, type_), Code(_DCM, subtype), action)


class Kind(StrEnum):
    """Everything that is noted. The values stand in leaves for ever: add, never rename."""

    READ = "read"
    SEARCH = "search"
    EVERYTHING = "everything"
    DISCLOSURE = "disclosure"
    EXPORT = "export"
    PRINT = "print"
    CREATE = "create"
    UPDATE = "update"
    RELABEL = "relabel"
    FILED = "filed"
    QUARANTINED = "quarantined"
    DECISION = "decision"
    CONSENT_CREATE = "consent-create"
    CONSENT_WITHDRAW = "consent-withdraw"
    SIGNING_CODE = "signing-code"
    SIGNATURE = "signature"
    CONSENT_EXPLAIN = "consent-explain"
    RECOGNITION_PROMPT = "recognition-prompt"
    RECOGNITION_FEEDBACK = "recognition-feedback"
    RECOGNITION_VIEW = "recognition-view"
    RECOGNITION_DECISION = "recognition-decision"
    RECOGNITION_REVOCATION = "recognition-revocation"
    RECOGNITION_ALERT = "recognition-alert"
    RECOGNITION_EVIDENCE = "recognition-evidence"
    VOUCHED = "vouched"  # rows were written or changed, with a digest of each
    STATISTICS = "statistics"
    STATISTICS_EXPORT = "statistics-export"
    STATISTICS_CHANGE = "statistics-change"
    RELATIONSHIP_CLAIM = "relationship-claim"
    PRESENCE = "presence"
    BREAK_GLASS = "break-glass"
    REVIEW = "review"
    NOTICE = "notice"
    OWN_ACCOUNT = "own-account"
    MANDATE = "mandate"
    LINK = "link"
    UNLINK = "unlink"
    IDENTITY_REVIEW = "identity-review"
    LOGIN = "login"
    LOGIN_FAILED = "login-failed"
    LOGOUT = "logout"
    STEP_UP = "step-up"
    SECOND_FACTOR = "second-factor"
    TOKEN = "token"  # noqa: S105 - the name of an event
    REFUSED = "refused"
    CONFIG = "config"
    REGISTER = "register"
    REGISTER_EXPORT = "register-export"
    ROLE = "role"
    CLIENT = "client"
    KEY = "key"
    AUDIT_READ = "audit-read"
    AUDIT_VERIFY = "audit-verify"
    AUDIT_EXPORT = "audit-export"
    BACKUP = "backup"
    START = "start"
    STOP = "stop"
    CLOCK_STEP = "clock-step"
    ALARM = "alarm"

    @property
    def pattern(self) -> Pattern:
        """The codes this kind is told with outside."""
        return PATTERNS[self]


# DICOM PS3.15 A.5 / PS3.16 CID 400 and 401: 110100 application activity (110120 start, 110121
# stop), 110101 audit log used, 110106 export, 110107 import, 110113 security alert (110127
# emergency override started, 110132 use of restricted function, 110135 object security attributes
# changed), 110114 user authentication (110122 login, 110123 logout), 110128 network configuration,
# 110129 security configuration, 110136 security roles changed.
_CONSENT = Pattern(Code(_DCM, "110113"), Code(_AUTHZ, "AuthZ-Consent"), "E")
_SECURITY = _dicom("110113", "110129", "U")

PATTERNS: dict[Kind, Pattern] = {
    Kind.READ: _rest("read", "R"),
    Kind.SEARCH: _rest("search", "E"),
    Kind.EVERYTHING: _rest("search", "E"),
    Kind.DISCLOSURE: Pattern(Code(_DCM, "110106"), Code(_LIFECYCLE, "disclose"), "R"),
    Kind.EXPORT: Pattern(Code(_DCM, "110106"), Code(_LIFECYCLE, "disclose"), "R"),
    Kind.PRINT: Pattern(Code(_DCM, "110106"), Code(_LIFECYCLE, "report"), "R"),
    Kind.CREATE: _rest("create", "C"),
    Kind.UPDATE: _rest("update", "U"),
    Kind.RELABEL: _dicom("110113", "110135", "U"),
    Kind.FILED: Pattern(Code(_DCM, "110107"), Code(_INTERACTION, "create"), "C"),
    Kind.QUARANTINED: Pattern(Code(_DCM, "110107"), Code(_LIFECYCLE, "hold"), "C"),
    Kind.DECISION: _CONSENT,
    Kind.CONSENT_CREATE: _rest("create", "C"),
    Kind.CONSENT_WITHDRAW: _rest("update", "U"),
    Kind.SIGNING_CODE: _dicom("110113", "110132"),
    Kind.SIGNATURE: _dicom("110114", "110122"),
    Kind.CONSENT_EXPLAIN: _CONSENT,
    Kind.RECOGNITION_PROMPT: _rest("operation", "E"),
    Kind.RECOGNITION_FEEDBACK: _rest("operation", "E"),
    Kind.RECOGNITION_VIEW: _rest("read", "R"),
    Kind.RECOGNITION_DECISION: _rest("create", "C"),
    Kind.RECOGNITION_REVOCATION: _rest("update", "U"),
    Kind.RECOGNITION_ALERT: _rest("read", "R"),
    Kind.RECOGNITION_EVIDENCE: _rest("read", "R"),
    Kind.VOUCHED: _rest("update", "U"),
    Kind.STATISTICS: _rest("search", "R"),
    Kind.STATISTICS_EXPORT: Pattern(Code(_DCM, "110106"), Code(_LIFECYCLE, "disclose"), "R"),
    Kind.STATISTICS_CHANGE: _rest("create", "C"),
    Kind.RELATIONSHIP_CLAIM: _dicom("110113", "110132"),
    Kind.PRESENCE: _dicom("110113", "110132"),
    Kind.BREAK_GLASS: _dicom("110113", "110127"),
    Kind.REVIEW: _dicom("110101", "110127", "U"),
    Kind.NOTICE: Pattern(Code(_DCM, "110106"), Code(_LIFECYCLE, "transmit"), "E"),
    Kind.OWN_ACCOUNT: _dicom("110113", "110136", "U"),
    Kind.MANDATE: _dicom("110113", "110136", "U"),
    Kind.LINK: Pattern(Code(_REST, "rest"), Code(_LIFECYCLE, "link"), "U"),
    Kind.UNLINK: Pattern(Code(_REST, "rest"), Code(_LIFECYCLE, "unlink"), "U"),
    Kind.IDENTITY_REVIEW: _rest("read", "R"),
    Kind.LOGIN: _dicom("110114", "110122"),
    Kind.LOGIN_FAILED: _dicom("110114", "110122"),
    Kind.LOGOUT: _dicom("110114", "110123"),
    Kind.STEP_UP: _dicom("110114", "110122"),
    Kind.SECOND_FACTOR: _dicom("110113", "110136", "U"),
    Kind.TOKEN: _dicom("110114", "110122"),
    Kind.REFUSED: _dicom("110113", "110132"),
    Kind.CONFIG: _SECURITY,
    Kind.REGISTER: _SECURITY,
    Kind.REGISTER_EXPORT: _dicom("110106", "110106"),
    Kind.ROLE: _dicom("110113", "110136", "U"),
    Kind.CLIENT: _SECURITY,
    Kind.KEY: _SECURITY,
    Kind.AUDIT_READ: _dicom("110101", "110101", "R"),
    Kind.AUDIT_VERIFY: _dicom("110101", "110101", "R"),
    Kind.AUDIT_EXPORT: _dicom("110101", "110106", "R"),
    Kind.BACKUP: _dicom("110106", "110106"),
    Kind.START: _dicom("110100", "110120"),
    Kind.STOP: _dicom("110100", "110121"),
    Kind.CLOCK_STEP: _SECURITY,
    Kind.ALARM: _dicom("110113", "110132"),
}


class Outcome(StrEnum):
    """How it ended: allowed and done, refused, or broken."""

    PERMIT = "permit"
    DENY = "deny"
    ERROR = "error"

    @property
    def fhir(self) -> str:
        """AuditEvent.outcome: 0 success, 4 minor failure (refused), 8 serious failure."""
        return {"permit": "0", "deny": "4", "error": "8"}[self.value]


class Event(msgspec.Struct, frozen=True, array_like=True, tag="gateway-audit-1"):
    """One row of the log, all of it in clear: never a name, number, code or clinical date in here.

    `writer` and `counter` (gapless, from 1) are the writing process's own: a missing counter is a
    proven deletion. `at` is µs UTC. `charts` are the keyed tags of the charts touched, in hex.
    `body_hash` is the SHA-256 of the sealed body's bytes.
    """

    writer: str
    counter: int
    at: int
    kind: Kind
    outcome: Outcome
    actor: str
    client: str
    organization: str
    purpose: str
    charts: tuple[str, ...]
    body_hash: bytes


_ENCODE = msgspec.msgpack.Encoder().encode


def leaf(event: Event) -> bytes:
    """The leaf data of an event, the only spelling of it.

    A MessagePack array in shortest forms: the tag `gateway-audit-1`, then the fields of `Event` in
    their order. The tag is the version: another layout gets another tag, and old leaves stay as
    they are. Lengths stand before texts, so no two events share a spelling. ValueError when the
    hash has the wrong length or the leaf would not fit into an entry bundle (65,535 bytes).
    """
    if len(event.body_hash) != HASH_BYTES:
        raise ValueError("the body hash is not a SHA-256")
    data = _ENCODE(event)
    if len(data) > MAX_ENTRY:
        raise ValueError("the event is too large for a leaf")
    return data


_DECODE = msgspec.msgpack.Decoder(Event).decode


def event_of(data: bytes) -> Event:
    """The event a leaf holds; ValueError unless `data` is exactly what `leaf` writes."""
    try:
        event = _DECODE(data)
    except msgspec.MsgspecError:
        raise ValueError("not a leaf of this log") from None
    if leaf(event) != data:
        raise ValueError("not a leaf of this log")
    return event


def body_hash(sealed: bytes) -> bytes:
    """What an event keeps of its body."""
    return sha256(sealed).digest()


class Ruling(msgspec.Struct, frozen=True, omit_defaults=True):
    """One consent decision behind the event: its effect, reason, the rules that led to it."""

    effect: str
    reason: str
    rules: tuple[str, ...] = ()
    count: int = 1
    valid_until: int | None = None  # µs UTC


class Restricted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What only a privacy officer may read: that something was withheld, and why."""

    withheld: int = 0
    reasons: dict[str, int] = {}


class Requester(Protocol):
    """Who stands behind a session, as the door found out; `strength` is that of the sign-in."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def strength(self) -> int: ...
    @property
    def session(self) -> str: ...
    @property
    def address(self) -> str: ...


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """The sealed part of an event; each kind holds fields of its own.

    It names people, so it leaves the process only sealed. `manifest` is `manifest_root` of what
    was handed over, `returned` how many. `policies` are versions: policy set, labels, mapping …
    """

    request: str
    human: str = ""
    role: str = ""
    strength: str = ""  # of the sign-in
    token: str = ""  # its jti, never the token
    address: str = ""
    certificate: str = ""  # thumbprint
    query: bytes = b""  # raw, as received
    query_clean: str = ""
    policies: dict[str, str] = {}
    epochs: dict[str, int] = {}
    rulings: tuple[Ruling, ...] = ()
    obligations: tuple[str, ...] = ()
    returned: int = 0
    manifest: bytes = b""
    reason: str = ""
    note: str = ""
    details: dict[str, str] = {}
    restricted: Restricted = Restricted()
    sensitivities: tuple[str, ...] | None = None  # of what was handed over; None: not noted

    def asked_by(self, who: Requester) -> Body:
        """The same with who asked for it, how strongly they signed in, from which session and where."""
        return msgspec.structs.replace(
            self,
            human=who.name,
            role=who.role,
            strength=str(who.strength),
            token=who.session,
            address=who.address,
        )


_BODY_ENCODE = msgspec.json.Encoder(order="deterministic").encode
_BODY_DECODE = msgspec.json.Decoder(Body).decode


def encode_body(body: Body) -> bytes:
    """Canonical JSON of a body; an auditor with the key can read it in forty years."""
    return _BODY_ENCODE(body)


def decode_body(data: bytes) -> Body:
    """The body again; members of later versions are passed over. ValueError when it is not one."""
    try:
        return _BODY_DECODE(data)
    except msgspec.MsgspecError:
        raise ValueError("not an event body") from None


class Item(NamedTuple):
    """One version that was handed over, named by what cannot be argued about later."""

    type: str
    id: str
    version: str
    content: bytes  # keyed hash of its text


def manifest_root(items: Sequence[Item]) -> bytes:
    """One hash over what was handed over, in the order it was handed over.

    SHA-256 of the MessagePack array of the items: a page costs one hash. Proving it means showing
    the whole list, which the record store can do for as long as the versions stand.
    """
    return sha256(b"gateway-manifest-1" + _ENCODE(items)).digest()
