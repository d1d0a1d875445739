"""What the shipped maps make of the pretend county: everything is read, and only the traps complain."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date
from hashlib import blake2b
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import mappings
from gateway.demo import story
from gateway.demo.story import county
from gateway.recognition.facts import facts_of
from mappings.engine import load

ZONE = ZoneInfo("Asia/Shanghai")
SITES = Path(mappings.__file__).parent / "sites"
COUNTY = county(date(2026, 11, 20))
SITE_OF = {
    "people-his": "people",
    "people-pacs": "people-pacs",
    "tcm-lis": "tcm",
    "mch-fhir": "mch",
    "township-csv": "township",
}


def ids(space: str, kind: str, key: Sequence[str]) -> str:
    return blake2b(repr((space, kind, tuple(key))).encode(), digest_size=16).hexdigest()


@pytest.fixture(scope="module")
def read():
    """source -> [(delivery, message)] as the maps read them."""
    found: dict[str, list] = {}
    for source, site in SITE_OF.items():
        chart = load(SITES / site, "https://gateway.example/fhir")
        for one in COUNTY.messages:
            if one.source == source:
                reading = chart.read(one.raw, ids)
                assert reading.issues == ()
                found.setdefault(source, []).extend((one, m) for m in reading.messages)
    return found


def complaints(pairs) -> Counter:
    return Counter(
        (one.about, issue.severity, issue.code)
        for one, message in pairs
        for issue in message.issues
        if issue.severity != "note"
    )


def test_only_the_traps_of_the_peoples_hospital_are_held_or_alarmed(read):
    assert complaints(read["people-his"]) == {
        ("wrong patient", "alarm", "wrong-patient"): 7,
        ("no patient number", "hold", "no-local-id"): 1,
    }


@pytest.mark.parametrize("source", ["tcm-lis", "mch-fhir", "township-csv"])
def test_the_other_sources_are_read_without_complaint(read, source):
    assert complaints(read[source]) == {}
    assert all(message.patient for _, message in read[source])


def test_the_newborn_is_noticed(read):
    noticed = {
        one.about
        for one, message in read["people-his"]
        for issue in message.issues
        if issue.code == "newborn-mothers-number"
    }
    assert noticed == {"newborn"}


def test_the_values_of_the_story_are_in_the_records_as_issued(read):
    texts = [
        resource.text().decode()
        for one, message in read["people-his"]
        if one.about == "story"
        for resource in message.resources
        if resource.type == "Observation"
    ]
    for seen in story.SEEN:
        (text,) = (t for t in texts if f'"code":"{seen.code}"' in t)
        assert f'"value":{seen.value},' in text
        assert "http://loinc.org" in text


def test_both_hospitals_know_the_patient_of_the_story_by_one_number(read):
    number = COUNTY.resident(story.STORY).number
    knowing = {
        source
        for source, pairs in read.items()
        for _, message in pairs
        if any(identifier.value == number for identifier in message.identifiers)
    }
    assert knowing == {"people-his", "tcm-lis"}


def test_the_restricted_record_is_a_condition_and_a_report(read):
    kinds = {
        resource.type
        for _, message in read["people-his"]
        for resource in message.resources
        if any(f'"code":"{code}"' in resource.text().decode() for code in story.RESTRICTED_CODES)
    }
    assert {"Condition", "DiagnosticReport"} <= kinds


def test_every_record_is_json_and_names_its_type(read):
    for pairs in read.values():
        for _, message in pairs:
            for resource in message.resources:
                assert json.loads(resource.text())["resourceType"] == resource.type


def test_the_examinations_of_the_story_are_known_to_the_catalogue(read):
    """Their reports carry the LOINC that recognition judges by, beside the hospital's own code."""
    reports = [
        json.loads(resource.text())
        for one, message in read["people-his"]
        for resource in message.resources
        if resource.type == "DiagnosticReport" and b"people-panels" in resource.text()
    ]
    found = {}
    for report in reports:
        facts = facts_of(
            report, version="1", content="", organization="people", identity_tier=1, zone=ZONE
        )
        own = [c["code"] for c in report["code"]["coding"] if "people-panels" in c["system"]]
        if facts.loinc:
            found[own[0]] = (facts.loinc, facts.modality)
    assert found == {"US0012": (("24558-9",), "US"), "CT0103": (("29252-4",), "CT")}
