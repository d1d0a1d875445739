"""A misspelt word of ``[source]`` is found, because a misspelt setting is a wrong setting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gateway
import mappings
from mappings.engine import lint
from mappings.engine.release import SOURCE_OPTIONS

HOME = Path(mappings.__path__[0])
MAP = """[map]
id = "a"
version = "1"
base = "base/oru_r01@{version}"

[source]
org = "a"
timezone = "Asia/Shanghai"
{line}
"""


def findings(folder: Path, line: str) -> list[tuple[int, str]]:
    base = (HOME / "base" / "oru_r01.toml").read_text("utf-8")
    version = re.search(r'version = "(\d+)"', base)
    assert version is not None
    (folder / "a.toml").write_text(MAP.format(version=version[1], line=line), "utf-8")
    return [(one.line, one.zh) for one in lint(folder)]


@pytest.mark.parametrize(
    ("line", "near"),
    [("id = { MR = 'mrn' }", "ids"), ("pseudo_utz = true", "pseudo_utc"), ("colums = 'A'", "columns")],
)  # fmt: skip
def test_a_misspelt_word_is_told_with_its_neighbours(tmp_path: Path, line: str, near: str) -> None:
    ((number, said),) = findings(tmp_path, line)
    assert number == 9
    assert said.startswith("[source] 不认识")
    assert near in said


def test_right_words_are_silent(tmp_path: Path) -> None:
    assert findings(tmp_path, "ids = { MR = 'mrn' }\npseudo_utc = true") == []


def test_every_option_that_is_read_is_known_and_no_other() -> None:
    code = [*HOME.rglob("*.py"), *(Path(gateway.__path__[0]) / "exchange").glob("*.py")]
    text = "\n".join(path.read_text("utf-8") for path in code)
    read = set(re.findall(r"""options\.get\(\s*["'](\w+)""", text))
    read |= set(re.findall(r'_number\(site, "(\w+)"', text))

    assert read | {"rename"} == SOURCE_OPTIONS
