"""Which mapped resources are validated: every new shape until it has proved itself, then a sample.

A map makes the same few shapes over and over: a block with the same rules fired makes the same elements.
So the first 50 of each (kind of message, block, rules that fired) are checked and from then on one in
500 (`every` in `[validation]`). A fault starts the count anew: a shape that fails is watched until 50 in
a row are clean. That leaves the cost of `check` on a small part of the traffic, and a mistake in a map
is found at its first resource.

The choice depends on counts alone, not on chance or a clock. A gate belongs to one release of one map
and may be lost at any time; the next one begins by checking everything. What a source sends as FHIR is
checked whole (`fhirinput`) and does not come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import msgspec

from mappings.engine.model import Issue, Mapped, Message, Reading
from mappings.engine.validation import Validation
from mappings.r4 import check, definitions

FIRST: Final = 50
_KINDS: Final = 200
_SHAPES: Final = 20_000

# What a patch does not send is not missing.
_OF_WHOLE: Final = frozenset({"r4-missing", "r4-rule"})


class Gate:
    """The counters of one release. `lines` tells which rule writes an element: (block, element) → file:line.

    `everything` checks each resource, for trials and tests.
    """

    def __init__(
        self,
        validation: Validation,
        lines: Mapping[tuple[str, str], str] | None = None,
        everything: bool = False,
    ) -> None:
        self.validation = validation
        self._lines = lines or {}
        self._every = 1 if everything else validation.every
        self._clean: dict[str, dict[tuple[str, int], int]] = {}
        self.checked = 0

    def reading(self, reading: Reading, day: date | None) -> Reading:
        """The reading with its mapped resources looked at; `day` is when the delivery arrived."""
        messages = [self.message(one, day) for one in reading.messages]
        if all(new is old for new, old in zip(messages, reading.messages, strict=True)):
            return reading
        return msgspec.structs.replace(reading, messages=tuple(messages))

    def message(self, message: Message, day: date | None) -> Message:
        """The message without what its faults hold, and with their issues; itself when there are none.

        What points at a held resource keeps pointing at it: a replay under a corrected map fills it.
        """
        clean, every = self._of(message.kind), self._every
        bad: dict[int, list[Issue]] = {}
        for mapped in message.resources:
            shape = (mapped.block, mapped.mask)
            count = clean.get(shape, 0)
            clean[shape] = count + 1
            if count >= FIRST and count % every:
                continue
            if faults := self._faults(mapped, day):
                clean[shape] = 0
                bad[id(mapped)] = faults
        if not bad:
            return message
        issues = [fault for faults in bad.values() for fault in faults]
        kept = [one for one in message.resources if not _held(bad.get(id(one), ()))]
        return msgspec.structs.replace(
            message, resources=tuple(kept), issues=(*message.issues, *issues)
        )

    def _of(self, kind: str) -> dict[tuple[str, int], int]:
        """How often each shape came out clean in messages of a kind."""
        clean = self._clean.get(kind)
        if clean is None:
            if len(self._clean) >= _KINDS:
                self._clean.clear()
            clean = self._clean[kind] = {}
        if len(clean) >= _SHAPES:
            clean.clear()
        return clean

    def _faults(self, mapped: Mapped, day: date | None) -> list[Issue]:
        self.checked += 1
        faults = check.text(mapped.text(), mapped.type)
        if mapped.mode == "patch":
            faults = [fault for fault in faults if fault.code not in _OF_WHOLE]
        if not faults:
            return faults
        judged = self.validation.judged(faults, mapped.type, mapped.type, day)
        return [self._placed(fault, mapped) for fault in judged]

    def _placed(self, fault: Issue, mapped: Mapped) -> Issue:
        """The fault in the sender's terms: where the resource came from, and the rule that wrote it."""
        name = fault.place.removeprefix(f"{mapped.type}.").partition(".")[0].partition("[")[0]
        known = definitions.elements(mapped.type).get(name)
        element = known.path.removesuffix("[x]") if known is not None else name
        return msgspec.structs.replace(
            fault,
            place=f"{mapped.place} → {fault.place}" if mapped.place else fault.place,
            rule=fault.rule or self._lines.get((mapped.block, element), ""),
        )


def _held(faults: Sequence[Issue]) -> bool:
    return any(fault.severity == "hold" for fault in faults)
