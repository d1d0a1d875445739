"""IHE's consent guide (PCF 1.1) in a county of its own: every example recorded, then asked against.

`python -m tests.journeys.pcf_table` prints what each example lets whom see; the test checks it. The
guide's resources are filed as a source would send them; a consent's references are put into this
county's own ids, as any client of a server that assigns ids has to.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from consent import policy
from gateway.auth import people
from gateway.errors import Problem
from gateway.exchange import acting, ask, consents, emergency, evidence, loading, sources
from gateway.exchange.person import Evidence, evidence_place, pack_evidence
from gateway.jobs.worker import Worker
from gateway.services import Services, open_services
from gateway.services.caller import OPERATOR, Caller
from gateway.settings import Settings
from gateway.store import charts as rows
from gateway.store import own
from gateway.store.migrate import migrate
from gateway.vault import KeyFile
from tests import public
from tests.journeys.public_table import SITES

FILE = Path(__file__).parent / "pcf.toml"
EXAMPLES = tomllib.loads(FILE.read_text("utf-8"))["example"]
GUIDE = "ex-organization"
PNG = b"\x89PNG\r\n\x1a\n an invented signature in ink"
OWN_PURPOSE = "http://example.org/policies/purposeOfUse|FooBar"

# What the questions are about: the guide's own records, and a few more like them.
RECORDS = {
    "encounter": "Encounter-ex-encounter",
    "weight": "Observation-ex-weight",
    "weight-2": "Observation-ex-weight-2",
    "pressure": "Observation-ex-bloodPressure",
    "sugar": "Observation-ex-bloodSugar",
    "alcohol": "Observation-ex-alcoholUse",
    "document": "DocumentReference-ex-documentreference",
}
V3 = "http://terminology.hl7.org/CodeSystem/"


def _labels(*codes: str) -> dict[str, Any]:
    systems = {True: "v3-Confidentiality", False: "v3-ActCode"}
    return {"security": [{"system": V3 + systems[len(c) == 1], "code": c} for c in codes]}


ADDED: dict[str, dict[str, Any]] = {
    "2022": {"effectiveDateTime": "2022-06-01"},
    "practitioners": {"performer": [{"reference": "Practitioner/ex-practitioner"}]},
    "r": {"meta": _labels("R")},
    "psy": {"meta": _labels("R", "PSY")},
    "sdv": {"meta": _labels("R", "SDV")},
    "infant": {"subject": {"reference": "Patient/infant"}},
}
"""Records by what makes them another one than the guide's weight, without its encounter."""


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (public.FOLDER / "ihe-pcf" / f"{name}.json").read_text("utf-8")
    )
    return found


@dataclass
class County:
    """The guide's county with everything filed; `ids` are ours by the guide's reference."""

    services: Services
    ids: dict[str, str]

    def ours(self, reference: str) -> str:
        """The guide's reference as this county knows it."""
        kind = reference.partition("/")[0]
        return f"{kind}/{self.ids[reference]}" if reference in self.ids else reference

    def caller(self, name: str) -> Caller:
        """Who asks in the table."""
        roles = {
            "research": ("ex-org-researcher", "researcher", "HRESCH", "scholar"),
            "own": ("ex-org-researcher", "researcher", OWN_PURPOSE, "scholar"),
            "payer": ("elsewhere", "insurer", "HPAYMT", "payer"),
            "other": ("elsewhere", "clinician", "TREAT", "dr-other"),
            "doctor": ("elsewhere", "clinician", "TREAT", "ex-practitioner"),
            "emergency": ("elsewhere", "clinician", "BTG", "ex-practitioner"),
        }
        house, role, purpose, login = roles[name]
        return Caller(
            client="pcf", organization=house, role=role, user=login, purpose=purpose, strength=2
        )


DESK = Caller(client="desk", organization="county", role="registrar", user="clerk", strength=2)


