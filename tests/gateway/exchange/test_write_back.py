"""A hospital's own system is told what its doctor decided, by a real server that fails in between."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import select

from gateway.exchange import ask, glance, write_back
from gateway.exchange.decide import Verdict, decide_results
from gateway.exchange.glance import Sent
from gateway.exchange.issued import parsed
from gateway.exchange.ledger import Visit
from gateway.exchange.revoking import revoke
from gateway.recognition.decisions import Choice
from gateway.records.query import Query
from gateway.services import Services
from gateway.services.register import Endpoint, Register
from gateway.store import inbox, recognition_tables
from gateway.store import write_backs as rows
from gateway.store.statements import Statement
from gateway.store.write_backs import MessageRow
from mappings.r4 import check
from tests.gateway.exchange.portal_county import LI, OFFICE, WANG, Town, every, panel, town
from tests.gateway.exchange.test_rights import decided as allowed
from tests.gateway.exchange.test_rights import right, stop

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
ATTEMPTS = Statement(select(recognition_tables.WriteBack.__table__.c.attempts))  # type: ignore[attr-defined]
VISIT = Visit("V9", "心内科", "OP", "order-sign", "O|1")


class His(ThreadingHTTPServer):
    """A hospital's system: answers what it is told to, and remembers what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, bytes]] = []
        self.got: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/in"


class _Handler(BaseHTTPRequestHandler):
    server: His

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
        status, text = self.server.answers.pop(0) if self.server.answers else (200, b"")
        if not status:  # kept, but the answer is lost
            self.connection.close()
            return
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def his() -> Iterator[His]:
    server = His()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


async def decided(services: Services, endpoint: Endpoint) -> tuple[Town, str]:
    known = [replace(o, write_back=endpoint) if o.id == "tcm" else o for o in services.register]
    services = replace(services, register=Register({o.id: o for o in known}))
    here = await town(services, "shen")
    await here.sign("shen")
    shown = await here.results("shen", LI)
    one = next(r for r in panel(shown, "肝功能").results if r.recognition.state == "eligible")
    made = await decide_results(
        shown.resident.chart, [(one.id, one.version)], Verdict(Choice.ACCEPT), LI, services, VISIT
    )
    return here, made[0].task


def later(services: Services, seconds: int) -> Services:
    now = services.now
    return replace(services, now=lambda: now() + seconds * 1_000_000)


