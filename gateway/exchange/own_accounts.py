"""A resident's own account: asked for at the desk, opened by the resident alone.

1 the desk sees the card and takes the telephone number; a code goes to that telephone
2 the resident reads the code out: the telephone is theirs; a second code goes there
3 the resident sets the password with the second code, which nobody at the desk has seen

One person has one account. It ends at the desk or by the resident, and its row is kept.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass

import msgspec
from sqlmodel import Session

from consent.ages import surely
from consent.model import PatientContext
from gateway.audit.events import Body, Kind, Outcome
from gateway.errors import Kind as Trouble
from gateway.errors import Problem
from gateway.exchange import acting, desk, desk_signing
from gateway.exchange.acting import Identity
from gateway.exchange.person import ALL_TIERS, context_of, manifests
from gateway.identity import resident_id
from gateway.identity.names import normalised
from gateway.identity.resident_id import ResidentId
from gateway.identity.systems import RESIDENT_ID
from gateway.records import facts as facts_
from gateway.records.facts import Facts
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.services.log import Draft, append
from gateway.store import accounts, inbox, own
from gateway.store import charts as rows
from gateway.store.engine import Tx
from gateway.vault import ChartTier, Grant, Tier

MINUTE = 60_000_000
PHONE_CODE_LIFE = 10 * MINUTE
PASSWORD_CODE_LIFE = 24 * 60 * MINUTE
ATTEMPTS = 5
ALARM = "own-account"
OPENED_ELSEWHERE = (
    "【健康记录】有人用另一个手机号为您开了账户。如果不是您本人办理，请到任何一家医院的登记台询问。"
)
CLOSED = "【健康记录】您的账户已在登记台关闭。如果不是您本人办理，请到任何一家医院的登记台询问。"
_PHONE = re.compile(r"1\d{10}")
_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that looks like another
_DESK = frozenset({"registrar", "operator"})
_NONE = b""


@dataclass(frozen=True, slots=True)
class Own:
    """A resident's account as the desk sees it; the telephone with most digits hidden."""

    login: str
    phone: str
    at: int
    made_by: str
    waiting: bool  # for its first password


@dataclass(frozen=True, slots=True)
class _Work:
    row: own.OwnRow
    charts: tuple[str, ...]
    draft: Draft


async def ask(
    number: str, name: str, phone: str, caller: Caller, services: Services, wished: str = ""
) -> str:
    """Begin an account for who carries the number; the login to `confirm`, after a code is sent.

    `name` is as the card says it; the login is a number nobody can guess from the person, unless
    another is `wished` for, which nobody may have had. Problem UNPROCESSABLE where name and number are not one person's,
    the telephone cannot be one, or the resident is too young; CONFLICT when the person has an
    account; BUSY when the code could not be sent.
    """
    _at_desk(caller)
    phone = re.sub(r"[\s-]", "", phone).removeprefix("+86")
    if not _PHONE.fullmatch(phone):
        raise Problem(Trouble.UNPROCESSABLE, "This cannot be a mobile telephone number.", "phone")
    charts, facts = await desk.known(RESIDENT_ID, number, services)
    at = services.now()
    if not name.strip() or (facts.name and normalised(facts.name) != normalised(name)):
        body = _body(at, caller, {"state": "refused", "why": "name"})
        await services.log.note(Kind.OWN_ACCOUNT, Outcome.DENY, caller, at, body, charts)
        raise Problem(
            Trouble.UNPROCESSABLE, "The name and the number are not one person's.", "name"
        )
    card = resident_id.read(number)
    if isinstance(card, ResidentId):  # before a chart is made for who may have no account
        _must_be_old_enough(PatientContext(frozenset(), (card.birth, card.birth)), services)
    chart = await desk.county_chart(charts, facts, name, caller, services)
    known = await rows.grounds(services.db, chart, "")
    await _old_enough(known, services)
    login = accounts.tidy(wished) or "r" + "".join(secrets.choice("0123456789") for _ in range(8))
    code = "".join(secrets.choice("0123456789") for _ in range(6))
    identity = Identity(facts.name or name.strip(), phone, caller.address)
    row = own.OwnRow(
        login=login,
        chart=chart,
        proof="in-person",
        sealed=acting.seal_identity(login, chart, identity, services),
        phone=services.vault.blind("own-phone", phone),
        verified=0,
        code=_code(login, code, services),
        code_ends=at + PHONE_CODE_LIFE,
        attempts=0,
        made_by=caller.user or caller.client,
        at=at,
        ended=0,
    )
    body = _body(at, caller, {"login": login, "state": "asked"})
    draft = await services.log.draft(Kind.OWN_ACCOUNT, Outcome.PERMIT, caller, at, body, (chart,))
    work = _Work(row, tuple(one.id for one in known.charts), draft)
    await services.db.do(_begin, work, services)
    said = f"验证码 {code}，10 分钟内有效。请告诉为您办理的工作人员。"
    await _send(phone, said, services)
    return login


