"""HL7 v2 deliveries, however they came: cut, tell who sent them, keep, and only then acknowledge."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.errors import Kind, Problem
from gateway.exchange.receive import Unit, receive
from gateway.intake import hl7ack
from gateway.intake.hl7ack import Fault, Header
from gateway.records.instant import moment
from gateway.services import Services
from gateway.store import inbox
from gateway.store.engine import Tx
from gateway.store.inbox import SourceRow

_LOG = logging.getLogger(__name__)

Sender = Callable[[Header], SourceRow | None]
"""Whose a message is, from how it came in and, for plain MLLP, MSH-4."""

_TOLD_AS = {
    Kind.UNKNOWN: Fault.UNKNOWN_SENDER,
    Kind.REFUSED: Fault.NOT_ALLOWED,
    Kind.UNAUTHENTICATED: Fault.NOT_ALLOWED,
    Kind.TOO_LARGE: Fault.TOO_LARGE,
    Kind.MALFORMED: Fault.NOT_HL7,
}


def told_as(problem: Problem) -> Fault:
    """How trouble is told to a sender; whatever may pass is AE, so that nothing is lost."""
    return _TOLD_AS.get(problem.kind, Fault.BUSY)


@dataclass(slots=True)
class _Message:
    raw: bytes
    header: Header | None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The acknowledgment of a delivery, and the faults of its messages (none: all are kept)."""

    text: bytes
    faults: tuple[Fault, ...]


async def charset_of(source: SourceRow, services: Services) -> str:
    """The character set of a source's messages, "" when its map cannot be read now."""
    try:
        return (await services.maps.get(source.map)).source.charset
    except Problem:
        return ""


def refusal(beginning: bytes, fault: Fault, services: Services, charset: str = "") -> bytes:
    """The acknowledgment of a delivery that is not looked at, from the little that was read."""
    pieces = hl7ack.cut(beginning[:8_192])
    header = hl7ack.peek(pieces[0], charset) if pieces else None
    return hl7ack.ack(header, fault, _stamp(services), _own_id())


async def deliver(
    deliveries: Sequence[bytes], sender: Sender, services: Services, channel: str
) -> list[Answer]:
    """Keep what was delivered and answer each delivery, in order.

    Deliveries that came together are kept together: one commit for a sender that does not wait for
    each answer. If it fails, all of them are answered AE. So is whatever nobody foresaw: no message
    is left without an answer.
    """
    cuts = [await _messages(delivery, sender, services) for delivery in deliveries]
    waiting: dict[str, list[_Message]] = {}
    for delivered in cuts:
        for message, source in delivered:
            if source is not None:
                waiting.setdefault(source.name, []).append(message)
    for name, messages in waiting.items():
        for together in _runs(messages, services.settings.body_limit):
            await _keep(name, together, services, channel)
    for delivery, delivered in zip(deliveries, cuts, strict=True):
        kept = [source for message, source in delivered if source and not message.fault]
        if kept and hl7ack.missing(delivery, len(delivered)):
            with suppress(
                Problem
            ):  # the messages are kept; their answer must not hang on the alarm
                await services.db.do(_alarm_short, kept[0].name, services.now())
    return [_answer([message for message, _ in delivered], services) for delivered in cuts]


async def _keep(
    source: str, messages: Sequence[_Message], services: Services, channel: str
) -> None:
    units = [Unit(one.raw, one.header.control_id if one.header else "") for one in messages]
    fault = None
    try:
        await receive(source, units, services, channel)
    except Problem as problem:
        fault = told_as(problem)
    except Exception as unforeseen:  # its text may hold a patient's data: only its type is logged
        _LOG.error("keeping a message of %s failed: %s", source, type(unforeseen).__name__)
        fault = Fault.BUSY
    for message in messages:
        message.fault = fault


def _runs(messages: Sequence[_Message], limit: int) -> Iterator[list[_Message]]:
    """The messages in order, as many together as fit the limit of one delivery."""
    run: list[_Message] = []
    size = 0
    for message in messages:
        if run and size + len(message.raw) > limit:
            yield run
            run, size = [], 0
        run.append(message)
        size += len(message.raw)
    if run:
        yield run


async def _messages(
    delivery: bytes, sender: Sender, services: Services
) -> list[tuple[_Message, SourceRow | None]]:
    listed: list[tuple[_Message, SourceRow | None]] = []
    charsets: dict[str, str] = {}
    for raw in hl7ack.cut(delivery):
        header = hl7ack.peek(raw)
        source = sender(header) if header is not None else None
        if header is None:
            listed.append((_Message(raw, None, Fault.NOT_HL7), None))
        elif source is None:
            listed.append((_Message(raw, header, Fault.UNKNOWN_SENDER), None))
        else:
            if source.map not in charsets:
                charsets[source.map] = await charset_of(source, services)
            listed.append((_Message(raw, hl7ack.peek(raw, charsets[source.map])), source))
    return listed or [(_Message(delivery, None, Fault.NOT_HL7), None)]


def _answer(messages: Sequence[_Message], services: Services) -> Answer:
    stamp = _stamp(services)
    acks = [hl7ack.ack(one.header, one.fault, stamp, _own_id()) for one in messages]
    return Answer(hl7ack.joined(acks), tuple(one.fault for one in messages if one.fault))


def _stamp(services: Services) -> str:
    return moment(services.now(), services.settings.zone).strftime("%Y%m%d%H%M%S%z")


def _own_id() -> str:
    return secrets.token_hex(10)


def _alarm_short(tx: Tx, source: str, at: int) -> None:
    tx.run(inbox.ADD_ALARM, "batch-short", source, "", at)
