"""The tool that breaks the decision on purpose tells what was noticed from what was not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import consent
from tests.consent import mutants

ROOT = Path(consent.__file__).parents[1]


def tried(*names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.consent.mutants", *names]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_change_of_ages_and_times_is_noticed() -> None:
    ran = tried("ages", "horizon")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 of them unexplained" in ran.stdout


@pytest.mark.parametrize("module", mutants.MODULES)
def test_changes_of_every_kind_are_made(module: str) -> None:
    _, found = mutants.mutants(module)

    assert len({mutant.name for mutant in found}) > 30
    assert all(mutant.before != mutant.after for mutant in found)


def test_every_explanation_is_of_a_change_that_can_be_made() -> None:
    made = {mutant.name for module in mutants.MODULES for mutant in mutants.mutants(module)[1]}

    assert mutants.explained().keys() <= made
    assert all(len(reason) > 20 for reason in mutants.explained().values())