@asynccontextmanager
async def county(folder: Path) -> AsyncIterator[County]:
    """Real services with the guide's patients, records, people, group and policies."""
    settings = Settings(
        data=folder, county="pcf", county_file=FILE, sites=SITES, demo=True, mllp_port=0
    )
    KeyFile.create(settings.root_key, demo=True)
    await migrate(settings.database_url, "records")
    await migrate(settings.keyring_url, "keyring")
    services = await open_services(settings)
    try:
        services.policies._held = _policy(services)
        yield County(services, await _filed(services, folder))
    finally:
        await services.close()


def _policy(services: Services) -> policy.PolicySet:
    """The county's rules with the guide's own purpose, which its researchers may ask for."""
    text = (Path(policy.__file__).parent / "policy" / "cn-optin.toml").read_text("utf-8")
    text = text.replace("[purposes.includes]", f'[purposes.includes]\n"{OWN_PURPOSE}" = []', 1)
    text = text.replace('researcher = ["HRESCH"', f'researcher = ["HRESCH", "{OWN_PURPOSE}"', 1)
    return policy.parse(text.encode(), services.settings.timezone)


async def _filed(services: Services, folder: Path) -> dict[str, str]:
    await sources.add("guide", GUIDE, "fhir", services, client="guide")
    given = [_read("Patient-ex-patient"), _read("Patient-ex-mother")]
    given.append({"resourceType": "Patient", "id": "infant", "name": [{"text": "Baby Smith"}],
                  "gender": "female", "birthDate": "2022-05-01"})  # fmt: skip
    given += [_read(name) for name in RECORDS.values()]
    plain = {
        k: v for k, v in _read("Observation-ex-weight").items() if k not in ("encounter", "text")
    }
    given += [plain | {"id": f"added-{name}"} | more for name, more in ADDED.items()]
    ids: dict[str, str] = {}
    site = services.maps.draft("fhir")
    for resource in given:
        path = folder / f"{resource['id']}.json"
        path.write_text(json.dumps(resource), "utf-8")
        async for _ in loading.load("guide", path, services):
            pass
        reading = site.read(path.read_bytes(), services.ids(GUIDE), origin="")
        (mapped,) = reading.messages[0].resources
        ids[f"{resource['resourceType']}/{resource['id']}"] = mapped.id
        for kind, id in re.findall(rb'"(Practitioner)/([0-9a-f]{32})"', mapped.text()):
            who = next(iter(resource.get("performer", ())), {}).get("reference", "")
            ids[f"author:{who}"] = f"{kind.decode()}/{id.decode()}"
    await Worker(services).drain()
    for login, house in (("ex-practitioner", "elsewhere"), ("dr-other", "elsewhere")):
        await people.open_account(
            services,
            login=login,
            name=login,
            organization=house,
            password="a long enough password",
            roles=("clinician",),
            by=OPERATOR,
        )
    for chart in (ids["Patient/ex-patient"], ids["Patient/infant"]):
        for login in ("ex-practitioner", "dr-other"):
            await _treats(chart, login, services)
    return ids


async def _treats(chart: str, login: str, services: Services) -> None:
    """An encounter of the patient at the other hospital, so that there is somebody to ask."""
    id = services.ids("elsewhere")("pcf", "Encounter", (chart, login))
    place = evidence_place(chart, id, "encounter", "elsewhere")
    sealed = services.vault.seal_field(
        "relationship", place, pack_evidence(Evidence(services.now() - 3_600_000_000))
    )

    def put(tx: Any) -> None:
        rows.take(tx, chart, 0, 1)
        tx.run(rows.PUT_RELATIONSHIP, chart, id, "elsewhere", "encounter", sealed, services.now())

    await services.db.do(put)


def file_of(name: str) -> str:
    """The guide's file of an example."""
    return f"Consent-ex-{'' if name.startswith('dissent') else 'consent-'}{name}"


