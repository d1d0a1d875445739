"""HL7 v2 at the door: where messages begin, who sent them, and the acknowledgment they get.

Nothing here maps. A header is read just far enough to answer it, and an answer repeats of the
message only its header fields; it is HL7 v2 chapter 2.9 (original mode) with table 0008 codes AA, AE
and AR: kept, could not be kept (send again), and never will be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from mappings.engine.er7 import CODECS

Code = Literal["AA", "AE", "AR"]

_BEGINS = re.compile(rb"(?:\A|[\r\n])[ \t]*(?=MSH[^A-Za-z0-9\s])")
_ENVELOPE = re.compile(rb"(?:\A|[\r\n])[ \t]*(?:FHS|BHS|BTS|FTS)(?=[^A-Za-z0-9]|\Z)[^\r\n]*")
_TRAILER = re.compile(rb"[\r\n][ \t]*BTS[^A-Za-z0-9\s](\d{1,9})(?![0-9])")
_AROUND = b"\x0b\x1c\r\n\t \x00"
_LONGEST_HEADER = 4_096
_VERSION = re.compile(r"\d\.\d{1,2}(\.\d{1,2})?")
_WORD = re.compile(r"[A-Z0-9]{1,7}")
_CHARSET = re.compile(r"[A-Za-z0-9 /_.-]{1,30}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Fault(Enum):
    """Why a message was not kept: code of table 0008, code and name of table 0357, place, words.

    The Chinese holds no character whose GB18030 bytes contain a delimiter: some senders split bytes.
    """

    NOT_HL7 = (
        "AR", "100", "Segment sequence error", "MSH", 0,
        "不是HL7消息：没有以MSH开头", "This is not an HL7 message: it does not begin with MSH",
    )  # fmt: skip
    TOO_LARGE = (
        "AR", "207", "Application internal error", "", 0,
        "消息超过本网关接收的大小", "The message is larger than this gateway accepts",
    )  # fmt: skip
    UNKNOWN_SENDER = (
        "AR", "204", "Unknown key identifier", "MSH", 4,
        "发送方未登记", "The sender is not registered here",
    )  # fmt: skip
    NOT_ALLOWED = (
        "AR", "207", "Application internal error", "", 0,
        "发送方未通过认证", "The sender is not authenticated for this source",
    )  # fmt: skip
    BUSY = (
        "AE", "207", "Application internal error", "", 0,
        "暂时无法保存，请重发", "The message could not be kept now; send it again",
    )  # fmt: skip

    @property
    def code(self) -> Code:
        """AE when sending again may help, AR when it will not."""
        code: Code = self.value[0]
        return code


@dataclass(frozen=True, slots=True)
class Header:
    """What of MSH an answer needs; texts as sent, still escaped, without control characters."""

    field: str = "|"
    encoding: str = "^~\\&"
    sending: tuple[str, str] = ("", "")  # application, facility
    receiving: tuple[str, str] = ("", "")
    trigger: str = ""
    control_id: str = ""
    processing: str = "P"
    version: str = "2.4"
    charset: str = ""
    codec: str = "ascii"  # what the header was read with, and the answer is written in

    @property
    def facility(self) -> str:
        """MSH-4, its first component."""
        return self.sending[1].split(self.encoding[0])[0].strip()


def cut(delivery: bytes) -> list[bytes]:
    """The messages of a delivery, each beginning with MSH; empty when there is none.

    One message stays byte for byte what was sent. Of several, or of a batch (FHS, BHS), the envelope
    lines belong to no message.
    """
    body = delivery.strip(_AROUND).removeprefix(b"\xef\xbb\xbf")
    starts = [found.end() for found in _BEGINS.finditer(body)]
    if not starts:
        return []
    before = body[: starts[0]].strip()
    if before and not _ENVELOPE.match(before):
        return []
    if len(starts) == 1 and not before and not _ENVELOPE.search(body):
        return [delivery]
    ends = [*starts[1:], len(body)]
    pieces = [body[start:end] for start, end in zip(starts, ends, strict=True)]
    return [_ENVELOPE.sub(b"", piece).strip(b"\r\n") + b"\r" for piece in pieces]


def missing(delivery: bytes, found: int) -> bool:
    """Whether a batch declares (BTS-1) another number of messages than were found in it."""
    declared = [int(count) for count in _TRAILER.findall(delivery)]
    return bool(declared) and sum(declared) != found


def peek(message: bytes, charset: str = "") -> Header | None:
    """The header of a message, None when it does not begin with a readable MSH.

    `charset` is the source's; without it MSH-18 is believed, then strict UTF-8, then GB18030. The
    bytes are decoded before they are split: the second byte of a Chinese character may be `|`.
    """
    line = re.split(rb"[\r\n]", message.lstrip(_AROUND).removeprefix(b"\xef\xbb\xbf"), maxsplit=1)[
        0
    ]
    line = line[:_LONGEST_HEADER]
    if len(line) < 8 or not line.startswith(b"MSH"):
        return None
    codec = CODECS.get(charset.lower(), "") or _codec(line)
    text = line.decode(codec, "replace")
    field = text[3]
    if field.isalnum() or field.isspace() or not field.isprintable():
        return None
    parts = [_CONTROL.sub("", part) for part in text.split(field)]
    encoding = parts[1]
    distinct = len(set(encoding + field)) == len(encoding) + 1
    if not 4 <= len(encoding) <= 5 or not distinct or not encoding.isascii():
        return None
    parts += [""] * (19 - len(parts))
    component = encoding[0]
    trigger = parts[8].split(component)[1] if component in parts[8] else ""
    processing = parts[10].split(component)[0]
    version = parts[11].split(component)[0].strip()
    declared = parts[17].split(encoding[1])[0].strip()
    return Header(
        field=field,
        encoding=encoding,
        sending=(parts[2][:227], parts[3][:227]),
        receiving=(parts[4][:227], parts[5][:227]),
        trigger=trigger if _WORD.fullmatch(trigger) else "",
        control_id=parts[9].strip()[:199],
        processing=processing if processing in ("P", "D", "T") else "P",
        version=version if _VERSION.fullmatch(version) else "2.4",
        charset=declared if _CHARSET.fullmatch(declared) else "",
        codec=codec,
    )


def _codec(line: bytes) -> str:
    fields = line.split(line[3:4])
    declared = fields[17].decode("ascii", "replace") if len(fields) > 17 else ""
    known = CODECS.get(declared.strip().lower())
    if known:
        return known
    for codec in ("ascii", "utf-8"):
        try:
            line.decode(codec)
        except UnicodeDecodeError:
            continue
        return codec
    return "gb18030"


def ack(header: Header | None, fault: Fault | None, stamp: str, own_id: str) -> bytes:
    """The acknowledgment of one message, in the sender's delimiters, version and character set.

    `stamp` is the time as HL7 writes it, `own_id` the answer's own control id. With a fault there is
    one ERR, in the form of the version (2.5 changed it), which says what in both languages and
    repeats nothing of the message.
    """
    header = header or Header()
    component, sub = header.encoding[0], header.encoding[3]
    trigger = f"ACK{component}{header.trigger}{component}ACK" if header.trigger else "ACK"
    msh = [
        "MSH", header.encoding, *header.receiving, *header.sending, stamp, "", trigger, own_id,
        header.processing, header.version, "", "", "", "", "", header.charset,
    ]  # fmt: skip
    code = fault.code if fault else "AA"
    segments = [msh, ["MSA", code, header.control_id]]
    if fault:
        _, number, name, segment, place, chinese, english = fault.value
        words = english if header.codec == "ascii" else f"{chinese} {english}"
        at = [segment, "1", str(place)] if place else [segment]
        if tuple(map(int, header.version.split("."))) >= (2, 5):
            what = component.join((number, name, "HL70357"))
            segments.append(["ERR", "", component.join(at), what, "E", "", "", "", words])
        else:
            segments[1].append(words)
            what = sub.join((number, name, "HL70357"))
            at += [""] * (3 - len(at))
            segments.append(["ERR", component.join((*at, what))])
    text = "".join(header.field.join(fields).rstrip(header.field) + "\r" for fields in segments)
    return text.encode(header.codec, "replace")


def joined(answers: Sequence[bytes]) -> bytes:
    """The acknowledgments of one delivery as one answer.

    A sender that put several messages into one frame waits for one frame; a second one would be taken
    for the answer to its next message.
    """
    return b"".join(answers)
