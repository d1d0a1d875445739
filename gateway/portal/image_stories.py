"""Values of the imaging pages: studies of one person, and one study with its series."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gateway.recognition.images import Images
from gateway.services.caller import Caller

if TYPE_CHECKING:
    from gateway.portal.stories import Refused, Resident

Trouble = Literal["", "unregistered", "absent", "other", "unanswered"]


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One study in the list; `images` says whether the hospital's archive had them when last asked."""

    id: str
    title: str
    organization: str
    modalities: tuple[str, ...]
    started: date | datetime | None
    series: int
    instances: int
    images: Images


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One series: how many images may be paged through, and what was told of their quality."""

    title: str
    modality: str
    count: int
    quality: tuple[tuple[str, str, str], ...] = ()  # name, value, unit


@dataclass(frozen=True, slots=True)
class StudyList:
    """The studies of one person, newest first."""

    resident: Resident
    studies: tuple[StudyRow, ...]


@dataclass(frozen=True, slots=True)
class StudyView:
    """One study, opened. Without images `series` is what the record tells, and `trouble` says why."""

    resident: Resident
    study: StudyRow
    uid: str
    series: tuple[SeriesView, ...]
    trouble: Trouble = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """Bytes as an archive sends them."""

    media_type: str
    body: AsyncIterator[bytes]


class ImageStories(Protocol):
    """The stories behind the imaging pages."""

    async def studies(self, chart: str, caller: Caller) -> StudyList | Refused:
        """The studies of the person in hand."""

    async def study(self, id: str, caller: Caller) -> StudyView:
        """Open one study: one event; Problem UNKNOWN when absent or hidden."""

    async def picture(
        self, id: str, series: int, number: int, window: str, caller: Caller
    ) -> Picture:
        """An image of the open study by its place (from 0), as JPEG; `window` "centre,width" or ""."""

    async def dicomweb(
        self, id: str, uid: str, below: str, query: str, accept: str, base: str, caller: Caller
    ) -> Picture | list[Any]:
        """What a viewer asks for beneath the open study; Problem REFUSED for any other study."""
