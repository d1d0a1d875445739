"""A real image archive (Orthanc with DICOMweb) on a loopback port, and images to put into it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

from tests.dicom_objects import image, part10

ORTHANC = Path("/usr/sbin/Orthanc")
PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SIDE = 64


class Archive:
    """One Orthanc with an empty store; Chinese texts come back as they went in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, dicom = _free(), _free()
        self.config = folder / "orthanc.json"
        self.config.write_text(
            json.dumps(
                {
                    "Name": "PEOPLE_PACS",
                    "StorageDirectory": str(folder / "store"),
                    "IndexDirectory": str(folder / "store"),
                    "Plugins": [str(PLUGINS)],
                    "HttpPort": self.port,
                    "DicomPort": dicom,
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": True,
                    "RegisteredUsers": {"gateway": "invented"},
                    "DefaultEncoding": "Utf8",
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                    "Verbosity": "default",
                }
            )
        )
        self.password = folder / "password"
        self.password.write_text("gateway:invented\n")
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", auth=("gateway", "invented"), timeout=20
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def dicomweb(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web/"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [ORTHANC, self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(200):
            try:
                self.http.get("/system").raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise RuntimeError("Orthanc did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def store(self, *objects: bytes) -> None:
        for one in objects:
            self.http.post("/instances", content=one).raise_for_status()


def picture(shade: int = 100, **attributes: Any) -> bytes:
    """A small computed-tomography slice with pixels, as a Part 10 file."""
    data = image(**attributes)
    data.Rows = data.Columns = SIDE
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.RescaleIntercept, data.RescaleSlope = "-1024", "1"
    data.WindowCenter, data.WindowWidth = "40", "400"
    row = b"".join(((shade + 30 * column) % 4096).to_bytes(2, "little") for column in range(SIDE))
    data.PixelData = row * SIDE
    data["PixelData"].VR = "OW"
    return part10(data)


def _free() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
