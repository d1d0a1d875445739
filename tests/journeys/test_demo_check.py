"""The demo's walk: it passes as it is, and with any one station switched off it fails there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gateway.demo.check import STATIONS


def _walk(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "demo", "--check", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_whole_road_is_walked_within_forty_seconds() -> None:
    code, said = _walk()
    assert code == 0, said
    verdict = said.strip().splitlines()[-1]
    assert verdict.startswith("demo check passed")
    assert f"{len(STATIONS)} of {len(STATIONS)}" in verdict


@pytest.mark.parametrize("station", STATIONS)
def test_a_station_switched_off_is_named(station: str) -> None:
    code, said = _walk("--without", station, "--json")
    assert code == 1, said
    assert json.loads(said)["failed"] == station
