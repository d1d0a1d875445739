"""柳溪镇卫生院: a spreadsheet export of visits with diagnoses and the little it measures, and its contracts.

One line is one visit, or one measured item of a visit; patients without a resident ID number are
normal, sex is one character, and dates have no time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date

from gateway.demo.delivery import Delivery, moment
from gateway.demo.dice import Dice
from gateway.demo.panels import decimal
from gateway.demo.residents import Resident

SOURCE = "township-csv"
COLUMNS = (
    "档案号",
    "姓名",
    "性别",
    "出生日期",
    "身份证号",
    "电话",
    "就诊号",
    "就诊日期",
    "科室",
    "医生",
    "诊断编码",
    "诊断名称",
    "项目代码",
    "项目名称",
    "结果",
    "单位",
    "参考范围",
)
CONTRACTS = "township-contracts"
CONTRACT_COLUMNS = (
    "档案号",
    "姓名",
    "性别",
    "出生日期",
    "身份证号",
    "协议编号",
    "签约机构代码",
    "签约机构",
    "医生工号",
    "签约医生",
    "生效日期",
    "终止日期",
    "状态",
    "更新时间",
)
CHARSET = "utf-8-sig"
DICE = Dice("township")
SEX = {"male": "男", "female": "女", "unknown": ""}
DIAGNOSES = (
    ("I10.x00", "高血压"),
    ("J06.900", "急性上呼吸道感染"),
    ("M54.500", "腰痛"),
    ("E11.900", "2型糖尿病"),
    ("K30.x00", "功能性消化不良"),
)


def visit_lines(one: Resident, today: date) -> list[dict[str, str]]:
    """One visit: its line with the diagnosis and, for one in three, a finger-prick glucose."""
    at = moment(today, DICE.between(3, 90, one.key, "days"), "09:00")
    code, name = DICE.pick(DIAGNOSES, one.key)
    line = dict.fromkeys(COLUMNS, "") | {
        "档案号": _number(one),
        "姓名": one.name,
        "性别": SEX[one.sex],
        "出生日期": f"{one.born:%Y-%m-%d}" if one.born else "",
        "身份证号": one.number,
        "电话": one.phone,
        "就诊号": f"LX{at:%Y%m%d}{DICE.number(10**4, one.key, 'visit'):04d}",
        "就诊日期": f"{at:%Y-%m-%d}",
        "科室": "全科",
        "医生": "周启明",
        "诊断编码": code,
        "诊断名称": name,
    }
    if not DICE.chance(33, one.key, "glucose"):
        return [line]
    value = decimal(DICE.between(390, 990, one.key, "glucose"), 2)
    measured = line | {
        "项目代码": "GLU-P",
        "项目名称": "末梢血糖",
        "结果": value,
        "单位": "mmol/L",
        "参考范围": "3.9-6.1",
    }
    return [line, measured]


def _number(one: Resident) -> str:
    return f"LX{DICE.number(10**6, one.key):06d}"


def contract_line(one: Resident, today: date) -> dict[str, str]:
    """This year's contract with the family doctor."""
    year = today.year
    return {
        "档案号": _number(one),
        "姓名": one.name,
        "性别": SEX[one.sex],
        "出生日期": f"{one.born:%Y-%m-%d}" if one.born else "",
        "身份证号": one.number,
        "协议编号": f"QY{year}{DICE.number(10**6, one.key, 'contract'):06d}",
        "签约机构代码": "330421D",
        "签约机构": "柳溪镇卫生院",
        "医生工号": "dr-zhou",
        "签约医生": "周启明",
        "生效日期": f"{year}-01-01",
        "终止日期": f"{year}-12-31",
        "状态": "履约中",
        "更新时间": f"{year}-01-01 08:00:00",
    }


def deliveries(folk: Sequence[Resident], today: date) -> Iterator[Delivery]:
    """Last quarter's visits in one file, and the contracts of those who came with their card."""
    chosen = [
        one
        for index, one in enumerate(folk)
        if one.town == "柳溪镇" and (one.key != "shen") and (one.trap or index % 2)
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for one in chosen:
        writer.writerows(visit_lines(one, today))
    yield Delivery(
        SOURCE,
        "file",
        "text/csv; charset=utf-8",
        text.getvalue().encode(CHARSET),
        moment(today, 1, "18:00"),
        "quarter",
    )
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, CONTRACT_COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(contract_line(one, today) for one in chosen if one.number)
    yield Delivery(
        CONTRACTS,
        "http-rows",
        "text/csv; charset=utf-8",
        text.getvalue().encode(CHARSET),
        moment(today, 1, "18:30"),
        "contracts",
    )
