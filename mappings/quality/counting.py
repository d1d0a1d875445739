"""How detectors count: labels, and the judgment most of them share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from mappings.quality.sighting import Sighting

Label = tuple[str, ...]
"""What is counted. The first word is the group that is kept or dropped as one; labels never leave memory."""

Days = Mapping[str, Counter[Label]]
Struck = Mapping[str, int]
Judged = dict[str, tuple[int, Struck]]
"""Day -> how many could have struck, and the strikes by place."""

Notice = Callable[[Sighting], Iterable[Label]]
Judge = Callable[[Days], Judged]

OK, STRUCK = "ok", "struck"


def each(days: Days) -> Judged:
    """For labels (place, OK or STRUCK): every message speaks for itself."""
    return {
        day: (
            counted.total(),
            {place: n for (place, verdict), n in _places(counted).items() if verdict == STRUCK},
        )
        for day, counted in days.items()
    }


def _places(counted: Counter[Label]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for (place, verdict), n in counted.items():
        found[place, verdict] += n
    return found


def together(days: Days) -> Counter[Label]:
    """The labels of all days."""
    found: Counter[Label] = Counter()
    for counted in days.values():
        found.update(counted)
    return found
