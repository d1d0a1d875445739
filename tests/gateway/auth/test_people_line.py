"""A flood of sign-ins: who would wait too long is told at once, and the line empties again."""

from __future__ import annotations

import asyncio

import pytest

from gateway.auth import people
from gateway.errors import Kind, Problem


async def test_the_line_before_the_hashing_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "LONGEST_LINE", 3)
    monkeypatch.setattr(people, "_matches", lambda hashed, password: False)

    answers = await asyncio.gather(
        *(people._in_turn(None, "x") for _ in range(5)), return_exceptions=True
    )

    assert [a for a in answers if a is False] == [False] * 3
    refused = [a for a in answers if isinstance(a, Problem)]
    assert [problem.kind for problem in refused] == [Kind.BUSY] * 2
    assert await people._in_turn(None, "x") is False
