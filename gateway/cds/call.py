"""What a CDS service is given, and the cards it gives back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import Kind, Problem
from gateway.exchange.consulting import Subject
from gateway.services import Services
from gateway.services.caller import Caller

Cards = Mapping[str, Any]
"""A CDS Hooks response: `cards`, and perhaps an `extension`."""

MOST = 8  # numbers of one person
_CHART = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its context as plain values, who is proved to ask, and what else was sent.

    `unheard` are the members beside hook, instance and context; none of them is ever looked at.
    `body` is the whole call as it came. `english` is what the client reads, else Chinese.
    """

    context: Mapping[str, Any]
    caller: Caller
    services: Services
    unheard: tuple[str, ...] = ()
    body: bytes = b""
    english: bool = False


def card(summary: str, indicator: str, label: str, detail: str) -> dict[str, Any]:
    """A card of CDS Hooks 2.0: the summary has fewer than 140 characters."""
    if len(summary) >= 140:
        raise ValueError("a summary has fewer than 140 characters")
    return {
        "summary": summary,
        "indicator": indicator,
        "detail": detail,
        "source": {"label": label},
    }


def gateway_name(services: Services) -> str:
    """How cards say where they come from."""
    return f"{services.register.name}健康信息共享网关" if services.register.name else "gateway"


def extension_key(canonical: str, name: str) -> str:
    """A name of ours in an `extension`: the host of our canonical base the other way round."""
    host = canonical.partition("://")[2].partition("/")[0].partition(":")[0]
    return ".".join([*reversed(host.split(".")), name])


def subject_of(context: Mapping[str, Any]) -> Subject:
    """Whom a context is about: an id of ours or the hospital's own number, or {system, value} of one
    person. Problem REQUIRED or MALFORMED names `context.patientId`; "Patient/…" is no id."""
    said = context.get("patientId")
    match said:
        case None:
            raise Problem(Kind.REQUIRED, "Say which patient.", "context.patientId")
        case str() if _CHART.fullmatch(said):
            return Subject(chart=said)
        case [*several] if 0 < len(several) <= MOST:
            return Subject(identifiers=tuple(_identifier(one) for one in several))
        case _:
            raise Problem(Kind.MALFORMED, "An id, or {system, value}.", "context.patientId")


def _identifier(said: Any) -> tuple[str, str]:
    match said:
        case {"system": str(system), "value": str(value)} if system and value:
            if max(len(system), len(value)) <= 200:
                return system, value
    raise Problem(Kind.MALFORMED, "An id, or {system, value}.", "context.patientId")
