"""Every example consent of IHE's guide (PCF 1.1) is accepted, and enforced as it says."""

from __future__ import annotations

from pathlib import Path

from tests import public
from tests.journeys import pcf_table


async def test_every_example_of_the_guide_is_recorded_and_does_what_it_says(tmp_path: Path) -> None:
    guide = {path.stem for path in public.folder("ihe-pcf").glob("Consent-*.json")}
    told = await pcf_table.table(tmp_path)
    print("\n" + "\n".join(pcf_table.printed(told)))

    assert {pcf_table.file_of(name) for name, _ in told} == guide
    assert len(guide) == 23
    wrong = [(name, one) for name, answers in told for one in answers if one.shown != one.expected]
    assert wrong == []
    # Each example is asked something, and what it permits is seen to be refused by another.
    assert all(answers for _, answers in told)
    for record in ("weight", "psy", "sdv", "r", "alcohol", "2022", "practitioners"):
        answers = {one.shown for _, all_ in told for one in all_ if one.record == record}
        assert answers == {True, False}, record
