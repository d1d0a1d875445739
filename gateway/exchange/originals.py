"""What a hospital itself laid out of a report: the documents it sent with it, and its narrative."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.exchange.ask import nothing, read
from gateway.exchange.issued import Resource, listed, parsed
from gateway.services import Services
from gateway.services.caller import Caller

MADE: Final = "generated"
"""A narrative made from the structured parts says nothing that they do not (R4 narrative-status)."""


@dataclass(frozen=True, slots=True)
class Original:
    """A document (`media_type`, `content`), or a narrative as XHTML; a listing has no `content`."""

    title: str
    media_type: str = ""
    size: int = 0
    content: bytes = field(default=b"", repr=False)
    narrative: str = field(default="", repr=False)
    binary: str = ""  # id of the Binary that holds it


def listing(report: Resource) -> tuple[Original, ...]:
    """The originals of a report: what can be opened of presentedForm, then the narrative."""
    found = []
    for one in listed(report.get("presentedForm")):
        kind, title = str(one.get("contentType", "")), str(one.get("title", ""))
        _, _, id = str(one.get("url", "")).rpartition("Binary/")
        if len(id) == 32:
            size = str(one.get("size", ""))
            found.append(Original(title, kind, int(size) if size.isdigit() else 0, binary=id))
        elif data := _decoded(one.get("data")):
            found.append(Original(title, kind, len(data), data))
    text = report.get("text")
    if isinstance(text, Mapping) and text.get("status") != MADE and text.get("div"):
        found.append(Original("", "application/xhtml+xml", narrative=str(text["div"])))
    return tuple(found)


async def original(id: str, place: int, caller: Caller, services: Services) -> Original:
    """One of `listing` with its content, decided and noted as a read of what holds it; Problem
    UNKNOWN when absent or hidden."""
    report = await read("DiagnosticReport", id, caller, services)
    found = listing(parsed(report.text))
    if not 0 <= place < len(found):
        raise nothing()
    one = found[place]
    if not one.binary:
        return one
    binary: Mapping[str, Any] = parsed((await read("Binary", one.binary, caller, services)).text)
    content = _decoded(binary.get("data"))
    if not content:
        raise nothing()
    kind = str(binary.get("contentType", "")) or one.media_type
    return Original(one.title, kind, len(content), content)


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        return b""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""
