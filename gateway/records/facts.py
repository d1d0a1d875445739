"""What a chart says of the person, sealed beside it: enough to decide and to tell people apart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import msgspec


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """From the chart's Patient resource. Dates as FHIR writes them; empty is not said."""

    name: str = ""
    sex: str = ""
    birth: str = ""
    death: str = ""
    number: str = ""  # resident ID, canonical; empty when not usable to tell people apart
    sealed: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Facts).decode


def pack(facts: Facts) -> bytes:
    """Facts as bytes to seal."""
    return _encode(facts)


def unpack(plain: bytes) -> Facts:
    """The inverse of `pack`."""
    return _decode(plain)


def of_patient(patient: Mapping[str, Any], before: Facts | None = None) -> Facts:
    """What a Patient resource says; what it leaves out stays as it was."""
    known = before or Facts()
    names = [n for n in patient.get("name") or () if isinstance(n, Mapping)]
    name = next((_name(n) for n in names if _name(n)), known.name)
    death = patient.get("deceasedDateTime") or known.death
    return Facts(
        name=name,
        sex=str(patient.get("gender") or known.sex),
        birth=str(patient.get("birthDate") or known.birth),
        death=str(death),
        number=known.number,
        sealed=known.sealed,
    )


def _name(name: Mapping[str, Any]) -> str:
    given = name.get("given")
    parts = [name.get("family"), *(given if isinstance(given, list) else ())]
    return str(name.get("text") or "".join(str(p) for p in parts if p))


def days(text: str) -> tuple[date, date] | None:
    """(earliest, latest) day of a FHIR date that may lack its day or month; None if unreadable."""
    parts = text[:10].split("-")
    try:
        year = int(parts[0])
        if len(parts) == 1:
            return date(year, 1, 1), date(year, 12, 31)
        if len(parts) == 2:
            first = date(year, int(parts[1]), 1)
            after = (first + timedelta(days=32)).replace(day=1)
            return first, after - timedelta(days=1)
        day = date(year, int(parts[1]), int(parts[2]))
    except ValueError:
        return None
    return day, day
