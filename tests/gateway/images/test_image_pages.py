"""Imaging in a real browser against a real archive: list, study, image; DICOMweb by the session alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from dicomweb_client.api import DICOMwebClient
from playwright.sync_api import Browser
from requests import Session

from gateway.demo import story
from gateway.exchange import sources
from gateway.services.archives import Archives
from tests.dicom_objects import ROOT
from tests.gateway.exchange.house import Clock, House
from tests.gateway.images.archive import Archive, picture
from tests.gateway.images.conftest import OTHERS, PACS
from tests.gateway.portal import harness
from tests.gateway.portal.conftest import Eyes, chromium  # noqa: F401
from tests.gateway.portal.own_town import HOSTILE, MOTHER, PASSWORD, OwnTown
from tests.logged import kinds

pytestmark = pytest.mark.browser
STUDY = f"{ROOT}.31"
OWN = {
    "StudyInstanceUID": STUDY, "PatientID": "0000000001", "PatientName": "Mu=母亲",
    "AccessionNumber": "R260301031", "StudyDescription": HOSTILE,
}  # fmt: skip
IMAGES = [
    picture(
        300 * n, SeriesInstanceUID=f"{STUDY}.1", SOPInstanceUID=f"{STUDY}.1.{n}",
        InstanceNumber=str(n), SeriesDescription=HOSTILE, **OWN,
    )
    for n in (1, 2, 3)
]  # fmt: skip
REPORT = (
    (Path(__file__).parents[2] / "mappings/cases/people/oru-r01-ct-report-names-its-images.hl7")
    .read_bytes()
    .replace(b"0000812345", b"0000000001")
    .replace(b"R260301001", b"R260301031")
    .replace(f"{ROOT}.1.1".encode(), STUDY.encode())
)


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory, migrated_files: Path, orthanc: Archive
) -> Iterator[OwnTown]:
    folder = tmp_path_factory.mktemp("imaging")
    register = folder / "county.toml"
    register.write_text(
        story.REGISTER.read_text("utf-8")
        + f'\n[[archive]]\norganization = "people"\ndicomweb = "{orthanc.dicomweb}"\n'
        f'password_file = "{orthanc.password}"\n',
        "utf-8",
    )
    made = OwnTown(folder, migrated_files, register)
    made.do(sources.add(PACS, "people", "people-pacs", made.services, again=True))
    orthanc.store(*IMAGES)
    house = House(made.services, Clock())
    made.do(house.file(*IMAGES, source=PACS))
    made.do(house.file(REPORT))
    yield made
    made.close()


@pytest.fixture
def eyes(chromium: Browser, town: OwnTown) -> Iterator[Eyes]:  # noqa: F811
    seen = Eyes(chromium, town.address)
    seen.context.add_init_script(Axe().axe_script)
    seen.enter("dr-wang")
    open_mother(seen)
    yield seen
    seen.context.close()
    assert seen.trouble == []


def open_mother(eyes: Eyes) -> None:
    """Her visits are long past: the doctor says why."""
    page = eyes.look_up(MOTHER.number)
    if page.url.endswith("/claim"):
        page.check("input[name=declared]")
        page.fill("#reason", "门诊接诊，需要调阅既往影像")
        eyes.press("main form .primary")
    assert page.url.partition("?")[0].endswith(("/results", "/overview"))


def events(town: OwnTown) -> int:
    return len(town.do(kinds(town.services)))


def test_a_doctor_pages_through_a_study_in_both_languages(eyes: Eyes, town: OwnTown) -> None:
    page = eyes.go("/images")
    assert page.locator(".exam-title").inner_text() == HOSTILE
    before = events(town)
    eyes.press(".exam-title")
    assert page.locator(".image-series h2").all_inner_texts() == [HOSTILE]
    shown = page.locator(".image-key img")
    assert shown.evaluate("i => i.decode().then(() => i.naturalWidth)") == 64
    eyes.press(".image-key")
    assert page.locator(".image-view img").evaluate("i => i.decode().then(() => i.naturalWidth)")
    assert "第 2 幅，共 3 幅" in page.inner_text("figcaption")
    eyes.press("a[rel=next]")
    assert page.locator("a[rel=next]").count() == 0
    soft = page.locator(".image-view img").evaluate(PIXEL)
    eyes.press(page.get_by_role("link", name="肺窗"))
    assert page.locator(".image-view img").evaluate(PIXEL) != soft
    assert events(town) == before + 1
    assert eyes.violations() == []
    assert harness.accessible(page) == []
    eyes.in_english()
    assert "image 3 of 3" in page.inner_text("figcaption")
    assert MOTHER.number not in " ".join(eyes.addresses)
    page.set_viewport_size({"width": 375, "height": 812})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def said(eyes: Eyes, town: OwnTown) -> tuple[list[str], str, list[str]]:
    """What list, report and overview say of the one study; of images that are there the last is still."""
    page = eyes.go("/images")
    town.do(town.services.archives.settled())
    eyes.go("/images")
    listed = page.locator(".exams .mark").all_inner_texts()
    eyes.go("/overview")
    beside = page.locator("section[aria-labelledby=images]")
    assert beside.locator("a").all_inner_texts() == [HOSTILE]
    first = beside.locator(".mark").all_inner_texts()
    eyes.press(page.locator(".house-reports").get_by_role("link", name="胸部CT平扫"))
    return listed, page.locator(".report-images .mark").inner_text(), first


def test_a_report_leads_to_its_images_and_says_of_them_what_the_list_says(
    eyes: Eyes, town: OwnTown
) -> None:
    listed, reported, first = said(eyes, town)
    assert (listed, first) == ([reported], [])
    assert "影像可调阅" in reported
    page = eyes.context.pages[0]
    assert "1 个序列 · 3 幅影像" in page.locator(".report-images").inner_text()
    address = page.locator(".report-images a").get_attribute("href")
    eyes.press(".report-images a")
    assert page.url.endswith(str(address))
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator(".image-key img").evaluate("i => i.decode().then(() => i.naturalWidth)")
    eyes.go("/overview")
    assert page.locator("section[aria-labelledby=images] a").get_attribute("href") == address


def test_without_an_archive_in_the_register_every_page_says_so(eyes: Eyes, town: OwnTown) -> None:
    before = town.services.archives
    object.__setattr__(town.services, "archives", Archives({}))
    try:
        listed, reported, first = said(eyes, town)
        assert listed == [reported] == first
        assert "影像无法调阅" in reported
        page = eyes.context.pages[0]
        eyes.press(".report-images a")
        assert "没有在本系统登记影像库" in page.locator(".superseded").inner_text()
        assert page.locator(".image-key").count() == 0
        eyes.in_english()
        assert "no image archive registered here" in page.locator(".superseded").inner_text()
        page.set_viewport_size({"width": 375, "height": 812})
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
    finally:
        object.__setattr__(town.services, "archives", before)


PIXEL = """async i => { await i.decode(); const c = document.createElement('canvas');
 c.width = c.height = 64; const g = c.getContext('2d'); g.drawImage(i, 0, 0);
 return Array.from(g.getImageData(0, 32, 64, 1).data).join() }"""


def test_without_scripts_the_images_are_there(chromium: Browser, town: OwnTown) -> None:  # noqa: F811
    seen = Eyes(chromium, town.address, java_script_enabled=False)
    seen.enter("dr-wang")
    open_mother(seen)
    page = seen.go("/images")
    seen.press(".exam-title")
    seen.press(".image-key")
    assert page.locator(".image-view img").get_attribute("src")
    seen.context.close()
    assert seen.trouble == []


def viewer(eyes: Eyes, town: OwnTown) -> tuple[str, Session]:
    """The address a viewer is given for the open study, and a session with the browser's cookies."""
    page = eyes.go("/images")
    handle = str(page.locator(".exam-title").get_attribute("href")).rpartition("/")[2]
    eyes.go(f"/images/{handle}")
    session = Session()
    for cookie in eyes.context.cookies():
        session.cookies.set(cookie["name"], cookie["value"])
    return f"{town.address}/portal/dicomweb/{handle}", session


