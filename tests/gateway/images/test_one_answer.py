"""Whether images can be fetched is one answer: in lists, pages, judgements, prompts and decisions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select, update

from gateway.errors import Kind, Problem
from gateway.exchange import decide, image_probes, images, overview, proving, residents, results
from gateway.exchange.deciding import Verdict
from gateway.exchange.ledger import PORTAL
from gateway.identity.systems import RESIDENT_ID
from gateway.portal import image_words, words
from gateway.recognition.decisions import Choice
from gateway.recognition.images import FRESH, WORDS, state, together
from gateway.recognition.judgement import Flag, Reason
from gateway.recognition.tracing import review
from gateway.services.archives import Archives
from gateway.services.register import Archive as Declared
from gateway.store import recognition_tables
from gateway.store.statements import Statement
from tests.dicom_objects import ROOT, image, part10
from tests.gateway.cds.ordering import KEY, SELECT, VIEW, hook, order
from tests.gateway.exchange.house import clinician
from tests.gateway.fhir.conftest import SHEN, Door, served
from tests.gateway.images.archive import Archive, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")
LI = replace(clinician("dr-li", "tcm"), session="s1")
PROBE = recognition_tables.ImageProbe.__table__  # type: ignore[attr-defined]
STUDY = f"{ROOT}.55"
CHEST = "29252-4"
OWN = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.1", "SOPInstanceUID": f"{STUDY}.1.1",
       "PatientID": "0000000001", "PatientName": "Shen=王珅", "AccessionNumber": "R260301055"}  # fmt: skip
CASES = Path(__file__).parents[2] / "mappings/cases/people"
DEAF = Declared("people", "http://127.0.0.1:9/")


def reported() -> bytes:
    """The report that names its images."""
    raw = (CASES / "oru-r01-ct-report-names-its-images.hl7").read_bytes()
    return (
        raw.replace(b"0000812345", b"0000000001")
        .replace(b"R260301001", b"R260301055")
        .replace(f"{ROOT}.1.1".encode(), STUDY.encode())
        .replace(b"20260301", b"20260228")
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(
    migrated_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    """A chest CT of yesterday with its report at the people's hospital; dr-li of the TCM hospital
    is treating."""
    async with served(
        tmp_path_factory.mktemp("one-answer"), migrated_files, cds_cutoff_ms=20_000
    ) as door:
        house = door.house
        assert await house.file(house.adt(SHEN), reported()) == ["filed"] * 2
        taken = {"StudyDate": "20260228", "SeriesDate": "20260228"}
        assert await house.file(part10(image(**OWN, **taken)), source="people-pacs") == ["filed"]
        await house.sign()
        why = "急诊抢救室接诊"
        await residents.open_resident(RESIDENT_ID, SHEN.number, LI, house.services, claim=why)
        yield door


@pytest_asyncio.fixture(loop_scope="module")
async def kept(door: Door, request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    """The county with these archives in its register, of which nothing is known yet."""
    services = door.house.services
    before = services.archives
    declared = request.getfixturevalue("declared")
    object.__setattr__(services, "archives", Archives(declared))
    await services.db.do(lambda tx: tx.run(Statement(PROBE.delete())))
    yield door
    await services.archives.close()
    object.__setattr__(services, "archives", before)


async def answers(door: Door) -> dict[str, Any]:
    """What every place says of the one study and its report."""
    services, chart = door.house.services, door.chart
    listed = await images.studies(chart, LI, services)
    first = await overview.overview(chart, LI, services)
    grid = await results.results(chart, LI, services)
    assert isinstance(listed, images.Studies)
    assert isinstance(first, overview.Overview)
    assert isinstance(grid, results.Folder)
    report = next(one for one in grid.reports if one.opened.type == "DiagnosticReport")
    issued = await results.report(report.opened.id, LI, services)
    opened = await images.look(listed.studies[0].id, LI, services)
    beside = await images.of_report(issued.report.opened, issued.seen, services)
    cases = [one.judged.case for one in (report, issued.report)]
    (card,) = await hook(door, SELECT, order("1", CHEST), encounterId="V1") or [None]
    survey = await hook(door, VIEW, encounterId="V1")
    await services.archives.settled()
    return {
        "said": {listed.studies[0].images, first.studies[0].images, opened.study.images,
                 *(one.images for one in beside), *(one.facts.images for one in cases if one)},
        "outcome": {report.judged.state, issued.report.judged.state},
        "reason": {report.judged.reason, issued.report.judged.reason},
        "overview": len(first.countable),
        "card": card["extension"][KEY] if card else None,
        "detail": card["detail"] if card else "",
        "survey": len(survey),
        "report": (report.opened.id, report.opened.version),
    }  # fmt: skip


class TestNoArchive:
    @pytest.fixture
    def declared(self) -> dict[str, Declared]:
        return {}

    async def test_nothing_is_offered_and_every_place_says_why(self, kept: Door) -> None:
        told = await answers(kept)
        assert told["said"] == {"unreachable"}
        assert (told["outcome"], told["reason"]) == ({"not-eligible"}, {"E07"})
        assert (told["overview"], told["card"], told["survey"]) == (0, None, 0)
        with pytest.raises(Problem) as refused:
            await decided(kept, told["report"], Verdict(Choice.ACCEPT))
        assert refused.value.kind is Kind.UNPROCESSABLE


class TestDeaf:
    @pytest.fixture
    def declared(self) -> dict[str, Declared]:
        return {"people": DEAF}

    async def test_what_is_not_known_is_said_so_and_known_the_next_time(self, kept: Door) -> None:
        told = await answers(kept)
        assert "unknown" in told["said"]
        again = await answers(kept)
        assert (again["said"], again["reason"]) == ({"unreachable"}, {"E07"})
        assert (again["overview"], again["card"], again["survey"]) == (0, None, 0)

    async def test_nobody_accepts_images_that_nobody_has_asked_for(self, kept: Door) -> None:
        grid = await results.results(kept.chart, LI, kept.house.services)
        assert isinstance(grid, results.Folder)
        (report,) = [one for one in grid.reports if one.opened.type == "DiagnosticReport"]
        assert report.judged.judgement is not None
        assert report.judged.judgement.flags.count(Flag.IMAGES_NOT_CHECKED) == 1
        target = (report.opened.id, report.opened.version)
        with pytest.raises(Problem) as refused:
            await decided(kept, target, Verdict(Choice.ACCEPT_REREAD))
        assert refused.value.kind is Kind.UNPROCESSABLE

    async def test_a_row_that_was_altered_or_is_another_studys_counts_for_nothing(
        self, kept: Door, orthanc: Archive
    ) -> None:
        services = kept.house.services
        study = await kept.house.only("ImagingStudy")
        mine = image_probes.Known(study.id, "people", STUDY, "R260301055")
        other = mine._replace(id="0" * 32)
        good = Archives({"people": Declared("people", orthanc.dicomweb, str(orthanc.password))})
        orthanc.store(picture(**OWN))
        await image_probes.probe(other, replace(services, archives=good))
        await good.close()
        assert await image_probes.states([other], services) == {other.id: "reachable"}

        await image_probes.probe(mine, services)
        assert await image_probes.states([mine], services) == {mine.id: "unreachable"}
        found = select(PROBE.c.found).where(PROBE.c.study == other.id)
        ((sealed,),) = await services.db.read(Statement(found))
        put = update(PROBE).where(PROBE.c.study == mine.id).values(found=sealed)
        await services.db.do(lambda tx: tx.run(Statement(put)))
        assert await image_probes.states([mine], services) == {mine.id: "unknown"}
        await services.archives.settled()
        # What was found under another number says nothing of this one.
        assert await image_probes.states([mine._replace(uid=f"{STUDY}.1")], services) == {
            mine.id: "unknown"
        }


class TestReachable:
    @pytest.fixture
    def declared(self, orthanc: Archive) -> dict[str, Declared]:
        orthanc.store(picture(**OWN))
        return {"people": Declared("people", orthanc.dicomweb, str(orthanc.password))}

    async def test_it_is_offered_everywhere_and_the_evidence_says_so(self, kept: Door) -> None:
        await answers(kept)
        told = await answers(kept)
        assert (told["said"], told["outcome"]) == ({"reachable"}, {"eligible"})
        assert (told["overview"], told["survey"]) == (1, 1)
        assert told["card"]["items"][0]["item"] == "HR-E-0012"
        assert WORDS["unknown"][0] not in told["detail"]
        task = await decided(kept, told["report"], Verdict(Choice.ACCEPT_REREAD))
        (proof,) = (await proving.proofs(task, LI, kept.house.services)).found
        catalogue = await proving.catalogue_of(proof.bundle, kept.house.services)
        assert catalogue is not None
        made = review(proof.bundle.case.encode(), proof.bundle.judgement.encode(), catalogue)
        assert made.same
        assert WORDS["reachable"][0] in [one.zh for one in made.steps if one.number == 10][-1]


class Slow(Archives):
    """Archives that answer, that they have nothing, when `ready` is set."""

    def __init__(self) -> None:
        super().__init__({"people": DEAF, "tcm": replace(DEAF, organization="tcm")})
        self.ready, self.paths = asyncio.Event(), list[str]()

    async def json(self, organization: str, path: str) -> list[dict[str, Any]]:
        self.paths.append(f"{organization} {path.partition('&')[0].rpartition('.')[2]}")
        await self.ready.wait()
        return []


def asked_of(organization: str, *numbers: int) -> list[image_probes.Known]:
    return [image_probes.Known(f"{n:032x}", organization, f"{ROOT}.{n}", "") for n in numbers]


async def turns() -> None:
    """Lets what was begun beside come as far as it can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_slow_archive_is_not_asked_again_at_every_look(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    services = replace(door.house.services, archives=slow)
    monkeypatch.setattr(image_probes, "MOST_WAITING", 3)

    for _ in range(4):  # looks at the same images
        told = await image_probes.states(asked_of("people", 901, 902), services)
        assert set(told.values()) == {"unknown"}
        await turns()
    assert sorted(slow.paths) == ["people 901", "people 902"]

    # Another look adds no more than the archive may have before it; another archive has its own.
    await image_probes.states(asked_of("people", 901, 903, 904), services)
    await image_probes.states(asked_of("tcm", 905), services)
    await turns()
    assert sorted(slow.paths[2:]) == ["people 903", "tcm 905"]

    slow.ready.set()
    await slow.settled()
    assert not any(slow.asked.values())
    every = asked_of("people", 901, 902, 903, 904)
    told = await image_probes.states(every, services)
    assert [told[one.id] for one in every] == ["unreachable"] * 3 + ["unknown"]
    await slow.settled()
    assert slow.paths[4:] == ["people 904"]
    await slow.close()


async def decided(door: Door, target: tuple[str, str], verdict: Verdict) -> str:
    (made,) = await decide.decide_results(
        door.chart, [target], verdict, LI, door.house.services, PORTAL
    )
    return made.task


async def test_one_study_is_what_its_archive_said_as_long_as_that_is_believed() -> None:
    for said, life in FRESH.items():
        assert state(True, said, 0) == state(True, said, life - 1) == said
        assert state(True, said, life) == state(True, said, -1) == "unknown"
        assert state(False, said, 0) == "unreachable"
    assert state(True, "", 0) == state(True, "else", 0) == "unknown"


async def test_an_examination_is_as_good_as_its_worst_study() -> None:
    assert together([]) == together(["reachable", "unknown", "unreachable"]) == "unreachable"
    assert together(["reachable", "unknown"]) == "unknown"
    assert together(["reachable", "reachable"]) == "reachable"


async def test_the_words_are_the_same_in_every_place() -> None:
    for one, (zh, _) in WORDS.items():
        assert image_words.IMAGES[one].word == zh
    assert words.NOT_ELIGIBLE["E07"] == Reason.NO_IMAGES.zh == WORDS["unreachable"][0]
    assert Flag.IMAGES_NOT_CHECKED.zh == WORDS["unknown"][0]
