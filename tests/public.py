"""Where the published test data lie: beside the checkout, never inside it.

`SHARED_FIXTURES` names another folder. Without them the tests that read them are skipped, and one
warning says so. (The name does not begin with GATEWAY_: that is the service's own, and it refuses to
start with a setting it does not know.)
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

FOLDER = Path(
    os.environ.get("SHARED_FIXTURES", Path(__file__).parents[2] / "shared" / "fixtures")
).resolve()

if not FOLDER.is_dir():
    warnings.warn("SKIPPED FOR LACK OF THE PUBLISHED TEST DATA (shared/fixtures)", stacklevel=1)


def folder(name: str) -> Path:
    """One set of published files; skips the test when it is not here."""
    found = FOLDER / name
    if not found.is_dir():
        pytest.skip(f"published test data are missing: {name}")
    return found


def files(*names: str, suffixes: tuple[str, ...] = (".json",)) -> list[Path]:
    """The files of some sets, for parametrizing: an empty list skips the test."""
    return sorted(
        path
        for name in names
        if (FOLDER / name).is_dir()
        for path in (FOLDER / name).iterdir()
        if path.suffix in suffixes
    )
