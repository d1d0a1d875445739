"""HL7 v2 messages nobody here wrote, by kind: what was read, what it became, what no rule read, what was said.

`python -m tests.mappings.public_v2_table` prints the table; the test pins it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mappings.engine import Map, load
from mappings.engine.explain import explain
from tests import public

SITE = Path(__file__).parent.parent / "journeys" / "sites" / "hl7v2"
FOLDERS = ("ms-fhir-converter-hl7v2", "linuxforhealth-hl7v2")
SUFFIXES = (".hl7",)


@dataclass
class Row:
    """What became of the messages of one kind (``ADT^A01``); a message of several letters counts once."""

    files: int = 0
    mapped: int = 0
    resources: Counter[str] = field(default_factory=Counter)
    issues: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    """How often a filled field (``PID-10``) was read by no rule."""


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    text = "\x1f".join((space, type_, *key))
    return hashlib.blake2b(text.encode(), digest_size=16, key=b"test").hexdigest()


def files() -> list[Path]:
    """Every published v2 message there is here."""
    return [file for folder in FOLDERS for file in public.files(folder, suffixes=SUFFIXES)]


def table(site: Map) -> dict[str, Row]:
    """Every file explained, gathered by the kind its first letter says."""
    rows: dict[str, Row] = {}
    for file in files():
        told = explain(site, file.read_bytes(), ids)
        first = told.messages[0].message.kind if told.messages else "unreadable"
        row = rows.setdefault(first or "unreadable", Row())
        row.files += 1
        row.mapped += any(said.message.resources for said in told.messages)
        row.issues.update(f"{one.severity} {one.code}" for one in told.issues)
        for said in told.messages:
            row.resources.update(one.type for one in said.message.resources)
            row.issues.update(f"{one.severity} {one.code}" for one in said.message.issues)
            for left in said.unread:
                row.unread[left.address] += left.count
    return dict(sorted(rows.items()))


def printed(rows: dict[str, Row]) -> str:
    """The table, one line a kind; of the unread fields how many there are, and the most frequent."""
    head = ("kind", "files", "mapped", "resources", "fields no rule read", "issues")
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for kind, row in rows.items():
        often = ", ".join(address for address, _ in row.unread.most_common(6))
        cells = (
            kind,
            row.files,
            row.mapped,
            _counted(row.resources),
            f"{len(row.unread)}: {often}" if row.unread else "none",
            _counted(row.issues),
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"


if __name__ == "__main__":
    print(printed(table(load(SITE))))
