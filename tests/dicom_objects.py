"""Builds small invented DICOM objects: image headers with pixels to be left behind, and image manifests (KOS)."""

from __future__ import annotations

import io
from typing import Any

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.9.7433"
STUDY = f"{ROOT}.1.1"
CT, DX, SC = (
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.7",
)  # fmt: skip
KOS = "1.2.840.10008.5.1.4.1.1.88.59"
SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
}


def image(**given: Any) -> Dataset:
    """The header of a CT slice of 周燶; keywords replace attributes, None takes one out."""
    attributes = {
        "SpecificCharacterSet": "GB18030",
        "SOPClassUID": CT,
        "SOPInstanceUID": f"{STUDY}.1.1",
        "StudyDate": "20260301",
        "SeriesDate": "20260301",
        "StudyTime": "083000",
        "SeriesTime": "083112.250",
        "InstanceCreationDate": "20260301",
        "InstanceCreationTime": "083115",
        "AccessionNumber": "R260301001",
        "Modality": "CT",
        "Manufacturer": "Invented Devices",
        "ManufacturerModelName": "Model 64",
        "ReferringPhysicianName": "李四",
        "StudyDescription": "胸部CT平扫",
        "SeriesDescription": "肺窗 1.25mm",
        "PatientName": "Zhou^Nong=周燶",
        "PatientID": "0000812345",
        "PatientBirthDate": "19800101",
        "PatientSex": "F",
        "BodyPartExamined": "CHEST",
        "SliceThickness": "1.250",
        "KVP": "120",
        "TimezoneOffsetFromUTC": "+0800",
        "SingleCollimationWidth": 0.625,
        "TotalCollimationWidth": 40.0,
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": f"{STUDY}.1",
        "SeriesNumber": "2",
        "InstanceNumber": "1",
        **given,
    }
    made = Dataset()
    for name, value in attributes.items():
        if value is not None:
            setattr(made, name, value)
    return made


def with_pixels(made: Dataset) -> Dataset:
    """With an icon, an overlay and pixels that must not be kept."""
    icon = Dataset()
    icon.Rows = icon.Columns = 8
    icon.add_new(0x7FE00010, "OB", b"ICONPIXELS" * 7)
    made.IconImageSequence = Sequence([icon])
    made.add_new(0x60003000, "OW", b"OVERLAYBIT" * 20)
    made.Rows = made.Columns = 16
    made.BitsAllocated = 16
    made.PixelRepresentation = 0
    made.add_new(0x7FE00010, "OW", b"PIXELDATA!" * 51 + b"AB")
    return made


def code(value: str, scheme: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def manifest(
    series: dict[str, list[tuple[str, str]]],
    title: tuple[str, str] = ("113030", "Manifest"),
    study: str = STUDY,
    **given: Any,
) -> Dataset:
    """A key object selection of a study: series UID to its instances as (SOP class, UID)."""
    made = Dataset()
    attributes = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": KOS,
        "SOPInstanceUID": f"{study}.9.1",
        "StudyDate": "20260301",
        "StudyTime": "083000",
        "ContentDate": "20260301",
        "ContentTime": "091500",
        "AccessionNumber": "R260301001",
        "Modality": "KO",
        "Manufacturer": "Invented Archive",
        "PatientName": "Zhou^Nong=周燶",
        "PatientID": "0000812345",
        "PatientBirthDate": "19800101",
        "PatientSex": "F",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.9",
        "SeriesNumber": "99",
        "InstanceNumber": "1",
        **given,
    }
    for name, value in attributes.items():
        if value is not None:
            setattr(made, name, value)
    made.ConceptNameCodeSequence = Sequence([code(title[0], "DCM", title[1])])
    listed = Dataset()
    listed.StudyInstanceUID = study
    listed.ReferencedSeriesSequence = Sequence(
        [_series(uid, instances) for uid, instances in series.items()]
    )
    made.CurrentRequestedProcedureEvidenceSequence = Sequence([listed])
    return made


def _series(uid: str, instances: list[tuple[str, str]]) -> Dataset:
    made = Dataset()
    made.SeriesInstanceUID = uid
    made.RetrieveAETitle = "PEOPLE_PACS"
    made.RetrieveURL = f"https://pacs.people.invalid/wado-rs/series/{uid}"
    items = []
    for kind, instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, instance
        items.append(item)
    made.ReferencedSOPSequence = Sequence(items)
    return made


def part10(made: Dataset, syntax: str = "explicit") -> bytes:
    """The object as a file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = SYNTAXES[syntax]
    meta.ImplementationClassUID = f"{ROOT}.9"
    file = FileDataset(
        "",
        made,
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax == "implicit",
        is_little_endian=syntax != "big",
    )
    out = io.BytesIO()
    file.save_as(out, enforce_file_format=True)
    return out.getvalue()


def relabelled(raw: bytes, declared: str, claimed: str) -> bytes:
    """The same bytes under another Specific Character Set, padded to the same length."""
    was = declared.encode().ljust(len(declared) + len(declared) % 2)
    now = claimed.encode().ljust(len(was))
    assert was in raw
    assert len(now) == len(was)
    return raw.replace(was, now, 1)
