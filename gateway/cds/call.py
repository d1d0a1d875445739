"""What a CDS service is given, and the cards it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.services import Services
from gateway.services.caller import Caller

Cards = Mapping[str, Any]
"""A CDS Hooks response: `cards`, and perhaps an `extension`."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its context as plain values, who is proved to ask, and what else was sent.

    `unheard` are the members beside hook, instance and context; none of them is ever looked at.
    """

    context: Mapping[str, Any]
    caller: Caller
    services: Services
    unheard: tuple[str, ...] = ()


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


def extension_key(canonical: str, name: str) -> str:
    """A name of ours in an `extension`: the host of our canonical base the other way round."""
    host = canonical.partition("://")[2].partition("/")[0].partition(":")[0]
    return ".".join([*reversed(host.split(".")), name])
