"""Until when an answer holds: the next instant at which something considered changes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from consent import decide as deciding
from consent.decide import decide
from tests.consent import checks
from tests.consent.table import inputs


@pytest.mark.parametrize(("row", "until"), checks.UNTIL)
def test_an_answer_names_the_next_instant_that_may_change_it(
    row: dict[str, Any], until: str | None
) -> None:
    assert not checks.until_wrong(deciding, row, until)


def test_at_that_instant_the_answer_changes() -> None:
    row = {"policy": "cn-optin", "consents": [{"permit": True, "until": "2026-07-01"}]}
    request, *rest = inputs(row)
    before = decide(request, *rest)
    assert before.valid_until is not None

    last = decide(msgspec.structs.replace(request, now=before.valid_until - 1), *rest)
    after = decide(msgspec.structs.replace(request, now=before.valid_until), *rest)

    assert type(last) is type(before)
    assert type(after) is not type(before)


def test_records_without_such_a_consent_share_one_answer() -> None:
    for consent in checks.ALIKE:
        assert not checks.alike_wrong(deciding, consent), consent
    assert not checks.together_wrong(deciding)


def test_the_default_is_named() -> None:
    assert not checks.default_rule_wrong(deciding)


@pytest.mark.parametrize("told", checks.AGES)
def test_ages_by_the_earliest_and_the_latest_possible_birth(
    told: tuple[str, str, str, int, int],
) -> None:
    assert not checks.age_wrong(*told)


@pytest.mark.parametrize(("consent", "kind"), checks.ONE_BY_ONE)
def test_one_ruling_tells_records_apart_in_either_order(
    consent: dict[str, Any], kind: dict[str, Any]
) -> None:
    assert not checks.one_by_one_wrong(deciding, consent, kind)
