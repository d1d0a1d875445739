"""Filing image studies: instances, series and manifests come in any order and end as one study."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from gateway.exchange import filing, page_records, sources
from gateway.exchange.receive import Unit, receive
from gateway.vault import Tier
from tests.dicom_objects import CT, STUDY, image, manifest, part10
from tests.gateway.exchange.house import House

PACS = "people-pacs"
FIRST = part10(image())
SECOND = part10(
    image(
        SOPInstanceUID=f"{STUDY}.1.2", InstanceNumber="2", InstanceCreationTime="083116",
        SeriesDescription="肺窗 1.25mm",
    )
)  # fmt: skip
OTHER_SERIES = part10(
    image(
        SOPInstanceUID=f"{STUDY}.2.1", SeriesInstanceUID=f"{STUDY}.2", SeriesNumber="3",
        InstanceCreationTime="083200", Modality="SR", BodyPartExamined=None,
    )
)  # fmt: skip
MANIFEST = part10(
    manifest(
        {f"{STUDY}.1": [(CT, f"{STUDY}.1.{n}") for n in (1, 2, 3)], f"{STUDY}.5": [(CT, "1.5.1")]}
    )
)


@pytest.fixture
async def pacs(house: House) -> House:
    await sources.add(PACS, "people", "people-pacs", house.services, again=True)
    return house


def shape(study: dict[str, Any]) -> dict[str, Any]:
    """What a study says, whatever the order of its parts."""
    return {
        "counts": (study["numberOfSeries"], study["numberOfInstances"]),
        "status": study["status"],
        "modality": sorted(one["code"] for one in study["modality"]),
        "series": {
            one["uid"]: (
                one["modality"]["code"],
                one.get("description", ""),
                one["numberOfInstances"],
                sorted(instance["uid"] for instance in one["instance"]),
            )
            for one in study["series"]
        },
    }


async def test_instances_a_report_of_another_kind_and_a_manifest_end_as_one_study(
    pacs: House,
) -> None:
    states = await pacs.file(FIRST, SECOND, OTHER_SERIES, MANIFEST, source=PACS)
    assert states == ["filed"] * 4
    assert shape((await pacs.only("ImagingStudy")).plain) == {
        "counts": (3, 5),
        "status": "available",
        "modality": ["CT", "SR"],
        "series": {
            f"{STUDY}.1": ("CT", "肺窗 1.25mm", 3, [f"{STUDY}.1.{n}" for n in (1, 2, 3)]),
            f"{STUDY}.2": ("SR", "肺窗 1.25mm", 1, [f"{STUDY}.2.1"]),
            f"{STUDY}.5": ("CT", "", 1, ["1.5.1"]),
        },
    }
    assert len(await pacs.current("ServiceRequest")) == 1


async def test_the_order_of_arrival_makes_no_other_study(pacs: House) -> None:
    """Whatever arrives first, also the document that only adds: the end is the same."""
    ends = set()
    for number, order in enumerate(permutations((FIRST, SECOND, OTHER_SERIES, MANIFEST))):
        if number % 5:
            continue
        # One study of one patient for each order: the same objects under other numbers.
        moved = [
            raw.replace(b"9.7433.1.", b"9.74%d.1." % (50 + number))
            .replace(b"0000812345", b"00008124%d" % (50 + number))
            .replace(b"R260301001", b"R2603010%d" % (50 + number))
            for raw in order
        ]
        assert await pacs.file(*moved, source=PACS) == ["filed"] * 4
    for study in await pacs.current("ImagingStudy"):
        said = shape(study.plain)
        said["series"] = sorted(
            (kind, text, count, len(list_)) for kind, text, count, list_ in said["series"].values()
        )
        ends.add(json.dumps(said))
    assert len(await pacs.current("ImagingStudy")) == 5
    assert len(ends) == 1


async def test_what_is_filed_before_what_arrived_earlier_still_loses_nothing(pacs: House) -> None:
    receipts = await receive(PACS, [Unit(FIRST), Unit(SECOND), Unit(OTHER_SERIES)], pacs.services)
    for receipt in reversed(receipts):
        await filing.file_message(receipt.id, pacs.services)
    assert shape((await pacs.only("ImagingStudy")).plain)["counts"] == (2, 3)


async def test_an_object_sent_again_makes_no_version(pacs: House) -> None:
    await pacs.file(FIRST, FIRST, source=PACS)
    study = await pacs.only("ImagingStudy")
    assert study.version == 1


async def test_a_corrected_header_corrects_its_series_and_an_older_one_does_not(
    pacs: House,
) -> None:
    corrected = part10(image(SeriesDescription="纵隔窗", InstanceCreationTime="100000"))
    older = part10(
        image(SeriesDescription="旧", InstanceCreationTime="070000", SOPInstanceUID=f"{STUDY}.1.9")
    )
    await pacs.file(FIRST, corrected, older, source=PACS)
    (series,) = (await pacs.only("ImagingStudy")).plain["series"]
    assert series["description"] == "纵隔窗"
    assert [one["uid"] for one in series["instance"]] == [f"{STUDY}.1.1", f"{STUDY}.1.9"]
    assert ("note", "older-than-stored") not in await pacs.issues()


async def test_a_study_under_a_second_patient_is_held_with_an_alarm(pacs: House) -> None:
    states = await pacs.file(FIRST, part10(image(PatientID="0000812399")), source=PACS)
    assert states == ["filed", "quarantined"]
    assert ("alarm", "other-chart") in await pacs.issues()
    assert len(await pacs.current("ImagingStudy")) == 1


REPORT = (
    Path(__file__).parents[2] / "mappings/cases/people/oru-r01-ct-report-names-its-images.hl7"
).read_bytes()


@pytest.mark.parametrize("first", ["report", "images"])
async def test_a_report_and_its_images_meet_whichever_comes_first(pacs: House, first: str) -> None:
    told = [(REPORT, "people-his"), (part10(image(PatientName="王珅")), PACS)]
    for raw, source in told if first == "report" else reversed(told):
        assert await pacs.file(raw, source=source) == ["filed"]
    study, report = await pacs.only("ImagingStudy"), await pacs.only("DiagnosticReport")
    order = await pacs.only("ServiceRequest")
    assert report.plain["imagingStudy"] == [{"reference": f"ImagingStudy/{study.id}"}]
    assert (page_records.STUDY, bytes.fromhex(study.id)) in report.entry.links
    assert study.plain["basedOn"] == report.plain["basedOn"]
    assert study.plain["basedOn"] == [{"reference": f"ServiceRequest/{order.id}"}]
    assert study.plain["status"] == "available"
    assert study.chart == report.chart


async def test_images_of_a_protected_matter_are_shelved_like_any_record_of_it(pacs: House) -> None:
    """The word stands in a description; the Provenance that tells of the study is shelved with it."""
    await pacs.file(part10(image(StudyDescription="艾滋病相关肺部感染复查")), source=PACS)
    study = await pacs.only("ImagingStudy")
    assert "HIV" in study.nature.sensitivities
    assert study.tier is not Tier.GENERAL
    assert (await pacs.only("Provenance")).tier is study.tier


async def test_a_word_that_comes_with_a_later_series_raises_the_whole_study(pacs: House) -> None:
    later = part10(
        image(
            SOPInstanceUID=f"{STUDY}.7.1",
            SeriesInstanceUID=f"{STUDY}.7",
            SeriesDescription="HIV 随访",
        )
    )
    await pacs.file(FIRST, later, source=PACS)
    study = await pacs.only("ImagingStudy")
    assert "HIV" in study.nature.sensitivities
    assert study.tier is not Tier.GENERAL
    # Its first version has moved to the same shelf.
    assert {one.tier for one in await pacs.everything() if one.type == "ImagingStudy"} == {
        study.tier
    }
