"""The register of entitlements taken up from Excel: what is new in a file, shown first, then step by step.

A file only adds. What it leaves out stays as it is, and nothing in it suspends or revokes: that is a
decision about one entitlement, with its own reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from gateway.exchange import catalogues, entitlements
from gateway.exchange.catalogues import FileRefused
from gateway.recognition.catalogue import Catalogue, Entitlement, Member, excel
from gateway.recognition.catalogue.csvfile import Fault, Row
from gateway.recognition.catalogue.reader import Reader
from gateway.recognition.catalogue.register import Terms
from gateway.recognition.catalogue.sheets import REGISTER
from gateway.services import Services
from gateway.services.caller import Caller


@dataclass(frozen=True, slots=True)
class Addition:
    """One row of a file that the register does not hold yet."""

    row: int
    organization: str
    terms: Terms

    @property
    def member(self) -> bool:
        """It puts an organisation into a scope, and entitles it to nothing."""
        return not (self.terms.item or self.terms.group)


async def additions(body: bytes, services: Services) -> tuple[Addition, ...]:
    """What a workbook as `catalogues.register_workbook` writes it would add, in the order of its rows.

    Rows that stand already, word for word, are left out. FileRefused with every fault by sheet, row
    and column.
    """
    await services.catalogues.current()
    known = {one.id for one in services.register}
    return await asyncio.to_thread(
        _additions, body, services.catalogue, known, services.settings.zone,
        catalogues.register_workbook(services),
    )  # fmt: skip


def _additions(
    body: bytes, held: Catalogue, known: set[str], zone: tzinfo, standing: bytes
) -> tuple[Addition, ...]:
    faults: list[Fault] = []
    reader = Reader(zone, faults)
    # Told in days, stretches of one day look alike: what the register itself writes is never in question.
    written = {(row.sheet, row.said) for row in excel.rows(standing, REGISTER, [])}
    for row in excel.rows(body, REGISTER, faults):
        if (row.sheet, row.said) not in written:
            reader.keep(row)
    members, entitled = reader.register(held)
    found: list[tuple[Row, Addition]] = []
    for row, member in members:
        if not _stands(member, held.members, row):
            found.append((row, _addition(row, member, known)))
    for row, one in entitled:
        if _stands(one, held.entitled, row):
            continue
        if one.status != "active":
            row.wrong("a file only grants", "文件只能新增资格；暂停与撤销请逐条办理", "status")
        found.append((row, _addition(row, one, known)))
    _overlaps(found)
    if faults:
        raise FileRefused(tuple(faults))
    return tuple(one for _, one in found)


def _overlaps(found: Sequence[tuple[Row, Addition]]) -> None:
    """Rows of the file that say two things of the same time are wrong."""
    seen: dict[tuple[str, ...], list[Addition]] = {}
    for row, one in found:
        terms = one.terms
        about = seen.setdefault((one.organization, terms.scope, terms.item, terms.group), [])
        for other in about:
            if other.terms.start < terms.end and terms.start < other.terms.end:
                row.wrong(
                    f"overlaps row {other.row} of this sheet",
                    f"与本表第 {other.row} 行时间重叠",
                    "valid_from",
                )
                break
        about.append(one)


def _stands(one: Member | Entitlement, held: tuple[Member | Entitlement, ...], row: Row) -> bool:
    """Whether the register says so already; a row that only partly agrees is wrong."""
    same = [other for other in held if _about(other) == _about(one)]
    if any((other.valid, _said(other)) == (one.valid, _said(one)) for other in same):
        return True
    for other in same:
        revoked = isinstance(other, Entitlement) and other.status == "revoked"
        if not revoked and other.valid.start < one.valid.end and one.valid.start < other.valid.end:
            row.wrong(
                f"overlaps number {other.number} of the register",
                f"与已登记的第 {other.number} 号时间重叠而内容不同",
                "valid_from",
            )
            return True
    return False


def _about(one: Member | Entitlement) -> tuple[str, ...]:
    if isinstance(one, Member):
        return one.organization, one.scope
    return one.organization, one.scope, one.item, one.group


def _said(one: Member | Entitlement) -> tuple[str, ...]:
    return () if isinstance(one, Member) else (one.status, one.basis, one.evidence)


def _addition(row: Row, one: Member | Entitlement, known: set[str]) -> Addition:
    if known and one.organization not in known:
        row.wrong("the organisation is not in the register", "机构未登记", "organization")
    terms = Terms(one.valid.start, one.valid.end, scope=one.scope)
    if isinstance(one, Entitlement):
        terms = Terms(
            one.valid.start, one.valid.end, one.scope, one.item, one.group, one.basis,
            one.evidence, one.decided_by, one.decided_at,
        )  # fmt: skip
    return Addition(row.line, one.organization, terms)


async def take_up(
    found: tuple[Addition, ...], reason: str, by: Caller, services: Services
) -> tuple[int, ...]:
    """Add each as a step of its own, memberships first, all or none; their numbers. Problems as `grant`."""
    ordered = sorted(found, key=lambda one: not one.member)
    return await entitlements.add_all(
        [(one.organization, one.terms) for one in ordered], reason, by, services
    )
