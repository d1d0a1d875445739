"""云溪县人民医院's PACS: DICOM headers of the story's chest CT, then the manifest of the whole study.

Both travel as DICOM JSON (PS3.18 F), as an archive's QIDO-RS and WADO-RS answer. The accession number is
the order's number of the HIS, so images and report hang on one order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from gateway.demo.delivery import Delivery, moment
from gateway.demo.people import mrn
from gateway.demo.residents import Resident

SOURCE = "people-pacs"
DICOM_JSON = "application/dicom+json"
ROOT = "1.2.826.0.1.3680043.9.7433"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
SLICES = {"肺窗 1.25mm": 12, "纵隔窗 5mm": 6}
Attributes = dict[str, Any]


def accession(day: str) -> str:
    """The story's accession number on a day (YYYYMMDD)."""
    return f"R{day}902"


def series_of(study: str) -> dict[str, list[str]]:
    """The instances of the story's study, by series."""
    return {
        f"{study}.{number}": [f"{study}.{number}.{slice}" for slice in range(1, count + 1)]
        for number, count in enumerate(SLICES.values(), 1)
    }


def deliveries(folk: Sequence[Resident], today: date) -> Iterator[Delivery]:
    """Everything this archive sends, in the order it sends it."""
    one = next(one for one in folk if one.key == "shen")
    taken, told = moment(today, 5, "15:05"), moment(today, 5, "15:40")
    study = f"{ROOT}.{taken:%Y%m%d}.902"
    common = {
        "00080020": _of("DA", f"{taken:%Y%m%d}"),
        "00080030": _of("TM", f"{taken:%H%M%S}"),
        "00080050": _of("SH", accession(f"{taken:%Y%m%d}")),
        "00080201": _of("SH", "+0800"),
        "00081030": _of("LO", "胸部CT平扫"),
        "00100010": _of("PN", {"Alphabetic": "Wang^Shen", "Ideographic": one.name}),
        "00100020": _of("LO", mrn(one)),
        "0020000D": _of("UI", study),
    }
    series = series_of(study)
    # The device sends the first slice of each series at once …
    images = [
        common
        | {
            "00080012": _of("DA", f"{taken:%Y%m%d}"),
            "00080013": _of("TM", f"{taken:%H%M%S}"),
            "00080016": _of("UI", CT_IMAGE),
            "00080018": _of("UI", instances[0]),
            "00080060": _of("CS", "CT"),
            "0008103E": _of("LO", name),
            "00180015": _of("CS", "CHEST"),
            "00180050": _of("DS", "1.250" if number == 1 else "5.000"),
            "00180060": _of("DS", "120"),
            "00189306": _of("FD", 0.625),
            "00189307": _of("FD", 40),
            "0020000E": _of("UI", uid),
            "00200011": _of("IS", number),
            "00200013": _of("IS", 1),
        }
        for number, ((uid, instances), name) in enumerate(
            zip(series.items(), SLICES, strict=True), 1
        )
    ]
    yield Delivery(SOURCE, "http-dicom", DICOM_JSON, _text(images), taken + timedelta(minutes=2))
    # … and the archive says what there is when the study is complete.
    yield Delivery(
        SOURCE, "http-dicom", DICOM_JSON, _text([common | _manifest(study, series)]), told
    )


def _manifest(study: str, series: dict[str, list[str]]) -> Attributes:
    """A key object selection with the title Manifest."""
    listed = [
        {
            "0020000E": _of("UI", uid),
            "00080054": _of("AE", "PEOPLE_PACS"),
            "00081199": _of(
                "SQ",
                *(
                    {"00081150": _of("UI", CT_IMAGE), "00081155": _of("UI", instance)}
                    for instance in instances
                ),
            ),
        }
        for uid, instances in series.items()
    ]
    title = {"00080100": _of("SH", "113030"), "00080102": _of("SH", "DCM")}
    evidence = {"0020000D": _of("UI", study), "00081115": _of("SQ", *listed)}
    return {
        "00080016": _of("UI", KEY_OBJECTS),
        "00080018": _of("UI", f"{study}.99.1"),
        "00080060": _of("CS", "KO"),
        "0020000E": _of("UI", f"{study}.99"),
        "0040A043": _of("SQ", title),
        "0040A375": _of("SQ", evidence),
    }


def _of(vr: str, *values: object) -> Attributes:
    return {"vr": vr, "Value": list(values)}


def _text(sets: Sequence[Attributes]) -> bytes:
    return json.dumps(sets, ensure_ascii=False).encode()
