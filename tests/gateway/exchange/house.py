"""One hospital's interface and the people who ask, over a real store with a clock that tests move."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from consent.fhir import Choice, Form, write_consent
from gateway.demo import people
from gateway.demo.residents import Resident, resident_number
from gateway.exchange import ask, consents, receive
from gateway.jobs.worker import Worker
from gateway.records import query as queries
from gateway.records.entry import Entry, Nature, unpack_head
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import charts as rows
from gateway.store import inbox, tables
from gateway.store.statements import Statement
from gateway.vault import ChartTier, Grant, RecordName, Tier

NOON = 1_772_337_600_000_000  # 2026-03-01T12:00:00+08:00
SECOND = 1_000_000
HOUR = 3600 * SECOND
RECORDS = Statement(select(tables.Record.__table__))  # type: ignore[attr-defined]
SEGMENTS = Statement(select(tables.Segment.__table__))  # type: ignore[attr-defined]
TIERS = frozenset(Tier)


class Clock:
    """Every look is a microsecond later; tests move it further."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> int:
        self.at += 1
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += int(seconds * SECOND)


def person(
    key: str = "shen",
    name: str = "王珅",
    born: date | None = date(1980, 1, 1),
    number: str | None = None,
    sex: str = "male",
) -> Resident:
    """An invented resident, with a valid number that was never issued unless told otherwise."""
    if number is None:
        number = resident_number("330421", born) if born else ""
    return Resident(key, name, sex, born, number, "10000000000", "柳溪镇")  # type: ignore[arg-type]


@dataclass
class Stored:
    """A stored version, opened."""

    chart: str
    type: str
    id: str
    version: int
    current: bool
    tier: Tier
    nature: Nature
    entry: Entry
    text: bytes

    @property
    def plain(self) -> dict[str, Any]:
        return dict(json.loads(self.text))


