"""Feedback on cards: `POST /cds-services/{id}/feedback`, HL7 CDS Hooks 2.0, "Feedback".

Accepted suggestions become decisions, overrides with a coded reason become declines; a card closed
without a reason, and one that nobody answers, decides nothing. Told again, nothing changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import structlog

from gateway.cds.call import Call
from gateway.cds.cards import reason_system
from gateway.errors import Complaint, Kind, Problem
from gateway.exchange import prompting, reasons
from gateway.exchange.prompting import Feedback, Taken

MOST: Final = 100
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WORDS = 500

log = structlog.get_logger(__name__)


async def take(service: str, said: Any, call: Call) -> None:
    """Record a batch, each entry for itself: what is known is recorded whatever stands beside it.

    Problem UNKNOWN names the entries whose card is not this caller's (or nobody's), CONFLICT those that
    were answered otherwise before, any other the first entry that cannot be done; what is no feedback
    at all is MALFORMED or REQUIRED before anything is recorded.
    """
    if not call.caller.user or call.caller.role != "clinician":
        raise Problem(Kind.REFUSED, "Say for which clinician.")
    entries = list(_entries(said, call))
    unknown: list[Complaint] = []
    otherwise: list[Complaint] = []
    undone: list[Problem] = []
    for number, one in enumerate(entries):
        place = f"feedback[{number}]"
        try:
            taken = await prompting.answer(service, one, call.caller, call.services)
        except Problem as problem:
            if problem.kind is Kind.UNKNOWN:
                taken = Taken.UNKNOWN  # what was asked about may not be known of any more
            elif problem.kind is Kind.CONFLICT:
                taken = Taken.OTHERWISE
            else:
                at = f"{place}.{problem.place}" if problem.place else place
                undone.append(Problem(problem.kind, problem.text, at))
                continue
        if taken is Taken.UNKNOWN:
            unknown.append(Complaint("There is no such card.", f"{place}.card"))
        elif taken is Taken.OTHERWISE:
            otherwise.append(Complaint("Another answer, or another version, stands.", place))
    if unknown:
        log.warning(
            "feedback for unknown cards",
            client=call.caller.client,
            service=service,
            count=len(unknown),
        )
    if undone:
        raise undone[0]
    if unknown:
        raise Problem(Kind.UNKNOWN, unknown[0].text, unknown[0].place, tuple(unknown))
    if otherwise:
        raise Problem(Kind.CONFLICT, otherwise[0].text, otherwise[0].place, tuple(otherwise))


def _entries(said: Any, call: Call) -> Iterator[Feedback]:
    listed = said.get("feedback") if isinstance(said, Mapping) else None
    if listed is None:
        raise Problem(Kind.REQUIRED, "A list of feedback is needed.", "feedback")
    if not isinstance(listed, list) or not listed or len(listed) > MOST:
        raise Problem(Kind.MALFORMED, f"A list of 1 to {MOST} is needed.", "feedback")
    for number, one in enumerate(listed):
        place = f"feedback[{number}]"
        if not isinstance(one, Mapping):
            raise Problem(Kind.MALFORMED, "An object is needed.", place)
        yield _entry(one, place, call)


def _entry(one: Mapping[str, Any], place: str, call: Call) -> Feedback:
    card = _uuid(one.get("card"), f"{place}.card")
    _instant(one.get("outcomeTimestamp"), f"{place}.outcomeTimestamp")
    match one.get("outcome"):
        case "accepted":
            if "overrideReason" in one:
                raise Problem(Kind.MALFORMED, "Accepted and overridden.", f"{place}.overrideReason")
            return Feedback(card, tuple(_accepted(one, place)))
        case "overridden":
            if one.get("acceptedSuggestions"):
                at = f"{place}.acceptedSuggestions"
                raise Problem(Kind.MALFORMED, "Accepted and overridden.", at)
            return replace(_reason(one, place, call), card=card)
        case None:
            raise Problem(Kind.REQUIRED, "An outcome is needed.", f"{place}.outcome")
        case _:
            raise Problem(Kind.MALFORMED, "accepted or overridden.", f"{place}.outcome")


def _accepted(one: Mapping[str, Any], place: str) -> Iterator[str]:
    listed = one.get("acceptedSuggestions")
    at = f"{place}.acceptedSuggestions"
    if not isinstance(listed, list) or not listed or len(listed) > MOST:
        raise Problem(Kind.REQUIRED, "Say which suggestions were accepted.", at)
    for number, said in enumerate(listed):
        id = said.get("id") if isinstance(said, Mapping) else None
        yield _uuid(id, f"{at}[{number}].id")


def _reason(one: Mapping[str, Any], place: str, call: Call) -> Feedback:
    """A decline's code and words; neither has to be said."""
    at = f"{place}.overrideReason"
    said = one.get("overrideReason", {})
    if not isinstance(said, Mapping):
        raise Problem(Kind.MALFORMED, "An object is needed.", at)
    words = said.get("userComment", "")
    if not isinstance(words, str) or len(words) > _WORDS:
        raise Problem(Kind.MALFORMED, f"A text of {_WORDS} at most.", f"{at}.userComment")
    words = words.strip()
    match said.get("reason"):
        case None:
            return Feedback("", None, None, words)
        case {"code": str(code), **rest}:
            reason = reasons.of(call.caller.organization, call.services).get(code)
            if reason is None or rest.get("system", "") not in (
                "",
                reason_system(reason, call.services),
            ):
                raise Problem(Kind.MALFORMED, "Not a reason of the card.", f"{at}.reason")
            if reason.needs_words and not words:
                raise Problem(Kind.UNPROCESSABLE, "This reason needs words.", f"{at}.userComment")
            return Feedback("", None, reason.national, words, reason.local)
        case _:
            raise Problem(Kind.MALFORMED, "A coding is needed.", f"{at}.reason")


def _uuid(said: Any, place: str) -> str:
    if said is None:
        raise Problem(Kind.REQUIRED, "A UUID is needed.", place)
    if not isinstance(said, str) or not _UUID.fullmatch(said):
        raise Problem(Kind.MALFORMED, "A UUID is needed.", place)
    return said.lower()


def _instant(said: Any, place: str) -> None:
    """It has to be told; our own clock counts."""
    if said is None:
        raise Problem(Kind.REQUIRED, "An instant is needed.", place)
    try:
        good = isinstance(said, str) and datetime.fromisoformat(said).tzinfo is not None
    except ValueError:
        good = False
    if not good:
        raise Problem(Kind.MALFORMED, "An instant with its zone is needed.", place)
