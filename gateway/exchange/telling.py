"""Tells residents: a short message to a verified telephone, tried until it is taken.

A message says that something happened and where to read it: no hospital, no doctor, no result. The
notice itself stands on the resident's own page from the start, whether or not a message goes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from consent.model import DelegationKind
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import acting, casework
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import charts as rows
from gateway.store import notices
from gateway.store.engine import Tx
from gateway.store.notices import NoticeRow
from gateway.vault import SealBroken

log = structlog.get_logger(__name__)

TEXTS = {
    "emergency": "【健康记录】您的健康记录刚被紧急查阅。请登录本人账户查看详情，或到任何一家医院的登记台询问。",
    "answer": "【健康记录】您提出的问题已有答复，请登录本人账户查看。",
    "consent-elsewhere": "【健康记录】有机构为您登记了一份同意或拒绝。如果不是您本人办理，请登录本人账户查看，或到任何一家医院的登记台询问。",
    "consent-doubted": "【健康记录】医院更正了一份档案的身份证号，在其上签署的一项同意已停止。请登录本人账户查看，或到任何一家医院的登记台重新签署。",
}
BATCH = 16
FIRST_WAIT = 20_000_000
LONGEST_WAIT = 6 * 3_600_000_000
UNDELIVERED = 5  # after so many tries a privacy officer is told, and it is tried on
LONGEST_HOLD = 30 * casework.DAY

SYSTEM = Caller(client="worker", organization="", role="system")


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A resident who could not be told by message, by the opaque name the log gives them."""

    id: int
    kind: str
    about: str
    organization: str
    person: str
    at: int
    attempts: int


async def send_due(services: Services) -> int:
    """Try every notice whose time has come; how many messages were taken.

    Each is counted and put off before it is tried, so a crash in the middle means once more, later,
    and never not at all. One `notice` event for each message that went out.
    """
    now = services.now()
    due = [NoticeRow(*row) for row in await services.db.read(notices.DUE, now, BATCH)]
    sent = 0
    for notice in due:
        wait = min(FIRST_WAIT << min(notice.attempts, 12), LONGEST_WAIT)
        if await services.db.do(_take, notice, now + wait) is None:
            continue  # another worker has it
        phones = await _phones(notice.chart, services)
        taken = [await services.messenger.send(phone, TEXTS[notice.kind]) for phone in phones]
        if not any(taken):
            log.warning("notice not delivered", notice=notice.id, attempts=notice.attempts + 1)
            continue
        at = services.now()
        body = Body(
            request=f"notice.{at}", details={"kind": notice.kind, "about": notice.about}
        )  # fmt: skip
        draft = await services.log.draft(
            Kind.NOTICE, Outcome.PERMIT, SYSTEM, at, body, (notice.chart,)
        )
        await services.db.do(_sent, notice.id, at, draft, services)
        sent += 1
    return sent


def _take(tx: Tx, notice: NoticeRow, next_at: int) -> int | None:
    row = tx.one(notices.TRY, notice.id, notice.due, next_at)
    return int(row[0]) if row else None


def _sent(tx: Tx, id: int, at: int, draft: Draft, services: Services) -> None:
    tx.run(notices.SENT, id, at)
    append(tx, services.log.filing_writer, [draft], services.now)


async def _phones(chart: str, services: Services) -> list[str]:
    """Verified telephones of the person's own account; of a child without one, the guardians'.

    Where two accounts claim the person, the charts of two were joined: neither is told by message.
    """
    known = await rows.grounds(services.db, chart, "")
    charts = [row.id for row in known.charts] or [chart]
    accounts = await acting.accounts_of(charts, services)
    if not accounts:
        delegations = (await acting.standing(charts, services)).delegations
        now = services.now()
        guardians = [
            one.user
            for one in delegations
            if one.kind is DelegationKind.GUARDIAN
            and not one.suspended
            and one.start <= now
            and (one.end is None or now < one.end)
        ]
        found = [await acting.own_account(login, services) for login in guardians]
        accounts = [one for one in found if one is not None]
    elif len(accounts) > 1:
        accounts = []
    phones = []
    for account in accounts:
        try:
            phones.append(acting.identity_of(account, services).phone)
        except SealBroken:
            continue  # altered: nobody is told at a number somebody put there
    return list(dict.fromkeys(filter(None, phones)))


# What an officer does about it


async def hold_back(case: str, until: int, reason: str, caller: Caller, services: Services) -> None:
    """Keep a notice back because telling now would put somebody in danger, until `until` (µs UTC).

    By the officer who has the case, 30 days at most; `until` in the past lets it go at once. Problem
    CONFLICT when the resident has been told already, UNPROCESSABLE for a reason that says too little.
    """  # fmt: skip
    found = await casework.case(case, caller, services)
    if not found.mine or found.row.closed:
        raise Problem(Trouble.CONFLICT, "Take the case first; another officer may have it.")
    casework.stepped_up(caller)
    at = services.now()
    if len(reason.strip()) < casework.SHORTEST:
        raise Problem(Trouble.UNPROCESSABLE, "Say who would be in danger.", "hold")
    until = min(max(until, at), at + LONGEST_HOLD)
    body = Body(
        request=f"notice.{at}",
        reason=reason.strip(),
        details={"about": case, "kept-back-until": str(until)},
    ).asked_by(caller)
    charts = (found.row.chart,) if found.row.chart else ()
    draft = await services.log.draft(Kind.NOTICE, Outcome.PERMIT, caller, at, body, charts)
    await services.db.do(_hold, case, until, draft, services)


def _hold(tx: Tx, case: str, until: int, draft: Draft, services: Services) -> None:
    if tx.one(notices.HOLD_BACK, case, until) is None:
        raise Problem(Trouble.CONFLICT, "The resident has been told already.", "hold")
    append(tx, services.log.filing_writer, [draft], services.now)


async def undelivered(caller: Caller, services: Services) -> tuple[Undelivered, ...]:
    """Residents no message has reached, of the officer's institution, oldest first."""
    casework.must_be_officer(caller)
    told = []
    for row in await services.db.read(notices.UNDELIVERED, UNDELIVERED):
        notice = NoticeRow(*row)
        case = await casework.of(notice.about, services)
        if case is not None and casework.oversees(case.organization, caller, services):
            told.append(
                Undelivered(
                    notice.id, notice.kind, notice.about, case.organization,
                    services.log.tag(notice.chart)[:8], notice.at, notice.attempts,
                )
            )  # fmt: skip
    return tuple(told)


async def count(services: Services) -> int:
    """How many notices no message has delivered, of the whole county."""
    return int((await services.db.read(notices.COUNTS, UNDELIVERED))[0][0])


async def read(charts: Sequence[str], services: Services) -> list[NoticeRow]:
    """What the person of these charts may read now, newest first; it counts as read from now on."""
    at = services.now()
    found = await notices.of_charts(services.db, charts, at)
    if any(not one.read for one in found):
        await services.db.do(notices.mark_read, charts, at)
    return found
