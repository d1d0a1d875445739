"""Golden cases of DICOM: invented objects as devices and archives send them, and what becomes of them.

The objects lie in dicom_cases/ as sent. To write them and the answers anew: WRITE_CASES=1 pytest
tests/mappings/test_dicom_golden.py, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mappings.engine import load
from mappings.engine.explain import explain
from mappings.r4 import check, second
from tests.dicom_objects import (
    CT,
    DX,
    ROOT,
    SC,
    STUDY,
    image,
    manifest,
    part10,
    relabelled,
    with_pixels,
)
from tests.mappings.test_rows_golden import SITES, ids, issues, resources

SITE = load(SITES / "people-pacs")
HERE = Path(__file__).parent / "dicom_cases" / "people-pacs"


def latin_flag() -> bytes:
    """A device that copies GBK names from its worklist and declares Latin-1."""
    return relabelled(part10(image(SpecificCharacterSet="GB18030   ")), "GB18030   ", "ISO_IR 100")


def quality() -> bytes:
    return part10(
        image(
            SOPClassUID=DX, Modality="DR", BodyPartExamined=None, ProtocolName="膝关节",
            Laterality=None, ImageLaterality="R", ViewPosition="AP", KVP="65.0", SliceThickness=None,
            SingleCollimationWidth=None, TotalCollimationWidth=None, LossyImageCompression="01",
            BurnedInAnnotation="YES", TimezoneOffsetFromUTC=None, StudyTime="0830", SeriesTime=None,
        ),
        "implicit",
    )  # fmt: skip


DOCUMENT = {
    f"{STUDY}.1": [(CT, f"{STUDY}.1.1"), (CT, f"{STUDY}.1.2")],
    f"{STUDY}.3": [(SC, f"{STUDY}.3.1")],
}
QIDO = """[{"0020000D":{"vr":"UI","Value":["%(s)s"]},"00100020":{"vr":"LO","Value":["0000812345"]},
"00100010":{"vr":"PN","Value":[{"Alphabetic":"Zhou^Nong","Ideographic":"周燶"}]},
"00080020":{"vr":"DA","Value":["20260301"]},"00080030":{"vr":"TM","Value":["083000"]},
"00080061":{"vr":"CS","Value":["CT","SR"]},"00201206":{"vr":"IS","Value":[3]},"00201208":{"vr":"IS","Value":["412"]},
"00080050":{"vr":"SH"},"00081190":{"vr":"UR","Value":["https://pacs.people.invalid/studies/%(s)s"]}}]"""
WADO = """[{"00080016":{"vr":"UI","Value":["%(c)s"]},"00080018":{"vr":"UI","Value":["%(s)s.1.1"]},
"0020000D":{"vr":"UI","Value":["%(s)s"]},"0020000E":{"vr":"UI","Value":["%(s)s.1"]},"00080060":{"vr":"CS","Value":["CT"]},
"00100020":{"vr":"LO","Value":["0000812345"]},"00180050":{"vr":"DS","Value":[0.625]},"00180015":{"vr":"CS","Value":["肝区"]},
"00080020":{"vr":"DA","Value":["2026.03.01"]},"00080030":{"vr":"TM","Value":["08:30:00.5"]},"00080201":{"vr":"SH","Value":["+0900"]},
"00400275":{"vr":"SQ","Value":[{"00080050":{"vr":"SH","Value":["R260301001"]}}]},
"7FE00010":{"vr":"OW","BulkDataURI":"https://pacs.people.invalid/bulk/1"}},
{"00080016":{"vr":"UI","Value":["%(c)s"]},"00080018":{"vr":"UI","Value":["%(s)s.1.2"]},
"0020000D":{"vr":"UI","Value":["%(s)s"]},"0020000E":{"vr":"UI","Value":["%(s)s.1"]},"00080060":{"vr":"CS","Value":["CT"]},
"00100020":{"vr":"LO","Value":["0000812345"]}},
{"00080016":{"vr":"UI","Value":["%(c)s"]},"00080018":{"vr":"UI","Value":["%(s)s.4.1"]},
"0020000D":{"vr":"UI","Value":["%(s)s"]},"0020000E":{"vr":"UI","Value":["%(s)s.4"]},
"00100020":{"vr":"LO","Value":["0000812345"]}}]"""
NAMES = {"s": STUDY, "c": CT}

OBJECTS = {
    "ct-slice.dcm": lambda: SITE.units(part10(with_pixels(image())))[0].raw,
    "gbk-name-under-latin-1-flag.dcm": latin_flag,
    "knee-x-ray-with-quality-facts.dcm": quality,
    "knee-without-a-side.dcm": lambda: part10(
        image(Modality="MR", BodyPartExamined="KNEE", MagneticFieldStrength="1.5", KVP=None)
    ),
    "manifest.dcm": lambda: part10(manifest(DOCUMENT)),
    "manifest-of-rejected-images.dcm": lambda: part10(
        manifest(DOCUMENT, title=("113001", "Rejected for Quality Reasons"))
    ),
    "no-study-uid.dcm": lambda: part10(image(StudyInstanceUID=None)),
    "no-times-at-all.dcm": lambda: part10(
        image(
            StudyDate="", StudyTime="", SeriesDate=None, SeriesTime=None,
            InstanceCreationDate=None, InstanceCreationTime=None,
        )
    ),
    "strange-uid-and-modality.dcm": lambda: part10(
        image(StudyInstanceUID=f"{ROOT}.007", SeriesInstanceUID="series_1", Modality="GI")
    ),
    "cut-off-within-the-header.dcm": lambda: part10(image())[:700],
    "study-level-answer.json": lambda: (QIDO % NAMES).encode(),
    "series-metadata.json": lambda: (WADO % NAMES).encode(),
    "one-study-of-two-patients.json": lambda: (WADO % NAMES)
    .replace("0000812345", "0000812346", 1)
    .encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_gives_exactly_what_was_agreed(name: str) -> None:
    path = HERE / name
    writing = bool(os.environ.get("WRITE_CASES"))
    if writing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(OBJECTS[name]())
    reading = SITE.read(path.read_bytes(), ids)
    bodies = resources(reading).replace(SITE.release, "RELEASE")
    stem = path.name.removesuffix(path.suffix)
    for suffix, text in ((".fhir.json", bodies), (".issues.txt", issues(reading))):
        expected = path.with_name(stem + suffix)
        if writing:
            expected.write_text(text, encoding="utf-8")
        assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OBJECTS)
def test_every_resource_is_valid_r4_to_both_readers(name: str) -> None:
    for message in SITE.read(OBJECTS[name](), ids).messages:
        for one in message.resources:
            assert check.text(one.text(), one.type) == []
            assert second.faults(one.text(), one.type) == []


def test_the_tour_of_an_object_names_what_no_rule_reads() -> None:
    told = explain(SITE, OBJECTS["ct-slice.dcm"](), ids)
    assert {one.address for one in told.messages[0].unread} == {
        "Rows", "Columns", "BitsAllocated", "PixelRepresentation",
    }  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_no_issue_tells_a_value_and_every_code_has_its_sentence(name: str) -> None:
    reading = SITE.read(OBJECTS[name](), ids)
    for issue in (*reading.issues, *(i for m in reading.messages for i in m.issues)):
        told = issue.text("zh") + issue.text("en")
        assert not any(
            value in told
            for value in ("周燶", "00008123", "R2603", STUDY, "肝区", "GI", "series_1")
        )
        assert issue.code not in told.split(" [")[0]