async def test_no_hospital_waits_for_anothers_system(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = await decided(services, Endpoint("http://127.0.0.1:9/in"))
    mine, *_ = [MessageRow(*row) for row in await services.db.read(rows.DUE, services.now(), 9)]
    other = mine._replace(id="f" * 32, organization="people", due=mine.due - 1)
    await services.db.do(lambda tx: tx.many(rows.ADD, [tuple(other)]))
    met = asyncio.Barrier(2)

    async def meet(*_: object) -> int:
        async with asyncio.timeout(30):
            await met.wait()
        return 1

    monkeypatch.setattr(write_back, "_send", meet)
    assert await write_back.send_due(here.services) == 2


async def test_it_is_tried_until_it_is_taken_under_the_same_name(
    services: Services, his: His, tmp_path: object
) -> None:
    secret = f"{tmp_path}/token"
    with open(secret, "w") as file:
        file.write("s3cret\n")
    here, task = await decided(services, Endpoint(his.url, "fhir", secret))
    his.answers = [(503, b""), (0, b""), (200, b"")]
    waits = (0, 10, 60)
    taken = [await write_back.send_due(later(here.services, wait)) for wait in waits]

    assert taken == [0, 0, 1]
    assert len({headers["idempotency-key"] for headers, _ in his.got}) == 1
    assert len({body for _, body in his.got}) == 1
    assert {headers["authorization"] for headers, _ in his.got} == {"Bearer s3cret"}
    bundle = json.loads(his.got[0][1])
    assert check.text(his.got[0][1], "Bundle") == []
    kinds = [one["resource"]["resourceType"] for one in bundle["entry"]]
    assert kinds == ["MessageHeader", "Task", "DetectedIssue", "DocumentReference", "Patient"]
    patient = bundle["entry"][4]["resource"]
    assert bundle["entry"][1]["resource"]["for"]["reference"] == f"Patient/{patient['id']}"
    base = here.services.settings.canonical
    assert patient["identifier"] == [{"system": f"{base}/sid/tcm/mrn", "value": "T1056285"}]
    assert bundle["entry"][1]["resource"]["id"] == task
    assert await write_back.send_due(later(here.services, 9_999)) == 0
    assert await write_back.counts(here.services) == {
        "waiting": 0, "held": 0, "delivered": 1, "failed": 0,
    }  # fmt: skip

    await revoke(task, "选错了", LI, here.services)
    assert await write_back.send_due(later(here.services, 1)) == 1
    told = json.loads(his.got[-1][1])
    assert told["entry"][0]["resource"]["eventCoding"]["code"] == "recognition-revocation"
    assert told["entry"][1]["resource"]["status"] == "cancelled"


@ON_SQLITE
async def test_an_older_system_gets_a_document_in_gb18030_and_must_say_yes(
    services: Services, his: His
) -> None:
    here, _ = await decided(services, Endpoint(his.url, "hl7v2"))
    his.answers = [(200, b"MSH|^~\\&|\rMSA|AE|1\r"), (200, b"MSH|^~\\&|\rMSA|AA|1\r")]
    assert await write_back.send_due(here.services) == 0
    assert await write_back.send_due(later(here.services, 10)) == 0, "another message's yes"
    name = his.got[0][1].split(b"|")[9]
    his.answers = [(200, b"MSH|^~\\&|\rMSA|AA|" + name + b"\r")]
    assert await write_back.send_due(later(here.services, 60)) == 1
    text = his.got[0][1].decode("gb18030")
    segments = text.split("\r")
    assert segments[0].split("|")[8] == "MDM^T02"
    assert "O\\F\\1" in text
    assert any("云溪县人民医院" in one for one in segments if one.startswith("OBX"))
    assert "\n" not in text


@ON_SQLITE
@pytest.mark.parametrize("status", [400, 404, 422])
async def test_what_is_refused_for_good_is_given_up_aloud(
    services: Services, his: His, status: int
) -> None:
    here, _ = await decided(services, Endpoint(his.url, "fhir"))
    his.answers = [(status, b"no")]
    assert await write_back.send_due(here.services) == 0
    assert await write_back.send_due(later(here.services, 9_999)) == 0
    assert len(his.got) == 1
    assert (await write_back.counts(here.services))["failed"] == 1


async def test_without_the_right_to_send_on_it_is_held_and_goes_when_the_right_is_back(
    services: Services, his: His
) -> None:
    here, _ = await decided(services, Endpoint(his.url, "fhir"))
    await stop(here.services, "decisions", "forward")
    before = await here.events()
    assert await write_back.send_due(here.services) == 0
    assert await write_back.send_due(here.services) == 0  # not asked again at once
    assert await write_back.send_due(later(here.services, 700)) == 0
    assert his.got == []
    assert await write_back.counts(here.services) == {
        "waiting": 0, "held": 1, "delivered": 0, "failed": 0,
    }  # fmt: skip
    assert (await glance.glance(replace(OFFICE, organization="tcm"), here.services)).sent == (
        Sent("decision", 0, 1, 0, 0),
    )
    assert (await here.events() - before)["refused"] == 1  # said once, however often it is asked
    found = await here.services.db.read(inbox.ALARMS, 1000)
    assert [row[2] for row in found if row[1] == "no-right"] == ["write-back/tcm"]

    await allowed(here.services, "right", right("level:institution", "decisions", "forward"))
    assert await write_back.send_due(later(here.services, 2_000)) == 1
    assert len(his.got) == 1
    (attempts,) = (await here.services.db.read(ATTEMPTS))[0]
    assert attempts == 1


async def test_a_his_finds_its_patient_and_its_visit_by_its_own_numbers(
    services: Services, his: His
) -> None:
    endpoint = Endpoint(his.url, "hl7v2")
    known = [replace(o, write_back=endpoint) if o.id == "people" else o for o in services.register]
    here = await town(replace(services, register=Register({o.id: o for o in known})), "shen")
    await here.sign("shen")
    shown = await here.results("shen", WANG)
    one, two = [one for one in every(shown) if one.recognition.state == "eligible"][:2]
    theirs = await ask.search(
        Query("Encounter", patient=shown.resident.chart, count=50), WANG, here.services
    )
    visits = [parsed(one.text) for one in theirs.records]
    visit = next(one for one in visits if "sid/people/" in str(one["identifier"]))
    told = (replace(VISIT, encounter=visit["id"]), replace(VISIT, encounter="f" * 32, number="M7"))
    for result, where in zip((one, two), told, strict=True):
        pin = [(result.id, result.version)]
        chart, accept = shown.resident.chart, Verdict(Choice.ACCEPT)
        await decide_results(chart, pin, accept, WANG, here.services, where)
    await write_back.send_due(here.services)
    text = his.got[0][1].decode("gb18030")
    pid, pv1 = (next(s for s in text.split("\r") if s.startswith(n)) for n in ("PID", "PV1"))
    folder = here.services.ids("people")("mrn", "Patient", ["0000812345"])
    # As the hospital sent it; its resident ID (PID-19) and the other hospital's number are not told.
    assert pid.split("|")[3] == f"0000812345^^^330421A&HIS^PI~{folder}^^^GATEWAY"
    assert pv1.split("|")[19] == visit["identifier"][0]["value"]
    assert b"|M7\rTXA" in his.got[1][1]  # as its order said
    assert here.resident("shen").number not in text
    assert "T1056285" not in text
