"""Sources whose every report is a whole picture: what a newer one no longer holds is for a person to look at.

With ``[source] snapshot = true`` an item that was in a report and is not in its newer version was taken
out by the laboratory. Nothing is withdrawn by a rule: the report is filed, the message waits in
quarantine with an alarm, and the result stands until somebody has looked.
"""

from __future__ import annotations

from gateway.records.entry import Entry
from gateway.records.extract import Said
from mappings.engine import Issue

RESULT = "result"


def missing(before: Entry, now: Said) -> frozenset[bytes]:
    """Ids of results the report's standing version holds and its new one does not."""
    held = {target for name, target in before.links if name == RESULT}
    return frozenset(held - {target for name, target in now.links if name == RESULT})


def told(place: str) -> tuple[Issue, ...]:
    """What is said of a report that lost items: the report's place, never which items."""
    return Issue("hold", "snapshot-missing", place), Issue("alarm", "snapshot-missing", place)