async def recorded(town: County, example: dict[str, Any]) -> consents.Recorded:
    """The guide's example, recorded at the county's desk."""
    name = example["name"]
    resource = _read(file_of(name))
    resource.pop("id")
    text = json.dumps(resource, ensure_ascii=False)
    if example.get("patient") == "infant":
        text = text.replace("Patient/ex-patient", "Patient/infant")
    chart = town.ids[f"Patient/{example.get('patient', 'ex-patient')}"]
    if "DocumentReference/ex-consent-ink" in text or example.get("patient") == "infant":
        # Evidence without a subject, or with another: it is handed in at the desk for this patient.
        kept = await evidence.keep(chart, "scan", PNG, "image/png", DESK, town.services)
        text = re.sub(r"DocumentReference/ex-[a-z-]+", kept.reference, text)
    authors = resource["provision"].get("data") or [
        datum for one in resource["provision"].get("provision", ()) for datum in one.get("data", ())
    ]
    for datum in authors:
        who = datum["reference"]["reference"]
        if datum["meaning"] == "authoredby":
            text = text.replace(f'"{who}"', f'"{town.ids["author:" + who]}"')
    text = re.sub(r'"([A-Z]\w+/[\w.-]+)"', lambda found: f'"{town.ours(found[1])}"', text)
    return await consents.create(text.encode(), DESK, town.services)


@dataclass(frozen=True)
class Asked:
    """One question of the table and its answer."""

    who: str
    record: str
    expected: bool
    shown: bool


async def asked(town: County, example: dict[str, Any]) -> list[Asked]:
    """Every question of an example, asked by reading the record."""
    found = []
    patient = town.ids[f"Patient/{example.get('patient', 'ex-patient')}"]
    for expected in (True, False):
        for who, records in example.get("may" if expected else "may_not", {}).items():
            caller = town.caller(who)
            if who == "emergency":
                why = emergency.Asked("unconscious", "昏迷病人，家属联系不上，急需既往检查结果")
                await emergency.break_glass(patient, why, caller, town.services)
            for record in records:
                shown = await _shown(town, record, caller)
                found.append(Asked(who, record, expected, shown))
    return found


async def _shown(town: County, record: str, caller: Caller) -> bool:
    name = RECORDS.get(record, f"Observation-added-{record}").replace("-", "/", 1)
    try:
        await ask.read(name.partition("/")[0], town.ids[name], caller, town.services)
    except Problem:
        return False
    return True


async def table(folder: Path) -> list[tuple[str, list[Asked]]]:
    """Each example alone in a county where the one before it was withdrawn."""
    told = []
    async with county(folder) as town:
        await _mother(town)
        for example in EXAMPLES:
            one = await recorded(town, example)
            told.append((example["name"], await asked(town, example)))
            await consents.withdraw(one.id, DESK, town.services)
    return told


async def _mother(town: County) -> None:
    """The mother acts for her infant, since its birth; she has an account of her own."""
    services, login = town.services, "mother"
    infant, mother = town.ids["Patient/infant"], town.ids["Patient/ex-mother"]
    born = int(datetime(2022, 5, 1, tzinfo=UTC).timestamp()) * 1_000_000
    terms = acting.seal_terms(
        infant, "right", login, "guardian", acting.Terms(start=born, relation="parent"), services
    )
    hers = acting.seal_identity(login, mother, acting.Identity("", "", stands=True), services)
    account = own.OwnRow(login, mother, "in-person", hers, b"", 1, b"", 0, 0, "clerk", born, 0)
    right = own.MandateRow(infant, "right", login, "guardian", terms, 0, "clerk", born, 0)

    def put(tx: Any) -> None:
        tx.run(own.ADD_OWN, *account)
        tx.run(own.PUT_MANDATE, *right)

    await services.db.do(put)


def printed(told: list[tuple[str, list[Asked]]]) -> Iterator[str]:
    """The table, one line an example."""
    yield f"{'example':<42} {'permitted':<58} refused"
    for name, answers in told:
        cells = [
            " ".join(
                f"{a.who}:{a.record}{'' if a.shown == a.expected else ' WRONG'}"
                for a in answers
                if a.expected is expected
            )
            for expected in (True, False)
        ]
        yield f"{name:<42} {cells[0]:<58} {cells[1]}"


async def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(printed(await table(Path(folder)))))


if __name__ == "__main__":
    asyncio.run(_main())
