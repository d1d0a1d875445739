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
}


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
    aim = AIMS[name]
    value = statistics.median(values)
    ratio = (
        statistics.median(mine / best for mine, best in zip(values, ceilings, strict=True))
        if ceilings
        else None
    )
    judged = value if ratio is None or not aim.of_ceiling else ratio

    def reached(mark: float) -> bool:
        return not wrong and (judged <= mark if aim.at_most else judged >= mark)

    return {
        "name": name,
        "value": _round(value),
        "unit": unit,
        "ceiling": _round(statistics.median(ceilings)) if ceilings else None,
        "ratio": round(ratio, 3) if ratio is not None else None,
        "goal": aim.goal,
        "floor": aim.floor,
        "judged": ("ratio" if judged is ratio else "value") + (" ≤" if aim.at_most else " ≥"),
        "met": reached(aim.goal),
        "floor met": reached(aim.floor),
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
        wrong = f"  {one['wrong answers']} wrong answers" if one["wrong answers"] else ""
        lines.append(
            f"{verdict:<7}{one['name']:<50}{one['value']:>9g} {one['unit']:<10}{ceiling:<20}"
            f"{one['judged']} {one['goal']:g} (floor {one['floor']:g}){wrong}"
        )
    return "\n".join(lines)
