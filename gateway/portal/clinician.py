"""The clinician's pages: find the resident, read what all hospitals found, recognise it or not."""

from __future__ import annotations

from datetime import date

from starlette.responses import Response

from gateway.exchange.claims import says_enough
from gateway.identity import resident_id
from gateway.identity.resident_id import NotAnId
from gateway.portal import chart_words, decision_form, emergency, image_words, recent
from gateway.portal.chart_stories import NameAsked, SeveralFit
from gateway.portal.decision_form import Form
from gateway.portal.desk import Desk, plain
from gateway.portal.identifiers import kept, typed
from gateway.portal.narrative import harmless
from gateway.portal.stories import (
    Identifier,
    NeedsClaim,
    Refused,
    Report,
    Resident,
)


async def look_up_page(desk: Desk) -> Response:
    return await _look_up_page(desk)


async def _look_up_page(
    desk: Desk, status: int = 200, misread: NotAnId | None = None, unfound: str = ""
) -> Response:
    waiting, changed = 0, 0
    if status == 200:
        waiting = len(await desk.portal.stories.questions(desk.who.caller))
        alerts = await desk.portal.stories.relied_alerts(desk.who.caller, looked=False)
        changed = sum(one.new for one in alerts)
    return await desk.page(
        "look-up.html",
        status,
        misread=misread,
        unfound=unfound,
        waiting=waiting,
        changed=changed,
        recent=recent.of_today(desk),
        today=desk.portal.today().isoformat(),
        chart_words=chart_words,
    )


async def look_up(desk: Desk) -> Response:
    """Find by number; the number stays out of the address and, unless found wanting, of memory."""
    match typed(desk):
        case NotAnId() as why:
            return await _look_up_page(desk, 422, why)
        case identifier:
            desk.paced("look-up")
            return await _open(desk, identifier, None)


async def look_up_name(desk: Desk) -> Response:
    """Find by name and birth date among those treated here; more than one is never a list."""
    try:
        birth = date.fromisoformat(desk.text("birth", 10))
    except ValueError:
        return await _look_up_page(desk, 422, unfound="birth")
    name, number = desk.text("name", 100), desk.text("own-number", 64)
    if not name or birth > desk.portal.today():
        return await _look_up_page(desk, 422, unfound="birth" if name else "name")
    desk.paced("look-up")
    desk.even = True  # nobody, a stranger, and somebody who is not shown
    match await desk.portal.stories.open_by_name(NameAsked(name, birth, number), desk.who.caller):
        case None:
            return await _look_up_page(desk, 404, unfound="nobody")
        case SeveralFit():
            return await _look_up_page(desk, 409, unfound="several")
        case found:
            return await recent.taken(desk, found)


async def _open(desk: Desk, identifier: Identifier, claim: str | None) -> Response:
    desk.even = True  # nobody by that number, and somebody who is not treated here
    match await desk.portal.stories.open_resident(identifier, desk.who.caller, claim):
        case NeedsClaim() if claim is None:
            asked = {"kind": identifier.kind, "number": identifier.number}
            return await desk.go("/claim", asked=asked, chart=None, grant=None)
        case NeedsClaim():
            return await desk.page("not-found.html", 404)
        case Refused(reason):
            await desk.keep(
                asked={"kind": identifier.kind, "number": identifier.number}, chart=None, grant=None
            )
            return await desk.page("refused.html", 403, reason=reason)
        case Resident() as found:
            return await recent.taken(desk, found)


def _asked(desk: Desk) -> Identifier | None:
    return kept(plain(desk.who.memory, "asked"))


async def claim_page(desk: Desk) -> Response:
    asked = _asked(desk)
    if asked is None:
        return await desk.go("/look-up")
    return await _claim_page(desk, asked)


async def _claim_page(
    desk: Desk, asked: Identifier, status: int = 200, missing: str = "", reason: str = ""
) -> Response:
    return await desk.page(
        "claim.html",
        status,
        asked=resident_id.masked(asked.number),
        about=desk.about(asked.kind, asked.number),
        missing=missing,
        reason=reason,
    )


async def claim(desk: Desk) -> Response:
    """Say "I am treating this person", and why; somebody will read it."""
    asked = _asked(desk)
    if asked is None:
        return await desk.go("/look-up")
    desk.still_about(asked.kind, asked.number)
    reason = desk.text("reason", 500)
    declared = desk.text("declared") == "yes"
    if not declared or not says_enough(reason):
        missing = "reason" if declared else "declared"
        return await _claim_page(desk, asked, 422, missing, reason)
    desk.paced("claim")
    return await _open(desk, asked, reason)


async def put_back(desk: Desk) -> Response:
    """Close the chart in hand."""
    return await desk.go("/look-up", "put-back", chart=None, asked=None, grant=None)


async def report(desk: Desk) -> Response:
    """A report as issued."""
    return await _report(desk)


async def _report(desk: Desk, form: Form | None = None) -> Response:
    id = desk.id_of(desk.request.path_params["handle"])
    access = await emergency.in_hand(desk)
    view = await desk.portal.stories.report(id, emergency.asking(desk, access))
    return await desk.page(
        "report.html",
        422 if form else 200,
        resident=view.resident,
        view=view,
        report=view.report,
        open=access is None and _open_for_decision(view.report),
        narratives=[harmless(one.narrative) for one in view.originals if one.narrative],
        documents=[
            (place, one) for place, one in enumerate(view.originals) if one.kind == "document"
        ],
        chart_words=chart_words,
        image_words=image_words,
        **emergency.shown(desk, access),
        missing=form.missing if form else "",
        said=form.verdict if form else None,
        reasons=await desk.portal.stories.decline_reasons(desk.who.caller),
    )


def _open_for_decision(report: Report) -> bool:
    """Whether anything here waits for, or already has, a recognition decision."""
    things = (report.recognition, *(result.recognition for result in report.results))
    return any(thing.state == "eligible" for thing in things)


async def decide(desk: Desk) -> Response:
    """Accept or decline what was ticked, in the versions that were on the screen."""
    handle = desk.request.path_params["handle"]
    id, form = desk.id_of(handle), await decision_form.read(desk)
    if form.missing:
        return await _report(desk, form)
    await desk.portal.stories.decide(id, form.targets, form.verdict, desk.who.caller)
    return await desk.go(f"/reports/{handle}", form.verdict.outcome)
