"""What no table knows is told apart from the issues: table, code, name, specimen and unit as sent."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

import mappings
from mappings.engine import Message, Unmapped, load

SITES = Path(mappings.__path__[0]) / "sites"
PID = "PID|1||0000812345^^^330421A&HIS^MR||王珅||19800101|M"


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    return hashlib.blake2b("\x1f".join((space, type_, *key)).encode(), digest_size=16).hexdigest()


def hl7(*segments: str, site: Path = SITES / "people") -> Message:
    head = "MSH|^~\\&|LIS|330421A|GW|330421|20260302102100||ORU^R01|L1|P|2.4"
    raw = "\r".join((head, PID, *segments)).encode("gb18030")
    (made,) = load(site).read(raw, ids).messages
    return made


def obr(specimen: str = "SER^血清") -> str:
    return f"OBR|1|R1|S1|LFT^肝功能|||20260302075800||||||||{specimen}|||||||20260302102100||CH|F"


def test_an_item_without_row_is_met_with_name_specimen_and_unit():
    made = hl7(obr(), "OBX|1|NM|CP01^【全国HR】铜蓝蛋白||0.25|g/L|||||F")
    assert made.unmapped == (Unmapped("items", "CP01", "【全国HR】铜蓝蛋白", "SER", "g/L"),)


def test_an_item_somebody_has_decided_about_is_not_met_again(tmp_path):
    site = tmp_path / "people"
    shutil.copytree(SITES / "people", site)
    items = site / "codes" / "lis_items.csv"
    items.write_text(items.read_text("utf-8") + "CP01,铜蓝蛋白,,,unmatched,,approved,,,\n", "utf-8")

    made = hl7(obr(), "OBX|1|NM|CP01^铜蓝蛋白||0.25|g/L|||||F", site=site)

    assert made.unmapped == ()
    assert "unmapped-code" in {issue.code for issue in made.issues}


def test_an_item_that_comes_with_a_name_alone_is_met_by_its_name():
    made = hl7(obr(), "OBX|1|NM|^铜蓝蛋白||0.25|g/L|||||F")
    assert made.unmapped == (Unmapped("items", "铜蓝蛋白", "铜蓝蛋白", "SER", "g/L"),)


@pytest.mark.parametrize(
    ("order", "met"),
    [
        ("CT0999^头颅CT平扫", (Unmapped("panels", "CT0999", "头颅CT平扫"),)),
        ("CT0103^胸部CT平扫", ()),  # the hospital's table knows it
        ("LFT^肝功能", ()),  # a panel counts by its items
    ],
)
def test_an_examination_without_row_is_met_a_laboratory_panel_is_not(order, met):
    obx = "OBX|1|NM|ALT^谷丙||62|U/L|||||F"
    assert hl7(obr().replace("LFT^肝功能", order), obx).unmapped == met


def test_the_same_item_twice_is_met_once():
    obx = "OBX|{}|NM|CP01^铜蓝蛋白||0.25|g/L|||||F"
    made = hl7(obr(), obx.format(1), obx.format(2))
    assert made.unmapped == (Unmapped("items", "CP01", "铜蓝蛋白", "SER", "g/L"),)


def test_a_unit_nobody_approved_is_met_as_written():
    made = hl7(obr(), "OBX|1|NM|ALT^谷丙||62|u/L|||||F")
    assert made.unmapped == (Unmapped("units", "u/L"),)


def test_flags_states_and_sexes_outside_their_tables_are_met():
    made = hl7(obr(), "OBX|1|NM|ALT^谷丙||62|U/L||偏怪|||Q")
    assert {one.table for one in made.unmapped} == {"flags", "status_observation"}


def test_what_every_table_knows_is_not_met():
    assert hl7(obr(), "OBX|1|NM|ALT^谷丙||62|U/L||H|||F").unmapped == ()


def test_rows_meet_the_same_way():
    head = (
        "BRID,XM,XB,CSRQ,SFZH,BGDH,BBLX,XMDM,XMMC,JG,DW,CKFW,TS,CYSJ,BGSJ,ZT,GXSJ\n"
        "S1,赵一,女,1976-05-20,,R1,血清,9901,铜蓝蛋白,0.25,克/升,,,"
        "2026-03-02 07:30:00,2026-03-02 09:30:00,2,2026-03-02 09:31:00\n"
    )
    (made,) = load(SITES / "tcm").read(head.encode("gb18030"), ids).messages
    assert Unmapped("items", "9901", "铜蓝蛋白", "血清", "克/升") in made.unmapped
    assert Unmapped("units", "克/升") in made.unmapped


def test_fhir_that_passes_through_meets_codes_and_units_too():
    system = "https://his.mch.yunxi.example/fhir/CodeSystem/lis-items"
    coding = {"system": system, "code": "MCH-CP", "display": "铜蓝蛋白"}
    observation = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [coding]},
        "subject": {"reference": "Patient/p1"},
        "valueQuantity": {"value": 0.25, "unit": "克/升"},
    }
    (made,) = load(SITES / "mch").read(json.dumps(observation).encode(), ids).messages
    assert made.unmapped == (
        Unmapped("items", "MCH-CP", "铜蓝蛋白", "", "克/升"),
        Unmapped("units", "克/升"),
    )
