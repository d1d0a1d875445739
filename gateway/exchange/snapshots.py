"""Sources whose every report is a whole picture: what a newer one no longer holds is for a person to look at.

With ``[source] snapshot = true`` an item that was in a report and is not in its newer version was taken
out by the laboratory. Nothing is withdrawn by a rule: the report is filed, the message waits in
quarantine with an alarm, and the result stands until somebody has looked (`reviewing`).
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.records.entry import Entry
from gateway.records.extract import Said
from mappings.engine import Issue

RESULT = "result"
MISSING = "snapshot-missing"


def missing(before: Entry, now: Said) -> frozenset[bytes]:
    """Ids of results the report's standing version holds and its new one does not."""
    return results(before) - results(now)


def results(said: Entry | Said) -> frozenset[bytes]:
    """Ids of the results a report names."""
    return frozenset(target for name, target in said.links if name == RESULT)


def told(place: str) -> tuple[Issue, ...]:
    """What is said of a report that lost items: the report's place, never which items."""
    return Issue("hold", MISSING, place), Issue("alarm", MISSING, place)


def unreviewed(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """What still holds a message that is read again: only a person ends it, no second reading."""
    return tuple(one for one in issues if (one.severity, one.code) == ("hold", MISSING))
