"""The few kinds of trouble, told once, in words that name no patient."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What went wrong, as (HTTP status, FHIR issue code): R4 valueset-issue-type."""

    MALFORMED = (400, "invalid")
    REQUIRED = (400, "required")
    NOT_SUPPORTED = (400, "not-supported")
    UNAUTHENTICATED = (401, "login")
    REFUSED = (403, "forbidden")
    UNKNOWN = (404, "not-found")
    NO_SUCH_ROUTE = (404, "not-supported")
    NO_SUCH_METHOD = (405, "not-supported")
    NOT_ACCEPTABLE = (406, "not-supported")
    CONFLICT = (409, "conflict")
    PRECONDITION = (412, "conflict")
    TOO_LARGE = (413, "too-long")
    MEDIA_TYPE = (415, "not-supported")
    UNPROCESSABLE = (422, "processing")
    THROTTLED = (429, "throttled")
    BUSY = (503, "transient")

    @property
    def status(self) -> int:
        """The HTTP status this kind is told with."""
        return self.value[0]

    @property
    def code(self) -> str:
        """The OperationOutcome issue code this kind is told with."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong at one place; `place` is the sender's own address for it."""

    text: str
    place: str = ""
    code: str = ""


def place_of(fault: BaseException) -> str:
    """File and line where a fault arose: all that may be written of one nobody foresaw."""
    where = fault.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    return f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""


class Problem(Exception):
    """Trouble that may be told to the caller: a sentence and a place, never a value of a patient."""

    def __init__(
        self,
        kind: Kind,
        text: str,
        place: str = "",
        complaints: tuple[Complaint, ...] = (),
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.place = place
        self.complaints = complaints or (Complaint(text, place),)
