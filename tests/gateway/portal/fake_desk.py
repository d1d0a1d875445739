"""The registration desk of the invented county: consents, folders, signing with a code."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Literal

from gateway.errors import Kind, Problem
from gateway.portal.identity_stories import FolderPair
from gateway.portal.mine_stories import DeskAccount
from gateway.portal.signing_stories import CodeSent, SigningWays
from gateway.portal.stories import (
    Choice,
    Consent,
    ConsentChoice,
    ConsentDesk,
    Evidence,
    Identifier,
    Resident,
)
from gateway.services.caller import Caller
from tests.gateway.portal.fake_records import MCH, NOON, NUMBER, PEOPLE, TCM, days, id_


class FakeDesk:
    """Answers to the desk's pages."""

    told: list[tuple[Any, ...]]
    resident: Resident
    on_file: list[Consent]
    pairs: list[FolderPair]
    ways: SigningWays
    coded: tuple[Identifier, ConsentChoice]

    async def consents(self, identifier: Identifier, caller: Caller) -> ConsentDesk:
        known = replace(self.resident, hospitals=(), relationship="", until=None)
        if identifier.number != NUMBER:
            known = replace(known, name="", sex="unknown", age=None, number="330***************X")
        return ConsentDesk(
            resident=known,
            consents=tuple(self.on_file) if known.name else (),
            organizations=(Choice("people", PEOPLE), Choice("tcm", TCM), Choice("mch", MCH)),
            categories=(Choice("PSY", "精神卫生"), Choice("HIV", "艾滋病病毒感染")),
            by_default="not-shared",
        )

    async def record_consent(
        self, identifier: Identifier, choice: ConsentChoice, evidence: Evidence, caller: Caller
    ) -> str:
        self.told.append(("record", choice, evidence))
        names = {
            "people": PEOPLE,
            "tcm": TCM,
            "mch": MCH,
            "PSY": "精神卫生",
            "HIV": "艾滋病病毒感染",
        }
        made = Consent(
            id_(f"new{len(self.told)}"), choice.kind, "active", choice.signed,
            organization=names.get(choice.organization, ""),
            category=names.get(choice.category, ""),
            recorded_by=caller.name, recorded_at=NOON, witness=choice.witness,
            evidence=hashlib.sha256(evidence.content).hexdigest()[:12],
        )  # fmt: skip
        self.on_file.insert(0, made)
        return made.id

    async def folder_pairs(self, identifier: Identifier, caller: Caller) -> tuple[FolderPair, ...]:
        return tuple(self.pairs)

    async def answer_folders(
        self, id: int, answer: Literal["one", "two"], identifier: Identifier, caller: Caller
    ) -> None:
        self.told.append(("folders", id, answer, identifier))
        self.pairs = [one for one in self.pairs if one.id != id]

    async def signing_ways(self, identifier: Identifier, caller: Caller) -> SigningWays:
        return self.ways

    async def send_signing_code(
        self, identifier: Identifier, choice: ConsentChoice, caller: Caller
    ) -> CodeSent:
        self.told.append(("send-code", choice))
        self.coded = identifier, choice
        return CodeSent("code-1", self.ways.phone, NOON)

    async def sign_with_code(self, id: str, code: str, caller: Caller) -> str:
        self.told.append(("sign", id, code))
        if code != "123456":
            raise Problem(Kind.UNPROCESSABLE, "This code does not sign anything now.", "code")
        identifier, choice = self.coded
        evidence = Evidence("application/vnd.signing-code+json", b"{}")
        return await self.record_consent(identifier, choice, evidence, caller)

    async def consent_evidence(self, id: str, caller: Caller) -> Evidence:
        return Evidence("application/pdf", b"%PDF-1.4 signed")

    async def withdraw_consent(self, id: str, witness: str, caller: Caller) -> None:
        self.told.append(("withdraw", id, witness))
        self.on_file = [
            replace(c, state="withdrawn", withdrawn_by=caller.name, withdrawn_at=NOON)
            if c.id == id
            else c
            for c in self.on_file
        ]

    async def desk_account(self, number: str, caller: Caller) -> DeskAccount:
        return DeskAccount("r-7k2m", "138****1234", days(30), waiting=False, helpers=())
