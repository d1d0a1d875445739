"""The imaging pages over the real county: studies decided, images fetched from the hospital's archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consent.model import Reason
from gateway.errors import Kind, Problem
from gateway.exchange import images
from gateway.portal.image_stories import (
    Picture,
    SeriesView,
    StudyList,
    StudyRow,
    StudyView,
    Trouble,
)
from gateway.portal.shown import Shown
from gateway.portal.stories import Refused
from gateway.services import Services
from gateway.services.caller import Caller

_TROUBLE: dict[Kind, Trouble] = {
    Kind.UNKNOWN: "absent",
    Kind.CONFLICT: "other",
    Kind.BUSY: "unanswered",
}


class ImageCounty:
    """`ImageStories`, told by the exchange."""

    _services: Services
    _shown: Shown

    async def studies(self, chart: str, caller: Caller) -> StudyList | Refused:
        found = await images.studies(chart, caller, self._services)
        if isinstance(found, Reason):
            return Refused(found.value)
        return StudyList(
            self._shown.resident(found.resident),
            tuple(study_row(one, self._shown) for one in found.studies),
        )

    async def study(self, id: str, caller: Caller) -> StudyView:
        held = await images.opened(id, caller, self._services)
        study, places = held.study, {}
        trouble: Trouble = ""
        try:
            places = await images.instances(held, self._services)
        except Problem as problem:
            trouble = _TROUBLE.get(problem.kind, "unanswered")
            if not self._services.archives.has(study.organization):
                trouble = "unregistered"
        told = {one.uid: one for one in study.series}
        uids: Sequence[str] = list(places) or list(told)
        return StudyView(
            self._shown.resident(held.resident),
            study_row(study, self._shown),
            study.uid,
            tuple(
                SeriesView(
                    told[uid].description if uid in told else "",
                    told[uid].modality if uid in told else "",
                    len(places[uid]) if places else told[uid].count,
                    told[uid].quality if uid in told else (),
                )
                for uid in uids
            ),
            trouble,
        )

    async def picture(
        self, id: str, series: int, number: int, window: str, caller: Caller
    ) -> Picture:
        held = await images.opened(id, caller, self._services)
        places = await images.instances(held, self._services)
        listed = list(places.items())
        if not 0 <= series < len(listed) or not 0 <= number < len(listed[series][1]):
            raise Problem(Kind.UNKNOWN, "There is no such image.")
        uid, instances = listed[series]
        query = f"window={window},linear" if window else ""
        found = await images.rendered(held, uid, instances[number], self._services, query)
        return Picture(found.media_type, found.body)

    async def dicomweb(
        self, id: str, uid: str, below: str, query: str, accept: str, base: str, caller: Caller
    ) -> Picture | list[Any]:
        held = await images.opened(id, caller, self._services)
        if not held.study.uid or uid != held.study.uid:
            raise Problem(Kind.REFUSED, "Only the open study is fetched.")
        if not below:
            return images.rewritten(await images.found(held, self._services), base)
        found = await images.fetch(held, below, query, accept, self._services)
        if isinstance(found, list):
            return images.rewritten(found, base)
        return Picture(found.media_type, found.body)


def study_row(study: images.Study, shown: Shown) -> StudyRow:
    """A study as a list shows it."""
    return StudyRow(
        study.id,
        study.description,
        shown.organization(study.organization),
        study.modalities,
        study.started,
        len(study.series),
        study.instances,
        study.images,
    )
