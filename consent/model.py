"""The values a sharing decision is made of: who asks, about whom, about what, and what was agreed.

All instants are integer microseconds since 1970 UTC; intervals are half open, [start, end).
All ids are the gateway's own: chart ids for patients, organization ids, bare ids of records (they
are unique across types).
"""

from __future__ import annotations

from datetime import date
from enum import IntEnum, StrEnum

from msgspec import Struct

CONFIDENTIALITY = "ULMNRV"  # v3-Confidentiality, low to high; compare by position
ACTIONS = frozenset({"read", "search", "history", "export", "subscribe", "push", "print"})
COPIES = frozenset({"export", "subscribe", "push", "print"})  # what leaves a copy behind


class Tier(IntEnum):
    """County category of a record, low to high; it names the key and the default that apply."""

    BASIC = 0
    GENERAL = 1
    RESTRICTED = 2
    SEALED = 3


# --- who asks -------------------------------------------------------------------------------


class Requester(Struct, frozen=True):
    """A signed-in person or system, from the verified token and the directory only.

    `chain` runs from the acting unit up (unit, hospital, alliance) and contains `organization`.
    """

    user: str
    practitioner: str | None
    organization: str
    chain: tuple[str, ...]
    role: str
    client: str
    assurance: int = 1
    groups: frozenset[str] = frozenset()


class RelationshipKind(StrEnum):
    """Evidence for a treatment relationship."""

    ENCOUNTER = "encounter"
    REFERRAL = "referral"
    APPOINTMENT = "appointment"
    CONTRACT = "contract"
    CARE_TEAM = "care-team"
    PRESENCE = "presence"
    SELF_CLAIM = "self-claim"


class Relationship(Struct, frozen=True):
    """One piece of evidence; `start` and `end` as recorded, its life is computed by policy.

    `user` None means everybody in the organization; presence and self-claim need a user.
    `purpose` None means any treatment purpose.
    """

    kind: RelationshipKind
    organization: str
    user: str | None
    start: int
    end: int | None = None
    purpose: str | None = None


class Grant(Struct, frozen=True):
    """A break-glass grant: one user, one patient, a few hours."""

    id: str
    user: str
    charts: frozenset[str]
    start: int
    end: int


class AccessRequest(Struct, frozen=True):
    """One request, for one purpose. `named_patient` is False when only a record id was named."""

    now: int
    requester: Requester
    purposes: tuple[str, ...]
    action: str = "read"
    relationships: tuple[Relationship, ...] = ()
    grant: Grant | None = None
    named_patient: bool = True


# --- about whom -----------------------------------------------------------------------------


class DelegationKind(StrEnum):
    """Why somebody may act for the patient."""

    GUARDIAN = "guardian"  # of a minor; ends by computation at 18
    COURT = "court"  # guardian of an incapacitated adult, by court document, reviewed yearly
    MANDATE = "mandate"  # signed by the adult
    HEIR = "heir"  # a close relative's recorded right, which begins with the patient's death


class Delegation(Struct, frozen=True):
    """A recorded right of `user` to act for the patient.

    `restricted` opens restricted content at all; `categories`, when given, are the only
    sensitivities it opens. A guardian of a minor needs neither. An heir's `categories` are all it
    opens: sensitivities, and tiers by name ("basic", "general", "restricted" for the rest of that
    tier). `reviewed` is when a court guardian was last reviewed, None: at `start`. `chart` is
    where it is recorded; it matters only while a merge is not confirmed.
    """

    user: str
    kind: DelegationKind
    start: int
    end: int | None = None
    restricted: bool = False
    categories: frozenset[str] = frozenset()
    suspended: bool = False
    reviewed: int | None = None
    chart: str = ""


class PatientContext(Struct, frozen=True):
    """What is known about the person now.

    `charts` are all charts linked to the person; a record whose subject is not among them is
    about somebody unknown. `birth` is the (earliest, latest) possible day, None when unknown.
    `identities` partitions charts that a merge joined but the patient has not confirmed; empty
    means they are confirmed to be one person. `selves` are the person's own accounts, and
    `self_charts` says (user, chart) which chart each proved to be; while identities are not
    confirmed an account reaches the records of its own chart's identity only.
    """

    charts: frozenset[str]
    birth: tuple[date, date] | None = None
    death: date | None = None
    sealed: bool = False
    dispute: bool = False
    selves: frozenset[str] = frozenset()
    delegations: tuple[Delegation, ...] = ()
    identities: tuple[frozenset[str], ...] = ()
    self_charts: frozenset[tuple[str, str]] = frozenset()


