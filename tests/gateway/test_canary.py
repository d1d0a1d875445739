"""What a thief of the disk would read: canaries go in by every door and are looked for everywhere."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import structlog

from consent.fhir import Choice
from gateway.demo.residents import resident_number
from gateway.exchange import ask, consents, filing, patients, receive, residents, scanning, upkeep
from gateway.exchange.sequence import sequence
from gateway.identity.systems import RESIDENT_ID
from gateway.jobs.worker import Worker
from gateway.services import Services
from gateway.services.log import AccessLog
from gateway.store import charts as rows
from gateway.store import inbox
from tests.gateway.exchange.house import REGISTRAR, Clock, House, clinician, control_of, person

BORN = date(1969, 12, 31)
NUMBER = resident_number("330421", BORN)
NAME, OTHER_NAME = "隗嬛镡", "亓官翀"
CANARIES = {
    "name": NAME,
    "another name": OTHER_NAME,
    "resident number": NUMBER,
    "birth date": "1969-12-31",
    "birth date in HL7": "19691231",
    "local number": "0099887766",
    "visit": "VISIT-CANARY-5",
    "report": "REPORT-CANARY-6",
    "control id": "CTRL-CANARY-7",
    "diagnosis": "F32.100",
    "diagnosis in words": "中度抑郁发作",
    "item": "ITEMCANARY8",
    "value": "7391.62",
    "day of the result": "20260217093517",
    "phone": "10099775533",
    "reason": "家属代诉昏迷送医",
    "department": "精神心理科",
    "in quarantine": "QUARANTINE-CANARY-9",
}
VISIBLE = "this-may-be-seen-and-must-be-found"


def spellings(text: str) -> Iterator[bytes]:
    """The text in each character set, plain, as hex and as base64 at every alignment."""
    for charset in ("utf-8", "gb18030", "utf-16-le", "utf-16-be"):
        plain = text.encode(charset)
        yield plain
        yield plain.hex().encode()
        yield plain.hex().upper().encode()
        for shift in range(3):
            coded = base64.b64encode(bytes(shift) + plain)
            inner = coded[-(-shift * 8 // 6) : (shift + len(plain)) * 8 // 6]
            if len(inner) >= 6:
                yield inner
    yield json.dumps(text).strip('"').encode()


def betrayed(dump: dict[str, bytes]) -> list[str]:
    return [
        f"{what} in {place} as {spelling!r}"
        for what, text in CANARIES.items()
        for spelling in spellings(text)
        for place, data in dump.items()
        if spelling in data
    ]


async def dumped(services: Services) -> dict[str, bytes]:
    """Every file of the data folder, and every row of databases that are elsewhere."""
    settings = services.settings
    found = {
        path.name: path.read_bytes() for path in Path(settings.data).rglob("*") if path.is_file()
    }
    for url in (settings.database_url, settings.keyring_url):
        if url.startswith("postgresql"):
            tools = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))
            tool = shutil.which("pg_dump") or str(tools[-1])
            process = await asyncio.create_subprocess_exec(
                tool, "--inserts", url, stdout=asyncio.subprocess.PIPE
            )
            text, _ = await process.communicate()
            assert process.returncode == 0
            found[url] = text
    return found


class Doubling:
    """A store whose filings insert each record twice: a failing insert with real parameters."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def do(self, work: Any, *given: Any) -> Any:
        def doubled(tx: Any, *more: Any) -> Any:
            class Twice:
                def __getattr__(self, name: str) -> Any:
                    return getattr(tx, name)

                def run(self, statement: Any, *values: Any) -> None:
                    tx.run(statement, *values)
                    if statement is rows.ADD_RECORD:
                        tx.run(statement, *values)

                def many(self, statement: Any, several: Any) -> None:
                    tx.many(statement, several)
                    if statement is rows.ADD_RECORD:
                        tx.many(statement, several)

            return work(Twice(), *more)

        return await self._store.do(doubled, *given)


async def told(work: Any, into: list[str]) -> None:
    """What any exception would show in a log, with all that hangs on it."""
    try:
        await work
    except Exception as fault:
        chained: BaseException | None = fault
        while chained is not None:
            into.append(f"{chained!r} {chained!s} {chained.args}")
            chained = chained.__cause__ or chained.__context__


