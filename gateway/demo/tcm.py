"""云溪县中医医院: its laboratory system offers a database view, read as rows.

One row is one item of one report; rows of one report stand together (`BGDH`). `ZT` is the state:
1 preliminary, 2 final, 3 corrected, 9 withdrawn. `GXSJ` is when the row last changed. There is no
method and no instrument, and the view knows nothing of visits.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from gateway.demo.delivery import Delivery, moment
from gateway.demo.dice import Dice
from gateway.demo.panels import BLOOD_COUNT, KIDNEY, LIPIDS, LIVER, Item, Panel, Result, results
from gateway.demo.residents import Resident

SOURCE = "tcm-lis"
COLUMNS = (
    "BRID",  # patient id
    "XM",  # name
    "XB",  # sex
    "CSRQ",  # birth date
    "SFZH",  # resident ID number
    "BGDH",  # report number
    "BBLX",  # specimen
    "XMDM",  # item code
    "XMMC",  # item name
    "JG",  # result
    "DW",  # unit
    "CKFW",  # reference range
    "TS",  # flag
    "CYSJ",  # collected
    "BGSJ",  # reported
    "ZT",  # state
    "GXSJ",  # row changed
)
CHARSET = "gb18030"
DICE = Dice("tcm")
SEX = {"male": "男", "female": "女", "unknown": ""}
STATE = {"P": "1", "F": "2", "C": "3", "W": "9"}
# This house numbers its items; the same number means something else next door.
CODES = {
    "ALT": "0101",
    "AST": "0102",
    "GGT": "0103",
    "ALP": "0104",
    "TP": "0105",
    "ALB": "0106",
    "TBIL": "0107",
    "UREA": "0301",
    "CREA": "0302",
    "UA": "0303",
    "FPG": "0304",
    "TC": "0401",
    "TG": "0402",
    "HDL-C": "0403",
    "LDL-C": "0404",
    "WBC": "0501",
    "RBC": "0502",
    "HGB": "0503",
    "PLT": "0504",
    "NEUT%": "0505",
}
PANELS = (LIVER, LIPIDS, KIDNEY, BLOOD_COUNT)
Row = dict[str, str]


def patient_number(one: Resident) -> str:
    """The lasting number of a patient of this house."""
    return f"T{DICE.number(10**7, one.key):07d}"


def report(
    one: Resident,
    panel: Panel,
    values: Sequence[Result],
    number: str,
    collected: datetime,
    changed: datetime,
) -> list[Row]:
    """The rows of one report as the view shows them at `changed`."""
    return [
        {
            "BRID": patient_number(one),
            "XM": one.name.replace("·", "•"),  # the same name, another middle dot
            "XB": SEX[one.sex],
            "CSRQ": f"{one.born:%Y-%m-%d}" if one.born else "",
            "SFZH": one.number.lower(),  # a final X is typed small here
            "BGDH": number,
            "BBLX": panel.specimen_name,
            "XMDM": CODES[value.item.code],
            "XMMC": _printed(value.item),
            "JG": value.value,
            "DW": _unit(value.item),
            "CKFW": value.item.range.replace("--", "-"),
            "TS": value.flag,
            "CYSJ": f"{collected:%Y-%m-%d %H:%M:%S}",
            "BGSJ": f"{collected + timedelta(hours=2):%Y-%m-%d %H:%M:%S}",
            "ZT": STATE[value.state],
            "GXSJ": f"{changed:%Y-%m-%d %H:%M:%S}",
        }
        for value in values
    ]


def as_csv(rows: Iterable[Mapping[str, str]]) -> bytes:
    """Rows as the view's export: a heading, CRLF, GB18030."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(CHARSET)


def as_json(rows: Iterable[Mapping[str, str]]) -> bytes:
    """Rows as a JSON array of objects; every value is a string, so `6.10` stays `6.10`."""
    return json.dumps(list(rows), ensure_ascii=False, indent=1).encode()


def deliveries(folk: Sequence[Resident], today: date) -> Iterator[Delivery]:
    """A nightly export of the last weeks as CSV, then this morning's changes as JSON rows."""
    rows: list[Row] = []
    later: list[Row] = []
    for index, one in enumerate(folk):
        if one.key == "newborn" or not (one.trap or one.will != "broad" or index % 3 == 1):
            continue
        panel = LIPIDS if one.key == "shen" else DICE.pick(PANELS, one.key)
        days_ago = 24 if one.key == "shen" else DICE.between(2, 60, one.key, "days")
        collected = moment(today, days_ago, "07:30") + timedelta(seconds=index)
        number = f"BG{collected:%Y%m%d}{index:04d}"
        values = results(panel, "tcm", one.key)
        if one.key == "ji":
            values = (replace(values[0], value="<0.01", flag=""), *values[1:])
        rows += report(one, panel, values, number, collected, collected + timedelta(hours=2))
        changed = moment(today, 1, "06:30")
        if one.key == "zu":
            corrected = (replace(values[0], value="6.10", state="C"), *values[1:])
            later += report(one, panel, corrected, number, collected, changed)[:1]
        if one.key == "nong":
            withdrawn = [replace(value, state="W") for value in values]
            later += report(one, panel, withdrawn, number, collected, changed)
    yield Delivery(
        SOURCE,
        "http-rows",
        f"text/csv; charset={CHARSET}",
        as_csv(rows),
        moment(today, 1, "02:00"),
        "export",
    )
    yield Delivery(
        SOURCE,
        "http-rows",
        "application/json",
        as_json(later),
        moment(today, 1, "06:30"),
        "changes",
    )


def _printed(item: Item) -> str:
    """This house marks with a star where the people's hospital writes the scope out."""
    return f"★{item.name}" if item.mark else item.name


def _unit(item: Item) -> str:
    return item.unit.replace("μ", "u").replace("10^", "×10^")
