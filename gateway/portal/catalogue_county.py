"""The pages of the catalogue and the register over the real county."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from hashlib import sha256

import msgspec

from gateway.errors import Kind, Problem
from gateway.exchange import catalogues, entitlements, register_files, staff
from gateway.exchange.register_files import Addition
from gateway.portal.catalogue_stories import (
    CatalogueVersionView,
    CatalogueView,
    Grounds,
    Holder,
    ItemView,
    LineView,
    RegisterView,
    SheetView,
    StepView,
)
from gateway.recognition.catalogue import FOREVER, Catalogue, Entitlement, Member, Span
from gateway.recognition.catalogue.csvfile import Fault
from gateway.recognition.catalogue.register import Act, Terms
from gateway.records.instant import moment
from gateway.services import Services
from gateway.services.caller import Caller


class CatalogueCounty:
    """`CatalogueStories`, told by the exchange."""

    _services: Services

    async def catalogue(self, caller: Caller) -> CatalogueView:
        catalogues.commission(caller)
        services = self._services
        await services.catalogues.current()
        held, now = services.catalogue, services.now()
        known = frozenset(
            one.code for one in held.items if one.active and one.effective.covers(now)
        )
        counted = [one for one in held.items if one.code in known and not one.negative_list]
        rows = await catalogues.versions(services)
        names = await staff.names({n for r in rows for n in (r.made_by, r.decided_by)}, services)
        versions = [
            CatalogueVersionView(
                number=row.number,
                seen=row.hash,
                state=catalogues.state_of(row, services),
                note=row.note,
                made_by=names.get(row.made_by, row.made_by),
                made_at=moment(row.made_at),
                mine=row.made_by == caller.user,
                may=catalogues.may_approve(row, caller),
                decided_by=names.get(row.decided_by, row.decided_by),
                reason=row.reason,
                since=moment(row.since) if row.since else None,
                changes=await catalogues.changes(row, services),
            )
            for row in reversed(rows)
        ]
        return CatalogueView(
            version=held.version,
            register=held.register,
            items=held.items,
            in_force=known,
            scopes=tuple(
                (scope, sum(bool(held.around([scope.code]).intersection(one.scopes)) for one in counted))
                for scope in held.scopes.values()
            ),
            versions=tuple(versions),
        )  # fmt: skip

    async def catalogue_item(self, code: str, caller: Caller) -> ItemView:
        catalogues.commission(caller)
        services = self._services
        await services.catalogues.current()
        held, now = services.catalogue, services.now()
        found = [one for one in held.items if one.code == code]
        if not found:
            raise Problem(Kind.UNKNOWN, "There is no item of that code.", "code")
        item = next((one for one in found if one.effective.covers(now)), found[-1])
        return ItemView(
            item=item,
            panels=tuple(panel for panel in held.panels if code in panel.items),
            scopes=tuple(held.scopes.values()),
            holders=self._stretches_of(one for one in held.entitled if one.concerns(item)),
            in_force=held.item(code, now) is not None,
        )

    async def catalogue_file(self, number: int, caller: Caller) -> bytes:
        catalogues.commission(caller)
        services = self._services
        if not number:
            return catalogues.workbook(services.catalogue, services)
        row = await catalogues.named(number, services)
        return catalogues.workbook(catalogues.content(row, services), services)

    async def draft_catalogue(self, body: bytes, note: str, caller: Caller) -> tuple[Fault, ...]:
        catalogues.commission(caller)
        try:
            content = await catalogues.read_workbook(body, self._services)
        except catalogues.FileRefused as refused:
            return refused.faults
        await catalogues.draft(content, note, caller, self._services)
        return ()

    async def approve_catalogue(self, number: int, seen: str, reason: str, caller: Caller) -> None:
        await catalogues.approve(number, reason, caller, self._services, seen=seen)

    async def publish_catalogue(self, number: int, day: date | None, caller: Caller) -> None:
        await catalogues.publish(number, self._day_begins(day), caller, self._services)

    async def refuse_catalogue(self, number: int, reason: str, caller: Caller) -> None:
        await catalogues.refuse(number, reason, caller, self._services)

    async def entitlements(self, caller: Caller) -> RegisterView:
        catalogues.commission(caller)
        services = self._services
        await services.catalogues.current()
        held = services.catalogue
        holders = self._stretches_of(held.entitled)
        cells: dict[tuple[str, str], tuple[Holder, ...]] = {}
        for one in holders:
            if one.today:
                cells[one.organization, one.what] = (
                    *cells.get((one.organization, one.what), ()), one,
                )  # fmt: skip
        organizations = {one.id: one.zh for one in services.register if one.kind != "authority"}
        organizations |= {one.organization: one.name for one in holders}
        groups = tuple(dict.fromkeys(group for item in held.items for group in item.groups))
        return RegisterView(
            number=held.register,
            organizations=tuple(organizations.items()),
            rows=tuple(sorted({what for _, what in cells})),
            names=_names(held),
            cells=cells,
            members=self._stretches_of(held.members),
            holders=holders,
            groups=groups,
            items=tuple((item.code, item.name_zh) for item in held.items if item.active),
            scopes=tuple(held.scopes.values()),
        )

    async def entitlements_file(self, caller: Caller) -> bytes:
        catalogues.commission(caller)
        await self._services.catalogues.current()
        return catalogues.register_workbook(self._services)

    async def entitlement(self, number: int, caller: Caller) -> LineView:
        catalogues.commission(caller)
        services = self._services
        line = await entitlements.line_of(number, services)
        first = line[0]
        names = await staff.names({step.by for step in line}, services)
        held = services.catalogue
        member = first.act is Act.JOINED
        return LineView(
            number=number,
            organization=self._organization_called(first.organization),
            what=first.terms.item or first.terms.group,
            scope=first.terms.scope,
            basis=first.terms.basis,
            status=entitlements.standing(line, services),
            member=member,
            steps=tuple(
                StepView(
                    step.number,
                    step.act.value,
                    step.terms.decided_by or names.get(step.by, step.by),
                    moment(step.at),
                    *self._county_days(Span(step.terms.start, step.terms.end)),
                    step.reason,
                    step.terms.evidence,
                )
                for step in line
            ),
            stretches=self._stretches_of(
                one
                for one in (held.members if member else held.entitled)
                if one.number == number
            ),
            names=_names(held),
            scopes=tuple(held.scopes.values()),
        )  # fmt: skip

    async def read_entitlements(self, body: bytes, caller: Caller) -> SheetView:
        catalogues.commission(caller)
        try:
            found = await register_files.additions(body, self._services)
        except catalogues.FileRefused as refused:
            return SheetView(refused.faults, (), "")
        return SheetView((), tuple(map(self._added, found)), _named(found))

    def _added(self, one: Addition) -> Holder:
        terms = one.terms
        begins, to = self._county_days(Span(terms.start, terms.end))
        return Holder(
            number=one.row,
            organization=one.organization,
            name=self._organization_called(one.organization),
            what=terms.item or terms.group,
            scope=terms.scope,
            status="member" if one.member else "active",
            begins=begins,
            to=to,
            basis=terms.basis,
            evidence=terms.evidence,
        )

    async def take_entitlements(self, body: bytes, seen: str, reason: str, caller: Caller) -> int:
        catalogues.commission(caller)
        found = await register_files.additions(body, self._services)
        if _named(found) != seen:
            raise Problem(Kind.CONFLICT, "Somebody else changed the register just now; look again.")
        return len(await register_files.take_up(found, reason, caller, self._services))

    async def grant_entitlement(
        self, organization: str, what: str, scope: str, grounds: Grounds, caller: Caller
    ) -> int:
        services = self._services
        start, end = self._day_begins(grounds.begins) or services.now(), self._day_ends(grounds.to)
        if not what:
            terms = Terms(start, end, scope=scope, evidence=grounds.evidence)
            return await entitlements.join(organization, terms, grounds.reason, caller, services)
        single = any(item.code == what for item in services.catalogue.items)
        terms = Terms(
            start, end, scope=scope, item=what if single else "", group="" if single else what,
            basis=grounds.basis, evidence=grounds.evidence,
        )  # fmt: skip
        return await entitlements.grant(organization, terms, grounds.reason, caller, services)

    async def act_on_entitlement(
        self, act: str, number: int, grounds: Grounds, caller: Caller
    ) -> None:
        await entitlements.act(
            Act(act),
            number,
            grounds.reason,
            caller,
            self._services,
            start=self._day_begins(grounds.begins),
            end=self._day_ends(grounds.to),
            evidence=grounds.evidence,
        )

    def _day_begins(self, day: date | None) -> int:
        """The first instant of a county day; 0 without one."""
        if day is None:
            return 0
        zone = self._services.settings.zone
        return int(datetime.combine(day, time(), zone).timestamp()) * 1_000_000

    def _day_ends(self, day: date | None) -> int:
        return FOREVER if day is None else self._day_begins(day + timedelta(days=1))

    def _county_days(self, span: Span) -> tuple[date, date | None]:
        zone = self._services.settings.zone
        last = None if span.end >= FOREVER else moment(span.end - 1, zone).date()
        return moment(span.start, zone).date(), last

    def _organization_called(self, organization: str) -> str:
        return self._services.register.get(organization).zh or organization

    def _stretches_of(self, rows: Iterable[Entitlement | Member]) -> tuple[Holder, ...]:
        now = self._services.now()
        found = []
        for one in rows:
            begins, to = self._county_days(one.valid)
            entitled = one if isinstance(one, Entitlement) else None
            found.append(
                Holder(
                    number=one.number,
                    organization=one.organization,
                    name=self._organization_called(one.organization),
                    what=(entitled.item or entitled.group) if entitled else "",
                    scope=one.scope,
                    status=entitled.status if entitled else "member",
                    begins=begins,
                    to=to,
                    basis=entitled.basis if entitled else "",
                    evidence=entitled.evidence if entitled else "",
                    today=one.valid.covers(now),
                )
            )
        return tuple(found)


def _names(held: Catalogue) -> dict[str, tuple[str, str]]:
    """What items are called, in Chinese and English, by code."""
    return {item.code: (item.name_zh, item.name_en) for item in held.items}


def _named(found: Sequence[Addition]) -> str:
    """A name of exactly these additions."""
    return sha256(msgspec.json.encode(found, order="deterministic")).hexdigest()
