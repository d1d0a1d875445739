"""The checks of the decision alone run through every branch of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import consent

PARTS = ("ages", "decide", "delegation", "horizon", "provisions")


def test_every_branch_of_the_decision_is_checked(tmp_path: Path) -> None:
    root = Path(consent.__file__).parents[1]
    coverage = [sys.executable, "-m", "coverage"]
    data = f"--data-file={tmp_path / 'coverage'}"
    only = "--include=" + ",".join(f"{root}/consent/{name}.py" for name in PARTS)
    run = [*coverage, "run", "--branch", data, only, "-m", "tests.consent.checks"]
    ran = subprocess.run(run, cwd=root, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr

    report = [*coverage, "report", data, only, "--show-missing", "--fail-under=100"]
    told = subprocess.run(report, cwd=root, capture_output=True, text=True, check=False)

    assert told.returncode == 0, told.stdout + told.stderr
    assert all(f"consent/{name}.py" in told.stdout for name in PARTS), told.stdout
