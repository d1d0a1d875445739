"""The demo's walk: it passes as it is, and with any one station switched off it fails there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.demo.check import STATIONS
from tests.shell import call


def test_the_whole_road_is_walked_by_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "demo", "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    verdict = done.stdout.strip().splitlines()[-1]
    assert verdict.startswith("demo check passed")
    assert f"{len(STATIONS)} of {len(STATIONS)}" in verdict


@pytest.mark.parametrize("station", STATIONS)
def test_a_station_switched_off_is_named(station: str) -> None:
    told = call({}, "demo", "--check", "--without", station, "--json")
    assert told.code == 1, told
    assert told.json["failed"] == station
