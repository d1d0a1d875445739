"""Results of three hospitals in forty tests, for looking at grids and trends; every value is invented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from gateway.errors import Kind, Problem
from gateway.exchange.measured import Detail
from gateway.portal.chart_stories import (
    Line,
    NameAsked,
    Original,
    Overview,
    SeveralFit,
    Statement,
    Study,
)
from gateway.portal.stories import (
    Contribution,
    Flag,
    Recognition,
    Report,
    Resident,
    Result,
)
from gateway.recognition.catalogue import SHIPPED, Item
from gateway.recognition.catalogue.reader import load
from gateway.recognition.series import Reading
from gateway.services.caller import Caller

PEOPLE, TCM, MCH = "云溪县人民医院", "云溪县中医医院", "云溪县妇幼保健院"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
NARRATIVE = (
    '<div xmlns="http://www.w3.org/1999/xhtml"><h1 style="color:red">所见</h1>'
    '<script>alert(1)</script><p onclick="alert(2)">肝脏<b>形态</b>正常。</p>'
    '<img src="https://far.example/x.png" onerror="alert(3)"/><a href="https://far.example">连接</a>'
    '<table style="width:9999px"><tr><td colspan="2">血压</td></tr></table></div>'
)
OUT = Recognition("not-eligible", "E01")
LISTED = load(SHIPPED, zone=UTC).items[0]


def measured(
    id: str,
    test: str,
    item: str,
    value: str,
    unit: str,
    organization: str,
    at: datetime | date,
    *,
    range_: str = "",
    limits: tuple[str, str] = ("", ""),
    flag: Flag | None = None,
    kind: str = "B",
    ucum: str = "",
    loinc: str = "",
    panel: str = "",
    order: int = 0,
    **more: Any,
) -> Result:
    """A result with what it is compared by, read from its value as the county reads it."""
    bare = value.lstrip("<>")
    plain = bare.replace(".", "", 1).isdigit()
    clock = at if isinstance(at, datetime) else datetime(at.year, at.month, at.day, tzinfo=UTC)
    reading = Reading(
        key=id,
        organization=organization,
        test=test.removeprefix("item|"),
        loinc=loinc,
        item=_item(test.removeprefix("item|"), item, kind, ucum) if "item|" in test else None,
        method=more.get("method", ""),
        unit=unit,
        number=bare if plain else "",
        comparator=value[: len(value) - len(bare)] if plain else "",
        low=limits[0],
        high=limits[1],
        at=int(clock.timestamp()) * 1_000_000,
        withdrawn=more.get("status") == "cancelled",
    )
    detail = Detail(reading, panel, panel, order, more.pop("instrument", ""))
    return Result(
        id=id,
        version="1",
        item=item,
        value=value,
        unit=unit,
        range=range_,
        flag=flag or Flag("", ""),
        organization=organization,
        collected=at,
        status=more.pop("status", "final"),
        recognition=OUT,
        detail=detail,
        **more,
    )


def _item(code: str, name: str, kind: str, ucum: str) -> Item:
    """What the list would say of it."""
    return msgspec.structs.replace(
        LISTED,
        code=code,
        name_zh=name,
        name_en=name,
        comparability=kind,
        ucum=(ucum,) if ucum else (),
    )


def report(id: str, title: str, organization: str, at: datetime, results: list[Result]) -> Report:
    return Report(
        id=id, version="1", title=title, kind="laboratory", organization=organization,
        collected=at, issued=at, status="final", results=tuple(results), recognition=OUT,
    )  # fmt: skip


def number(text: str) -> str:
    """A record id that says what it is."""
    return text.encode().hex()[:32].ljust(32, "0")


def three_hospitals(noon: datetime) -> list[Report]:
    """Each of three hospitals reports forty tests, some of them in ways that must not be mixed."""
    found = []
    for days, house in ((1, TCM), (2, PEOPLE), (40, MCH)):
        at = noon - timedelta(days=days)
        mark = {TCM: "t", PEOPLE: "p", MCH: "m"}[house]
        rows = [
            measured(
                number(f"{mark}{n}"), f"item|T{n:02}", f"项目{n:02}", str(Decimal(n) / 2), "U/L",
                house, at, kind="A", range_="9-50", panel="生化", order=1_000 + n,
            )
            for n in range(8, 40)
        ]  # fmt: skip
        crea = (
            ("1.02", "mg/dL", "2160-0", ("0.6", "1.2")) if house == MCH
            else ("97", "umol/L", "14682-9", ("57", "97"))
        )  # fmt: skip
        rows += [
            measured(
                number(f"{mark}crea"), "item|CREA", "肌酐", crea[0], crea[1], house, at,
                loinc=crea[2], ucum="umol/L", limits=crea[3], range_="-".join(crea[3]), panel="生化",
                order=1_000, method={TCM: "酶法", PEOPLE: "苦味酸法", MCH: "酶法"}[house],
            ),
            measured(
                number(f"{mark}dd"), "item|DD", "D-二聚体", {TCM: "0.31", PEOPLE: "0.62", MCH: "0.4"}[house],
                {TCM: "mg/L DDU", PEOPLE: "mg/L FEU", MCH: "mg/L FEU"}[house], house, at, kind="C",
                panel="凝血", order=2_000,
            ),
            measured(
                number(f"{mark}tni"), "item|TNI", "高敏肌钙蛋白I", "<0.01", "ng/mL", house, at,
                limits=("", "0.04"), range_="<0.04", panel="心肌标志物", order=3_000,
            ),
            measured(number(f"{mark}ana"), "text|ana", "抗核抗体", "1:80", "", house, at,
                     flag=Flag("unread", "★")),
            measured(number(f"{mark}pro"), "text|pro", "尿蛋白", "++", "", house, at,
                     flag=Flag("abnormal", "阳性")),
            measured(number(f"{mark}k"), "item|K", "钾", "5.62", "mmol/L", house, at,
                     flag=Flag("high", "H"), kind="A", panel="生化", order=1_999,
                     limits=("3.5", "5.3"), range_="3.5-5.3",
                     **({"status": "corrected", "earlier": "6.52"} if house == TCM else {})),
            measured(number(f"{mark}ua"), "item|UA", "尿酸", "412", "μmol/L", house, at, kind="A",
                     panel="生化", order=1_998,
                     **({"status": "cancelled"} if house == PEOPLE else {})),
            measured(number(f"{mark}na"), "item|NA", "钠", "151", "mmol/L", house, at, kind="A",
                     limits=("137", "147"), range_="137-147", panel="生化", order=1_997),
        ]  # fmt: skip
        found.append(report(number(f"{mark}rep"), f"{house[3:5]}综合", house, at, rows))
    # The same creatinine stands in a second report of the same hospital.
    twice = [one for one in found[0].results if one.item == "肌酐"]
    found.insert(1, report(number("trep2"), "肾功能", TCM, noon - timedelta(days=1), twice))
    return found


def many(columns: int, noon: datetime) -> list[Report]:
    """One test after another, at so many times."""
    return [
        report(
            number(f"r{n}"), "血糖", (TCM, PEOPLE)[n % 2], noon - timedelta(hours=7 * n),
            [
                measured(number(f"g{n}"), "item|GLU", "葡萄糖", f"{4 + n % 7}.{n % 10}0", "mmol/L",
                         (TCM, PEOPLE)[n % 2], noon - timedelta(hours=7 * n), limits=("3.9", "6.1"),
                         range_="3.9-6.1", kind="A")
            ],
        )
        for n in range(columns)
    ]  # fmt: skip


class FakeCharts:
    """The county's answers to the pages of one record."""

    resident: Resident
    reports: list[Report]
    contributions: tuple[Contribution, ...]
    notice: bool
    fit: int = 1  # how many fit a name
    originals: Mapping[str, tuple[Original, ...]] = {}
    statements: tuple[Statement, ...] = ()

    async def open_by_name(self, asked: NameAsked, caller: Caller) -> Resident | SeveralFit | None:
        if self.fit > 1 and not asked.number:
            return SeveralFit()
        return self.resident if self.fit and asked.name == self.resident.name else None

    async def overview(self, chart: str, caller: Caller) -> Overview:
        may = []
        for one in self.reports:
            rows = tuple(
                r for r in one.results if r.recognition.state == "eligible" and not r.decision
            )
            if rows or (not one.results and one.recognition.state == "eligible"):
                may.append(replace(one, results=rows))
        return Overview(
            resident=self.resident,
            contributions=self.contributions,
            allergies=(
                Statement("青霉素", PEOPLE, date(2025, 3, 1), severity="high"),
                *self.statements,
            ),
            problems=(
                Statement("2型糖尿病", PEOPLE, date(2024, 5, 2), times=3),
                Statement("急性上呼吸道感染", TCM, date(2024, 2, 2), over=True),
            ),
            newest=tuple(self.reports[:6]),
            studies=(Study("0" * 32, "胸部CT平扫", "CT", PEOPLE, date(2026, 1, 5), "2", "18"),),
            countable=tuple(may),
            notice=self.notice,
        )

    async def line(self, id: str, caller: Caller) -> Line:
        every = {r.id: (r, one.id) for one in self.reports for r in one.results}
        if id not in every:
            raise Problem(Kind.UNKNOWN, "Not found.")
        asked = every[id][0]
        same = [
            (r, to)
            for r, to in every.values()
            if (r.detail.reading.test or r.item) == (asked.detail.reading.test or asked.item)
        ]
        return Line(
            self.resident,
            self.contributions,
            tuple(r for r, _ in same),
            {r.id: to for r, to in same},
            self.notice,
        )

    async def original(self, id: str, place: int, caller: Caller) -> Original:
        found = self.originals.get(id, ())
        if not 0 <= place < len(found):
            raise Problem(Kind.UNKNOWN, "Not found.")
        return replace(found[place], content=PDF)
