"""The IT office's pages: what came from each hospital, what is held back and where it hurts."""

from __future__ import annotations

from starlette.responses import Response

from gateway.portal.desk import Desk


async def sources(desk: Desk) -> Response:
    """Every source with its sum; a sum that does not agree is said loudly."""
    found = await desk.portal.stories.sources(desk.who.caller)
    return await desk.page("sources.html", sources=found)


async def quarantine(desk: Desk) -> Response:
    """Held messages; `?source=` names a source, which is nobody's secret."""
    chosen = desk.request.query_params.get("source", "")
    stories, caller = desk.portal.stories, desk.who.caller
    known = await stories.sources(caller)
    if chosen not in {source.name for source in known}:
        chosen = ""
    held = await stories.quarantine(chosen, caller)
    return await desk.page("quarantine.html", held=held, sources=known, chosen=chosen)


async def replay(desk: Desk) -> Response:
    """Read one held message again with the map as it is now."""
    outcome = await desk.portal.stories.replay(desk.text("message", 64), desk.who.caller)
    return await desk.go("/quarantine", outcome)


async def issues(desk: Desk) -> Response:
    return await desk.page("issues.html", issues=await desk.portal.stories.issues(desk.who.caller))


async def alarms(desk: Desk) -> Response:
    return await desk.page("alarms.html", alarms=await desk.portal.stories.alarms(desk.who.caller))
