"""What a unit can measure, as LOINC properties: enough of UCUM for the units of laboratories and wards.

Tests hold it against a UCUM library, which is too slow to load where messages are mapped.
"""

from __future__ import annotations

import re
from functools import lru_cache

# UCUM atoms by what they measure; a prefix may stand in front of those that are metric (UCUM §27-45).
_METRIC = {
    "g": "mass", "mol": "substance", "eq": "substance", "osm": "substance",
    "U": "activity", "kat": "activity", "[IU]": "arbitrary", "[iU]": "arbitrary",
    "L": "volume", "l": "volume", "m": "length", "s": "time", "Pa": "pressure",
    "m[Hg]": "pressure", "bar": "pressure", "Cel": "temperature",
}  # fmt: skip
_PLAIN = {
    "min": "time", "h": "time", "d": "time", "wk": "time", "mo": "time", "a": "time",
    "[HPF]": "field", "[LPF]": "field", "%": "number", "[pH]": "acidity", "[arb'U]": "arbitrary",
}  # fmt: skip
_PREFIX = re.compile(r"da|[YZEPTGMkhdcmunpfazy]")
_NUMBER = re.compile(r"10[*^]-?\d+|\d+(?:\.\d+)?")
_ANNOTATION = re.compile(r"\{[^{}]*\}")

# What is counted over what -> LOINC property.
_PROPERTIES = {
    ("mass", "volume"): "MCnc",
    ("substance", "volume"): "SCnc",
    ("activity", "volume"): "CCnc",
    ("arbitrary", "volume"): "ACnc",
    ("number", "volume"): "NCnc",
    ("number", "field"): "Naric",
    ("number", "time"): "NRat",
    ("mass", "time"): "MRat",
    ("volume", "time"): "VRat",
    ("length", "time"): "Vel",
    ("mass", "mass"): "MRto",
    ("substance", "substance"): "SFr",
    ("volume", "volume"): "VFr",
    ("mass", "substance"): "Ratio",
    ("substance", "mass"): "SCnt",
    ("number", ""): "NFr",
    ("mass", ""): "Mass",
    ("volume", ""): "Vol",
    ("length", ""): "Len",
    ("time", ""): "Time",
    ("pressure", ""): "Pres",
    ("temperature", ""): "Temp",
    ("acidity", ""): "LsCnc",
}

_FRACTIONS = frozenset({"NFr", "MFr", "VFr", "SFr", "MRto", "SRto", "RelRto", "Ratio", "RelTime"})
# Enzymes are told in U/L and in IU/L, tumour markers in U/mL though nothing is catalysed.
_UNITS_OF_ACTIVITY = frozenset({"CCnc", "ACnc"})
_ALIKE = {
    "NFr": _FRACTIONS | {"RelDens"},
    "MRto": _FRACTIONS,
    "SFr": _FRACTIONS,
    "VFr": _FRACTIONS,
    "Ratio": _FRACTIONS,
    "CCnc": _UNITS_OF_ACTIVITY,
    "ACnc": _UNITS_OF_ACTIVITY,
    "Mass": frozenset({"Mass", "EntMass"}),
    "Vol": frozenset({"Vol", "EntVol"}),
}


@lru_cache(maxsize=1024)
def kind(code: str) -> str:
    """What a UCUM code can measure, as the LOINC property it is commonest with (``mg/dL`` is MCnc).

    Empty for codes beyond the units laboratories and wards use. Two units of one kind can be
    converted into each other, for the same substance; across kinds nothing can.
    """
    # mL/min/{1.73_m2}: the body surface is an annotation, nothing is left to divide by.
    bare = _ANNOTATION.sub("", code).removesuffix("/")
    above, slash, below = bare.partition("/")
    if not code or "/" in below:
        return ""
    top, bottom = _measured(above), _measured(below.strip("()")) if below else ""
    if top is None or bottom is None:
        return ""
    if slash and not bottom:
        bottom = "number" if below else ""
    return _PROPERTIES.get((top or "number", bottom), "")


def _measured(part: str) -> str | None:
    """What one side of a unit measures: empty for a bare number, None when it is not known."""
    found = ""
    for atom in part.split("."):
        what = _atom(atom)
        if what is None or (what and found):
            return None
        found = what or found
    return "" if found == "number" else found


def _atom(text: str) -> str | None:
    if not text or _NUMBER.fullmatch(text):
        return ""
    whole = _PLAIN.get(text) or _METRIC.get(text)
    if whole is not None:
        return whole
    prefix = _PREFIX.match(text)
    return _METRIC.get(text[prefix.end() :]) if prefix is not None else None


def fits(code: str, property_: str) -> bool:
    """Whether a result of this LOINC property can be told in this unit; what is not known fits."""
    measured = kind(code)
    if not measured or not property_:
        return True
    return property_ in _ALIKE.get(measured, frozenset({measured}))


def alike(one: str, other: str) -> bool:
    """Whether two UCUM codes measure the same kind of thing; {FEU} and {DDU} are two things."""
    first, second = kind(one), kind(other)
    notes = {note for code in (one, other) for note in _ANNOTATION.findall(code)}
    return bool(first and second) and len(notes) < 2 and fits(other, first) and fits(one, second)
