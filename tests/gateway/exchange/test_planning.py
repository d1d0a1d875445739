"""Labels of a whole message: what hangs on a protected visit or order is protected with it."""

from __future__ import annotations

from datetime import date

import pytest

from gateway.demo import story
from gateway.demo.story import county
from gateway.exchange import planning
from gateway.exchange.planning import Planned
from gateway.records import merge
from gateway.services import Services
from gateway.vault import Tier
from mappings.engine import Mapped

COUNTY = county(date(2026, 11, 20))
HEAD = "MSH|^~\\&|LIS|330421A|GW|330421|20260302102100||ORU^R01|1|P|2.4\r"
PID = "PID|1||0000812345^^^330421A&HIS^MR||王珅||19800101|M\r"
VISIT = "PV1|1|O|{department}||||||||||||||||V1\r"
ORDER = "OBR|1|R1|S1|{order}|||20260302075800|||||||||||||||20260302102100||CH|F\r"
RESULT = "OBX|1|NM|ZF^总分||21|分|||||F\r"


def planned(raw: bytes, services: Services) -> dict[str, list[Planned]]:
    """What would be filed of a message of the people's hospital, by type."""
    reading = services.maps.draft("people").read(raw, services.ids("people"))
    found: dict[str, list[Planned]] = {}
    for message in reading.messages:
        given = [planning.prepare(one, "people", services) for one in message.resources]
        for one in planning.inherited(given, services):
            found.setdefault(one.mapped.type, []).append(one)
    return found


def protected(found: dict[str, list[Planned]]) -> set[str]:
    return {
        kind
        for kind, several in found.items()
        for one in several
        if "PSY" in one.nature.sensitivities and one.tier is Tier.RESTRICTED
    }


async def test_nothing_of_the_restricted_resident_but_the_person_is_open(
    services: Services,
) -> None:
    messages = [one for one in COUNTY.messages if one.about == story.RESTRICTED]
    told = [
        planned(one.raw, services)
        for one in messages
        if any(word in one.raw.decode("gb18030") for word in ("精神", "F32"))
    ]
    assert len(told) == 2
    kinds = set().union(*(set(found) for found in told))
    assert {"Condition", "DiagnosticReport", "Encounter", "Observation", "ServiceRequest"} < kinds
    for found in told:
        assert protected(found) == set(found) - {"Patient"}


@pytest.mark.parametrize(
    ("department", "order"),
    [("0601^精神心理科", "LFT^肝功能"), ("0203^心内科", "PSY001^精神心理测评")],
)
async def test_a_plain_result_of_a_protected_visit_or_order_is_protected(
    services: Services, department: str, order: str
) -> None:
    text = HEAD + PID + VISIT.format(department=department) + ORDER.format(order=order) + RESULT
    found = planned(text.encode("gb18030"), services)
    assert {"Observation", "DiagnosticReport", "ServiceRequest", "Provenance"} <= protected(found)
    assert "Patient" not in protected(found)


async def test_a_plain_visit_protects_nothing(services: Services) -> None:
    text = HEAD + PID + VISIT.format(department="0203^心内科") + ORDER.format(order="LFT^肝功能")
    found = planned((text + RESULT).encode("gb18030"), services)
    assert {"Observation", "Encounter"} <= set(found)
    assert {one.nature.confidentiality for several in found.values() for one in several} == {"N"}


async def test_a_value_that_is_only_a_code_is_labelled_by_it(services: Services) -> None:
    """A sender that leaves out the words must not open what the words would close."""
    text = (
        b'{"resourceType":"Observation","id":"' + b"0" * 32 + b'","status":"final",'
        b'"code":{"text":"x"},"valueCodeableConcept":{"coding":'
        b'[{"system":"http://hl7.org/fhir/sid/icd-10","code":"F32.1"}]}}'
    )
    head, tail = merge.split_meta(text)
    mapped = Mapped("Observation", "0" * 32, (), head, tail)
    one = planning.prepare(mapped, "people", services)
    assert "PSY" in one.nature.sensitivities
    assert one.tier is Tier.RESTRICTED
