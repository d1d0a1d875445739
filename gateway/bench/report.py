"""The figures as a document and as lines: what was measured, beside what was set as goal and floor."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should reach: of the ceiling's (`of_ceiling`) or of itself; at least or at most."""

    goal: float
    floor: float
    of_ceiling: bool = True
    at_most: bool = False


AIMS = {
    "read by id": Aim(0.60, 0.30),
    "denied read": Aim(0.95, 0.90),  # beside the granted one; 1 but for what two runs differ by
    "search, page of 20": Aim(0.50, 0.30),
    "whole record": Aim(0.55, 0.37),
    "raw ORU of 20 OBX to filed": Aim(350, 120, of_ceiling=False),
    "consent, decryption and audit, share of CPU time": Aim(
        0.40, 0.50, of_ceiling=False, at_most=True
    ),
    "resident memory": Aim(120, 200, of_ceiling=False, at_most=True),
    "disk per observation": Aim(0.9, 2.6, of_ceiling=False, at_most=True),
    "cold start to first answer": Aim(0.6, 1.0, of_ceiling=False, at_most=True),
    "ORU of 20 OBX mapped, validation gated": Aim(5_000, 2_500, of_ceiling=False),
    "rows of a laboratory view mapped, validation gated": Aim(100_000, 50_000, of_ceiling=False),
    "CDA of 20 items mapped, validation gated": Aim(2_500, 1_000, of_ceiling=False),
    "order-select of 20 items, 10/s, p95": Aim(100, 300, of_ceiling=False, at_most=True),
    "order-select of 20 items, 50/s, p95": Aim(100, 300, of_ceiling=False, at_most=True),
    **{
        f"{page} of {size}, {when}": Aim(goal, floor, of_ceiling=False, at_most=True)
        for page in ("overview", "results", "trend", "report")
        for size, goal in ((200, 50), (5_000, 100))
        for when, goal, floor in (("first", 150, 300), ("warm p95", goal, 150))
    },
    # 0.8, 3 and 13 µs a decision; a whole decision that remembers nothing took 16 to 100 µs.
    "5 provisions: records told apart": Aim(1_250_000, 62_500, of_ceiling=False),
    "21 provisions: records told apart": Aim(333_000, 62_500, of_ceiling=False),
    "101 provisions: records told apart": Aim(77_000, 10_000, of_ceiling=False),
    "5 provisions: classes decided anew": Aim(62_500, 10_000, of_ceiling=False),
    "21 provisions: classes decided anew": Aim(62_500, 10_000, of_ceiling=False),
    "101 provisions: classes decided anew": Aim(62_500, 10_000, of_ceiling=False),
}
"""Figures without an aim are told beside the others; only a wrong answer misses them."""


def result(
    name: str,
    unit: str,
    values: Sequence[float],
    ceilings: Sequence[float] = (),
    wrong: int = 0,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One line of the document: medians, and the median of the ratios of neighbours in time.

    A wrong answer in the load misses the goal, however fast it was.
    """
    aim = AIMS.get(name)
    value = statistics.median(values)
    ratio = (
        statistics.median(mine / best for mine, best in zip(values, ceilings, strict=True))
        if ceilings
        else None
    )
    of_ceiling = aim is not None and aim.of_ceiling and ratio is not None
    judged = ratio if of_ceiling and ratio is not None else value
    at_most = aim is not None and aim.at_most

    def reached(mark: float | None) -> bool:
        return not wrong and (mark is None or (judged <= mark if at_most else judged >= mark))

    goal, floor = (aim.goal, aim.floor) if aim is not None else (None, None)

    return {
        "name": name,
        "value": _round(value),
        "unit": unit,
        "ceiling": _round(statistics.median(ceilings)) if ceilings else None,
        "ratio": round(ratio, 3) if ratio is not None else None,
        "goal": goal,
        "floor": floor,
        "judged": ("ratio" if of_ceiling else "value") + (" ≤" if at_most else " ≥"),
        "met": reached(goal),
        "floor met": reached(floor),
        "wrong answers": wrong,
        **(more or {}),
    }


def _round(value: float) -> float:
    return round(value, 3 if value < 10 else 1)


def told(document: dict[str, Any]) -> str:
    """The document as lines for a person."""
    lines = [
        "  ".join(f"{name} {value}" for name, value in document[part].items())
        for part in ("machine", "versions", "data")
    ]
    lines.append("")
    for one in document["results"]:
        ceiling = f"of {one['ceiling']:g} = {one['ratio']:.2f}" if one["ceiling"] else ""
        verdict = "goal" if one["met"] else "floor" if one["floor met"] else "MISSED"
        aimed = f"{one['judged']} {one['goal']:g} (floor {one['floor']:g})" if one["goal"] else ""
        wrong = f"  {one['wrong answers']} wrong answers" if one["wrong answers"] else ""
        lines.append(
            f"{verdict if aimed or wrong else '':<7}{one['name']:<50}{one['value']:>9g} {one['unit']:<11}"
            f"{ceiling:<20}{aimed}{wrong}"
        )
    return "\n".join(lines)
