"""The tables of keys, people, charts, consent, records and maps: what a stolen dump would show.

Clear columns hold opaque ids, organisations, times of filing and lengths. Names, codes, clinical
dates and numbers are only in columns called `sealed`, `head`, `facts` or `wrapped`.
All times are integer microseconds UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary, MetaData, SmallInteger, Text, text
from sqlmodel import Field, SQLModel

keyring_metadata = MetaData()


class Base(SQLModel):
    """Tables of the record database."""

    metadata = MetaData()


class KeyringBase(SQLModel):
    """Tables of the keyring database, which is kept and backed up apart."""

    metadata = keyring_metadata


class WrappedKey(KeyringBase, table=True):
    """One wrapped key; useless without the key it is wrapped under."""

    __tablename__ = "wrapped_key"
    name: str = Field(primary_key=True)
    generation: int = Field(primary_key=True)
    under: str
    wrapped: bytes = Field(sa_type=LargeBinary)


# Registers: who takes part.


class Source(Base, table=True):
    """A hospital system that sends us messages, and what has come from it."""

    __tablename__ = "source"
    name: str = Field(primary_key=True)
    organization: str
    map: str  # folder under the sites folder
    keep: str = "content"  # content | index | relay
    state: str = "active"  # active | paused
    facility: str = ""  # MSH-4 that plain MLLP must carry
    certificate: str = ""  # SHA-256 of the client certificate that may speak for it
    client: str = ""  # system client that may post to /intake/{source}
    received: int = Field(default=0, sa_type=BigInteger)
    last_at: int = Field(default=0, sa_type=BigInteger)
    created: int = Field(default=0, sa_type=BigInteger)
    # When the certificate last shown ends; 0: none was.
    certificate_ends: int = Field(
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"}
    )


class Client(Base, table=True):
    """A system that may ask for tokens (SMART Backend Services)."""

    __tablename__ = "client"
    id: str = Field(primary_key=True)
    organization: str
    name: str
    jwks: str = Field(sa_type=Text)
    scopes: str = Field(sa_type=Text)
    roles: str = ""  # roles it may assert for persons, space separated
    state: str = "active"
    epoch: int = 0
    created: int = Field(default=0, sa_type=BigInteger)


class UsedAssertion(Base, table=True):
    """A client assertion that has been spent."""

    __tablename__ = "used_assertion"
    tag: bytes = Field(primary_key=True, sa_type=LargeBinary)
    expires: int = Field(sa_type=BigInteger, index=True)


class Account(Base, table=True):
    """A person's local account."""

    __tablename__ = "account"
    login: str = Field(primary_key=True)
    sealed: bytes = Field(sa_type=LargeBinary)  # display name, licence number
    organization: str
    password: str  # argon2id
    state: str = "active"
    epoch: int = 0
    failures: int = 0
    locked_until: int = Field(default=0, sa_type=BigInteger)
    created: int = Field(default=0, sa_type=BigInteger)


class AccountRole(Base, table=True):
    """What a person may be at the portal."""

    __tablename__ = "account_role"
    login: str = Field(primary_key=True)
    role: str = Field(primary_key=True)  # clinician | registrar | auditor | it


class SecondFactor(Base, table=True):
    """What an account proves itself with a second time: a secret for one-time codes (RFC 6238)."""

    __tablename__ = "second_factor"
    login: str = Field(primary_key=True)
    sealed: bytes = Field(sa_type=LargeBinary)  # the secret
    step: int = Field(default=0, sa_type=BigInteger)  # the last one used; no code counts twice
    failures: int = 0
    locked_until: int = Field(default=0, sa_type=BigInteger)
    made_by: str
    at: int = Field(sa_type=BigInteger)


