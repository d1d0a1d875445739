"""The tables of mutual recognition, statistics and the county's registers.

Clear columns hold ids, organisations, states and times; what was measured, in whom and why is sealed.
All times are integer microseconds UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, LargeBinary, Text
from sqlmodel import Field

from gateway.store.tables import Base


class RecognitionEvent(Base, table=True):
    """One prompt, view, decision or revocation (and what became of it), for the statistics.

    `question` is a keyed hash: the same receiver, patient, item and visit; `patient` is one too, by
    which a later measurement finds the questions it answers. Everything that could tell who was
    examined for what is in `sealed`.
    """

    __tablename__ = "recognition_event"
    id: str = Field(primary_key=True)
    kind: str
    at: int = Field(sa_type=BigInteger)
    organization: str  # the receiver
    question: str
    patient: str = ""
    sealed: bytes = Field(sa_type=LargeBinary)
    __table_args__ = (
        Index("recognition_event_at", "at"),
        Index("recognition_event_question", "question"),
        Index("recognition_event_patient", "patient", "organization"),
    )


class RecognitionCard(Base, table=True):
    """A card that was given to a client, so that its feedback can be told from a stranger's."""

    __tablename__ = "recognition_card"
    id: str = Field(primary_key=True)
    client: str
    organization: str
    login: str  # the clinician who was asked
    at: int = Field(sa_type=BigInteger)
    ends: int = Field(sa_type=BigInteger, index=True)
    answered: int = Field(default=0, sa_type=BigInteger)
    answer: bytes = Field(default=b"", sa_type=LargeBinary)  # keyed hash of what was answered
    sealed: bytes = Field(sa_type=LargeBinary)


class UnmappedOrder(Base, table=True):
    """An order code of a hospital that means nothing to the catalogue, for its IT office."""

    __tablename__ = "unmapped_order"
    organization: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)  # keyed hash of code and name
    sealed: bytes = Field(sa_type=LargeBinary)  # codings and name
    signed: int = 0  # how often it was about to be signed
    first_at: int = Field(sa_type=BigInteger)
    last_at: int = Field(sa_type=BigInteger)


class LaunchTicket(Base, table=True):
    """One opening of the recognition page from a HIS that cannot speak CDS Hooks; used once."""

    __tablename__ = "launch_ticket"
    tag: bytes = Field(primary_key=True, sa_type=LargeBinary)  # keyed hash of the ticket
    organization: str
    login: str
    ends: int = Field(sa_type=BigInteger, index=True)
    spent: int = Field(default=0, sa_type=BigInteger)
    sealed: bytes = Field(sa_type=LargeBinary)


class DecisionEvidence(Base, table=True):
    """What a decision on a result rested on: what was shown, versions, rules and times."""

    __tablename__ = "decision_evidence"
    id: str = Field(primary_key=True)
    task: str = Field(index=True)
    chart: str = Field(index=True)
    target: str = Field(index=True)  # the record decided on
    version: int
    source: str = Field(index=True)  # the chart of that record
    report: str = Field(default="", index=True)  # the report it was shown in
    organization: str
    login: str
    at: int = Field(sa_type=BigInteger)
    standing: int = 1  # 0 when revoked or decided anew
    licensed: int = 0  # 1: the doctor's licence number was on file
    sealed: bytes = Field(sa_type=LargeBinary)  # with the record key of `chart`


class ReliedAlert(Base, table=True):
    """A result somebody relied on has changed since; shown to them until they have seen it."""

    __tablename__ = "relied_alert"
    id: int | None = Field(default=None, primary_key=True)
    evidence: str = Field(index=True)
    organization: str
    login: str
    chart: str
    target: str
    version: int  # the version that changed it; the old one where only whose it is changed
    change: str  # corrected | replaced | withdrawn | identity
    at: int = Field(sa_type=BigInteger)
    seen: int = Field(default=0, sa_type=BigInteger)
    settled: int = Field(default=0, sa_type=BigInteger)  # the decision was renewed or revoked since
    told: int = Field(
        default=0, sa_type=BigInteger
    )  # when the hospital's own system was written to
    # Kind of the failure for which it could not be: never its text. Bookkeeping, not vouched for.
    trouble: str = Field(default="", sa_column_kwargs={"server_default": ""})
    __table_args__ = (
        Index("relied_alert_untold", "told", "settled"),
        Index("relied_alert_of", "organization", "login", "settled"),
        Index("relied_alert_once", "evidence", "version", "change", unique=True),
    )


class DeclineUse(Base, table=True):
    """How often the doctors of a hospital chose a reason, so that forms list the usual ones first."""

    __tablename__ = "decline_use"
    organization: str = Field(primary_key=True)
    code: str = Field(primary_key=True)
    uses: int = Field(default=0, sa_type=BigInteger)


