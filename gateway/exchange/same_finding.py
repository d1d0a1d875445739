"""Whether a repetition found the same, so far as that can be said without judging a value medically.

Results in words or on a scale are equal or not. Of quantities only the laboratories' own flags are
compared, each against its own limits: nobody here decides what difference matters. What was found is
told to nobody and kept nowhere: the event of the prompt holds a keyed hash that only an equal finding
of the same person and item repeats.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Literal, NamedTuple

from gateway.exchange.issued import Resource, codings, flag, listed, words
from gateway.recognition.ledger import Comparison
from gateway.services import Services

_SAME = {"flag": Comparison.SAME_FLAG, "value": Comparison.SAME_VALUE}
_OTHER = {"flag": Comparison.OTHER_FLAG, "value": Comparison.OTHER_VALUE}


class Said(NamedTuple):
    """What of a result is compared; it stays in memory. Without a kind nothing can be compared."""

    kind: Literal["flag", "value", ""] = ""
    said: str = ""


def keyed(of: Said, patient: str, item: str, services: Services) -> str:
    """ "flag:hash" of a quantity, "value:hash" of any other value; "" where nothing can be compared."""
    if not of.kind:
        return ""
    kind, told = of.kind, "\n".join((patient, item, *of))
    return f"{kind}:{services.vault.digest('ledger-finding', told.encode())[:16].hex()}"


def compared(before: Iterable[str], now: str) -> Comparison:
    """The findings a doctor was told of beside the one measured here: the same only as all of them."""
    told = set(before)
    kinds = {one.partition(":")[0] for one in told | {now}}
    if not told or not kinds <= set(_SAME) or len(kinds) > 1:
        return Comparison.UNKNOWN
    kind = kinds.pop()
    return _SAME[kind] if told == {now} else _OTHER[kind]


def said(result: Resource) -> Said:
    """The laboratory's flag of a quantity, the code or words of anything else."""
    if "valueQuantity" in result or "valueInteger" in result:
        kind, _ = flag(result)
        # What says normal and what says nothing are both unflagged; a flag nobody can read says nothing.
        return Said() if kind == "unread" else Said("flag", "" if kind == "normal" else kind)
    if "valueBoolean" in result:
        return Said("value", str(result["valueBoolean"]))
    if "valueString" in result:
        return _text(str(result["valueString"]))
    for concept in listed(result.get("valueCodeableConcept")):
        for system, code in codings(concept):
            return Said("value", f"{system}|{code}")
        return _text(words(concept))
    return Said()


def _text(text: str) -> Said:
    folded = "".join(unicodedata.normalize("NFKC", text).upper().split())
    return Said("value", folded) if folded else Said()
