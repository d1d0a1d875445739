"""What kind of message some bytes are, from their first bytes: a word of a closed set, never a value of theirs."""

from __future__ import annotations

import re
from typing import Final

HL7: Final = (
    "ADT", "ORU", "ORM", "OML", "OMG", "OMI", "ORL", "MDM", "SIU", "REF", "RDE", "RAS", "DFT",
    "MFN", "PPR", "VXU",
)  # fmt: skip
"""Types of HL7 v2 messages (table 0076) that are told apart; any other is HL7."""
KINDS: Final = (*HL7, "HL7", "CDA", "SOAP", "XML", "FHIR", "DICOM", "ROWS")
LOOKED_AT: Final = 4_096

_BATCH = (b"FHS", b"BHS")
_HEADER = re.compile(rb"(?:^|[\r\n\v])MSH(?P<cut>[^\w\s])(?P<parts>.)")
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([A-Za-z][\w.-]*)")
_TAG = re.compile(rb'"[0-9A-F]{8}"\s*:\s*\{\s*"vr"')
_ROOTS = {b"ClinicalDocument": "CDA", b"Envelope": "SOAP"}


def kind_of(raw: bytes) -> str:
    """One of `KINDS`. What cannot be told apart counts as rows: a view's, or of a CSV file."""
    text = raw[:LOOKED_AT].lstrip(b"\xef\xbb\xbf \t\r\n\v")
    if text.startswith((b"MSH", *_BATCH)):
        return _hl7(text)
    if text.startswith(b"<"):
        root = _ROOT.search(text)
        return _ROOTS.get(root[1] if root else b"", "XML")
    if text.startswith((b"{", b"[")):
        if b'"resourceType"' in text:
            return "FHIR"
        return "DICOM" if _TAG.search(text) else "ROWS"
    return "DICOM" if raw[128:132] == b"DICM" else "ROWS"


def _hl7(text: bytes) -> str:
    header = _HEADER.search(text)
    if header is None:
        return "HL7"
    line = re.split(rb"[\r\n]", text[header.start("cut") :], maxsplit=1)[0]
    fields = line.split(header["cut"])
    said = fields[8].partition(header["parts"])[0] if len(fields) > 8 else b""
    type = said.decode("ascii", "replace").strip().upper()
    return type if type in HL7 else "HL7"