async def plant(services: Services, texts: list[str]) -> None:
    """Everything a day brings, with canaries in it."""
    clock = Clock()
    house = House(
        replace(services, now=clock, log=AccessLog(services.db, services.vault, "c", clock)), clock
    )
    services = house.services
    mrn, visit, report = CANARIES["local number"], CANARIES["visit"], CANARIES["report"]
    one = replace(person("canary", NAME, BORN), phone=CANARIES["phone"])
    psychiatry = f"0601^{CANARIES['department']}"
    diagnosis = f"{CANARIES['diagnosis']}^{CANARIES['diagnosis in words']}"
    item = (CANARIES["item"], CANARIES["value"], "F")
    at = "2026-02-17T09:35:17"
    visited = house.adt(
        one,
        mrn,
        visit=visit,
        clinic=psychiatry,
        diagnosis=diagnosis,
        control=CANARIES["control id"],
    )
    result = house.oru(one, mrn, item, visit=visit, report=report, at=at, clinic=psychiatry)
    planted = b"".join((visited, result))
    for what in ("name", "value", "item", "visit", "report", "phone", "local number", "department"):
        assert any(s in planted for s in spellings(CANARIES[what])), f"{what} was not planted"

    # A failing insert, before anything of the kind stands.
    (receipt,) = await house.send(visited)
    broken = replace(services, db=Doubling(services.db))  # type: ignore[arg-type]
    await told(filing.file_message(receipt.id, broken), texts)
    assert texts, "the insert did not fail"
    await Worker(broken).file_some()
    clock.forward(600)
    await house.work()
    await house.file(result)

    # Somebody else's specimen number, a corrected result, the same control id for other content.
    other = replace(person("other", OTHER_NAME, date(1971, 1, 1)), phone=CANARIES["phone"])
    await house.file(
        house.oru(other, "0099887767", item, report=report, visit=visit, at="2026-02-18T10:00"),
        house.oru(one, mrn, (item[0], "1", "C"), report=report, at="2026-02-19T10:00", status="C"),
        house.adt(one, mrn, event="A08", at="2026-02-19T11:00", control=CANARIES["control id"]),
        house.adt(one, "0099887768", visit="V2"),
    )
    # What cannot be read at all, in both character sets.
    quarantine = f"{CANARIES['in quarantine']}|{NAME}|{NUMBER}|{CANARIES['value']}"
    for garbage in (
        quarantine.encode(),
        quarantine.encode("gb18030"),
        f"MSH|^~\\&|LIS|330421A|||20260217093517||ORU^R01|{quarantine}\rPID|1||||{NAME}\r".encode(
            "gb18030"
        ),
        json.dumps({"resourceType": "Bundle", "type": "message", "x": quarantine}).encode(),
    ):
        await house.send(garbage)
        await receive.receive("mch-fhir", [receive.Unit(garbage, control_of(garbage))], services)
    await house.work()
    held = await services.db.read(inbox.QUARANTINED, 50)
    assert len(held) >= 6
    await receive.replay(held[0][0], services)
    await house.work()
    await upkeep.set_aside(held[1][0], services)

    # Consents: good, withdrawn, refused, unreadable.
    form = await house.sign(mrn=mrn)
    await house.sign(
        Choice.PERMIT_CATEGORY, mrn=mrn, at="2026-02-02T10:00:00+08:00", category="PSY"
    )
    await consents.withdraw(form.id, REGISTRAR, services)
    await told(
        consents.create(form.text.replace(b"active", NAME.encode()), REGISTRAR, services), texts
    )
    await told(consents.create(f'{{"x":"{NAME}","x":1}}'.encode(), REGISTRAR, services), texts)
    by_number = json.loads(form.text)
    by_number.pop("id")
    by_number["patient"] = {"identifier": {"system": RESIDENT_ID, "value": NUMBER}}
    await told(consents.create(json.dumps(by_number).encode(), REGISTRAR, services), texts)

    # People ask: with a claim of their own, by number, by search, in vain.
    li, wang = clinician("dr-li", "tcm"), clinician()
    await residents.open_resident(RESIDENT_ID, NUMBER, li, services, claim=CANARIES["reason"])
    await told(patients.find(RESIDENT_ID, NUMBER, clinician("dr-x", "mch"), services), texts)
    for who in (li, wang):
        await told(patients.find(RESIDENT_ID, NUMBER, who, services), texts)
        given = (("code", CANARIES["item"]), ("date", "2026-02-17"), ("_count", "1"))
        page = await house.search("Observation", who, *given, mrn=mrn)
        if page.next:
            await ask.more(page.next, who, services)
        await told(house.search("Observation", who, ("date", NAME), mrn=mrn), texts)
    clock.forward(60)
    await sequence(services, "c")
    await upkeep.merge_segments(services)
    for source in ("people-his", "mch-fhir"):
        assert (await scanning.scan(source, services)).messages >= 3
    await services.db.do(lambda tx: tx.run(inbox.ADD_ALARM, VISIBLE, "", "", 1))


async def test_no_canary_is_in_any_table_file_log_or_exception(
    services: Services, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    texts: list[str] = []
    with structlog.testing.capture_logs() as logged:
        await plant(services, texts)
    dump = await dumped(services)
    assert any(VISIBLE.encode() in data for data in dump.values()), "the dump shows what is there"
    assert betrayed(dump) == []

    printed = capsys.readouterr()
    said = "\n".join([*texts, repr(logged), caplog.text, printed.out, printed.err])
    assert logged, "the worker has told of its failures"
    assert betrayed({"logs and exceptions": said.encode()}) == []


def test_the_search_for_canaries_finds_them() -> None:
    for text in CANARIES.values():
        for charset in ("utf-8", "gb18030"):
            plain = b"some bytes before " + text.encode(charset) + b" and after"
            for shown in (plain, plain.hex().encode(), base64.b64encode(plain)):
                assert any(one in shown for one in spellings(text)), (text, charset, shown)
