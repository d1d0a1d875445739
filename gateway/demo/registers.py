"""What the pretend county has registered: its systems over five levels, and who was given rights beside its own."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.demo import story
from gateway.exchange import registers
from gateway.exchange.registers import Chosen
from gateway.recognition.registers import Kind
from gateway.services import Services
from gateway.services.caller import Caller

SYSTEMS = Path(__file__).parent / "systems.csv"
FIRST, SECOND = "commission", "commission-second"
_BASIS = "省卫健委互认通知（演示）"
RIGHTS = (
    ("level:city", "statistics", "statistics", "市卫健委共享文件（演示）", "2027-01-31"),
    ("system:P-01", "identity", "match", _BASIS, "2027-12-31"),
    ("system:P-01", "laboratory", "view", _BASIS, "2027-12-31"),
    ("system:P-01", "imaging", "view", _BASIS, "2027-12-31"),
)
WAITS = ("system:P-02", "imaging", "view", "省卫健委影像通知（演示）", "2027-12-31")


async def fill(services: Services) -> None:
    """Register everything once, proposed by one person and approved by another; one draft waits."""
    if await registers.standing("system", services):
        return
    with SYSTEMS.open(encoding="utf-8", newline="") as text:
        await _both("system", list(csv.DictReader(text)), services)
    await _both("right", [_right(*one) for one in RIGHTS], services)
    await registers.propose("right", [_right(*WAITS)], person(FIRST), services)


def _right(holder: str, data_class: str, use: str, document: str, end: str) -> dict[str, str]:
    return {
        "holder": holder,
        "data_class": data_class,
        "use": use,
        "document": document,
        "start": "2026-01-01",
        "end": end,
    }


async def _both(kind: Kind, lines: Sequence[Mapping[str, str]], services: Services) -> None:
    await registers.propose(kind, lines, person(FIRST), services)
    second = person(SECOND)
    chosen = [
        Chosen(one.kind, one.id, one.version, one.seen)
        for one in await registers.drafts(second, services)
    ]
    await registers.decide(chosen, True, second, services)


def person(login: str) -> Caller:
    """An account of the pretend county as the caller of a story."""
    one = next(account for account in story.ACCOUNTS if account.login == login)
    return Caller(
        client="demo", organization=one.organization, role=one.role, user=login, name=one.name
    )
