"""May one earlier result be recognised by one receiver now? Chooses the version of the rules.

Pure: the same facts, receiver, catalogue, moment and rules give the same judgement. Steps 0 and 1
(who asks, legal basis) belong to consent; the rules begin with step 2. The gateway only says what
may be recognised; recognising is the doctor's.
"""

from __future__ import annotations

from gateway.recognition import annex_d_1, annex_d_2
from gateway.recognition.catalogue import Catalogue
from gateway.recognition.facts import ResultFacts
from gateway.recognition.judgement import (
    DAY,
    SKEW,
    Case,
    Flag,
    Judgement,
    Offer,
    Outcome,
    PatientClass,
    Reason,
    Receiver,
    Step,
    decode,
    encode,
    read,
    written,
)

__all__ = [
    "CURRENT", "DAY", "RULES", "SKEW", "VERSIONS", "Case", "Flag", "Judgement", "Offer", "Outcome",
    "PatientClass", "Reason", "Receiver", "Step", "case_of", "decode", "encode", "judge", "read",
    "replay", "written",
]  # fmt: skip

_Walk = type[annex_d_1.Walk] | type[annex_d_2.Walk]
VERSIONS: dict[str, _Walk] = {
    annex_d_1.RULES: annex_d_1.Walk,
    annex_d_2.RULES: annex_d_2.Walk,
}
"""Every version anything was ever judged by. None is taken away as long as its decisions are kept."""

CURRENT = annex_d_2.RULES
"""The version in force; a change of any answer gets a new one."""

RULES = CURRENT


def judge(
    facts: ResultFacts, receiver: Receiver, catalogue: Catalogue, at: int, rules: str = CURRENT
) -> Judgement:
    """Judge one result for one receiver at µs `at`. LookupError for rules nobody knows."""
    return VERSIONS[rules](facts, receiver, catalogue, at).judge()


def case_of(facts: ResultFacts, receiver: Receiver, at: int, rules: str = CURRENT) -> Case:
    """What has to be kept so that the judgement can be made again, beside its catalogue."""
    return Case(facts, receiver, at, rules)


def replay(case: Case, catalogue: Catalogue) -> Judgement:
    """Judge a stored case again: its own rules, and the catalogue it was judged under."""
    return judge(case.facts, case.receiver, catalogue, case.at, case.rules)