class PortalSession(Base, table=True):
    """A signed-in browser; deleting the row signs it out at once."""

    __tablename__ = "portal_session"
    tag: bytes = Field(primary_key=True, sa_type=LargeBinary)  # keyed hash of the cookie
    login: str = Field(index=True)
    role: str
    epoch: int
    csrf: str
    created: int = Field(sa_type=BigInteger)
    seen: int = Field(sa_type=BigInteger)
    ends: int = Field(sa_type=BigInteger)
    sealed: bytes = Field(default=b"", sa_type=LargeBinary)  # the chart in hand, the language


# Charts, persons, consent.


class Chart(Base, table=True):
    """One patient's folder at one organisation."""

    __tablename__ = "chart"
    id: str = Field(primary_key=True)
    bucket: int = Field(sa_type=SmallInteger)
    organization: str
    person: str = Field(index=True)
    # Inside a person: the charts that are proven or confirmed to be one and the same person's.
    identity: str = Field(default="", sa_column_kwargs={"server_default": ""})
    epoch: int = Field(default=0, sa_type=BigInteger)
    seq: int = Field(default=0, sa_type=BigInteger)
    disputed: int = Field(default=0, sa_type=SmallInteger)
    facts: bytes = Field(default=b"", sa_type=LargeBinary)  # birth, death, seals
    # Keyed hash over the chart's directives: one that is missing or older is noticed.
    directives: bytes = Field(
        default=b"", sa_type=LargeBinary, sa_column_kwargs={"server_default": ""}
    )
    # Version of the label rules all its records are labelled under; `~` before it: but for what
    # hangs on what; empty or another: to be labelled again before anything of it is shown.
    labelled: str = Field(default="", index=True, sa_column_kwargs={"server_default": ""})
    created: int = Field(sa_type=BigInteger)


class Link(Base, table=True):
    """Two charts said to be one person; revoking keeps the row."""

    __tablename__ = "link"
    id: int | None = Field(default=None, primary_key=True)
    left: str = Field(index=True)
    right: str = Field(index=True)
    rule: str
    made_by: str
    at: int = Field(sa_type=BigInteger)
    revoked: int = Field(default=0, sa_type=BigInteger)
    revoked_by: str = ""
    # When the hospital said so by its own clock; 0 where a rule or a person joined the two.
    clock: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    # When the two were surely one person's: at once by a rule that proves it, else the resident's
    # word, and who took it down; 0: somebody's word that nobody has confirmed.
    confirmed: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    confirmed_by: str = Field(default="", sa_column_kwargs={"server_default": ""})


class BlindIndex(Base, table=True):
    """A keyed hash of an identifier and the chart that carries it."""

    __tablename__ = "blind_index"
    digest: bytes = Field(primary_key=True, sa_type=LargeBinary)
    chart: str = Field(primary_key=True, index=True)
    linking: int = Field(default=1, sa_type=SmallInteger)  # 0: not evidence of being one person


class Directive(Base, table=True):
    """A consent as compiled for deciding; its text is a record."""

    __tablename__ = "directive"
    chart: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    version: int
    active: int = Field(sa_type=SmallInteger)
    sealed: bytes = Field(sa_type=LargeBinary)
    evidence: bytes = Field(sa_type=LargeBinary)  # keyed hash of the evidence
    recorded_by: str
    at: int = Field(sa_type=BigInteger)


class Relationship(Base, table=True):
    """Why an organisation or a person may be treating: an encounter, or their own word."""

    __tablename__ = "relationship"
    chart: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    organization: str
    kind: str
    sealed: bytes = Field(sa_type=LargeBinary)  # start, end, person, reason
    at: int = Field(sa_type=BigInteger)


# Consent: what it is proved by, who acts for whom, the policy it is decided under.


class ConsentEvidence(Base, table=True):
    """What proves a signature: a scan, a signed statement, the transcript of a one-time code."""

    __tablename__ = "consent_evidence"
    id: str = Field(primary_key=True)  # keyed hash of the content, hex
    chart: str = Field(index=True)
    kind: str  # scan | signature | code
    assurance: int = Field(sa_type=SmallInteger)  # 1 to 3, from what was verified
    media_type: str = ""
    sealed: bytes = Field(sa_type=LargeBinary)
    recorded_by: str
    at: int = Field(sa_type=BigInteger)


