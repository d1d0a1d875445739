"""Statements on what is known of images: what the archive answered when it was last asked."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select

from gateway.store import recognition_tables as tables
from gateway.store.charts import Upsert
from gateway.store.statements import Statement, any_of

_probe = tables.ImageProbe.__table__  # type: ignore[attr-defined]


class ProbeRow(NamedTuple):
    """One study (id of the ImagingStudy) and what was found, sealed."""

    study: str
    found: bytes


PUT = Upsert(_probe, "study")
OF = Statement(
    select(*(_probe.c[name] for name in ProbeRow._fields)).where(any_of(_probe.c.study, "studies")),
    "studies",
    lists=("studies",),
)
