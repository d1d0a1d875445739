"""Until when an answer holds: the next instant at which something considered changes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from consent.decide import decide
from tests.consent import build
from tests.consent.table import inputs

OPEN = {"kind": "encounter", "organization": "A", "start": "2026-05-30"}
MOTHER = {
    "birth": ["2012-06-03", "2012-06-05"],
    "delegations": [{"user": "mother", "kind": "guardian"}],
}


@pytest.mark.parametrize(
    ("row", "until"),
    [
        ({}, None),
        ({"relationships": [{**OPEN, "end": "2026-05-31"}]}, "2026-06-30"),
        ({"relationships": [OPEN, {"kind": "presence", "organization": "A", "user": "dr-a1", "start": "2026-06-01T09:50:00"}]}, "2026-06-01T10:05:00"),
        ({"relationships": []}, None),
        ({"relationships": [{**OPEN, "start": "2026-06-04"}]}, "2026-06-04"),
        ({"consents": [{"permit": True, "until": "2026-07-01"}]}, "2026-07-01"),
        ({"consents": [{"permit": True, "except": [{"deny": True, "from": "2026-06-10"}]}]}, "2026-06-10"),
        ({"consents": [{"permit": True, "until": "2026-07-01"}, {"deny": True, "from": "2026-06-20"}]}, "2026-06-20"),
        ({"consents": [{"permit": True, "until": "2026-05-01"}]}, None),
        ({"consents": [{"permit": True, "at": "2026-06-02T10:05:00"}]}, "2026-06-02T10:00:00"),
        ({"purposes": ["BTG"], "grant": {}}, "2026-06-01T13:00:00"),
        ({"patient": {"death": "2026-05-20"}}, "2026-06-20"),
        ({"who": "patient-self", "purposes": ["PATRQT"], "record_with": {"hold_until": "2026-06-02T08:00:00"}}, "2026-06-02T08:00:00"),
        ({"who": "patient-self", "purposes": ["PATRQT"], "record_with": {"hold_until": "2026-06-02T08:00:00"}, "consents": [{"permit": True, "until": "2026-06-01T12:00:00"}]}, "2026-06-01T12:00:00"),
        ({"who": "patient-self", "purposes": ["PATRQT"], "record_with": {"hold_until": "2026-06-02T08:00:00"}, "consents": [{"permit": True, "until": "2026-07-01"}]}, "2026-06-02T08:00:00"),
        ({"who": "patient-self", "purposes": ["PATRQT"], "patient": {"birth": ["1980-01-01", "1980-01-01"]}}, None),
        ({"who": "mother", "purposes": ["FAMRQT"], "patient": MOTHER}, "2026-06-03"),
        ({"who": "mother", "purposes": ["FAMRQT"], "patient": MOTHER, "now": "2026-06-04T00:00:00"}, "2026-06-05"),
        ({"who": "mother", "purposes": ["FAMRQT"], "patient": MOTHER, "now": "2026-06-05T00:00:00"}, "2030-06-03"),
        ({"patient": MOTHER}, None),
    ],
)  # fmt: skip
def test_an_answer_names_the_next_instant_that_may_change_it(
    row: dict[str, Any], until: str | None
) -> None:
    assert decide(*inputs(row)).valid_until == (None if until is None else build.at(until))


def test_at_that_instant_the_answer_changes() -> None:
    row = {"policy": "cn-optin", "consents": [{"permit": True, "until": "2026-07-01"}]}
    request, *rest = inputs(row)
    before = decide(request, *rest)
    assert before.valid_until is not None

    last = decide(msgspec.structs.replace(request, now=before.valid_until - 1), *rest)
    after = decide(msgspec.structs.replace(request, now=before.valid_until), *rest)

    assert type(last) is type(before)
    assert type(after) is not type(before)
