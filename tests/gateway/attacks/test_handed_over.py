"""Attacks on what hospitals are told and send in files: rows moved, answers without end, sheets that swell."""

from __future__ import annotations

import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from openpyxl import Workbook
from sqlalchemy import update

from gateway.errors import Problem
from gateway.exchange import register_sheets, write_back
from gateway.exchange.registers import Faults
from gateway.recognition.registers import COLUMNS, MOST_LINES
from gateway.services import Services
from gateway.services.register import Endpoint, Register
from gateway.store import recognition_tables as tables
from gateway.store.statements import Statement
from tests.gateway.exchange.test_write_back import His, decided, his, later

__all__ = ["his"]

ON_SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
MESSAGE = tables.WriteBack.__table__  # type: ignore[attr-defined]


async def alter(services: Services, **values: Any) -> None:
    statement = Statement(update(MESSAGE).values(**values))
    await services.db.do(lambda tx: tx.run(statement))


@ON_SQLITE
@pytest.mark.parametrize(
    "altered", [{"organization": "people"}, {"sealed": b"\x00" * 80}, {"id": "f" * 32}]
)
async def test_a_message_under_another_hospital_is_handed_to_nobody(
    services: Services, his: His, altered: dict[str, Any]
) -> None:
    here, _ = await decided(services, Endpoint(his.url))
    endpoint = Endpoint(his.url, "fhir", "")
    known = [replace(o, write_back=endpoint) for o in here.services.register]
    everywhere = replace(here.services, register=Register({o.id: o for o in known}))
    await alter(everywhere, **altered)
    assert await write_back.send_due(later(everywhere, 1)) == 0
    assert his.got == []
    assert (await write_back.counts(everywhere))["failed"] == 1, "and it is said"


@pytest.fixture
def endless() -> Iterator[str]:
    """A hospital's system that was taken over: its acknowledgment never ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            try:
                caller, _ = server.accept()
                with caller:
                    told = b""
                    while b"\rEVN|" not in told:
                        told += caller.recv(65_536)
                    id = told[told.index(b"MSH|") :].split(b"|")[9]
                    caller.sendall(b"HTTP/1.1 200 OK\r\n\r\nMSA|AA|" + id + b"\r")
                    while True:
                        caller.sendall(b"x" * 65_536)
            except OSError:
                pass

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/in"
    thread.join(5)


@ON_SQLITE
async def test_an_acknowledgment_without_end_is_read_as_far_as_one_has(
    services: Services, his: His, endless: str
) -> None:
    here, _ = await decided(services, Endpoint(his.url, "hl7v2"))
    endpoint = Endpoint(endless, "hl7v2", "")
    known = [
        replace(o, write_back=endpoint) if o.id == "tcm" else o for o in here.services.register
    ]
    told = replace(here.services, register=Register({o.id: o for o in known}))
    assert await write_back.send_due(later(told, 1)) == 1


def test_no_character_of_a_sender_ends_a_line_of_the_message() -> None:
    said = write_back._said("a\x0bb\x1cc\rd\x00e|f\x7f")
    assert said == "a b c d e\\F\\f "


def sheet(lines: int, dimension: str = "", part: bytes = b"") -> bytes:
    """An Excel file of systems, whatever it says of its own size; `part` stands in it first."""
    book = Workbook()
    page = book.active
    assert page is not None
    page.append([one.zh for one in COLUMNS["system"]])
    for number in range(lines):
        page.append([f"S{number}"])
    whole, changed = io.BytesIO(), io.BytesIO()
    book.save(whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for one in old.infolist():
            text = old.read(one)
            if one.filename.endswith("sheet1.xml"):
                start, _, rest = text.partition(b'<dimension ref="')
                text = (
                    part
                    + start
                    + b'<dimension ref="'
                    + (dimension.encode() + b'"' + rest.partition(b'"')[2] if dimension else rest)
                )
            new.writestr(one, text)
    return changed.getvalue()


def test_a_sheet_that_says_it_is_endless_is_read_as_it_is() -> None:
    lines = register_sheets.read("system", sheet(3, "A1:XFD1048576"))
    assert [len(one) for one in lines] == [len(COLUMNS["system"])] * 3


def test_no_sheet_makes_more_lines_than_may_be_proposed() -> None:
    assert len(register_sheets.read("system", sheet(MOST_LINES + 50))) == MOST_LINES + 1


@pytest.mark.parametrize(
    "part",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY a "b">]>'.encode("utf-16"),
    ],
)
def test_a_sheet_with_entities_is_refused(part: bytes) -> None:
    with pytest.raises(Faults):
        register_sheets.read("system", sheet(1, part=part))


def test_a_sheet_that_unpacks_to_too_much_is_refused() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/workbook.xml", b" " * (register_sheets.UNPACKED + 1))
    with pytest.raises(Problem):
        register_sheets.read("system", packed.getvalue())