class SigningCode(Base, table=True):
    """A one-time code sent to a resident's telephone to sign one text."""

    __tablename__ = "signing_code"
    id: str = Field(primary_key=True)
    chart: str
    subject: bytes = Field(sa_type=LargeBinary)  # keyed hash of what is signed
    code: bytes = Field(sa_type=LargeBinary)  # keyed hash of the code
    sealed: bytes = Field(sa_type=LargeBinary)  # the telephone number, and how it was verified
    attempts: int = 0
    made: int = Field(sa_type=BigInteger)
    ends: int = Field(sa_type=BigInteger, index=True)
    used: int = Field(default=0, sa_type=BigInteger)


class OwnAccount(Base, table=True):
    """Which chart's person an account belongs to; ending it keeps the row."""

    __tablename__ = "own_account"
    login: str = Field(primary_key=True)
    chart: str = Field(index=True)
    proof: str  # how the person proved who they are: in-person | eid
    sealed: bytes = Field(default=b"", sa_type=LargeBinary)  # name, telephone, the desk's address
    phone: bytes = Field(default=b"", sa_type=LargeBinary)  # keyed hash of the number
    verified: int = Field(default=0, sa_type=BigInteger)  # when the telephone answered
    code: bytes = Field(default=b"", sa_type=LargeBinary)  # keyed hash of the one-time code
    code_ends: int = Field(default=0, sa_type=BigInteger)
    attempts: int = 0
    made_by: str
    at: int = Field(sa_type=BigInteger)
    ended: int = Field(default=0, sa_type=BigInteger)


class Mandate(Base, table=True):
    """A right to act for a patient: guardian, court, or a mandate the patient signed."""

    __tablename__ = "mandate"
    chart: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    login: str = Field(index=True)  # who acts
    kind: str
    sealed: bytes = Field(sa_type=LargeBinary)  # start, end, scope, evidence
    suspended: int = Field(default=0, sa_type=SmallInteger)
    recorded_by: str
    at: int = Field(sa_type=BigInteger)
    ended: int = Field(default=0, sa_type=BigInteger)


class Presence(Base, table=True):
    """A single-use question shown to a patient who is there: may this person look now?"""

    __tablename__ = "presence"
    tag: bytes = Field(primary_key=True, sa_type=LargeBinary)  # keyed hash of the token
    code: bytes = Field(unique=True, sa_type=LargeBinary)  # keyed hash of the short code
    login: str = Field(index=True)
    sealed: bytes = Field(sa_type=LargeBinary)  # what the asker is called
    session: str  # of the asker: another screen of the same person learns nothing
    organization: str
    purpose: str
    made: int = Field(sa_type=BigInteger)
    ends: int = Field(sa_type=BigInteger, index=True)
    chart: str = ""  # for whom it was answered
    answered_by: str = ""
    answered: int = Field(default=0, sa_type=BigInteger)
    yes: int = Field(default=0, sa_type=SmallInteger)
    used: int = Field(default=0, sa_type=BigInteger)  # when the asker went on with it


class PresenceTry(Base, table=True):
    """How often an account has just named a code that nobody asked with."""

    __tablename__ = "presence_try"
    login: str = Field(primary_key=True)
    since: int = Field(sa_type=BigInteger)
    count: int = 0


class ClaimReason(Base, table=True):
    """How often one organisation has given one reason for a relationship nobody else told of."""

    __tablename__ = "claim_reason"
    organization: str = Field(primary_key=True)
    reason: bytes = Field(primary_key=True, sa_type=LargeBinary)  # keyed hash of its words
    since: int = Field(sa_type=BigInteger)
    count: int = 0


class EmergencyGrant(Base, table=True):
    """Glass that was broken: one user, one patient, a few hours."""

    __tablename__ = "emergency_grant"
    id: str = Field(primary_key=True)
    chart: str = Field(index=True)
    login: str
    organization: str
    reason: str  # a code
    sealed: bytes = Field(sa_type=LargeBinary)  # in words
    start: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)
    closed: int = Field(default=0, sa_type=BigInteger)
    approver: str = ""  # the second person, where the day's budget was spent
    __table_args__ = (Index("emergency_grant_login", "login", "start"),)


