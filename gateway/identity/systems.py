"""The systems identifiers come from: many spellings in, one out.

There is no binding national profile, so several identifier systems name the same register. The
sender's own spelling stays in the stored record; the canonical one is what we look up by.
"""

from __future__ import annotations

import re

RESIDENT_ID = "urn:oid:2.16.156.10011.1.3"
HEALTH_RECORD = "urn:oid:2.16.156.10011.1.2"
INSURANCE_CARD = "urn:oid:2.16.156.10011.1.15"
HEALTH_CARD = "urn:oid:2.16.156.10011.1.19"
NAME_AND_BIRTH = "name-and-birth"
"""No identifier: under this the blind index keeps a name with its birth date, to be looked up whole."""

ALIASES = {
    "urn:oid:2.16.840.1.113883.2.23.1.19.1": RESIDENT_ID,  # HL7 China Connectathon guide
    "urn:oid:2.16.840.1.113883.4.1": RESIDENT_ID,  # the US SSN, really sent by a Zhejiang PIX feed
    "urn:oid:2.16.840.1.113883.2.23.1.19.2": INSURANCE_CARD,  # social security card, same guide
}

_OID = re.compile(r"(?:urn:)?(?:oid:)?([0-2](?:\.(?:0|[1-9]\d*)){3,})", re.ASCII | re.IGNORECASE)


def canonical_system(system: str) -> str:
    """The one spelling of an identifier system: `urn:oid:` in front of an OID, aliases replaced.

    Systems that are not OIDs, and OIDs nobody declared an alias, come back as they are (trimmed).
    """
    system = system.strip()
    oid = _OID.fullmatch(system)
    if oid:
        system = f"urn:oid:{oid[1]}"
    return ALIASES.get(system, system)
