"""The privacy officer's question: who would be answered what about a resident, by which rule?"""

from __future__ import annotations

from dataclasses import asdict

from starlette.responses import Response

from gateway.errors import Kind, Problem
from gateway.identity import resident_id
from gateway.identity.resident_id import NotAnId
from gateway.portal import explain_words
from gateway.portal.desk import Desk, plain
from gateway.portal.explain_stories import Offered, Question
from gateway.portal.stories import Identifier, Language


async def page(desk: Desk) -> Response:
    """The answer to the question this session keeps; without one, an empty form."""
    return await _page(desk)


async def _page(desk: Desk, misread: NotAnId | None = None) -> Response:
    stories, caller = desk.portal.stories, desk.who.caller
    offered = await stories.explain_offered(caller)
    kept = plain(desk.who.memory, "explained")
    number = str(kept.get("number", ""))
    question = Question(*(str(kept.get(name, "")) for name in ("who", "purpose", "category")))
    found = None
    if number and not misread:
        identifier = Identifier("resident-id", number)
        tongue: Language = "en" if desk.language == "en" else "zh"
        found = await stories.explain(identifier, question, tongue, caller)
    if misread:
        number = desk.text("number", 64)
    return await desk.page(
        "privacy-explain.html",
        422 if misread else 200,
        offered=offered,
        question=question,
        number=number,
        masked=resident_id.masked(number) if found else "",
        found=found,
        misread=misread,
        terms=explain_words,
        names={one.code: one.name for one in (*offered.askers, *offered.categories)},
    )


async def ask(desk: Desk) -> Response:
    """Take the question down; the number stays in the session, never in an address."""
    if desk.text("clear"):
        return await desk.go("/privacy/explain", explained=None)
    desk.paced("look-up")
    offered = await desk.portal.stories.explain_offered(desk.who.caller)
    question = Question(*(desk.text(name, 200) for name in ("who", "purpose", "category")))
    if not _sensible(question, offered):
        raise Problem(Kind.MALFORMED, "Choose from the lists.")
    match resident_id.read(desk.text("number", 64)):
        case NotAnId() as why:
            return await _page(desk, why)
        case read:
            kept = asdict(question) | {"number": read.number}
            return await desk.go("/privacy/explain", explained=kept)


def _sensible(question: Question, offered: Offered) -> bool:
    return (
        question.who in {one.code for one in offered.askers}
        and question.purpose in offered.purposes
        and question.category in {"", *(one.code for one in offered.categories)}
    )