class Review(Base, table=True):
    """A case a privacy officer decides: an emergency access, a question of a resident."""

    __tablename__ = "review"
    id: str = Field(primary_key=True)  # of what is reviewed
    kind: str  # emergency | self-claim | question | suspension
    chart: str = Field(index=True)
    login: str  # whose access it is
    organization: str
    sealed: bytes = Field(sa_type=LargeBinary)  # words of the resident and of the officers
    opened: int = Field(sa_type=BigInteger)
    due: int = Field(sa_type=BigInteger)
    taken_by: str = ""
    taken: int = Field(default=0, sa_type=BigInteger)
    verdict: str = ""  # justified | not-justified | needs-answer | answered | lifted
    decided_by: str = ""
    decided: int = Field(default=0, sa_type=BigInteger)
    second_by: str = ""  # who confirmed "not justified"
    closed: int = Field(default=0, sa_type=BigInteger)
    __table_args__ = (Index("review_open", "closed", "due"),)


class Notice(Base, table=True):
    """Something a resident is told: by a short message, and on their own pages."""

    __tablename__ = "notice"
    id: int | None = Field(default=None, primary_key=True)
    chart: str = Field(index=True)
    kind: str
    about: str  # opaque id
    at: int = Field(sa_type=BigInteger)
    due: int = Field(sa_type=BigInteger)  # when it is tried next
    held: int = Field(default=0, sa_type=BigInteger)  # until then by a recorded safety reason
    sent: int = Field(default=0, sa_type=BigInteger)
    attempts: int = 0
    read: int = Field(default=0, sa_type=BigInteger)
    __table_args__ = (
        Index("notice_due", "sent", "due"),
        Index("notice_about", "kind", "about", unique=True),
    )


class PolicyVersion(Base, table=True):
    """The county's consent policy as it once was; one is in force."""

    __tablename__ = "policy_version"
    number: int | None = Field(default=None, primary_key=True)
    hash: str  # SHA-256 of the text; a policy that is brought back is a new version
    text: bytes = Field(sa_type=LargeBinary)  # the TOML file
    state: str = Field(default="proposed", index=True)  # proposed | in-force | retired | refused
    base: int = 0  # the version in force when it was proposed, which `report` compares it with
    note: str = Field(default="", sa_type=Text)
    report: str = Field(default="", sa_type=Text)  # what changes, in words
    proposed_by: str = ""
    organization: str = ""  # of who proposed it
    proposed_at: int = Field(default=0, sa_type=BigInteger)
    decided_by: str = ""  # another person than proposed_by
    decided_at: int = Field(default=0, sa_type=BigInteger)
    reason: str = Field(default="", sa_type=Text)  # why it was approved or refused
    since: int = Field(default=0, sa_type=BigInteger)
    until: int = Field(default=0, sa_type=BigInteger)
    signature: bytes = Field(default=b"", sa_type=LargeBinary)


class LabelRun(Base, table=True):
    """The charts being labelled again under other rules; which are left, their rows say."""

    __tablename__ = "label_run"
    id: int | None = Field(default=None, primary_key=True)
    rules: str  # version of the lists, and of what the policy says of labels
    policy: str  # version of the policy
    state: str = "running"  # running | done | stopped
    asked_by: str = ""
    asked_at: int = Field(sa_type=BigInteger)
    total: int = 0
    done: int = 0
    records: int = 0
    raised: int = 0
    faults: int = 0
    report: str = Field(default="", sa_type=Text)  # counts by label, JSON
    finished: int = Field(default=0, sa_type=BigInteger)


# Records: the sealed text, and the sealed list of what a chart holds.


