"""A county whose people's hospital has a real archive, with a patient and two studies in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import pytest

from gateway.exchange import sources
from gateway.services import Services
from gateway.services.archives import Archives
from gateway.services.log import AccessLog
from gateway.services.register import Archive as Declared
from tests.conftest import missing
from tests.dicom_objects import ROOT, STUDY
from tests.gateway.exchange.house import Clock, House, person
from tests.gateway.images.archive import ORTHANC, PLUGINS, Archive, picture

PACS = "people-pacs"
MRN = "0000812345"
WHO = person("zhou", "周燶", sex="female")
OTHERS = f"{ROOT}.77"
SLICES = [
    picture(100 * n, SOPInstanceUID=f"{STUDY}.1.{n}", InstanceNumber=str(n)) for n in (1, 2, 3)
]
SECOND_SERIES = picture(
    900, SOPInstanceUID=f"{STUDY}.2.1", SeriesInstanceUID=f"{STUDY}.2", SeriesNumber="3",
    SeriesDescription="纵隔窗 5mm", SliceThickness="5.000",
)  # fmt: skip
STRANGERS = picture(
    10, StudyInstanceUID=OTHERS, SeriesInstanceUID=f"{OTHERS}.1", SOPInstanceUID=f"{OTHERS}.1.1",
    PatientID="0000900009", PatientName="Li^Si=李四海", AccessionNumber="R260301777",
)  # fmt: skip


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    if not (ORTHANC.exists() and PLUGINS.exists()):
        missing("Orthanc (apt-get install orthanc-dicomweb)")
    archive = Archive(tmp_path_factory.mktemp("orthanc"))
    archive.start()
    archive.store(*SLICES, SECOND_SERIES, STRANGERS)
    yield archive
    archive.stop()


@dataclass
class Hospital:
    """The house, its archive, and the id of the patient's one study on file."""

    house: House
    services: Services
    archive: Archive
    study: str

    @property
    def chart(self) -> str:
        return self.house.chart(MRN)


@pytest.fixture
async def hospital(services: Services, orthanc: Archive) -> AsyncIterator[Hospital]:
    clock = Clock()
    declared = Declared("people", orthanc.dicomweb, str(orthanc.password))
    mine = replace(
        services,
        now=clock,
        log=AccessLog(services.db, services.vault, "test", clock),
        archives=Archives({"people": declared}),
    )
    house = House(mine, clock)
    await sources.add(PACS, "people", "people-pacs", mine, again=True)
    await house.file(house.adt(WHO, MRN))
    await house.file(*SLICES, SECOND_SERIES, source=PACS)
    await house.sign(mrn=MRN)
    study = await house.only("ImagingStudy")
    yield Hospital(house, mine, orthanc, study.id)
    await mine.archives.close()