# --- about what -----------------------------------------------------------------------------


class Part(Struct, frozen=True):
    """A severable part of a record, with its own labels."""

    path: str
    confidentiality: str
    sensitivities: frozenset[str] = frozenset()


class FacetClass(Struct, frozen=True, cache_hash=True):
    """The facets many records share. Intern it per segment: a ruling decides a class once.

    Labels are those of the whole record. When `parts` can be cut out, `rest` holds the labels
    (confidentiality, sensitivities) of what remains.
    """

    type: str
    source: str
    subjects: tuple[str, ...]
    tier: Tier = Tier.GENERAL
    confidentiality: str = "N"
    sensitivities: frozenset[str] = frozenset()
    codes: frozenset[tuple[str, str]] = frozenset()
    authors: frozenset[str] = frozenset()
    hold_until: int | None = None
    notifiable: bool = False
    labelled: bool = True
    entered_in_error: bool = False
    parts: tuple[Part, ...] = ()
    rest: tuple[str, frozenset[str]] = ("N", frozenset())


class Facets(Struct, frozen=True):
    """One record version as a decision sees it: its class and what only this version has.

    `start`, `end` is the clinical interval: both None when unknown, `end` None for a moment, a far
    `end` for what goes on. `links` are the ids this record stores references to (encounter,
    episode, based-on ...), never those of a request.
    """

    kind: FacetClass
    id: str
    version: str = ""
    start: int | None = None
    end: int | None = None
    links: frozenset[str] = frozenset()


# --- what was agreed ------------------------------------------------------------------------


class ActorKind(StrEnum):
    """What an actor of a provision names."""

    PERSON = "person"
    ORGANIZATION = "organization"
    ROLE = "role"
    GROUP = "group"


class Actor(Struct, frozen=True, array_like=True):
    """Somebody a provision is about; `known` is False when the participation role is not."""

    kind: ActorKind
    id: str
    known: bool = True


class Meaning(StrEnum):
    """How `Provision.data` points at records (FHIR consent-data-meaning)."""

    INSTANCE = "instance"
    RELATED = "related"
    DEPENDENTS = "dependents"
    AUTHORED_BY = "authoredby"


class Datum(Struct, frozen=True, array_like=True):
    """One `provision.data`: for authoredby a person's or organization's id, else a record's."""

    meaning: Meaning
    reference: str


class Provision(Struct, frozen=True, array_like=True):
    """One node of a consent. Elements are ANDed, values inside one are ORed, absent is no limit.

    `start`, `end` say when it holds; `data_start`, `data_end` limit the clinical interval.
    """

    permit: bool
    start: int | None = None
    end: int | None = None
    purposes: tuple[str, ...] = ()
    actors: tuple[Actor, ...] = ()
    actions: tuple[str, ...] = ()
    confidentiality: tuple[str, ...] = ()
    sensitivities: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    codes: tuple[tuple[str, str], ...] = ()
    data_start: int | None = None
    data_end: int | None = None
    data: tuple[Datum, ...] = ()
    exceptions: tuple[Provision, ...] = ()


class Directive(Struct, frozen=True, array_like=True):
    """One consent of one patient, in the form a decision reads.

    `at` is the consent's dateTime. `controller` is an organization; unless it is the county its
    consent binds only that organization's own data. `assurance`: 3 national eID or qualified
    signature, 2 one-time code or card and PIN, 1 recorded by staff. `performer` is the patient's
    chart when the patient signed, else the representative's id. `root` None means it could not be
    interpreted: a refusal of everything it could cover. `doubted` is when its folder's number was
    corrected: signed before, it may be either person's word, so it grants nothing and still refuses.
    """

    id: str
    version: str
    patient: str
    controller: str
    at: int
    assurance: int
    performer: str
    root: Provision | None
    active: bool = True
    policy: str = ""
    evidence: str = ""  # digest or reference of what was signed, see fhir.py
    doubted: int = 0

    @property
    def rule(self) -> str:
        """How a decision and its audit event name this consent."""
        return f"Consent/{self.id}/_history/{self.version}"

    @property
    def refuses(self) -> bool:
        """Whether it refuses anything; what could not be interpreted does."""
        return self.root is None or _refuses(self.root)

    @property
    def in_doubt(self) -> bool:
        """Whether it was signed before its folder's number was corrected."""
        return self.at < self.doubted