class Record(Base, table=True):
    """One version of one resource."""

    __tablename__ = "record"
    bucket: int = Field(primary_key=True, sa_type=SmallInteger)
    chart: str = Field(primary_key=True)
    seq: int = Field(primary_key=True, sa_type=BigInteger)
    id: str
    version: int
    current: int = Field(sa_type=SmallInteger)
    tier: int = Field(sa_type=SmallInteger)
    head: bytes = Field(sa_type=LargeBinary)  # the manifest entry, sealed
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    inbox: str = ""  # the raw message it came from
    filed: int = Field(sa_type=BigInteger)
    release: int = Field(default=0, sa_column_kwargs={"server_default": "0"})  # of the map
    __table_args__ = (
        Index(
            "record_current",
            "id",
            unique=True,
            sqlite_where=text("current = 1"),
            postgresql_where=text("current = 1"),
        ),
        Index("record_version", "id", "version", unique=True),
    )


class Segment(Base, table=True):
    """A sealed piece of a chart's manifest, one tier each."""

    __tablename__ = "segment"
    bucket: int = Field(primary_key=True, sa_type=SmallInteger)
    chart: str = Field(primary_key=True)
    tier: int = Field(primary_key=True, sa_type=SmallInteger)
    number: int = Field(
        primary_key=True, sa_type=BigInteger
    )  # highest chart sequence number inside
    entries: int
    sealed: bytes = Field(sa_type=LargeBinary)


# The way in.


class Inbox(Base, table=True):
    """A raw message, kept before it is acknowledged."""

    __tablename__ = "inbox"
    id: str = Field(primary_key=True)
    source: str
    day: str  # names the intake key
    digest: bytes = Field(sa_type=LargeBinary)  # keyed hash of the bytes
    control: bytes = Field(sa_type=LargeBinary)  # keyed hash of the control id
    sealed: bytes = Field(sa_type=LargeBinary)
    wrap: bytes = Field(sa_type=LargeBinary)
    owner: str = ""  # chart whose key wraps it, once filed
    owner_tier: int = Field(default=0, sa_type=SmallInteger)
    size: int
    state: str = "waiting"  # waiting | filed | quarantined
    arrivals: int = 1
    issues: str = Field(default="", sa_type=Text)  # severity, code, place; never a value
    release: str = ""
    arrived: int = Field(sa_type=BigInteger)
    settled: int = Field(default=0, sa_type=BigInteger)
    # A word of `message_kinds`; empty: came before it was noted.
    kind: str = Field(default="", sa_column_kwargs={"server_default": ""})
    __table_args__ = (
        Index("inbox_digest", "source", "digest", unique=True),
        Index("inbox_control", "source", "control"),
        Index("inbox_state", "source", "state"),
    )


class Job(Base, table=True):
    """Work for later; may run twice, so doing it twice equals doing it once."""

    __tablename__ = "job"
    id: int | None = Field(default=None, primary_key=True)
    kind: str
    key: str
    due: int = Field(sa_type=BigInteger)
    attempts: int = 0
    leased: int = Field(default=0, sa_type=BigInteger)
    __table_args__ = (
        Index("job_key", "kind", "key", unique=True),
        Index("job_due", "due"),
    )


class Alarm(Base, table=True):
    """Something a person should look at; says where, never what."""

    __tablename__ = "alarm"
    id: int | None = Field(default=None, primary_key=True)
    kind: str
    source: str
    about: str  # opaque id
    at: int = Field(sa_type=BigInteger)
    settled: int = Field(default=0, sa_type=BigInteger)
    settled_by: str = ""


# Maps: what turns messages into records, and what they did not understand.


