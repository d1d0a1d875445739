"""The bench's own honesty: what counts as an answer, how a figure is judged, what the county holds."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from consent.decide import Ruling
from gateway import bench
from gateway.bench import county, pages
from gateway.bench.load import Wanted, get, load
from gateway.bench.pattern import ORGANIZATION, SEED, made
from gateway.bench.report import result, told
from gateway.demo.volume import volume
from gateway.exchange import person


async def answered_with(answer: bytes, wanted: Wanted) -> tuple[int, int]:
    """(right, wrong) answers of a short load against a server that always says `answer`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer[:30])
            await writer.drain()
            writer.write(answer[30:])

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        seen = await load(port, [[get("/", "x")], [get("/a", "x")]], wanted, 0.1)
    finally:
        server.close()
    return seen.count, seen.wrong


RECORD = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 20
REFUSAL = b"HTTP/1.1 503 Busy\r\ncontent-length: 20\r\n\r\n" + b"x" * 20


async def test_an_answer_in_two_pieces_is_one_answer() -> None:
    right, wrong = await answered_with(RECORD, Wanted(200, 20, 20))

    assert right > 1
    assert wrong == 0


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [(REFUSAL, Wanted(200, 20, 20)), (RECORD, Wanted(200, 21, 99)), (RECORD, Wanted(200, 1, 19))],
)
async def test_an_error_or_another_length_is_never_counted_as_speed(
    answer: bytes, wanted: Wanted
) -> None:
    right, wrong = await answered_with(answer, wanted)

    assert right == 0
    assert wrong > 1


@pytest.mark.parametrize(
    ("mine", "goal", "floor"), [(70.0, True, True), (40.0, False, True), (20.0, False, False)]
)
def test_a_rate_is_judged_by_the_ceiling_of_its_own_moment(
    mine: float, goal: bool, floor: bool
) -> None:
    # The machine was three times as fast in the second turn, for both programs.
    one = result("read by id", "req/s", [mine, 3 * mine], [100.0, 300.0])

    assert (one["ratio"], one["met"], one["floor met"]) == (mine / 100, goal, floor)


def test_one_wrong_answer_misses_the_goal_however_fast() -> None:
    one = result("read by id", "req/s", [99.0], [100.0], wrong=1)

    assert not one["met"]
    assert not one["floor met"]


def test_memory_is_judged_by_itself_and_less_is_better() -> None:
    assert result("resident memory", "MB", [110.0], [60.0])["met"]
    assert not result("resident memory", "MB", [130.0], [60.0])["met"]


async def test_a_person_of_the_county_has_the_ids_and_shape_their_own_messages_would_give(
    tmp_path: Path,
) -> None:
    services = await county.opened(tmp_path, "sqlite")
    try:
        _, planned = made(40, services).resources(3, services)
        site = services.maps.draft(ORGANIZATION)
        mapped = {
            one.id: one
            for each in volume(4, 40, SEED)
            for message in site.read(each.raw, services.ids(ORGANIZATION), origin="x").messages
            for one in message.resources
            if message.patient is not None and message.patient.number.endswith("3")
        }
    finally:
        await services.close()

    def named(ids: list[tuple[str, str]]) -> set[tuple[str, str]]:
        return {one for one in ids if one[0] != "Provenance"}  # keyed by the message's own hash

    assert named([(one.mapped.type, one.mapped.id) for one in planned]) == named(
        [(one.type, one.id) for one in mapped.values()]
    )
    for one in planned:
        if one.mapped.type == "Observation":
            own, real = json.loads(one.mapped.text()), json.loads(mapped[one.mapped.id].text())
            assert own["subject"] == real["subject"]
            assert own["specimen"] == real["specimen"]
            assert own["code"] == real["code"]


def test_a_small_run_prints_one_document_of_right_answers(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    code = bench.run("read", persons=5, seconds=0.3, engine="sqlite", as_json=True)

    document = json.loads(capsysbinary.readouterr().out)
    assert code == (0 if all(one["met"] for one in document["results"]) else 1)
    assert document["data"]["persons"] == 5
    assert {one["name"] for one in document["results"]} == {
        "read by id",
        "denied read",
        "resident memory",
        "consent, decryption and audit, share of CPU time",
        "cold start to first answer",
    }
    for one in document["results"]:
        assert {"value", "unit", "ceiling", "ratio", "goal", "floor", "met"} <= one.keys()
        assert one["value"] > 0
        assert one["wrong answers"] == 0
    assert "read by id" in told(document)


def test_the_consent_run_decides_rightly_and_gives_the_decision_back_as_it_was(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    before = Ruling.decide, Ruling.of_class, person.ruling, person.gates

    bench.run("consent", persons=2, seconds=0.3, engine="sqlite", as_json=True)

    results = json.loads(capsysbinary.readouterr().out)["results"]
    assert (Ruling.decide, Ruling.of_class, person.ruling, person.gates) == before
    assert len(results) == 15
    for one in results:
        assert one["value"] > 0
        assert one["wrong answers"] == 0
    broad, many, apart = (one["value"] for one in results[-3:])
    assert 0 < broad < many < 1
    assert broad < apart < 1


def test_pages_are_measured_through_a_signed_in_browser_and_empty_ones_count_as_wrong(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PERSONS", 1)
    monkeypatch.setattr(pages, "SIZES", (40,))
    monkeypatch.setattr(pages, "PAGES", {"results": pages.PAGES["results"], "empty": "/portal/x/"})

    code = bench.run("pages", persons=0, seconds=0.2, engine="sqlite", as_json=True)

    results = json.loads(capsysbinary.readouterr().out)["results"]
    assert code == 1
    assert [(one["name"], one["wrong answers"] > 0) for one in results] == [
        ("results of 40, first", False),
        ("results of 40, warm p95", False),
        ("empty of 40, first", True),
        ("empty of 40, warm p95", True),
    ]
    assert results[1]["value"] > results[1]["ceiling"] > 0


def test_an_unknown_bench_is_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("luck", persons=5, seconds=0.3, engine="sqlite", as_json=True) == 2
    assert "read, search, filing, all" in capsys.readouterr().err