@dataclass
class House:
    """The people's hospital in front, the store behind."""

    services: Services
    clock: Clock
    sent: int = field(default=0)

    # In

    def adt(
        self,
        who: Resident,
        mrn: str = "0000000001",
        *,
        event: str = "A04",
        visit: str = "V1",
        at: str = "2026-02-20T08:00",
        begun: str = "2026-02-20T08:00",
        left: str = "",
        clinic: str = "0203^心内科门诊",
        diagnosis: str = "",
        control: str = "",
    ) -> bytes:
        self.sent += 1
        place = people.Visit(
            who,
            mrn,
            visit,
            datetime.fromisoformat(begun),
            clinic,
            "D0012^李玘",
            diagnosis=diagnosis,
            left=datetime.fromisoformat(left) if left else None,
        )
        return people.adt(event, place, datetime.fromisoformat(at), control or f"H{self.sent}")

    def oru(
        self,
        who: Resident,
        mrn: str = "0000000001",
        *values: tuple[str, str, str],
        report: str = "R1",
        visit: str = "V1",
        at: str = "2026-02-20T10:00",
        status: str = "F",
        clinic: str = "0203^心内科门诊",
        order: str = "LFT^肝功能",
        control: str = "",
    ) -> bytes:
        """A report of (item, value, OBX-11)."""
        self.sent += 1
        when = datetime.fromisoformat(at)
        stamp = people.stamp(when)
        place = people.Visit(who, mrn, visit, when, clinic, "D0012^李玘")
        lines = [
            people.patient(who, mrn),
            people.place(place).partition("||||||||||||||||||||||||")[0],
            f"OBR|1|O{report}|{report}|{order}|||20260220075800|||||||20260220080000|SER^血清|"
            f"D0012^李玘||||||{stamp}||CH|{status}",
        ]
        for n, (code, value, state) in enumerate(values or [("ALT", "62.40", "F")], 1):
            lines.append(
                f"OBX|{n}|NM|{code}^{code}|{n}|{value}|U/L|9--50||||{state}|||20260220090000|LAB01"
            )
        return people.message("LIS", "ORU^R01", when, control or f"L{self.sent}", lines)

    def mdm(
        self,
        who: Resident,
        mrn: str = "0000000001",
        *content: str | bytes,
        event: str = "T02",
        number: str = "D1",
        parent: str = "",
        visit: str = "V1",
        at: str = "2026-02-20T10:00",
        clinic: str = "0203^心内科门诊",
        title: str = "CN^会诊记录",
        level: str = "U",
    ) -> bytes:
        """A document: lines of text, and bytes as encoded documents."""
        self.sent += 1
        when = datetime.fromisoformat(at)
        stamp = people.stamp(when)
        place = people.Visit(who, mrn, visit, when, clinic, "D0012^李玘")
        lines = [
            f"EVN|{event}|{stamp}",
            people.patient(who, mrn),
            people.place(place).partition("||||||||||||||||||||||||")[0],
            f"TXA|1|{title}||{stamp}|||{stamp}||D0012^李玘|||{number}|{parent}||||AU|{level}",
        ]
        for n, one in enumerate(content, 1):
            if isinstance(one, str):
                lines.append(f"OBX|{n}|TX|{title}||{one}||||||F")
            else:
                encoded = base64.b64encode(one).decode()
                lines.append(f"OBX|{n}|ED|{title}||EMR^AP^PDF^Base64^{encoded}||||||F")
        return people.message("EMR", f"MDM^{event}", when, f"D{self.sent}", lines)

    async def send(self, *raws: bytes, source: str = "people-his") -> list[receive.Receipt]:
        units = [receive.Unit(raw, control_of(raw)) for raw in raws]
        return await receive.receive(source, units, self.services)

    async def work(self) -> None:
        await Worker(self.services).drain()

    async def file(self, *raws: bytes, source: str = "people-his") -> list[str]:
        """Send and file one after the other; how each ended."""
        states = []
        for raw in raws:
            (receipt,) = await self.send(raw, source=source)
            await self.work()
            row = inbox.RawRow(*(await self.services.db.read(inbox.RAW, receipt.id))[0])
            states.append(row.state)
        return states

    async def issues(self) -> list[tuple[str, str]]:
        """(severity, code) of everything kept beside raw messages."""
        found = await self.services.db.read(inbox.ISSUES, 1000)
        return [(i[0], i[1]) for _, text in found for i in json.loads(text)]

    async def alarms(self) -> list[str]:
        return sorted(row[1] for row in await self.services.db.read(inbox.ALARMS, 1000))

    async def again(self) -> None:
        """Every message goes through filing once more, in order of arrival."""

        def reopen(tx: Any) -> None:
            table = tables.Inbox.__table__  # type: ignore[attr-defined]
            ids = tx.all(Statement(select(table.c.id).order_by(table.c.arrived)))
            tx.run(Statement(table.update().values(state="waiting")))
            for (id,) in ids:
                tx.run(inbox.ADD_JOB, "file", id, 0)

        await self.services.db.do(reopen)
        await self.work()

    # What stands

    def chart(self, mrn: str = "0000000001", organization: str = "people") -> str:
        return self.services.ids(organization)("mrn", "Patient", [mrn])

    async def everything(self) -> list[Stored]:
        """Every stored version, opened with the keys of its tier."""
        table = tables.Record.__table__.columns.keys()  # type: ignore[attr-defined]
        found = []
        for values in await self.services.db.read(RECORDS):
            row = dict(zip(table, values, strict=True))
            want = ChartTier(row["chart"], Tier(row["tier"]))
            grant = Grant("job", "test", TIERS)
            manifest = (await self.services.vault.manifests(grant, [want]))[want]
            body = (await self.services.vault.records(grant, [want]))[want]
            about = f"head/{row['id']}/{row['version']}".encode()
            head = unpack_head(manifest.open(row["head"], about))
            name = RecordName(head.nature.type, row["id"], row["version"])
            found.append(
                Stored(
                    row["chart"],
                    head.nature.type,
                    row["id"],
                    row["version"],
                    bool(row["current"]),
                    Tier(row["tier"]),
                    head.nature,
                    head.entry,
                    body.open(row["sealed"], name),
                )
            )
        return sorted(found, key=lambda one: (one.type, one.id, one.version))

    async def current(self, type: str = "") -> list[Stored]:
        return [one for one in await self.everything() if one.current and type in ("", one.type)]

    async def only(self, type: str) -> Stored:
        (one,) = await self.current(type)
        return one

    async def state(self) -> list[tuple[Any, ...]]:
        """What stands, without when it was filed: what "the same end" means."""
        found = []
        for one in await self.current():
            plain = one.plain
            plain.pop("meta")
            found.append((one.chart, one.type, one.id, one.tier, one.nature, plain))
        return found

    async def grounds(self, chart: str, organization: str = "people") -> rows.Grounds:
        return await rows.grounds(self.services.db, chart, organization)

    # Asking

    def query(self, kind: str, *given: tuple[str, str], mrn: str = "0000000001") -> queries.Query:
        zone = self.services.settings.zone
        chart = self.chart(mrn)
        return queries.parse(kind, [("patient", chart), *given], zone, lenient=False)

    async def search(
        self, kind: str, who: Caller, *given: tuple[str, str], mrn: str = "0000000001"
    ) -> ask.Page:
        return await ask.search(self.query(kind, *given, mrn=mrn), who, self.services)

    async def sign(
        self,
        choice: Choice = Choice.PERMIT_TREATMENT,
        mrn: str = "0000000001",
        at: str = "2026-02-01T10:00:00+08:00",
        **more: Any,
    ) -> consents.Recorded:
        chart = self.chart(mrn)
        form = Form(
            choice=choice,
            id="x",
            patient=f"Patient/{chart}",
            performer=f"Patient/{chart}",
            organization="Organization/county",
            at=at,
            evidence_sha256="a" * 64,
            **more,
        )
        text = write_consent(form, self.services.settings.canonical)
        return await consents.create(text, REGISTRAR, self.services)


def control_of(raw: bytes) -> str:
    if not raw.startswith(b"MSH|"):
        return ""
    fields = raw.split(b"\r", 1)[0].split(b"|")
    return fields[9].decode("ascii") if len(fields) > 9 else ""


def clinician(
    user: str = "dr-wang", organization: str = "people", purpose: str = "TREAT"
) -> Caller:
    return Caller(
        client=f"{organization}-his",
        organization=organization,
        role="clinician",
        user=user,
        name=user,
        purpose=purpose,
        scopes=frozenset({"system/*.rs"}),
    )


REGISTRAR = Caller(client="county-desk", organization="county", role="registrar", user="registrar")
