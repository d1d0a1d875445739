"""The IT office's pages: what came from each hospital, what is held back and where it hurts."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gateway.errors import Kind, Problem
from gateway.portal import operators_words
from gateway.portal.desk import Desk
from gateway.records.instant import moment

CELLS = ("loinc", "relation", "unit", "specimen", "ucum", "target")
"""What a row proposed at the page may say."""


async def sources(desk: Desk) -> Response:
    """Every source with its sum; a sum that does not agree is said loudly."""
    found = await desk.portal.stories.sources(desk.who.caller)
    glance = await desk.portal.stories.glance(desk.who.caller)
    ending = await desk.portal.stories.ending(desk.who.caller)
    return await desk.page(
        "sources.html",
        sources=found,
        glance=glance,
        ending=ending,
        at=moment,
        marks=operators_words,
    )


async def quarantine(desk: Desk) -> Response:
    """Held messages; `?source=` names a source, which is nobody's secret."""
    chosen = desk.request.query_params.get("source", "")
    stories, caller = desk.portal.stories, desk.who.caller
    known = await stories.sources(caller)
    if chosen not in {source.name for source in known}:
        chosen = ""
    held = await stories.quarantine(chosen, caller)
    return await desk.page("quarantine.html", held=held, sources=known, chosen=chosen)


async def decide_held(desk: Desk) -> Response:
    """Read one held message again with the map as it is now, or say what its lost items are."""
    stories, caller, id = desk.portal.stories, desk.who.caller, desk.text("message", 64)
    match desk.text("act", 12):
        case "withdraw":
            await stories.review(id, "withdraw", caller)
            return await desk.go("/quarantine", "items-withdrawn")
        case "keep":
            await stories.review(id, "keep", caller)
            return await desk.go("/quarantine", "items-kept")
    return await desk.go("/quarantine", await stories.replay(id, caller))


async def labels(desk: Desk) -> Response:
    """The label lists in force, and how far the records follow them."""
    return await desk.page("labels.html", labels=await desk.portal.stories.labels(desk.who.caller))


async def issues(desk: Desk) -> Response:
    return await desk.page("issues.html", issues=await desk.portal.stories.issues(desk.who.caller))


async def quality(desk: Desk) -> Response:
    """Detectors by source; `?source=` chooses whose are told in full, else the one most in need."""
    found = await desk.portal.stories.quality(desk.who.caller)
    asked = desk.request.query_params.get("source", "")
    chosen = next((one for one in found if one.source == asked), None)
    if chosen is None and found:
        chosen = max(found, key=lambda one: (one.crossed, one.messages))
    numbers = {one.number: one for source in found for one in source.detected}
    return await desk.page(
        "quality.html",
        quality=found,
        chosen=chosen,
        detectors=[numbers[number] for number in sorted(numbers)],
    )


async def unmapped(desk: Desk) -> Response:
    """Codes no table knows, what they could mean, and what has been proposed."""
    return await _unmapped(desk)


async def _unmapped(desk: Desk, status: int = 200, **said: Any) -> Response:
    ignored = desk.request.query_params.get("ignored") == "yes"
    codes = await desk.portal.stories.unmapped(ignored, desk.who.caller)
    context = {"doubt": None, "asked": 0, "given": {}} | said
    return await desk.page("unmapped.html", status, codes=codes, ignored=ignored, **context)


async def decide_code(desk: Desk) -> Response:
    """One step with one code: proposed, approved by another person, declined, ignored, reopened."""
    stories, caller = desk.portal.stories, desk.who.caller
    line = desk.text("line", 12)
    id = int(line) if line.isascii() and line.isdigit() else 0
    match desk.text("act"):
        case "propose":
            cells = {name: desk.text(name, 200) for name in CELLS}
            knowing = desk.text("knowing") == "yes"
            doubt = await stories.propose_code(id, cells, knowing, caller)
            if doubt is not None:
                return await _unmapped(desk, 422, doubt=doubt, asked=id, given=cells)
            return await desk.go("/unmapped", "code-proposed")
        case "approve":
            await stories.approve_code(id, caller)
            return await desk.go("/unmapped", "code-approved")
        case "decline":
            await stories.decline_code(id, caller)
            return await desk.go("/unmapped", "code-declined")
        case "ignore":
            await stories.ignore_code(id, desk.text("reason", 500), caller)
            return await desk.go("/unmapped", "code-ignored")
        case "reopen":
            await stories.reopen_code(id, caller)
            return await desk.go("/unmapped", "code-reopened")
    raise Problem(Kind.MALFORMED, "No such step.", "act")


async def releases(desk: Desk) -> Response:
    """Maps and their releases; what waits for a second person stands first."""
    found = await desk.portal.stories.releases(desk.who.caller)
    return await desk.page("releases.html", sites=found)


async def decide_release(desk: Desk) -> Response:
    """Approve or refuse a release; what was read is what is decided about."""
    number, act = desk.text("release", 12), desk.text("act", 12)
    if not number.isdecimal() or act not in {"approve", "refuse"}:
        raise Problem(Kind.MALFORMED, "Neither approved nor refused.")
    found = await desk.portal.stories.releases(desk.who.caller)
    chosen = [one for site in found for one in site.releases if one.number == int(number)]
    desk.still_about(*(repr(one) for one in chosen))
    await desk.portal.stories.decide_release(int(number), act == "approve", desk.who.caller)
    return await desk.go("/releases", f"release-{act}")
