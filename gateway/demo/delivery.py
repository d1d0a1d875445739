"""What travels in the pretend county: one delivery of bytes from one hospital system."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

Channel = Literal["mllp", "http-rows", "http-dicom", "http-xml", "fhir", "file"]
ER7 = "x-application/hl7-v2+er7"


@dataclass(frozen=True, slots=True)
class Delivery:
    """`raw` exactly as `source` sends it through `channel`, at the county's local time `at`.

    `about` names the situation ("story", "duplicate", "corrected" …), `control_id` is the message's
    own or empty where the channel has none.
    """

    source: str
    channel: Channel
    content_type: str
    raw: bytes
    at: datetime
    about: str = ""
    control_id: str = ""


def moment(today: date, days_ago: int, clock: str = "08:00") -> datetime:
    """A local time without zone, as hospital systems print it: `days_ago` days before `today`."""
    return datetime.combine(today - timedelta(days=days_ago), time.fromisoformat(clock))
