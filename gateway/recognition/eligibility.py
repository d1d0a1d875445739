"""May one earlier result be recognised by one receiver now? Step by step.

Pure: the same facts, receiver, catalogue and moment give the same judgement. Steps 0 and 1 (who
asks, legal basis) belong to consent; here begins step 2. The first step that fails gives the reason.
The gateway only says what may be recognised; recognising is the doctor's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from gateway.recognition.catalogue import Catalogue, Entitlement, Item
from gateway.recognition.facts import ResultFacts

RULES = "annex-d-1"
"""The version of the steps in this file; a change of any answer gets a new one."""

DAY = 86_400_000_000
SKEW = 600_000_000  # µs a clock may run ahead

PatientClass = Literal["OP", "IP", "EM"]


class Reason(StrEnum):
    """Why a result is not eligible. Never to be mixed with a doctor's reason."""

    NOT_LISTED = "E01"
    NOT_ENTITLED = "E02"
    TOO_OLD = "E03"
    NOT_FINAL = "E04"
    OTHER_MATERIAL = "E05"
    NOT_READABLE = "E06"
    NO_IMAGES = "E07"
    IDENTITY = "E08"
    NO_BASIS = "E09"
    PROTECTED = "E10"
    EMERGENCY = "E11"
    SUSPENDED = "E12"
    SOURCE = "E13"
    NEGATIVE = "E14"

    @property
    def zh(self) -> str:
        """The reason for a doctor."""
        return _WORDS[self][0]

    @property
    def en(self) -> str:
        """The same in English."""
        return _WORDS[self][1]


_WORDS = {
    Reason.NOT_LISTED: ("不在互认项目目录内", "not in the recognition catalogue"),
    Reason.NOT_ENTITLED: (
        "出具机构在采样时或目前没有覆盖本机构的互认资格",
        "the issuing laboratory is not entitled for this receiver, then or now",
    ),
    Reason.TOO_OLD: ("超出互认时限", "outside the validity window"),
    Reason.NOT_FINAL: (
        "报告未审核、已作废或已被更正版本取代",
        "the report is not final, was withdrawn, or has a newer version",
    ),
    Reason.OTHER_MATERIAL: (
        "标本、方法、部位或侧别不符",
        "specimen, method, body part or side does not fit",
    ),
    Reason.NOT_READABLE: ("结果值或单位无法解读", "value or unit cannot be interpreted"),
    Reason.NO_IMAGES: ("影像无法调阅", "the images cannot be retrieved"),
    Reason.IDENTITY: ("患者身份未达到互认要求，请核对证件", "identity not certain: check the card"),
    Reason.NO_BASIS: ("无授权或法律依据", "no consent or other legal basis"),
    Reason.PROTECTED: ("受保护类别，不参与互认", "a protected category, not for recognition"),
    Reason.EMERGENCY: ("急诊就诊，仅供参考，不计入统计", "emergency: for information, not counted"),
    Reason.SUSPENDED: (
        "出具机构的互认资格已暂停或撤销",
        "the laboratory's entitlement is suspended or revoked",
    ),
    Reason.SOURCE: (
        "来源标明不用于互认（体检、科研或床旁检测）",
        "marked not for recognition (health check, research or point of care)",
    ),
    Reason.NEGATIVE: ("在不予互认的负面清单内", "on the negative list"),
}


class Flag(StrEnum):
    """Something to look at that does not decide by itself."""

    MARK_NOT_IN_REGISTER = "mark-not-in-register"  # printed, but the register knows nothing of it
    MARK_UNKNOWN = "mark-unknown"
    CLOCK_IS_ISSUE_TIME = "clock-is-issue-time"  # no collection time: the age is too small
    COLLECTED_WHEN_ISSUED = "collected-when-issued"  # sources that copy one time into all
    IN_THE_FUTURE = "in-the-future"
    SOURCE_CLASS_UNKNOWN = "source-class-unknown"
    SPECIMEN_NOT_STATED = "specimen-not-stated"
    METHOD_NOT_STATED = "method-not-stated"
    IMAGES_NOT_CHECKED = "images-not-checked"
    OWN_RESULT = "own-result"
    AMBIGUOUS_CODE = "ambiguous-code"


class Receiver(msgspec.Struct, frozen=True):
    """Who would recognise, and in what kind of visit the patient is there."""

    organization: str
    patient_class: PatientClass = "OP"


class Step(msgspec.Struct, frozen=True):
    """One step that was taken: its number in Annex D, whether it was passed, what decided."""

    number: int
    passed: bool
    note: str


class Judgement(msgspec.Struct, frozen=True):
    """The answer for one result and one receiver at one moment.

    `age_days` counts whole days since the clock started, None when no time is known.
    `qualified_then` and `qualified_now` are both answers of step 8, None when it was not reached.
    """

    eligible: bool
    reason: Reason | None
    item: str
    age_days: int | None
    window_days: int | None
    rules: dict[str, str]
    trace: tuple[Step, ...]
    flags: tuple[Flag, ...] = ()
    evidence: str = ""
    qualified_then: bool | None = None
    qualified_now: bool | None = None


class Case(msgspec.Struct, frozen=True):
    """Everything a judgement was made from, apart from the catalogue it names."""

    facts: ResultFacts
    receiver: Receiver
    at: int


_FINAL = frozenset({"final", "amended", "corrected"})
_REPORT_FINAL = _FINAL | {"appended"}
_NOT_FOR_RECOGNITION = frozenset({"health-check", "research", "poct"})


def encode(case: Case) -> bytes:
    """Canonical JSON of a case, to be stored with its judgement."""
    return msgspec.json.encode(case, order="deterministic")


def decode(data: bytes) -> Case:
    """The case again; msgspec.MsgspecError when it is none."""
    return msgspec.json.decode(data, type=Case)


def judge(facts: ResultFacts, receiver: Receiver, catalogue: Catalogue, at: int) -> Judgement:
    """Go through steps 2 to 11 and stop at the first that fails. `at` is the moment, µs UTC."""
    return _Walk(facts, receiver, catalogue, at).judge()


def replay(case: Case, catalogue: Catalogue) -> Judgement:
    """Judge a stored case again, with the catalogue it was judged under."""
    return judge(case.facts, case.receiver, catalogue, case.at)


class _Walk:
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