def _begin(tx: Tx, work: _Work, services: Services) -> None:
    rows.take(tx, work.row.chart, 0)
    if tx.all(own.OWN_OF, list(work.charts)):
        raise Problem(Trouble.CONFLICT, "This person has an account.")
    tx.run(own.DROP_ASKED, list(work.charts))
    if tx.one(own.OWN, work.row.login) or tx.one(accounts.ACCOUNT, work.row.login):
        raise Problem(Trouble.CONFLICT, "This login is somebody else's.")
    tx.run(own.ADD_OWN, *work.row)
    append(tx, services.log.filing_writer, [work.draft], services.now)


async def confirm(login: str, code: str, caller: Caller, services: Services) -> None:
    """The telephone has answered: the account stands, and the code for its password is sent there.

    Problem UNPROCESSABLE for a wrong, old or spent code; CONFLICT when another account was quicker.
    """
    _at_desk(caller)
    row = await services.db.do(_tried, login)
    if row is None or row.verified or not _right(row, code, services):
        raise Problem(Trouble.UNPROCESSABLE, "The code is wrong or too old.", "code")
    await _hand_over(row, caller, services, "opened")


async def renew(login: str, caller: Caller, services: Services) -> None:
    """Send a new code for the password to the telephone that was verified: the old password was
    forgotten, or the first code is too old. Problem UNKNOWN without such an account."""
    _at_desk(caller)
    row = await acting.own_account(login, services)
    if row is None:
        raise Problem(Trouble.UNKNOWN, "There is no such account.")
    await _hand_over(row, caller, services, "new-code")


async def _hand_over(row: own.OwnRow, caller: Caller, services: Services, state: str) -> None:
    at, identity = services.now(), acting.identity_of(row, services)
    code = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))
    known = await rows.grounds(services.db, row.chart, "")
    charts = tuple(one.id for one in known.charts)
    phone = await desk_signing.telephone(known.charts, services)
    other = phone.number if phone is not None and phone.number != identity.phone else ""
    body = _body(at, caller, {"login": row.login, "state": state})
    draft = await services.log.draft(
        Kind.OWN_ACCOUNT, Outcome.PERMIT, caller, at, body, (row.chart,)
    )
    # Remembered, so that a password set at the same machine is noticed.
    stands = Identity(identity.name, identity.phone, caller.address, stands=True)
    sealed = acting.seal_identity(row.login, row.chart, stands, services)
    work = _Work(
        row._replace(
            sealed=sealed,
            code=_code(row.login, code, services),
            code_ends=at + PASSWORD_CODE_LIFE,
            verified=row.verified or at,
        ),
        charts,
        draft,
    )
    await services.db.do(_stand, work, bool(other), services)
    where = f"{services.settings.base_url}/portal/first-password"
    said = f"您的账户名 {row.login}，设密码的代码 {code}，24 小时内有效。请打开 {where} 设密码。不要把代码告诉任何人。"
    if other:  # whose card was used by somebody else hears of it, where hospitals know them
        await services.messenger.send(other, OPENED_ELSEWHERE)
    await _send(identity.phone, said, services)


def _stand(tx: Tx, work: _Work, other: bool, services: Services) -> None:
    row = work.row
    rows.take(tx, row.chart, 0, 1)
    standing = [own.OwnRow(*one) for one in tx.all(own.OWN_OF, list(work.charts))]
    if any(one.login != row.login for one in standing):
        raise Problem(Trouble.CONFLICT, "This person has an account.")
    tx.run(own.SET_CODE, row.login, row.code, row.code_ends, row.verified, row.sealed)
    others = [chart for _, chart in tx.all(own.SAME_PHONE, row.phone) if chart not in work.charts]
    append(tx, services.log.filing_writer, [work.draft], services.now)
    # One telephone for two persons, or not the one that hospitals know: perhaps all is well.
    if (others or other) and not standing:
        _alarm(tx, row.chart, services)


async def redeem(login: str, code: str, address: str, services: Services) -> Identity | None:
    """Spend the code for the password; whose account it is, or None whatever was wrong.

    Who sets it at the machine of the desk raises an alarm: the desk should not know it.
    """
    row = await services.db.do(_tried, accounts.tidy(login)[:64])
    if row is None or not _right(row, code.upper().strip(), services):
        return None
    if not acting.stands(row, services):
        return None
    identity = acting.identity_of(row, services)
    at_the_desk = bool(address) and address == identity.desk
    if not await services.db.do(_spend, row, at_the_desk, services):
        return None
    return identity