def _refuses(provision: Provision) -> bool:
    return not provision.permit or any(map(_refuses, provision.exceptions))


# --- the answer -----------------------------------------------------------------------------


class Reason(StrEnum):
    """Why, for the audit event and the privacy officer; never for the caller of a DENY-HIDE."""

    ONE_PURPOSE = "one-purpose"
    ROLE_PURPOSE = "role-purpose"
    NO_GRANT = "no-grant"
    GRANT_SCOPE = "grant-scope"
    NO_RELATIONSHIP = "no-relationship"
    DIRECTORY = "directory"
    NO_SUBJECT = "no-subject"
    UNKNOWN_SUBJECT = "unknown-subject"
    NOT_LABELLED = "not-labelled"
    ENTERED_IN_ERROR = "entered-in-error"
    PATIENT_SEALED = "patient-sealed"
    IDENTITY_DISPUTE = "identity-dispute"
    IDENTITY_UNCONFIRMED = "identity-unconfirmed"
    STATUTORY = "statutory"
    DATA_SUBJECT = "data-subject"
    HELD = "held"
    TOO_YOUNG = "too-young"
    REPRESENTATIVE = "representative"
    NO_DELEGATION = "no-delegation"
    DELEGATION_ENDED = "delegation-ended"
    DELEGATION_SCOPE = "delegation-scope"
    AFTER_DEATH = "after-death"
    OWN_SOURCE = "own-source"
    DIRECTIVE = "directive"
    DEFAULT = "county-default"
    PRESENCE = "patient-present"
    RESTRICTED_OPT_IN = "restricted-opt-in"
    SEALED_NAMED_ONLY = "sealed-named-only"
    BREAK_GLASS_DEFAULT = "break-glass-over-default"
    BREAK_GLASS_DIRECTIVE = "break-glass-over-directive"
    NO_RIGHT = "no-right"  # never given here: whoever asks is outside the county's matrix of rights


class Obligation(StrEnum):
    """What the receiver of a permit must do."""

    NO_REDISCLOSURE = "no-redisclosure-without-consent"
    PURPOSE_BOUND = "purpose-bound"
    STATUTORY_BASIS = "statutory-basis"
    DELETE_AFTER_USE = "delete-after-use"
    ENCRYPT_AT_REST = "encrypt-at-rest"
    ALERT_SELF_CLAIM = "alert-self-claim"
    NOTIFY_PATIENT = "notify-patient"
    REVIEW_72_HOURS = "review-72h"
    NO_COPY_OUT = "no-copy-out"
    WATERMARK = "watermark"


class Permit(Struct, frozen=True):
    """Share it whole. Valid until `valid_until` (None: nothing considered ever changes)."""

    reason: Reason
    rules: tuple[str, ...] = ()
    valid_until: int | None = None
    obligations: tuple[Obligation, ...] = ()


class PermitEmergency(Struct, frozen=True):
    """Share it because the glass was broken; `reason` says over what."""

    reason: Reason
    rules: tuple[str, ...] = ()
    valid_until: int | None = None
    obligations: tuple[Obligation, ...] = ()


class Redact(Struct, frozen=True):
    """Share it without the parts at `paths`; `reason` says why those are withheld."""

    reason: Reason
    paths: tuple[str, ...]
    rules: tuple[str, ...] = ()
    valid_until: int | None = None
    obligations: tuple[Obligation, ...] = ()


class DenyHide(Struct, frozen=True):
    """Answer exactly as if it did not exist."""

    reason: Reason
    rules: tuple[str, ...] = ()
    valid_until: int | None = None
    obligations: tuple[Obligation, ...] = ()


class DenyTell(Struct, frozen=True):
    """Refuse openly; the reason depends on the caller and the person, never on a record."""

    reason: Reason
    rules: tuple[str, ...] = ()
    valid_until: int | None = None
    obligations: tuple[Obligation, ...] = ()


Decision = Permit | PermitEmergency | Redact | DenyHide | DenyTell
