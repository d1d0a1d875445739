"""The worklist of folders that may be one person's: the list, one pair side by side, the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.errors import Kind, Problem
from gateway.exchange.pairing import WHY, Answer, Pair
from gateway.identity import names, resident_id
from gateway.portal import folders_words
from gateway.portal.desk import Adder, Desk
from gateway.portal.shown import sex
from gateway.records.facts import Facts
from gateway.records.instant import moment


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The addresses of this area."""
    return [
        get("/folders", worklist, "registrar"),
        get("/folders/{number:int}", pair_page, "registrar"),
        post("/folders/{number:int}", answer, "registrar"),
    ]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing both folders say, as text of each and how the two agree; `apart` counts the places
    in which two numbers of one length differ."""

    field: str
    texts: tuple[str, str]
    verdict: str  # same | similar | other | missing
    apart: int = 0


def lines(sides: Sequence[Facts]) -> tuple[Line, ...]:
    """What two folders say of their person, field by field; numbers are compared whole and shown
    masked."""
    one, other = sides
    numbers = (one.number, other.number)
    apart = 0
    if all(numbers) and len({len(number) for number in numbers}) == 1:
        apart = sum(a != b for a, b in zip(*numbers, strict=True))
    called = _verdict(one.name, other.name)
    if called == "other" and names.similarity(one.name, other.name) >= 0.8:
        called = "similar"
    masked = tuple(resident_id.masked(number) if number else "" for number in numbers)
    return (
        Line("name", (one.name, other.name), called),
        Line("sex", (one.sex, other.sex), _verdict(one.sex, other.sex)),
        Line("birth", (one.birth, other.birth), _verdict(one.birth, other.birth)),
        Line("number", (masked[0], masked[1]), _verdict(*numbers), apart),
        Line("death", (one.death, other.death), _verdict(one.death, other.death)),
    )


def _verdict(one: str, other: str) -> str:
    if not (one and other):
        return "missing"
    return "same" if one == other else "other"


def masked(name: str) -> str:
    """A name on a list of many: its first character, then stars."""
    return name[:1] + "*" * min(len(name) - 1, 3)


def _known(desk: Desk) -> dict[str, Any]:
    return {
        "marks": folders_words,
        "at": moment,
        "masked": masked,
        "lines": lines,
        "sex": sex,
        "named": desk.portal.stories.named,
        "likeness": lambda sides: round(100 * names.similarity(*(one.facts.name for one in sides))),
    }


async def worklist(desk: Desk) -> Response:
    """What waits, oldest first, and what was answered lately."""
    page = desk.request.query_params.get("page", "1")
    number = int(page) if page.isdecimal() and len(page) < 7 else 1
    found = await desk.portal.stories.worklist(number, desk.who.caller)
    return await desk.page("folders-worklist.html", found=found, **_known(desk))


async def pair_page(desk: Desk) -> Response:
    """Both folders side by side."""
    return await _pair_page(desk)


async def _pair_page(desk: Desk, status: int = 200, missing: str = "") -> Response:
    number = _number(desk)
    pair: Pair = await desk.portal.stories.folder_pair(number, desk.who.caller)
    return await desk.page(
        "folders-pair.html", status, pair=pair, missing=missing, why=WHY, **_known(desk)
    )


async def answer(desk: Desk) -> Response:
    """One answer; the next pair comes up. Who came second sees what the first one said."""
    said = desk.text("answer", 12)
    told: Answer | None = next((one for one in folders_words.ANSWERS if one == said), None)
    if told is None:
        raise Problem(Kind.MALFORMED, "Choose an answer.", "answer")
    number = _number(desk)
    try:
        waits = await desk.portal.stories.answer_pair(
            number,
            told,
            desk.text("mark", 200),
            desk.text("why", 20),
            desk.text("note", 200),
            desk.who.caller,
        )
    except Problem as problem:
        if problem.place not in ("pair", "answer", "why"):
            raise
        return await _pair_page(desk, problem.kind.status, problem.place)
    return await desk.go(f"/folders/{waits}" if waits else "/folders", f"folders-said-{told}")


def _number(desk: Desk) -> int:
    number = int(desk.request.path_params["number"])
    if number >= 2**31:
        raise Problem(Kind.UNKNOWN, "No such pair of folders.")
    return number
