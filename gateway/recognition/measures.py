"""The indicators as FHIR R4 Measure and their values as MeasureReport (summary), digits kept.

A count that is withheld is absent with the reason "masked" (HL7 data-absent-reason), never 0. A rate
is a proportion, whose score is the exact share to four decimals; savings are a continuous variable
whose score is money. Measure and MeasureReport, R4 4.0.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from gateway.recognition.indicators import Dictionary, Indicator, Value
from gateway.recognition.publication import Publication

_HL7 = "http://terminology.hl7.org/CodeSystem"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_SCORING = {"rate": "proportion", "count": "cohort", "money": "continuous-variable"}
_ABOVE = {"rate": "numerator", "count": "initial-population", "money": "measure-population"}

Json = dict[str, object]


def measures(definitions: Dictionary, base: str, published: str) -> list[Json]:
    """One Measure for each indicator; `base` is the canonical base, `published` a date."""
    return [_measure(one, definitions, base, published) for one in definitions.indicator]


def _measure(one: Indicator, definitions: Dictionary, base: str, published: str) -> Json:
    found: Json = {
        "resourceType": "Measure",
        "id": _id(one.code),
        "url": _url(one.code, base),
        "version": definitions.version,
        "name": one.code.replace("-", "_"),
        "title": one.zh,
        "status": "active",
        "subjectCodeableConcept": {"text": definitions.source_zh},
        "date": published,
        "publisher": definitions.owner_zh,
        "description": f"{one.definition_zh}\n\n{one.definition_en}",
        "guidance": f"{definitions.exclusions_zh}\n\n{definitions.exclusions_en}",
        "scoring": _concept("measure-scoring", _SCORING[one.kind]),
        "rateAggregation": one.formula,
    }
    if one.improvement:
        found["improvementNotation"] = _concept("measure-improvement-notation", one.improvement)
    parts = [(_ABOVE[one.kind], one.numerator)]
    if one.kind == "rate":
        parts.append(("denominator", one.denominator))
    found["group"] = [
        {
            "population": [
                {
                    "code": _concept("measure-population", name),
                    "criteria": {"language": "text/plain", "expression": " + ".join(counts)},
                }
                for name, counts in parts
            ]
        }
    ]
    return found


def reports(
    publication: Publication,
    definitions: Dictionary,
    base: str,
    reporter: str,
    period: tuple[datetime, datetime],
    at: datetime,
) -> list[Json]:
    """One MeasureReport for each indicator. `reporter` is an organisation's id, `period` the month
    (its last moment included), `at` when the figures stood so."""
    return [
        _report(definitions.named(one.code), one, publication, base, reporter, period, at)
        for one in publication.values
    ]


def _report(
    indicator: Indicator,
    value: Value,
    publication: Publication,
    base: str,
    reporter: str,
    period: tuple[datetime, datetime],
    at: datetime,
) -> Json:
    populations = [_population(_ABOVE[indicator.kind], value.numerator)]
    if indicator.kind == "rate":
        populations.append(_population("denominator", value.denominator))
    group: Json = {"population": populations}
    if indicator.kind != "count":
        group["measureScore"] = _score(indicator, value)
    found: Json = {
        "resourceType": "MeasureReport",
        "id": _id(f"{publication.month}-{publication.side}-{reporter}-{value.code}"),
        "status": "complete",
        "type": "summary",
        "measure": f"{_url(value.code, base)}|{publication.definitions}",
        "date": at.isoformat(timespec="seconds"),
        "reporter": {
            "type": "Organization",
            "identifier": {"system": f"{base}/sid/organization", "value": reporter},
        },
        "period": {
            "start": period[0].isoformat(timespec="seconds"),
            "end": period[1].isoformat(timespec="seconds"),
        },
    }
    if indicator.improvement:
        notation = _concept("measure-improvement-notation", indicator.improvement)
        found["improvementNotation"] = notation
    found["group"] = [group]
    return found


def _population(name: str, count: int | None) -> Json:
    code = _concept("measure-population", name)
    return (
        {"code": code, "count": count} if count is not None else {"code": code, "_count": _masked()}
    )


def _score(indicator: Indicator, value: Value) -> Json:
    if value.value is None:
        return _masked("masked" if value.why == "withheld" else "not-applicable")
    if indicator.kind == "money":
        told: Json = {"value": msgspec.Raw(value.value.encode()), "unit": "CNY",
                      "system": "urn:iso:std:iso:4217", "code": "CNY"}  # fmt: skip
        return ({"value": told["value"], "comparator": ">=", **told}) if value.least else told
    assert value.numerator is not None
    assert value.denominator
    share = Decimal(value.numerator) / Decimal(value.denominator)
    digits = str(share.quantize(Decimal("0.0001"), ROUND_HALF_UP))
    return {
        "value": msgspec.Raw(digits.encode()),
        "system": "http://unitsofmeasure.org",
        "code": "1",
    }


def _masked(why: str = "masked") -> Json:
    return {"extension": [{"url": _ABSENT, "valueCode": why}]}


def _concept(system: str, code: str) -> Json:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code}]}


def _url(code: str, base: str) -> str:
    return f"{base}/Measure/{_id(code)}"


def _id(text: str) -> str:
    return text.lower()[:64]


def bundle(resources: Sequence[Mapping[str, object]]) -> bytes:
    """The resources as a Bundle of type collection, numbers as written."""
    entries = [{"resource": one} for one in resources]
    return msgspec.json.encode({"resourceType": "Bundle", "type": "collection", "entry": entries})
