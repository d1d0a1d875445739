"""The rules in force: steps 2 to 11 of the evaluation order, with three answers instead of two.

The first step that fails gives the reason. Some failures leave something worth looking at (the
person is probably the same, the window has just closed, the images do not come, it is an emergency):
then the walk goes on, and the outcome is "informational" only if no other step fails for good. A
result that is protected or withdrawn is therefore never hinted at by way of a softer reason.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from gateway.recognition.catalogue import Catalogue, Entitlement, Item
from gateway.recognition.facts import ResultFacts
from gateway.recognition.judgement import (
    DAY,
    SKEW,
    Flag,
    Judgement,
    Offer,
    Outcome,
    Reason,
    Receiver,
    Step,
)

RULES = "annex-d-2"

GRACE = 2
"""A result up to so many windows old is still shown, and no longer offered."""

_FINAL = frozenset({"final", "amended", "corrected"})
_REPORT_FINAL = _FINAL | {"appended"}  # a report may be added to and still be final
_NOT_FOR_RECOGNITION = frozenset({"health-check", "research", "poct"})
_QUALITATIVE = frozenset({"concept", "ratio", "ordinal", "quantity"})
_CHOICES: dict[str, tuple[Offer, ...]] = {"imaging": ("accept", "accept-reread", "decline")}
_SERIAL = re.compile(r"[-#_/](?:\d{1,2}|[A-Z])$")


class Walk:
    """One judgement being made."""

    def __init__(
        self, facts: ResultFacts, receiver: Receiver, catalogue: Catalogue, at: int
    ) -> None:
        self.facts, self.receiver, self.catalogue, self.at = facts, receiver, catalogue, at
        self.steps: list[Step] = []
        self.flags: list[Flag] = []
        self.reason: Reason | None = None
        self.evidence = ""
        self.then: bool | None = None
        self.now: bool | None = None
        self.reach = catalogue.scopes_of(receiver.organization, at)
        found = catalogue.items_for(facts.loinc, at)
        if len(found) > 1:
            self.flags.append(Flag.AMBIGUOUS_CODE)
        self.item = found[0] if len(found) == 1 else None
        self.clock, self.clock_name = self._clock()

    def judge(self) -> Judgement:
        """Take the steps until one fails for good."""
        stopped = (
            self._identity()
            or self._sensitivity()
            or self._final()
            or self._source()
            or self._listed()
        )
        item = self.item
        if item is not None and not stopped:
            stopped = (
                self._material(item)
                or self._entitled(item)
                or self._age(item)
                or self._content(item)
                or self._visit()
            )
        if self.reason is None:
            outcome = Outcome.ELIGIBLE
        else:
            outcome = Outcome.NONE if stopped else Outcome.INFORMATIONAL
        window = self._window(item) if item else None
        return Judgement(
            eligible=self.reason is None,
            reason=self.reason,
            item=item.code if item else "",
            age_days=None if self.clock is None else self._days(self.clock),
            window_days=window,
            rules={
                "catalogue": self.catalogue.version,
                "register": self.catalogue.register,
                "rules": RULES,
            },
            trace=tuple(self.steps),
            flags=tuple(dict.fromkeys(self.flags)),
            evidence=self.evidence,
            qualified_then=self.then,
            qualified_now=self.now,
            outcome=outcome,
            choices=self._choices(item) if outcome is Outcome.ELIGIBLE else (),
            counted=outcome is Outcome.ELIGIBLE,
            clock=self.clock,
            reference_only=("conclusion",) if item and item.kind != "lab" else (),
            side=self.facts.laterality if item and item.laterality_required else "",
        )

    def _step(
        self, number: int, passed: bool, note: str, reason: Reason, *, soft: bool = False
    ) -> bool:
        """Write a step down; true when the walk ends here. The first failure gives the reason."""
        self.steps.append(Step(number, passed, note))
        if passed:
            return False
        self.reason = self.reason or reason
        return not soft

    def _choices(self, item: Item | None) -> tuple[Offer, ...]:
        return _CHOICES.get(item.kind if item else "", ("accept", "decline"))

    # The steps

    def _identity(self) -> bool:
        tier = self.facts.identity_tier
        note = f"identity tier {tier}"
        return self._step(2, tier == 1, note, Reason.IDENTITY, soft=tier == 2)

    def _sensitivity(self) -> bool:
        """A label, or an item that is protected by itself. The note does not say which category."""
        own = self.item.protected_category if self.item else ""
        found = bool(self.facts.sensitivities or own)
        return self._step(
            3, not found, "sensitivity" if found else "no sensitivity", Reason.PROTECTED
        )

    def _final(self) -> bool:
        facts = self.facts
        report = not facts.report_status or facts.report_status in _REPORT_FINAL
        alone = facts.result.startswith("DiagnosticReport/")
        own = facts.status in (_REPORT_FINAL if alone else _FINAL)
        note = f"status {facts.status or 'none'}"
        if not report:
            note = f"report {facts.report_status}"
        elif not facts.latest:
            note = "not the latest version"
        elif facts.disputed:
            note = "disputed"
        passed = own and report and facts.latest and not facts.disputed
        return self._step(4, passed, note, Reason.NOT_FINAL)

    def _source(self) -> bool:
        kind = self.facts.source_class
        if kind == "unknown":
            self.flags.append(Flag.SOURCE_CLASS_UNKNOWN)
        return self._step(5, kind not in _NOT_FOR_RECOGNITION, kind, Reason.SOURCE)

    def _listed(self) -> bool:
        item = self.item
        if item is None:
            several = Flag.AMBIGUOUS_CODE in self.flags
            return self._step(
                6, False, "several items" if several else "no item", Reason.NOT_LISTED
            )
        self._look_at_marks(item)
        if item.negative_list:
            return self._step(6, False, "negative list", Reason.NEGATIVE)
        if not self.reach.intersection(item.scopes):
            return self._step(6, False, "not in the receiver's scopes", Reason.NOT_LISTED)
        return self._step(6, True, item.code, Reason.NOT_LISTED)

    def _material(self, item: Item) -> bool:
        misfit = self._misfit(item)
        return self._step(7, not misfit, misfit or "fits", Reason.OTHER_MATERIAL)

    def _misfit(self, item: Item) -> str:
        """What does not fit together; "" when nothing speaks against it. The LOINC code names
        specimen, method and body part already, so silence on them is flagged only."""
        facts = self.facts
        if item.specimens:
            if not facts.specimen:
                self.flags.append(Flag.SPECIMEN_NOT_STATED)
            elif facts.specimen not in item.specimens:
                return "specimen"
        if item.methods:
            if not facts.method:
                self.flags.append(Flag.METHOD_NOT_STATED)
            elif not _names(facts.method, item.methods):
                return "method"
        if item.platform_only and not self._same_platform(item):
            return "platform"
        if item.modality and facts.modality and facts.modality != item.modality:
            return "modality"
        if item.body_parts:
            if not facts.body_parts:
                self.flags.append(Flag.BODY_PART_NOT_STATED)
            elif not _names(" ".join(facts.body_parts), item.body_parts):
                return "body part"
        if item.laterality_required and not facts.laterality:
            return "laterality"
        if item.contrast:
            if not facts.contrast:
                self.flags.append(Flag.CONTRAST_NOT_STATED)
            elif facts.contrast not in (item.contrast, "both"):
                return "contrast"
        return ""

    def _same_platform(self, item: Item) -> bool:
        """Its platform is stated, and is the receiver's own or one that the list calls comparable."""
        facts = self.facts
        if facts.organization == self.receiver.organization:
            return True
        own = [platform(named) for code, named in self.receiver.platforms if code == item.code]
        if facts.device and platform(facts.device) in own:
            return True
        stated = f"{facts.device} {facts.method}".strip()
        return bool(item.methods) and bool(facts.device) and _names(stated, item.methods)

    def _entitled(self, item: Item) -> bool:
        """Qualified when the specimen was taken and qualified now; a renewal may lie between."""
        if self.facts.organization == self.receiver.organization:
            self.flags.append(Flag.OWN_RESULT)
            return self._step(8, True, "own result", Reason.NOT_ENTITLED)
        rows = self.catalogue.entitlements(self.facts.organization, item)
        then = self.clock if self.clock is not None else self.at
        held_then, lost_then = _standing(rows, self.reach, then)
        held_now, lost_now = _standing(rows, self.reach, self.at)
        self.then, self.now = held_then is not None, held_now is not None
        if held_then and held_now:
            self.evidence = held_now.evidence
            note = f"{held_now.basis} in {held_now.scope}"
            return self._step(8, True, note, Reason.NOT_ENTITLED)
        lost = (lost_now if not held_now else None) or (lost_then if not held_then else None)
        if lost:
            self.evidence = lost.evidence
            return self._step(8, False, f"{lost.status} in {lost.scope}", Reason.SUSPENDED)
        note = "not then" if held_now else "not now" if held_then else "never"
        return self._step(8, False, note, Reason.NOT_ENTITLED)

    def _age(self, item: Item) -> bool:
        window = self._window(item)
        if self.clock is None:
            return self._step(9, False, "no time", Reason.TOO_OLD)
        if self.clock_name == "issued":
            self.flags.append(Flag.CLOCK_IS_ISSUE_TIME)
        elif self.clock == self.facts.issued:
            self.flags.append(Flag.COLLECTED_WHEN_ISSUED)
        if self.facts.times_copied:
            self.flags.append(Flag.TIMES_NOT_TRUSTED)
        age = self.at - self.clock
        if age < -SKEW:
            self.flags.append(Flag.IN_THE_FUTURE)
        fits = window > 0 and -SKEW <= age <= window * DAY
        just_over = window * DAY < age <= GRACE * window * DAY
        note = f"{self.clock_name}, {self._days(self.clock)} of {window} days"
        return self._step(9, fits, note, Reason.TOO_OLD, soft=just_over)

    def _content(self, item: Item) -> bool:
        facts = self.facts
        if item.kind != "lab":
            readable = facts.value not in {"none", "absent"}
        elif item.qualitative:
            readable = facts.value in _QUALITATIVE
        else:
            readable = facts.value == "quantity" and facts.unit in item.ucum
        note = f"{facts.value} {facts.unit}".strip()
        if self._step(10, readable, note, Reason.NOT_READABLE):
            return True
        if item.kind != "imaging":
            return False
        if facts.images == "unknown":
            self.flags.append(Flag.IMAGES_NOT_CHECKED)
        if item.quality_facts and not facts.quality:
            self.flags.append(Flag.QUALITY_NOT_STATED)
        had = facts.images != "unreachable"
        return self._step(10, had, f"images {facts.images}", Reason.NO_IMAGES, soft=True)

    def _visit(self) -> bool:
        receiver = self.receiver
        calm = receiver.patient_class != "EM" and not receiver.preoperative
        note = "preoperative" if receiver.preoperative else receiver.patient_class
        return self._step(11, calm, note, Reason.EMERGENCY, soft=True)

    # What the steps rest on

    def _clock(self) -> tuple[int | None, str]:
        """The age counts from the collection of the specimen or the acquisition of the images; from
        the report only as a last resort, since that makes results look younger than they are."""
        facts = self.facts
        imaging = self.item is not None and self.item.kind != "lab"
        first = ("acquired", facts.acquired) if imaging else ("collected", facts.collected)
        for name, moment in (first, ("effective", facts.effective), ("issued", facts.issued)):
            if moment is not None:
                return moment, name
        return None, "none"

    def _days(self, clock: int) -> int:
        age = self.at - clock
        return 0 if -SKEW <= age < 0 else age // DAY

    def _window(self, item: Item) -> int:
        return item.window(self.receiver.patient_class, self.receiver.department).days

    def _look_at_marks(self, item: Item) -> None:
        """A printed mark is compared with the register; the register is what counts."""
        if not self.facts.marks:
            return
        then = self.clock if self.clock is not None else self.at
        held = [
            row
            for row in self.catalogue.entitlements(self.facts.organization, item)
            if row.status == "active" and row.valid.covers(then)
        ]
        for mark in self.facts.marks:
            claimed = self.catalogue.scope_of_mark(mark)
            if claimed is None:
                self.flags.append(Flag.MARK_UNKNOWN)
                continue
            around = self.catalogue.around([claimed])
            if not any(claimed == "" or row.scope in around for row in held):
                self.flags.append(Flag.MARK_NOT_IN_REGISTER)


def _standing(
    rows: Iterable[Entitlement], reach: frozenset[str], moment: int
) -> tuple[Entitlement | None, Entitlement | None]:
    """(what entitles within reach at this moment, what takes that away).

    The later word counts, whatever scope it was said for: a laboratory that failed the province's
    round has failed for the county too, until it is entitled anew. Of two words of one day the
    harder counts.
    """
    covering = [row for row in rows if row.valid.covers(moment)]
    within = [row for row in covering if row.scope in reach]
    lost = max(
        (row for row in covering if row.status != "active"),
        key=lambda row: row.valid.start,
        default=None,
    )
    held = [
        row
        for row in within
        if row.status == "active" and (lost is None or row.valid.start > lost.valid.start)
    ]
    return (held[0] if held else None), (lost if within else None)


def _names(stated: str, words: tuple[str, ...]) -> bool:
    """Does the stated text, folded capitals, contain one of the words?"""
    return any(unicodedata.normalize("NFKC", word).upper() in stated for word in words)


def platform(device: str) -> str:
    """An instrument without spaces, case and the number of the machine: AU5800-2 is an AU5800."""
    plain = unicodedata.normalize("NFKC", device).upper().replace(" ", "")
    return _SERIAL.sub("", plain)
