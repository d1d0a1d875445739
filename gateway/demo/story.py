"""The pretend county as one value: who lives there, what is signed, and everything that is sent.

`county(today)` reads no clock and no disk; the same day gives the same bytes. The demo sends it,
the check expects from it what `EXPECTED` and `STORY` say.
"""

from __future__ import annotations

import json
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from consent import fhir as consent
from consent.fhir import write_consent
from gateway.demo import mch, pacs, people, tcm, tcm_emr, township
from gateway.demo.delivery import Delivery, moment
from gateway.demo.panels import LIPIDS, LIVER
from gateway.demo.residents import Resident, residents
from gateway.identity.systems import RESIDENT_ID

PASSWORD = "yunxi-demo-2026"  # noqa: S105  # printed on the sign-in page of the pretend county
FormKind = Literal["broad", "refusal", "withdrawal", "psychiatry"]
Role = Literal["clinician", "registrar", "auditor", "it", "privacy", "commission", "patient"]
Answer = Literal["everything", "without the restricted", "refused"]


@dataclass(frozen=True, slots=True)
class Form:
    """A paper signed at a registration desk. A withdrawal ends the broad form signed before it.

    `psychiatry` permits sensitivity PSY for treatment to the one account named `to`.
    """

    resident: Resident
    kind: FormKind
    signed: datetime
    to: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """A person who signs in at the portal with `PASSWORD`."""

    login: str
    name: str
    organization: str
    role: Role

    @property
    def secret(self) -> str:
        """The fixed secret of the second factor, of those who need one; worth nothing elsewhere."""
        if self.role not in {"clinician", "privacy"}:
            return ""
        digest = sha256(f"pretend second factor of {self.login}".encode()).digest()
        return b32encode(digest[:20]).decode()


@dataclass(frozen=True, slots=True)
class Client:
    """A hospital system. `source` is what it may push; `roles` it may assert for its staff."""

    id: str
    name: str
    organization: str
    scopes: str
    source: str = ""
    roles: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one person at the door must get when looking up the resident with the restricted record.

    `claims` says whether they declare a treatment relationship first; without one and without an
    encounter at their own hospital the answer is a refusal.
    """

    login: str
    claims: bool
    answer: Answer
    because: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A value that must stand in the table exactly so."""

    organization: str
    code: str
    name: str
    value: str
    unit: str
    range: str
    flag: str


@dataclass(frozen=True, slots=True)
class County:
    """Everything; `messages` in the order of sending."""

    today: date
    residents: tuple[Resident, ...]
    messages: tuple[Delivery, ...]
    forms: tuple[Form, ...]

    def resident(self, key: str) -> Resident:
        """The named resident; see residents.py."""
        return next(one for one in self.residents if one.key == key)

    def about(self, *situations: str) -> tuple[Delivery, ...]:
        """The messages that carry one of these situations."""
        return tuple(one for one in self.messages if one.about in situations)


ACCOUNTS = (
    Account("dr-wang", "王若溪", "people", "clinician"),
    Account("dr-li", "李明轩", "tcm", "clinician"),
    Account("dr-chen", "陈思远", "tcm", "clinician"),
    Account("dr-zhou", "周启明", "township", "clinician"),
    Account("registrar", "孙文静", "county", "registrar"),
    Account("auditor", "赵若愚", "county", "auditor"),
    Account("it-office", "钱立言", "people", "it"),
    Account("it-second", "冯守田", "people", "it"),  # a map needs a second person's word
    Account("privacy-tcm", "何慎言", "tcm", "privacy"),
    Account("privacy-county", "郭知止", "county", "privacy"),  # so does "not justified"
    Account("commission", "许望川", "county", "commission"),
    Account("commission-second", "沈知微", "county", "commission"),  # a catalogue needs two
)
RESIDENT = Account("resident-wu", "吴珇", "county", "patient")  # opened at the desk: see own.py
PUSH = "system/*.c"
READ = "system/*.rs"
CLIENTS = (
    Client("people-his", "人民医院 HIS", "people", f"{PUSH} {READ}", "people-his", "clinician"),
    Client("people-pacs", "人民医院 PACS", "people", PUSH, "people-pacs"),
    Client("tcm-lis", "中医医院 LIS", "tcm", PUSH, "tcm-lis"),
    Client("tcm-emr", "中医医院电子病历", "tcm", PUSH, "tcm-emr"),
    Client("tcm-his", "中医医院 HIS", "tcm", READ, "", "clinician"),
    Client("mch-fhir", "妇幼保健院 HIS", "mch", f"{PUSH} {READ}", "mch-fhir", "clinician"),
    Client("township-csv", "柳溪镇卫生院 HIS", "township", PUSH, "township-csv"),
    Client("township-contracts", "柳溪镇卫生院 签约", "township", PUSH, "township-contracts"),
    Client("county-desk", "县卫健局同意登记", "county", "system/Consent.crus", "", "registrar"),
)

