"""Image studies over the FHIR door: found by what they are, shown as they were mapped, under consent like everything."""

from __future__ import annotations

import pytest

from gateway.fhir.door import READABLE
from tests.dicom_objects import STUDY
from tests.gateway.fhir.conftest import Door

pytestmark = pytest.mark.asyncio(loop_scope="module")
DCM = "http://dicom.nema.org/resources/ontology/DCM"
SITE = "https://gateway.example/fhir/CodeSystem/body-part-examined"


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        ("identifier", f"urn:dicom:uid|urn:oid:{STUDY}", 1),
        ("identifier", f"urn:oid:{STUDY}", 1),
        ("identifier", f"urn:oid:{STUDY}9", 0),
        ("identifier", f"|urn:oid:{STUDY}", 0),  # it has a system
        ("identifier", "https://gateway.example/fhir/sid/people/accession|R260301001", 1),
        ("identifier", "https://gateway.example/fhir/sid/tcm/accession|R260301001", 0),
        ("identifier", "nothing,R260301001", 1),
        ("modality", "CT", 1),
        ("modality", f"{DCM}|CT", 1),
        ("modality", "MR", 0),
        ("modality:not", "CT", 0),
        ("bodysite", f"{SITE}|CHEST", 1),
        ("bodysite", "HEAD", 0),
        ("started", "2026-03-01", 1),
        ("started", "gt2026-03-01T08:30:00+08:00", 0),
        ("status", "available", 1),
        ("status", "cancelled", 0),
    ],
)
async def test_a_study_is_found_by(full: Door, parameter: str, value: str, found: int) -> None:
    answer = await full.web.get(
        "/fhir/ImagingStudy",
        params={"patient": full.chart, parameter: value},
        headers=await full.wang(),
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == found


async def test_its_order_comes_along(full: Door) -> None:
    answer = await full.web.get(
        "/fhir/ImagingStudy",
        params={"patient": full.chart, "_include": "ImagingStudy:basedon", "_sort": "-started"},
        headers=await full.wang(),
    )
    entries = [(e["search"]["mode"], e["resource"]) for e in answer.json()["entry"]]
    assert [(mode, one["resourceType"]) for mode, one in entries] == [
        ("match", "ImagingStudy"),
        ("include", "ServiceRequest"),
    ]
    (study, order) = (one for _, one in entries)
    assert study["basedOn"] == [{"reference": f"ServiceRequest/{order['id']}"}]
    found = await full.web.get(
        "/fhir/ImagingStudy",
        params={"patient": full.chart, "basedon": f"ServiceRequest/{order['id']}"},
        headers=await full.wang(),
    )
    assert found.json()["total"] == 1


async def test_digits_of_quality_facts_leave_as_they_came(full: Door) -> None:
    answer = await full.web.get(
        "/fhir/ImagingStudy", params={"patient": full.chart}, headers=await full.wang()
    )
    assert '"url":"sliceThickness","valueQuantity":{"value":1.250,' in answer.text


async def test_another_hospital_sees_images_only_with_consent(full: Door, shared: Door) -> None:
    for door, total in ((full, 0), (shared, 1)):
        answer = await door.web.get(
            "/fhir/ImagingStudy", params={"patient": door.chart}, headers=await door.li()
        )
        body = answer.json()
        assert body.get("total", 0) == total, answer.text


async def test_a_value_that_is_no_identifier_is_refused(full: Door) -> None:
    answer = await full.web.get(
        "/fhir/ImagingStudy",
        params={"patient": full.chart, "identifier": "urn:dicom:uid|"},
        headers=await full.wang(),
    )
    assert answer.status_code == 400


async def test_image_studies_are_readable() -> None:
    assert "ImagingStudy" in READABLE