def test_an_ordinary_dicomweb_client_reads_the_open_study_and_no_other(
    eyes: Eyes, town: OwnTown
) -> None:
    address, session = viewer(eyes, town)
    before = events(town)
    client = DICOMwebClient(address, session=session)
    (study,) = client.search_for_studies(search_filters={"StudyInstanceUID": STUDY})
    assert study["0020000D"]["Value"] == [STUDY]
    series = client.search_for_series(STUDY)
    assert [one["0020000E"]["Value"] for one in series] == [[f"{STUDY}.1"]]
    metadata: list[Any] = client.retrieve_series_metadata(STUDY, f"{STUDY}.1")
    assert len(metadata) == 3
    (frame,) = client.retrieve_instance_frames(
        STUDY, f"{STUDY}.1", f"{STUDY}.1.2", [1],
        media_types=(("application/octet-stream", "*"),),
    )  # fmt: skip
    assert len(frame) == 64 * 64 * 2
    assert events(town) == before  # the page had opened it
    for path in ("studies", f"studies?StudyInstanceUID={OTHERS}", f"studies/{OTHERS}/metadata",
                 "studies?PatientID=0000900009", f"studies?StudyInstanceUID={STUDY}&StudyInstanceUID={OTHERS}",
                 f"studies/{STUDY}/series/{OTHERS}.1/metadata"):  # fmt: skip
        assert session.get(f"{address}/{path}").status_code in {403, 404}, path


def test_without_a_session_a_frame_is_401_and_leads_nowhere(eyes: Eyes, town: OwnTown) -> None:
    address, _ = viewer(eyes, town)
    path = f"/studies/{STUDY}/series/{STUDY}.1/instances/{STUDY}.1.1/frames/1"
    answer = httpx.get(address + path)
    assert (answer.status_code, answer.content) == (401, b"")
    other = httpx.Client(base_url=town.address)
    page = other.get("/portal/sign-in").text
    token = page.partition('name="csrf" value="')[2].partition('"')[0]
    other.post(
        "/portal/sign-in",
        data={"csrf": token, "login": "auditor", "password": PASSWORD},
        headers={"origin": town.address},
    )
    assert other.get(address + path).status_code == 403