# The patient to look up, and what a doctor of the other hospital must find.
STORY = "shen"
SEEN = tuple(
    Seen("people", item.code, item.name, value, item.unit, item.range, flag)
    for panel, found in (
        (LIVER, people.LIVER_STORY),
        (LIPIDS, people.LIPIDS_STORY),
    )
    for item in panel.items
    for value, flag in [found[item.code]]
)

# The resident with a psychiatric record at the people's hospital, and four who ask.
RESTRICTED = "restricted"
RESTRICTED_CODES = ("F32.100", "PSY001")
EXPECTED = (
    Expectation("dr-wang", False, "everything", "the hospital that wrote the record"),
    Expectation("dr-chen", True, "everything", "named by the patient on the second form"),
    Expectation("dr-li", True, "without the restricted", "the broad form never opens psychiatry"),
    Expectation("dr-zhou", False, "refused", "no treatment relationship"),
)
"""The four named callers of the restricted record, in the order they are tried."""


def county(today: date, size: int = 300) -> County:
    """The pretend county as it stands on `today`, with `size` residents (never fewer than named)."""
    folk = residents(today, size)
    messages = sorted(_messages(folk, today), key=lambda delivery: delivery.at)
    return County(today, folk, tuple(messages), tuple(_forms(folk, today)))


CATALOGUE = Path(__file__).parent / "catalogue"
"""members.csv and entitlements.csv of the pretend county; read together with the shipped items."""
REGISTER = Path(__file__).parent / "county.toml"
"""Organisations and sources of the pretend county."""


def _messages(folk: tuple[Resident, ...], today: date) -> Iterator[Delivery]:
    for hospital in (people, pacs, tcm, tcm_emr, mch, township):
        yield from hospital.deliveries(folk, today)


def _forms(folk: tuple[Resident, ...], today: date) -> Iterator[Form]:
    signed = moment(today, 120, "09:30")
    for one in folk:
        match one.will:
            case "broad":
                yield Form(one, "broad", signed)
            case "none":
                continue
            case "refused":
                yield Form(one, "refusal", signed)
            case "withdrawn":
                yield Form(one, "broad", signed)
                yield Form(one, "withdrawal", moment(today, 30, "16:00"))
            case "psychiatry":
                yield Form(one, "broad", signed)
                yield Form(one, "psychiatry", moment(today, 10, "10:15"), to="dr-chen")


def consent_text(form: Form, base_url: str) -> bytes:
    """A form as the FHIR Consent that a registrar's system posts; the patient by identifier."""
    who = {"identifier": {"system": RESIDENT_ID, "value": form.resident.number}}
    text = write_consent(
        consent.Form(
            choice={
                "broad": consent.Choice.PERMIT_TREATMENT,
                "refusal": consent.Choice.REFUSE_ALL,
                "psychiatry": consent.Choice.PERMIT_CATEGORY,
            }[form.kind],
            id="form",
            patient="Patient/by-identifier",
            performer="Patient/by-identifier",
            organization="Organization/county",
            at=f"{form.signed.isoformat(timespec='seconds')}+08:00",
            evidence_sha256=sha256(f"{form.resident.key} {form.kind}".encode()).hexdigest(),
            category="PSY" if form.kind == "psychiatry" else None,
            recipients=(f"Practitioner/{form.to}",) if form.to else (),
        ),
        base_url,
    )
    resource = json.loads(text)
    resource |= {"patient": who, "performer": [who]}
    return json.dumps(resource, ensure_ascii=False).encode()