class WriteBack(Base, table=True):
    """A message to the hospital whose doctor decided, and whether it has been handed over."""

    __tablename__ = "write_back"
    id: str = Field(primary_key=True)
    organization: str
    chart: str
    task: str
    at: int = Field(sa_type=BigInteger)
    state: str = "waiting"  # waiting | held | delivered | failed
    attempts: int = 0
    due: int = Field(sa_type=BigInteger)
    error: str = ""  # kind of the last failure, never its text
    sealed: bytes = Field(sa_type=LargeBinary)  # with the record key of `chart`
    kind: str = "decision"  # decision | revocation | alert
    __table_args__ = (Index("write_back_due", "state", "due"),)


class CatalogueVersion(Base, table=True):
    """A version of the recognition catalogue, from draft to published; published ones are signed."""

    __tablename__ = "catalogue_version"
    number: int = Field(primary_key=True)
    hash: str  # SHA-256 of the content
    state: str  # draft | approved | published | refused
    base: int = 0  # the version it was made from
    note: str = Field(default="", sa_type=Text)
    made_by: str
    organization: str = ""
    made_at: int = Field(sa_type=BigInteger)
    decided_by: str = ""
    decided_at: int = Field(default=0, sa_type=BigInteger)
    reason: str = Field(default="", sa_type=Text)
    since: int = Field(default=0, sa_type=BigInteger)  # in force from
    signature: bytes = Field(default=b"", sa_type=LargeBinary)
    content: bytes = Field(sa_type=LargeBinary)  # last: a state is read without it


class EntitlementEvent(Base, table=True):
    """A step in the life of an entitlement or membership; nothing is ever changed, only added."""

    __tablename__ = "entitlement_event"
    number: int = Field(primary_key=True, sa_type=BigInteger)
    entitlement: str = Field(index=True)
    organization: str
    act: str  # granted | suspended | restored | revoked | joined | left
    content: bytes = Field(sa_type=LargeBinary)
    reason: str = Field(default="", sa_type=Text)
    decided_by: str
    at: int = Field(sa_type=BigInteger)
    signature: bytes = Field(default=b"", sa_type=LargeBinary)


class StatisticsSnapshot(Base, table=True):
    """The figures of a month as they stood when it was closed; never changed. `content` is sealed."""

    __tablename__ = "statistics_snapshot"
    id: str = Field(primary_key=True)
    month: str
    organization: str  # empty is the county
    content: bytes = Field(sa_type=LargeBinary)
    hash: str
    made_by: str
    at: int = Field(sa_type=BigInteger)
    signature: bytes = Field(default=b"", sa_type=LargeBinary)
    __table_args__ = (Index("statistics_snapshot_month", "month", "organization", unique=True),)


class StatisticsObjection(Base, table=True):
    """A hospital's objection to frozen figures, and the commission's answer; the figures stay."""

    __tablename__ = "statistics_objection"
    id: str = Field(primary_key=True)
    month: str
    organization: str
    made_by: str
    made_at: int = Field(sa_type=BigInteger)
    sealed: bytes = Field(sa_type=LargeBinary)
    state: str = "open"  # open | upheld | rejected
    decided_by: str = ""
    decided_at: int = Field(default=0, sa_type=BigInteger)
    answer: bytes = Field(default=b"", sa_type=LargeBinary)  # sealed
    __table_args__ = (Index("statistics_objection_month", "month", "organization"),)


class RegisterEntry(Base, table=True):
    """One version of one line of the county's registers: systems, rights, resources, elements.

    `content` is sealed under the line's name, version, state and who decided: a row that is altered counts
    for nothing.
    """

    __tablename__ = "register_entry"
    kind: str = Field(primary_key=True)  # system | right | resource | element
    id: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    act: str = "put"  # put | end: whether the line is to stand or to go
    state: str  # draft | approved | refused
    content: bytes = Field(sa_type=LargeBinary)
    made_by: str
    made_at: int = Field(sa_type=BigInteger)
    decided_by: str = ""
    decided_at: int = Field(default=0, sa_type=BigInteger)


class ImageProbe(Base, table=True):
    """What an archive answered when it was last asked for the images of a study.

    `found` is sealed, and tells when, of which study and what: a row that is altered counts for nothing.
    """

    __tablename__ = "image_probe"
    study: str = Field(primary_key=True)  # id of the ImagingStudy
    found: bytes = Field(sa_type=LargeBinary)


class IdentityReview(Base, table=True):
    """What somebody answered about two folders that may be one person's; rows are only added."""

    __tablename__ = "identity_review"
    id: int | None = Field(default=None, primary_key=True)
    link: int = Field(index=True)
    answer: str  # one | two | later | undone
    before: str  # what was open: possible | merge | contradicted
    organization: str
    login: str
    at: int = Field(sa_type=BigInteger)
    sealed: bytes = Field(sa_type=LargeBinary)  # why, and a note
