"""What one decision files and sends, byte for byte; a change of any of it is to be meant.

To write the files anew: `GOLDEN=write pytest tests/gateway/exchange/test_filed.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
import pytest

from gateway.exchange import write_back
from gateway.exchange.own_numbers import Number
from gateway.recognition import bundle as bundles
from gateway.recognition import filed
from gateway.recognition.bundle import Bundle, Doctor, Said, Shown, Times, Where
from gateway.recognition.decisions import (
    Choice,
    Decision,
    Declined,
    Pin,
    Revoked,
    decision_task,
    revoked_task,
)
from gateway.recognition.judgement import Judgement
from mappings.r4 import check

GOLDEN = Path(__file__).with_name("filed")
ZONE, BASE, AT = ZoneInfo("Asia/Shanghai"), "https://gateway.example", 1_772_596_800_000_000
MADE = {"base": BASE, "zone": ZONE}
SERVICES = cast(
    Any,
    SimpleNamespace(
        settings=SimpleNamespace(canonical=BASE, zone=ZONE, base_url="https://gateway.example")
    ),
)
FINE = Judgement(True, None, "HR-L-0001", 3, 7, {"catalogue": "1.abc", "rules": "annex-d-2"}, ())
DECISION = Decision(
    id="d" * 32, result=Pin("Observation", "a" * 32, "v7", "c" * 32), chart="b" * 32,
    organization="tcm", practitioner="dr-li", choice=Choice.DECLINE, at=AT,
    reason=Declined.OTHER, note="标本运输时间过长 | 复查", informed=True, issuer="people",
    name="李明轩", licence="110330421000001", order="O|1", encounter="V9",
)  # fmt: skip
EVIDENCE = Bundle(
    id="e" * 32, task=DECISION.id, issuer="people", target=DECISION.result.reference,
    content="c" * 32, judgement="{}", case="{}", catalogue="1.abc", rules="annex-d-2",
    entitlement="", leaf="n/1", basis=(), report="f" * 32,
    shown=Shown(
        "云溪县人民医院", "肝功能", "丙氨酸氨基转移酶", "62.40", "U/L", "9-50", "↑",
        mark="全国HR", collected="2026-03-01 08:00", issued="2026-03-01 10:00",
    ),
    said=Said("decline", "08", words="标本运输时间过长 | 复查", informed=True),
    doctor=Doctor("dr-li", "李明轩", "tcm", "110330421000001"), times=Times(AT),
    where=Where("V9", "心内科", "OP", "order-sign", "O|1"),
)  # fmt: skip


def made() -> dict[str, bytes]:
    text = bundles.as_text([EVIDENCE], "云溪县中医院", "2026-03-04 12:00")
    task = decision_task(DECISION, FINE, **MADE)
    issue = filed.duplicate("1" * 32, DECISION, **MADE)
    copy = filed.copy_of("2" * 32, [DECISION], text, "互认结果存档 肝功能", **MADE)
    over = AT + 60_000_000
    pinned = f"Observation/{'a' * 32}/_history/v8"
    changed = filed.alert("3" * 32, "corrected", pinned, "b" * 32, over, EVIDENCE, **MADE)
    letter = write_back.Letter(
        "decision", AT, "tcm", "b" * 32, "V9", "O|1", "dr-li", text,
        tuple(one.decode() for one in (task, issue, copy)),
        (Number("urn:oid:1.2.156.9", "T|77"), Number("https://h/08", "08", "A&H", "MR")), "V9",
    )  # fmt: skip
    alert = msgspec.structs.replace(
        letter, kind="alert", at=over, text="".join(filed.change_text("corrected", EVIDENCE)),
        resources=(changed.decode(),), numbers=(),  # it never sent this person
    )  # fmt: skip
    reread = msgspec.structs.replace(
        DECISION, choice=Choice.ACCEPT_REREAD, reason=None, note="", informed=False
    )
    again = revoked_task(task, over, Revoked.DOCTOR, "选错了", "dr-chen", **MADE)
    lifted = filed.lifted(issue, over, Revoked.DOCTOR, "dr-chen", **MADE)
    return {
        "Task.json": task,
        "Task-revoked.json": again,
        "DetectedIssue.json": issue,
        "DetectedIssue-revoked.json": lifted,
        "DocumentReference.json": copy,
        "Communication.json": changed,
        "ServiceRequest.json": filed.reread("4" * 32, reread, "胸部CT", **MADE),
        "Bundle.json": write_back.as_fhir(letter, "5" * 32, SERVICES),
        "Bundle-alert.json": write_back.as_fhir(alert, "6" * 32, SERVICES),
        "MDM.hl7": write_back.as_hl7(letter, "5" * 32, SERVICES),
        "MDM-alert.hl7": write_back.as_hl7(alert, "6" * 32, SERVICES),
    }


@pytest.mark.parametrize("name", sorted(made()))
def test_what_is_filed_and_sent_is_as_it_was(name: str) -> None:
    text, file = made()[name], GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        file.write_bytes(text)
    assert text == file.read_bytes()
    if name.endswith(".json"):
        assert check.text(text, name.removesuffix(".json").partition("-")[0]) == []


def test_there_is_no_golden_file_too_many() -> None:
    assert {one.name for one in GOLDEN.iterdir()} == set(made())


def test_a_document_of_hl7_stays_one_field_a_line() -> None:
    segments = made()["MDM.hl7"].decode("gb18030").split("\r")
    assert [one[:3] for one in segments[:5]] == ["MSH", "EVN", "PID", "PV1", "TXA"]
    lines = [one.split("|") for one in segments if one.startswith("OBX")]
    assert [one[1] for one in lines] == [str(n) for n in range(1, len(lines) + 1)]
    assert {len(one) for one in lines} == {12}
    assert any("标本运输时间过长 \\F\\ 复查" in one[5] for one in lines)
    pid = segments[2].split("|")[3].split("~")
    assert pid == ["T\\F\\77^^^tcm&1.2.156.9&ISO^PI", "08^^^A&H^MR", f"{'b' * 32}^^^GATEWAY"]
    assert made()["MDM-alert.hl7"].split(b"|PV1")[0].count(b"~") == 1  # MSH-2 alone
    txa = next(one for one in segments if one.startswith("TXA")).split("|")
    assert (txa[17], txa[19]) == ("LA", "AV")
