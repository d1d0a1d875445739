"""DICOM over HTTP and from files: headers are kept, pixels never are, and only a DICOM source may send it."""

from __future__ import annotations

from gateway.exchange import loading
from gateway.store import inbox
from tests.dicom_objects import STUDY, image, part10, with_pixels

PART10, AS_JSON = "application/dicom", "application/dicom+json"
RAW = part10(with_pixels(image()))
CANARIES = (b"PIXELDATA!", b"ICONPIXELS", b"OVERLAYBIT")
METADATA = (
    b'[{"0020000D":{"vr":"UI","Value":["%s"]},"00100020":{"vr":"LO","Value":["0000812345"]}}]'
    % STUDY.encode()
)


async def post(doors, content, kind, source="people-pacs"):
    authorization = f"Bearer {await doors.token(source)}"
    return await doors.web.post(
        f"/intake/{source}",
        content=content,
        headers={"authorization": authorization, "content-type": kind},
    )


async def kept(doors, id):
    """The raw message as it lies here, opened."""
    row = inbox.RawRow(*(await doors.services.db.read(inbox.RAW, id))[0])
    vault = doors.services.vault
    return await vault.open_raw(row.source, row.day, row.id, row.sealed, row.wrap, None)


async def test_an_image_is_kept_without_its_pixels_and_known_when_it_comes_again(doors):
    assert all(canary in RAW for canary in CANARIES)
    answer = await post(doors, RAW, PART10)
    assert answer.status_code == 202, answer.text
    (told,) = answer.json()["received"]
    raw = await kept(doors, told["id"])
    assert b"0000812345" in raw
    assert not any(canary in raw for canary in CANARIES)
    again = await post(doors, RAW, PART10)
    assert again.json()["received"] == [{"id": told["id"], "outcome": "again"}]


async def test_what_a_web_archive_answers_is_taken_as_it_is(doors):
    answer = await post(doors, METADATA, AS_JSON)
    assert answer.status_code == 202, answer.text
    assert await kept(doors, answer.json()["received"][0]["id"]) == METADATA


async def test_json_that_is_not_strict_is_refused_with_its_place(doors):
    answer = await post(doors, b'[{"00100020":1,"00100020":2}]', AS_JSON)
    assert answer.status_code == 400
    assert "duplicate" in answer.text


async def test_a_source_of_another_kind_cannot_send_images_because_its_map_would_keep_them(doors):
    answer = await post(doors, RAW, PART10, source="tcm-lis")
    assert answer.status_code == 415
    assert (await doors.received())["tcm-lis"].received == 0


async def test_a_folder_of_images_is_loaded_and_resumes(doors, tmp_path):
    files = []
    for number in range(3):
        file = tmp_path / f"{number}.dcm"
        file.write_bytes(part10(with_pixels(image(SOPInstanceUID=f"{STUDY}.1.{number}"))))
        files.append(file)
    for expected in ("new", "again"):
        outcomes = [
            outcome
            for file in files
            async for some, _ in loading.load("people-pacs", file, doors.services)
            for outcome in some
        ]
        assert outcomes == [expected] * 3
