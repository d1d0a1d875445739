"""What a Key Object Selection Document lists, as data sets of the instances themselves.

PS3.3 C.17.6.2: the evidence sequences name every study, series and instance the document refers to, and
where they can be retrieved. XDS-I.b calls such a document with the title *Manifest* the image manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mappings.engine.dicomdata import DataSet, DicomFault, Element, text_of

STUDY_UID, SERIES_UID, SOP_UID, SOP_CLASS = 0x0020000D, 0x0020000E, 0x00080018, 0x00080016
PATIENT_ID = 0x00100020
MODALITY = 0x00080060
_KOS = "1.2.840.10008.5.1.4.1.1.88.59"
_EVIDENCE = (0x0040A375, 0x0040A385)  # current procedure, pertinent other
_SERIES, _INSTANCES = 0x00081115, 0x00081199
_REFERENCED = {0x00081150: SOP_CLASS, 0x00081155: SOP_UID}
_TITLE, _CODE = 0x0040A043, 0x00080100
_REJECTED = frozenset({"113001", "113037", "113038", "113039"})
"""Titles that withdraw what they list (IHE IOCM, PS3.16 CID 7011)."""

# What a document says of the patient and the study, and not of itself.
_OF_STUDY = frozenset(
    {0x00080005, 0x00080020, 0x00080030, 0x00080050, 0x00080051, 0x00080080, 0x00080090,
     0x00080201, 0x00081030, 0x00081032, 0x00200010, 0x0040A370}
)  # fmt: skip
_RETRIEVAL = frozenset({0x00080054, 0x00081190, 0x0040E011})

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_MODALITIES: Mapping[str, str] = {
    "1": "CR", "1.1": "DX", "1.1.1": "DX", "1.2": "MG", "1.2.1": "MG", "1.3": "IO", "1.3.1": "IO",
    "2": "CT", "2.1": "CT", "2.2": "CT", "3.1": "US", "6.1": "US", "6.2": "US", "4": "MR",
    "4.1": "MR", "4.2": "MR", "4.3": "MR", "4.4": "MR", "9.1.1": "ECG", "9.1.2": "ECG",
    "9.1.3": "ECG", "12.1": "XA", "12.1.1": "XA", "12.2": "RF", "12.2.1": "RF", "13.1.1": "XA",
    "13.1.3": "MG", "20": "NM", "77.1.1": "ES", "77.1.1.1": "ES", "77.1.2": "GM", "77.1.3": "SM",
    "77.1.4": "XC", "77.1.4.1": "XC", "77.1.5.1": "OP", "77.1.5.4": "OPT", "77.1.6": "SM",
    "104.1": "DOC", "104.2": "DOC", "128": "PT", "128.1": "PT", "130": "PT", "88.11": "SR",
    "88.22": "SR", "88.33": "SR", "88.50": "SR", "88.65": "SR", "88.67": "SR", "88.59": "KO",
    "11.1": "PR", "11.2": "PR",
}  # fmt: skip
"""SOP classes below the storage root (PS3.4 B.5) whose modality is beyond doubt; a secondary capture's is not."""


def is_kos(data: DataSet) -> bool:
    element = data.get(SOP_CLASS)
    return element is not None and element.values[:1] == (_KOS,)


def listed(document: DataSet) -> Iterator[tuple[str, list[DataSet]]]:
    """Study UID and instances of each study a document lists.

    Raises `DicomFault` when the document withdraws what it lists: nothing is taken back by a rule.
    """
    if any(text_of(title, _CODE) in _REJECTED for title in _items(document, _TITLE)):
        raise DicomFault("dicom-rejection", "ConceptNameCodeSequence (0040,A043)")
    common = {
        tag: element for tag, element in document.items() if tag >> 16 == 0x0010 or tag in _OF_STUDY
    }
    found = False
    for evidence in _EVIDENCE:
        for study in _items(document, evidence):
            found = True
            instances = []
            for series in _items(study, _SERIES):
                where = {tag: one for tag, one in series.items() if tag in _RETRIEVAL}
                for item in _items(series, _INSTANCES):
                    made = {**common, **where, STUDY_UID: study.get(STUDY_UID, _NONE)}
                    made[SERIES_UID] = series.get(SERIES_UID, _NONE)
                    made.update(
                        (ours, item[tag]) for tag, ours in _REFERENCED.items() if tag in item
                    )
                    made.update((tag, one) for tag, one in item.items() if tag in _RETRIEVAL)
                    kind = text_of(made, SOP_CLASS).removeprefix(_STORAGE)
                    made[MODALITY] = Element("CS", (_MODALITIES.get(kind, "OT"),))
                    instances.append(made)
            yield text_of(study, STUDY_UID), instances
    if not found:
        raise DicomFault("dicom-no-evidence")


_NONE = Element("UI", ())


def _items(data: DataSet, tag: int) -> list[DataSet]:
    element = data.get(tag)
    return [one for one in element.values if isinstance(one, dict)] if element else []
