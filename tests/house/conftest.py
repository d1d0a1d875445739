"""A county made by the command line alone, and a way to call commands as an operator does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.demo import story
from tests.shell import Told, call


@dataclass
class Desk:
    """Where an operator sits: an environment, and nothing else."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str | Path, **changed: str) -> Told:
        """Run one command as the shell would."""
        given = {**self.environment, **{f"GATEWAY_{k.upper()}": v for k, v in changed.items()}}
        return call(given, *words)


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A county after `init`, to copy: making one takes longer than a test."""
    folder = tmp_path_factory.mktemp("county")
    told = _desk(folder)("init")
    assert told.code == 0, told.err
    return folder


def _desk(folder: Path) -> Desk:
    return Desk(
        folder,
        {
            "GATEWAY_DATA": str(folder / "data"),
            "GATEWAY_COUNTY": "yunxi",
            "GATEWAY_COUNTY_FILE": str(story.REGISTER),
            "GATEWAY_CATALOGUE": str(story.CATALOGUE),
            "COLUMNS": "200",
        },
    )


@pytest.fixture
def empty(tmp_path: Path) -> Desk:
    """Before `init`."""
    return _desk(tmp_path)


@pytest.fixture
def desk(founded: Path, tmp_path: Path) -> Desk:
    """A county of its own."""
    shutil.copytree(founded / "data", tmp_path / "data")
    return _desk(tmp_path)


@pytest.fixture
def messages(tmp_path: Path) -> Callable[..., Path]:
    """Write messages of the people's hospital about an invented resident to a file."""

    def write(*numbers: int, name: str = "in.hl7") -> Path:
        path = tmp_path / name
        path.write_bytes(b"\r".join(result(number) for number in numbers))
        return path

    return write


def result(number: int) -> bytes:
    """One laboratory result, MRN and control id by number."""
    lines = [
        f"MSH|^~\\&|LIS|330421A|GW|COUNTY|20260302093000||ORU^R01|C{number:05d}|P|2.4",
        f"PID|1||M{number:05d}^^^^MR||王珅{number}||19800101|M",
        f"OBR|1|O{number:05d}|R{number:05d}|PANEL^肝功能|||20260302073000|||||||20260302074000|SER|||||||20260302093000||LAB|F",
        "OBX|1|NM|ALT^丙氨酸氨基转移酶||31.0|U/L|9-50||||F|||20260302090000",
    ]
    return "\r".join(lines).encode("gb18030") + b"\r"
