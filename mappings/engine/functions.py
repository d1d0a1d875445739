"""The closed list of functions a rule may call.

A function is made once per rule (`Function.make`) and called with the values found. It answers with a
JSON node, a text, or None when there is nothing; it tells trouble through `Instance.issue` and gives
further elements of the same resource through `Instance.offer`.
"""

from __future__ import annotations

from collections.abc import Mapping

from mappings.engine import attachments, coded, imaging, measured, people, visits
from mappings.engine.bound import Apply, Bound, Function, Setup

FUNCTIONS: Mapping[str, Function] = {
    **attachments.FUNCTIONS,
    **coded.FUNCTIONS,
    **imaging.FUNCTIONS,
    **measured.FUNCTIONS,
    **people.FUNCTIONS,
    **visits.FUNCTIONS,
}

__all__ = ["FUNCTIONS", "Apply", "Bound", "Function", "Setup"]
