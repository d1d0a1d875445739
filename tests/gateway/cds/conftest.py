"""The served county of the FHIR door's tests, and one in which another hospital has measured what is
being ordered: both called as a hospital's system would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.exchange import residents
from gateway.identity.systems import RESIDENT_ID
from tests.gateway.cds.ordering import recent
from tests.gateway.exchange.house import clinician
from tests.gateway.fhir.conftest import SHEN, Door, served, shared

__all__ = ["shared", "ward"]

CLOSED = "0601^精神心理科"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(
    migrated_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    """ALT and AST of two days ago at the people's hospital; dr-li of the TCM hospital is treating."""
    folder = tmp_path_factory.mktemp("ward")
    # A busy machine must not cut off what is not about being late.
    more = {"cds_cutoff_ms": 20_000, "cds_origins": "https://his.example, https://b.example"}
    async with served(folder, migrated_files, **more) as door:
        house = door.house
        await house.file(
            house.adt(SHEN),
            recent(house, ("ALT", "62.40", "F"), ("AST", "<31.0", "F")),
            recent(house, ("ALP", "90", "P"), report="R8", status="P"),
        )
        await house.sign()
        li = clinician("dr-li", "tcm")
        why = "急诊抢救室接诊"
        await residents.open_resident(RESIDENT_ID, SHEN.number, li, house.services, claim=why)
        yield door
