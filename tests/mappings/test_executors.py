"""Generated code and the interpreter say the same of everything."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

import mappings
from mappings.engine import Map, load

HERE = Path(__file__).parent
SITES = Path(mappings.__file__).parent / "sites"
CASES = sorted(
    path
    for folder in HERE.glob("*cases")
    for path in folder.glob("*/*")
    if not path.name.endswith((".fhir.json", ".issues.txt"))
)


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    text = "\x1f".join((space, type_, *key))
    return hashlib.blake2b(text.encode(), digest_size=16, key=b"test").hexdigest()


@cache
def site(name: str) -> Map:
    return load(SITES / name)


def same(site: Map, raw: bytes) -> None:
    """Twice, so that both what is made and what is remembered are compared."""
    slow = site.interpreted().read(raw, ids, "0011")
    for _ in range(2):
        fast = site.read(raw, ids, "0011")
        for one, other in zip(fast.messages, slow.messages, strict=True):
            assert one.issues == other.issues
            assert one.resources == other.resources
        assert fast == slow


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_golden_case_is_the_same_in_both(case: Path) -> None:
    same(site(case.parent.name), case.read_bytes())
