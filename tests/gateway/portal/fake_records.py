"""What the invented county knows: a resident, their reports, numbers and organisations."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

from gateway.exchange.issued import ReportKind
from gateway.portal.stories import (
    Age,
    Contribution,
    Decision,
    Flag,
    Recognition,
    Report,
    Resident,
    Result,
)

NUMBER = "330421198001010005"  # treated here
STRANGER = "33042119550615000X"  # not known to be treated here
UNSIGNED = "330421201809090006"  # nothing signed
PASSWORD = "演示-cloud-creek"
NOON = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
TOKEN = "Vq3kT9bYw0mZx7RcAe5LdN2s"  # of a question to a patient who is there

PEOPLE, TCM, MCH, TOWN = "云溪县人民医院", "云溪县中医医院", "云溪县妇幼保健院", "柳溪镇卫生院"
COUNTY = "云溪县卫生健康局"


def id_(name: str) -> str:
    """An id as the house makes them."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def days(n: float) -> datetime:
    return NOON - timedelta(days=n)


ELIGIBLE = Recognition("eligible", mark="全国HR", until=date(2026, 3, 15))
PROVINCE = Recognition("eligible", mark="浙HR", until=date(2026, 3, 15))
OWN = Recognition("own")
HIGH, LOW, NONE = Flag("high", "H"), Flag("low", "↓"), Flag("", "")


def no(reason: str) -> Recognition:
    return Recognition("not-eligible", reason)


def result(
    item: str,
    value: str,
    unit: str,
    range_: str,
    flag: Flag,
    organization: str,
    collected: datetime | date,
    recognition: Recognition = ELIGIBLE,
    **more: Any,
) -> Result:
    return Result(
        id=id_(item + organization + str(collected)),
        version=more.pop("version", "1"),
        item=item,
        value=value,
        unit=unit,
        range=range_,
        flag=flag,
        organization=organization,
        collected=collected,
        status=more.pop("status", "final"),
        recognition=recognition,
        **more,
    )


def report(
    name: str,
    title: str,
    kind: ReportKind,
    organization: str,
    collected: datetime | date,
    *results: Result,
    recognition: Recognition = ELIGIBLE,
    **more: Any,
) -> Report:
    return Report(
        id=id_(name),
        version=more.pop("version", "1"),
        title=title,
        kind=kind,
        organization=organization,
        collected=collected,
        issued=more.pop("issued", collected),
        status=more.pop("status", "final"),
        results=results,
        recognition=recognition,
        **more,
    )


def blood_count() -> Report:
    at = days(1.2)
    rows = (
        ("白细胞计数", "11.82", "10^9/L", "3.5～9.5", Flag("high", "↑")),
        ("红细胞计数", "4.61", "10^12/L", "4.3～5.8", NONE),
        ("血红蛋白", "138", "g/L", "130～175", NONE),
        ("血小板计数", "86", "10^9/L", "125～350", Flag("low", "↓")),
        ("中性粒细胞百分比", "82.10", "%", "40～75", Flag("high", "↑")),
        ("C反应蛋白", "＞200", "mg/L", "0～10", Flag("very-high", "↑↑")),
    )
    results = [result(*row, TCM, at, specimen="全血") for row in rows]
    issued = at + timedelta(minutes=42)
    return report("cbc", "血常规 + CRP", "laboratory", TCM, at, *results, issued=issued)


def chemistry() -> Report:
    at = days(3.1)
    decided = Decision("accepted", "", "", "周明（演示）", PEOPLE, days(2.9), "1")
    declined = Decision("declined", "02", "", "周明（演示）", PEOPLE, days(2.9), "1")
    return report(
        "chem", "生化全套", "laboratory", TCM, at,
        result("葡萄糖", "6.10", "mmol/L", "3.9-6.1", NONE, TCM, at, decision=decided),
        result(
            "钾", "5.62", "mmol/L", "3.5-5.3", HIGH, TCM, at, no("E04"),
            version="2", status="corrected", earlier="6.52",
        ),
        result("丙氨酸氨基转移酶", "38", "U/L", "9-50", NONE, TCM, at, decision=declined),
        result("肌酐", "97", "μmol/L", "57-97", NONE, TCM, at, PROVINCE, method="酶法"),
        result(
            "尿酸", "412", "μmol/L", "208-428", NONE, TCM, at, no("E04"),
            status="cancelled", note="标本溶血，请重新采集。",
        ),
        issued=at + timedelta(hours=3), version="2", status="corrected", recognition=PROVINCE,
    )  # fmt: skip


def immunity() -> Report:
    at = days(24)
    positive = Flag("abnormal", "阳性")
    return report(
        "imm", "免疫组合", "laboratory", MCH, at,
        result("乙肝表面抗原", "阴性(-)", "", "阴性", NONE, MCH, at),
        result("梅毒螺旋体抗体", "阳性(+)", "", "阴性", positive, MCH, at, no("E10")),
        result("抗核抗体滴度", "1:80", "", "＜1:80", Flag("unread", "★"), MCH, at, no("E01")),
        result("高敏肌钙蛋白I", "<0.01", "ng/mL", "0-0.04", NONE, MCH, at, no("E03")),
        recognition=no("E01"),
    )  # fmt: skip


def township() -> Report:
    day = date(2025, 12, 19)
    above = Flag("high", "偏高")
    return report(
        "town", "随访检验", "laboratory", TOWN, day,
        result("空腹血糖", "7.4", "mmol/L", "3.9～6.1", above, TOWN, day, no("E02")),
        result("糖化血红蛋白", "6.9", "%", "4-6", HIGH, TOWN, day, no("E02")),
        recognition=no("E02"),
    )  # fmt: skip


def ultrasound() -> Report:
    said = "脂肪肝（轻度）。\n胆囊壁稍毛糙；胰、脾未见明显异常。"
    title = "肝胆胰脾彩色多普勒超声"
    return report("us", title, "ultrasound", TCM, days(9), conclusion=said)


def ct() -> Report:
    at = days(40)
    return report(
        "ct", "胸部CT平扫", "ct", PEOPLE, at, issued=at + timedelta(hours=2), recognition=OWN,
        version="2", status="amended", conclusion="右肺上叶磨玻璃结节，约 6 mm，建议 3 个月后复查。",
    )  # fmt: skip


RESIDENT = Resident(
    chart=id_("chart"),
    name="冯玘",
    sex="male",
    age=Age(46, "year"),
    number="330***************5",
    hospitals=(PEOPLE, TCM, MCH, TOWN),
    relationship="encounter",
)

CONTRIBUTIONS = (
    Contribution(PEOPLE, "answered", days(0.1)),
    Contribution(TCM, "answered", days(0.2)),
    Contribution(MCH, "late", days(3)),
    Contribution(TOWN, "silent", date(2025, 12, 19)),
)
