"""Hands one HL7 v2 message to a hospital's system by MLLP and reads what it answers.

HL7 v2 Implementation Guide, appendix C: one message in a frame, one acknowledgment in a frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from urllib.parse import urlsplit

from gateway.services.register import Endpoint

LONGEST = 65_536  # bytes of an acknowledgment
_START, _END = b"\x0b", b"\x1c"
_TAKEN, _REFUSED = frozenset({"AA", "CA"}), frozenset({"AR", "CR"})


async def hand_over(
    content: bytes, id: str, endpoint: Endpoint, patience: float
) -> tuple[str, bool]:
    """("", …) when it was taken, else the kind of failure and whether trying again is of no use.

    `id` is the message's control id (MSH-10), `patience` the seconds for all of it. One connection
    for one message: what is left of another's answer is never read as this one's. Raises OSError,
    ValueError or TimeoutError when the line fails.
    """
    if _START in content or _END in content:
        raise ValueError("what would end the frame stands in the message")
    to = urlsplit(endpoint.url)
    async with asyncio.timeout(patience):
        reader, writer = await asyncio.open_connection(
            to.hostname, to.port, ssl=_trust(endpoint), limit=LONGEST
        )
        try:
            writer.write(_START + content + _END + b"\r")
            await writer.drain()
            answer = await reader.readuntil(_END)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return "not-acknowledged", False
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return said(answer, id)


def _trust(endpoint: Endpoint) -> ssl.SSLContext | None:
    if not endpoint.url.startswith("mllps:"):
        return None
    trust = ssl.create_default_context(cafile=endpoint.ca_file or None)
    trust.minimum_version = ssl.TLSVersion.TLSv1_2
    if endpoint.client_file:
        trust.load_cert_chain(endpoint.client_file)
    return trust


def said(answer: bytes, id: str) -> tuple[str, bool]:
    """What an acknowledgment means for the message of that control id, as in `hand_over`.

    HL7 table 0008: AA and CA take it, AR and CR refuse it for good, AE and CE may take it later. The
    acknowledgment of another message (MSA-2) is none.
    """
    for segment in answer.replace(b"\n", b"\r").split(b"\r"):
        name, *fields = [part.decode("ascii", "replace").strip() for part in segment.split(b"|")]
        if name != "MSA":
            continue
        code, about = [*fields, "", ""][:2]
        if about != id:
            return "other-acknowledgment", False
        if code in _TAKEN:
            return "", False
        return (f"ack-{code}" if code in _CODES else "not-acknowledged"), code in _REFUSED
    return "not-acknowledged", False


_CODES = frozenset({"AE", "CE"}) | _REFUSED
