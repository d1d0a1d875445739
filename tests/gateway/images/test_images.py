"""Images come from the hospital that keeps them: of the study that was opened, and of nothing else."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from pydicom.pixels import pixel_array

from gateway.audit.events import Kind
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import consents, image_probes, images
from gateway.exchange.residents import open_resident
from gateway.identity.systems import RESIDENT_ID
from gateway.services.archives import Archives, Streamed
from gateway.services.caller import Caller
from gateway.services.register import Archive as Declared
from tests.dicom_objects import STUDY
from tests.gateway.exchange.house import REGISTRAR, clinician
from tests.gateway.exchange.test_rights import decided, right, stop
from tests.gateway.images.conftest import MRN, OTHERS, SLICES, WHO, Hospital
from tests.logged import kinds

DOCTOR = replace(clinician(), session="s1")
ELSEWHERE = replace(clinician("dr-li", "people"), session="s2")
OTHER_HOSPITAL = replace(clinician("dr-chen", "tcm"), session="s4")
STRANGER = Caller("x", "township", "clinician", "dr-x", "x", "TREAT", session="s3")


async def _bytes(found: Streamed | list[Any]) -> bytes:
    assert isinstance(found, Streamed)
    return b"".join([piece async for piece in found.body])


async def _reads(hospital: Hospital) -> int:
    """How often a study was opened, as the log tells it."""
    return (await kinds(hospital.services)).count(Kind.READ.value)


async def test_a_study_is_listed_with_what_is_known_of_its_images(hospital: Hospital) -> None:
    first = await images.studies(hospital.chart, DOCTOR, hospital.services)
    assert isinstance(first, images.Studies)
    (study,) = first.studies
    assert (study.description, study.modalities, study.instances) == ("胸部CT平扫", ("CT",), 4)
    assert study.images == "unknown"
    await hospital.services.archives.settled()
    again = await images.studies(hospital.chart, DOCTOR, hospital.services)
    assert isinstance(again, images.Studies)
    assert again.studies[0].images == "reachable"


async def test_all_its_images_follow_one_event(hospital: Hospital) -> None:
    before = await _reads(hospital)
    for number in range(3):
        held = await images.opened(hospital.study, DOCTOR, hospital.services)
        places = await images.instances(held, hospital.services)
        assert list(places) == [f"{STUDY}.1", f"{STUDY}.2"]
        instance = places[f"{STUDY}.1"][number]
        assert instance == f"{STUDY}.1.{number + 1}"
        found = await images.rendered(held, f"{STUDY}.1", instance, hospital.services)
        assert found.media_type == "image/jpeg"
        assert (await _bytes(found))[:3] == b"\xff\xd8\xff"
    assert await _reads(hospital) == before + 1


async def test_a_withdrawal_ends_an_open_study_at_its_next_image(hospital: Hospital) -> None:
    said = "门诊接诊，需要调阅外院影像"
    await open_resident(RESIDENT_ID, WHO.number, OTHER_HOSPITAL, hospital.services, said)
    held = await images.opened(hospital.study, OTHER_HOSPITAL, hospital.services)
    assert await images.instances(held, hospital.services)
    (consent,) = await hospital.house.current("Consent")
    await consents.withdraw(consent.id, REGISTRAR, hospital.services)
    with pytest.raises(Problem) as told:
        await images.opened(hospital.study, OTHER_HOSPITAL, hospital.services)
    assert told.value.kind in {Trouble.UNKNOWN, Trouble.REFUSED}


async def test_a_right_that_ends_ends_an_open_study_at_its_next_image(hospital: Hospital) -> None:
    services = hospital.services
    assert await images.opened(hospital.study, DOCTOR, services)
    await stop(services, "imaging", "view")
    with pytest.raises(Problem) as told:
        await images.opened(hospital.study, DOCTOR, services)
    assert told.value.kind is Trouble.UNKNOWN
    await decided(services, "right", right("level:institution", "imaging", "view"))
    assert await images.opened(hospital.study, DOCTOR, services)


async def test_another_session_opens_it_anew(hospital: Hospital) -> None:
    before = await _reads(hospital)
    await images.opened(hospital.study, DOCTOR, hospital.services)
    await images.opened(hospital.study, ELSEWHERE, hospital.services)
    assert await _reads(hospital) == before + 2
    hospital.house.clock.forward(images.LIFE / 1_000_000 + 1)
    await images.opened(hospital.study, DOCTOR, hospital.services)
    assert await _reads(hospital) == before + 3


async def test_who_treats_nobody_here_learns_nothing(hospital: Hospital) -> None:
    answers = set()
    for id in (hospital.study, "f" * 32):
        with pytest.raises(Problem) as told:
            await images.opened(id, STRANGER, hospital.services)
        answers.add((told.value.kind, told.value.text, told.value.place))
    assert len(answers) == 1, "what is there and what is not are one answer"
    assert {kind for kind, *_ in answers} <= {Trouble.UNKNOWN, Trouble.REFUSED}


@pytest.mark.parametrize(
    "below",
    [
        "", "..", "../studies", f"../{OTHERS}/metadata", "series/1/../../../../instances",
        f"series/{STUDY}.1/instances/{STUDY}.1.1", f"series/{STUDY}.1", "metadata/",
        f"series/{STUDY}.1/instances/{STUDY}.1.1/frames/0x1", "changes", "%2e%2e/metadata",
        f"series/{STUDY}.1/instances/{STUDY}.1.1/bulk/../../../x",
    ],
)  # fmt: skip
async def test_only_what_a_viewer_needs_of_the_study_is_fetched(
    hospital: Hospital, below: str
) -> None:
    held = await images.opened(hospital.study, DOCTOR, hospital.services)
    with pytest.raises(Problem) as told:
        await images.fetch(held, below, "", "*/*", hospital.services)
    assert told.value.kind is Trouble.REFUSED


async def test_instances_of_somebody_else_are_not_there(hospital: Hospital) -> None:
    held = await images.opened(hospital.study, DOCTOR, hospital.services)
    for series, instance in ((f"{OTHERS}.1", f"{OTHERS}.1.1"), (f"{STUDY}.1", f"{OTHERS}.1.1")):
        with pytest.raises(Problem) as told:
            await images.rendered(held, series, instance, hospital.services)
        assert told.value.kind is Trouble.UNKNOWN
        path = f"series/{series}/instances/{instance}/metadata"
        with pytest.raises(Problem) as told:
            await images.fetch(held, path, "", "*/*", hospital.services)
        assert told.value.kind is Trouble.UNKNOWN


async def test_metadata_and_frames_come_through_with_our_own_addresses(hospital: Hospital) -> None:
    held = await images.opened(hospital.study, DOCTOR, hospital.services)
    objects = await images.fetch(held, "metadata", "", "application/dicom+json", hospital.services)
    assert isinstance(objects, list)
    assert len(objects) == 4
    assert images.value(objects[0], "00081030") == "胸部CT平扫"
    told = repr(images.rewritten(objects, "/portal/dicomweb/h/"))
    assert str(hospital.archive.port) not in told
    frame = await images.fetch(
        held,
        f"series/{STUDY}.1/instances/{STUDY}.1.2/frames/1",
        "",
        'multipart/related; type="application/octet-stream"',
        hospital.services,
    )
    body = await _bytes(frame)
    pixels = body.partition(b"\r\n\r\n")[2][: 64 * 64 * 2]
    assert pixels == pixel_array(io.BytesIO(SLICES[1]), raw=True).tobytes()


def test_addresses_of_the_archive_are_turned_and_others_dropped() -> None:
    given = [
        {
            "00081190": {"vr": "UR", "Value": ["http://pacs/dicom-web/studies/1/series/2"]},
            "7FE00010": {"vr": "OW", "BulkDataURI": "http://pacs/x/studies/1/bulk/7fe00010"},
            "00081115": {"vr": "SQ", "Value": [{"00081190": {"vr": "UR", "Value": ["ftp://a"]}}]},
        }
    ]
    (turned,) = images.rewritten(given, "/p/")
    assert turned["00081190"]["Value"] == ["/p/studies/1/series/2"]
    assert turned["7FE00010"]["BulkDataURI"] == "/p/studies/1/bulk/7fe00010"
    assert turned["00081115"]["Value"][0]["00081190"]["Value"] == [""]


async def test_an_archive_that_means_another_study_shows_nothing(hospital: Hospital) -> None:
    held = await images.opened(hospital.study, DOCTOR, hospital.services)
    asked = images.asked_of(held.study)._replace(accession="R999")
    with pytest.raises(Problem) as told:
        await image_probes.agree(asked, hospital.services)
    assert told.value.kind is Trouble.CONFLICT
    await image_probes.probe(asked, hospital.services)
    assert await image_probes.states([asked], hospital.services) == {asked.id: "unreachable"}
    hospital.house.clock.forward(601)
    assert await image_probes.states([asked], hospital.services) == {asked.id: "unknown"}
    await hospital.services.archives.settled()


async def test_an_archive_that_does_not_answer_is_said_and_nothing_else(hospital: Hospital) -> None:
    deaf = replace(
        hospital.services, archives=Archives({"people": Declared("people", "http://127.0.0.1:9")})
    )
    held = await images.look(hospital.study, DOCTOR, deaf)
    with pytest.raises(Problem) as told:
        await images.instances(held, deaf)
    assert told.value.kind is Trouble.BUSY
    assert STUDY not in told.value.text
    assert MRN not in told.value.text
    await deaf.archives.close()