class MapRelease(Base, table=True):
    """A site's rule files and tables as they were once; never changed, so that it can be run again."""

    __tablename__ = "map_release"
    number: int | None = Field(default=None, primary_key=True)
    site: str
    hash: str  # what `mappings.engine.Map.release` says of these files
    files: bytes = Field(sa_type=LargeBinary)  # path and bytes of each, compressed
    state: str = "proposed"  # proposed | in-force | retired | refused
    note: str = Field(default="", sa_type=Text)  # what was changed, and why
    report: str = Field(default="", sa_type=Text)  # the shadow run: counts by rule, never a value
    proposed_by: str = ""
    proposed_at: int = Field(default=0, sa_type=BigInteger)
    decided_by: str = ""  # another person than proposed_by
    decided_at: int = Field(default=0, sa_type=BigInteger)
    since: int = Field(default=0, sa_type=BigInteger)  # in force from
    until: int = Field(default=0, sa_type=BigInteger)
    engine: str = ""  # what read the files when `hash` was told
    __table_args__ = (
        Index("map_release_hash", "site", "hash", unique=True),
        Index("map_release_state", "site", "state"),
    )


class Replay(Base, table=True):
    """Messages being read again under a release; `done` moves on with each, so it resumes."""

    __tablename__ = "replay"
    id: int | None = Field(default=None, primary_key=True)
    source: str
    release: int
    why: str = ""
    asked_by: str = ""
    asked_at: int = Field(sa_type=BigInteger)
    from_at: int = Field(default=0, sa_type=BigInteger)  # arrivals chosen
    until_at: int = Field(default=0, sa_type=BigInteger)
    unmapped: int = 0  # only messages that met this line of the queue; 0 is all
    kind: str = ""  # only messages of this kind, such as ORU^R01
    issue: str = ""  # only messages that had this issue
    position: int = Field(default=0, sa_type=BigInteger)  # arrival of the last message done
    last: str = ""  # which it was, should several have arrived at once
    total: int = 0
    done: int = 0
    changed: int = 0  # new versions written
    dry: int = Field(default=0, sa_type=SmallInteger)
    state: str = "running"  # running | paused | done
    report: str = Field(default="", sa_type=Text)
    ended: int = Field(default=0, sa_type=BigInteger)


class Unmapped(Base, table=True):
    """A code or unit that a source sends and no table knows."""

    __tablename__ = "unmapped"
    id: int | None = Field(default=None, primary_key=True)
    source: str
    digest: bytes = Field(sa_type=LargeBinary)  # keyed hash of table, code, specimen, unit
    sealed: bytes = Field(sa_type=LargeBinary)  # table, code, name, specimen, unit
    messages: int = 0
    first_at: int = Field(sa_type=BigInteger)
    last_at: int = Field(sa_type=BigInteger)
    state: str = "open"  # open | proposed | approved | ignored
    proposal: bytes = Field(default=b"", sa_type=LargeBinary)  # the row proposed, sealed
    proposed_by: str = ""
    decided_by: str = ""
    decided_at: int = Field(default=0, sa_type=BigInteger)
    release: int = 0  # the release that knows it
    __table_args__ = (
        Index("unmapped_digest", "source", "digest", unique=True),
        Index("unmapped_state", "source", "state"),
    )


class UnmappedMessage(Base, table=True):
    """Which message met an unmapped code: these are read again when it is approved."""

    __tablename__ = "unmapped_message"
    unmapped: int = Field(primary_key=True)
    inbox: str = Field(primary_key=True)


class Quality(Base, table=True):
    """How often a detector struck among what a source sent on a day."""

    __tablename__ = "quality"
    source: str = Field(primary_key=True)
    day: str = Field(primary_key=True)
    detector: str = Field(primary_key=True)
    seen: int = 0  # how many could have
    struck: int = 0
    detail: str = Field(default="", sa_type=Text)  # counts by place, never a value


class ViewFeed(Base, table=True):
    """A database view that is asked for rows, and how far it was read."""

    __tablename__ = "view_feed"
    source: str = Field(primary_key=True)
    address: str  # path of the file that holds the database address
    view: str
    every: int = 60  # seconds
    watermark: bytes = Field(default=b"", sa_type=LargeBinary)  # the newest row's, sealed
    rows: int = Field(default=0, sa_type=BigInteger)
    last_at: int = Field(default=0, sa_type=BigInteger)
    error: str = ""  # kind of the last failure, never its text