def _spend(tx: Tx, row: own.OwnRow, alarm: bool, services: Services) -> bool:
    rows.take(tx, row.chart, 0)
    standing = tx.one(own.OWN, row.login)
    if standing is None or own.OwnRow(*standing).code != row.code:
        return False  # somebody was quicker
    tx.run(own.SET_CODE, row.login, _NONE, 0, row.verified, row.sealed)
    if alarm:
        _alarm(tx, row.chart, services)
    return True


async def end(login: str, caller: Caller, services: Services) -> None:
    """Nobody signs in with it any more, and whoever is signed in is not.

    By the desk, or by who owns it; Problem REFUSED for anybody else, UNKNOWN without one.
    """
    if caller.role not in _DESK and not (caller.role == "patient" and caller.user == login):
        raise Problem(Trouble.REFUSED, "Only the desk and its owner end an account.")
    row = await acting.own_account(login, services)
    if row is None:
        raise Problem(Trouble.UNKNOWN, "There is no such account.")
    at = services.now()
    body = _body(at, caller, {"login": login, "state": "ended"})
    draft = await services.log.draft(
        Kind.OWN_ACCOUNT, Outcome.PERMIT, caller, at, body, (row.chart,)
    )
    over = msgspec.structs.replace(acting.identity_of(row, services), stands=False)
    row = row._replace(sealed=acting.seal_identity(login, row.chart, over, services))
    await services.db.do(_end, row, at, draft, services)
    await services.db.session(_disable, login)
    if caller.role in _DESK:
        await services.messenger.send(over.phone, CLOSED)


def _end(tx: Tx, row: own.OwnRow, at: int, draft: Draft, services: Services) -> None:
    rows.take(tx, row.chart, 0, 1)
    tx.run(own.END_OWN, row.login, at, _NONE, row.sealed)
    append(tx, services.log.filing_writer, [draft], services.now)


def _disable(session: Session, login: str) -> None:
    accounts.disable(session, login)


async def of_person(chart: str, services: Services) -> Own | None:
    """The account of the person of `chart`, for the desk."""
    charts = [one.id for one in (await rows.grounds(services.db, chart, "")).charts]
    for row in await acting.accounts_of(charts, services):
        phone = acting.identity_of(row, services).phone
        masked = f"{phone[:3]}****{phone[-4:]}"
        return Own(row.login, masked, row.at, row.made_by, bool(row.code))
    return None


async def phone_of(login: str, services: Services) -> str:
    """The verified telephone number of an account that stands; empty when there is none."""
    row = await acting.own_account(login, services)
    return acting.identity_of(row, services).phone if row is not None else ""


async def _old_enough(known: rows.Grounds, services: Services) -> None:
    """Problem UNPROCESSABLE under the age at which somebody has access of their own."""
    wants = [ChartTier(row.id, Tier.GENERAL) for row in known.charts if row.facts]
    keys = await manifests(services, Grant("job", "desk", ALL_TIERS), wants)
    told: list[Facts] = []
    for row in known.charts:
        key = keys.get(ChartTier(row.id, Tier.GENERAL))
        if row.facts and key is not None:
            told.append(facts_.unpack(key.open(row.facts, f"facts/{row.id}".encode())))
    _must_be_old_enough(context_of(known.charts, told), services)


def _must_be_old_enough(person: PatientContext, services: Services) -> None:
    policy = services.policy
    if person.death is not None:
        raise Problem(Trouble.UNPROCESSABLE, "This person is recorded as dead.", "number")
    if not surely(person, policy.self_access_age, services.now(), policy):
        raise Problem(
            Trouble.UNPROCESSABLE, "Too young for an account: a guardian acts for them.", "age"
        )


def _tried(tx: Tx, login: str) -> own.OwnRow | None:
    row = tx.one(own.TRY, login)
    return own.OwnRow(*row) if row is not None else None


def _right(row: own.OwnRow, code: str, services: Services) -> bool:
    good = hmac.compare_digest(row.code, _code(row.login, code.strip(), services))
    return good and row.attempts <= ATTEMPTS and services.now() < row.code_ends


def _code(login: str, code: str, services: Services) -> bytes:
    return services.vault.digest("own-code", f"{login}/{code}".encode())


def _alarm(tx: Tx, chart: str, services: Services) -> None:
    tag = services.log.tag(chart)
    tx.run(inbox.ADD_ALARM, ALARM, desk.controller(services), tag, services.now())


def _at_desk(caller: Caller) -> None:
    if caller.role not in _DESK:
        raise Problem(Trouble.REFUSED, "Own accounts are opened at the registration desk.")


def _body(at: int, caller: Caller, details: dict[str, str]) -> Body:
    return Body(request=f"own.{at}", details=details).asked_by(caller)


async def _send(phone: str, text: str, services: Services) -> None:
    if not await services.messenger.send(phone, text):
        raise Problem(Trouble.BUSY, "The message could not be sent; please try again.")
