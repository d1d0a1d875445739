"""The first version of the rules, kept word for word: what was judged by it is judged so for ever.

Nothing here may change; a test compares its answers byte by byte with stored ones. The rules in
force stand in annex_d_2.
"""

from __future__ import annotations

from gateway.recognition.catalogue import Catalogue, Entitlement, Item
from gateway.recognition.facts import ResultFacts
from gateway.recognition.judgement import (
    DAY,
    SKEW,
    Flag,
    Judgement,
    Outcome,
    Reason,
    Receiver,
    Step,
)

RULES = "annex-d-1"

_FINAL = frozenset({"final", "amended", "corrected"})
_REPORT_FINAL = _FINAL | {"appended"}
_NOT_FOR_RECOGNITION = frozenset({"health-check", "research", "poct"})


class Walk:
    """One judgement being made."""

    def __init__(
        self, facts: ResultFacts, receiver: Receiver, catalogue: Catalogue, at: int
    ) -> None:
        self.facts, self.receiver, self.catalogue, self.at = facts, receiver, catalogue, at
        self.steps: list[Step] = []
        self.flags: list[Flag] = []
        self.evidence = ""
        self.then: bool | None = None
        self.now: bool | None = None
        self.reach = catalogue.scopes_of(receiver.organization, at)
        self.clock, self.clock_name = self._clock()
        found = catalogue.items_for(facts.loinc, at)
        if len(found) > 1:
            self.flags.append(Flag.AMBIGUOUS_CODE)
        self.item = found[0] if len(found) == 1 else None

    def judge(self) -> Judgement:
        """Go through steps 2 to 11 and stop at the first that fails."""
        reason = self._reason()
        age = None if self.clock is None else self._age_in_days(self.clock)
        return Judgement(
            eligible=reason is None,
            reason=reason,
            item=self.item.code if self.item else "",
            age_days=age,
            window_days=self._window(self.item) if self.item else None,
            rules={"catalogue": self.catalogue.version, "rules": RULES},
            trace=tuple(self.steps),
            flags=tuple(dict.fromkeys(self.flags)),
            evidence=self.evidence,
            qualified_then=self.then,
            qualified_now=self.now,
            outcome=Outcome.NONE if reason else Outcome.ELIGIBLE,
            choices=() if reason else ("accept", "decline"),
            clock=self.clock,
        )

    def _step(self, number: int, passed: bool, note: str) -> bool:
        """Write a step down; true when it stops the walk."""
        self.steps.append(Step(number, passed, note))
        return not passed

    def _clock(self) -> tuple[int | None, str]:
        """The age counts from collection (laboratory) or acquisition, the report time as a last
        resort: sources get that one wrong, and it makes results look younger."""
        facts = self.facts
        if facts.collected is not None:
            return facts.collected, "collected"
        if facts.effective is not None:
            return facts.effective, "effective"
        return facts.issued, "issued" if facts.issued is not None else "none"

    def _age_in_days(self, clock: int) -> int:
        age = self.at - clock
        return 0 if -SKEW <= age < 0 else age // DAY

    def _window(self, item: Item) -> int:
        return item.op_days if self.receiver.patient_class == "OP" else item.ip_days

    def _reason(self) -> Reason | None:
        facts = self.facts
        if self._step(2, facts.identity_tier == 1, f"identity tier {facts.identity_tier}"):
            return Reason.IDENTITY
        protected = ";".join(facts.sensitivities) or (
            self.item.protected_category if self.item else ""
        )
        if self._step(3, not protected, "sensitivity" if protected else "no sensitivity"):
            return Reason.PROTECTED
        if self._step(4, self._is_final(), f"status {facts.status or 'none'}"):
            return Reason.NOT_FINAL
        if facts.source_class == "unknown":
            self.flags.append(Flag.SOURCE_CLASS_UNKNOWN)
        if self._step(5, facts.source_class not in _NOT_FOR_RECOGNITION, facts.source_class):
            return Reason.SOURCE
        item = self.item
        if item is None:
            self._step(6, False, "no item")
            return Reason.NOT_LISTED
        self._look_at_marks(item)
        if self._step(6, not item.negative_list, item.code):
            return Reason.NEGATIVE
        if not self.reach.intersection(item.scopes):
            self._step(6, False, "not in the receiver's scopes")
            return Reason.NOT_LISTED
        note = self._misfit(item)
        if self._step(7, not note, note or "fits"):
            return Reason.OTHER_MATERIAL
        return self._entitlement(item) or self._age(item) or self._content(item)

    def _is_final(self) -> bool:
        facts = self.facts
        report = not facts.report_status or facts.report_status in _REPORT_FINAL
        # A report that stands by itself may be appended to and still be final.
        own = facts.status in (
            _REPORT_FINAL if facts.result.startswith("DiagnosticReport/") else _FINAL
        )
        return own and report and facts.latest and not facts.disputed

    def _misfit(self, item: Item) -> str:
        """What does not fit together; "" when nothing speaks against it."""
        facts = self.facts
        if item.specimens:
            if not facts.specimen:
                self.flags.append(Flag.SPECIMEN_NOT_STATED)  # the LOINC code names it already
            elif facts.specimen not in item.specimens:
                return "specimen"
        if item.methods:
            if not facts.method:
                self.flags.append(Flag.METHOD_NOT_STATED)
            elif not any(word.upper() in facts.method for word in item.methods):
                return "method"
        if item.modality and facts.modality and facts.modality != item.modality:
            return "modality"
        if item.body_parts and facts.body_parts:
            stated = " ".join(facts.body_parts)
            if not any(word.upper() in stated for word in item.body_parts):
                return "body part"
        if item.laterality_required and not facts.laterality:
            return "laterality"
        return ""

    def _entitlement(self, item: Item) -> Reason | None:
        """Qualified when the specimen was taken, and not lost since; a renewal may lie between."""
        if self.facts.organization == self.receiver.organization:
            self.flags.append(Flag.OWN_RESULT)
            self._step(8, True, "own result")
            return None
        rows = [
            row
            for row in self.catalogue.entitlements(self.facts.organization, item)
            if row.scope in self.reach
        ]
        active = [row for row in rows if row.status == "active"]
        then = self.clock if self.clock is not None else self.at
        now_rows = [row for row in active if row.valid.covers(self.at)]
        self.then = any(row.valid.covers(then) for row in active)
        self.now = bool(now_rows)
        if self.then and self.now:
            self.evidence = now_rows[0].evidence
            self._step(8, True, f"{now_rows[0].basis} in {now_rows[0].scope}")
            return None
        lost = [
            row
            for row in rows
            if row.status != "active" and (row.valid.covers(self.at) or row.valid.covers(then))
        ]
        if lost:
            self._step(8, False, f"{lost[0].status} in {lost[0].scope}")
            self.evidence = lost[0].evidence
            return Reason.SUSPENDED
        self._step(8, False, "not then" if self.now else "not now" if self.then else "never")
        return Reason.NOT_ENTITLED

    def _age(self, item: Item) -> Reason | None:
        window = self._window(item)
        if self.clock is None:
            self._step(9, False, "no time")
            return Reason.TOO_OLD
        if self.clock_name == "issued":
            self.flags.append(Flag.CLOCK_IS_ISSUE_TIME)
        elif self.clock == self.facts.issued:
            self.flags.append(Flag.COLLECTED_WHEN_ISSUED)
        age = self.at - self.clock
        if age < -SKEW:
            self.flags.append(Flag.IN_THE_FUTURE)
        fits = window > 0 and -SKEW <= age <= window * DAY
        days = self._age_in_days(self.clock)
        self._step(9, fits, f"{self.clock_name}, {days} of {window} days")
        return None if fits else Reason.TOO_OLD

    def _content(self, item: Item) -> Reason | None:
        facts = self.facts
        if item.kind == "lab":
            if item.qualitative:
                readable = facts.value in {"concept", "ratio", "text", "quantity"}
            else:
                readable = facts.value == "quantity" and facts.unit in item.ucum
        else:
            readable = facts.value != "none" and facts.value != "absent"
        if self._step(10, readable, f"{facts.value} {facts.unit}".strip()):
            return Reason.NOT_READABLE
        if item.kind == "imaging":
            if facts.images == "unknown":
                self.flags.append(Flag.IMAGES_NOT_CHECKED)
            if self._step(10, facts.images != "unreachable", f"images {facts.images}"):
                return Reason.NO_IMAGES
        if self._step(11, self.receiver.patient_class != "EM", self.receiver.patient_class):
            return Reason.EMERGENCY
        return None

    def _look_at_marks(self, item: Item) -> None:
        """A printed mark is compared with the register; the register is what counts."""
        then = self.clock if self.clock is not None else self.at
        held: list[Entitlement] = [
            row
            for row in self.catalogue.entitlements(self.facts.organization, item)
            if row.status == "active" and row.valid.covers(then)
        ]
        for mark in self.facts.marks:
            claimed = self.catalogue.scope_of_mark(mark)
            if claimed is None:
                self.flags.append(Flag.MARK_UNKNOWN)
            elif claimed == "":
                if not held:
                    self.flags.append(Flag.MARK_NOT_IN_REGISTER)
            elif not any(row.scope in self.catalogue.around([claimed]) for row in held):
                self.flags.append(Flag.MARK_NOT_IN_REGISTER)
