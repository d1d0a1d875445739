"""The table of R4's definitions: complete, the official one, not stale, and read as it is written."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from mappings.r4 import definitions, formats, generate, invariants

PACKAGE = Path(
    os.environ.get("R4_DEFINITIONS", Path(__file__).parents[3] / "shared/hl7.fhir.r4.examples")
)
"""The unpacked npm package hl7.fhir.r4.examples 4.0.1; only who changes the generator needs it."""

if not PACKAGE.is_dir():
    warnings.warn("SKIPPED FOR LACK OF R4_DEFINITIONS: is the R4 table as generated?", stacklevel=1)

MET = {
    "AllergyIntolerance", "Appointment", "AuditEvent", "Binary", "Bundle", "CarePlan", "CareTeam",
    "Claim", "Communication", "Composition", "Condition", "Consent", "Coverage", "DetectedIssue",
    "Device", "DiagnosticReport", "DocumentReference", "Encounter", "Endpoint", "EpisodeOfCare",
    "FamilyMemberHistory", "Goal", "Group", "ImagingStudy", "Immunization", "List", "Location",
    "MeasureReport", "Media", "Medication", "MedicationAdministration", "MedicationRequest",
    "MedicationStatement", "MessageHeader", "Observation", "OperationOutcome", "Organization",
    "Parameters", "Patient", "Person", "Practitioner", "PractitionerRole", "Procedure", "Provenance",
    "Questionnaire", "QuestionnaireResponse", "RelatedPerson", "ServiceRequest", "Specimen",
    "Subscription", "Task",
}  # fmt: skip
"""What a county's hospitals send and what the gateway writes."""


def test_a_changed_generator_without_a_new_table_is_noticed() -> None:
    made_by = definitions.table().generator
    assert made_by == generate.fingerprint(), "run: python -m mappings.r4.generate FOLDER"


def test_the_table_is_what_the_official_package_gives() -> None:
    if not PACKAGE.is_dir():
        pytest.skip("R4_DEFINITIONS names no unpacked hl7.fhir.r4.examples 4.0.1")
    assert definitions.FILE.read_text("utf-8") == generate.render(PACKAGE)


def test_another_package_or_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name":"hl7.fhir.r4b.examples","version":"4.3.0"}')
    with pytest.raises(generate.NotR4, match=r"r4b\.examples 4\.3\.0"):
        generate.Package(tmp_path)


def test_all_of_r4_is_there_and_nothing_of_other_versions() -> None:
    table = definitions.table()
    assert (table.fhir, table.package) == ("4.0.1", "hl7.fhir.r4.examples 4.0.1")
    assert len(definitions.resources()) == 146  # and the abstract Resource and DomainResource
    assert definitions.resources() >= MET
    assert not definitions.known("SubscriptionTopic")  # R4B
    assert "project" not in definitions.elements("Meta")  # other packages add their own


@pytest.mark.parametrize(
    ("type_", "name", "type_of_it", "many", "required"),
    [
        ("Observation", "status", "code", False, True),
        ("Observation", "valueQuantity", "Quantity", False, False),
        ("Observation", "id", "id", False, False),
        ("Observation", "contained", "Resource", True, False),
        ("Observation.component", "referenceRange", "Observation.referenceRange", True, False),
        ("Observation.referenceRange", "low", "SimpleQuantity", False, False),
        ("Patient", "name", "HumanName", True, False),
        ("Patient", "deceasedBoolean", "boolean", False, False),
        ("Extension", "url", "uri", False, True),
        ("Provenance", "target", "Reference", True, True),
        ("Dosage.doseAndRate", "doseQuantity", "SimpleQuantity", False, False),
        ("Timing.repeat", "timeOfDay", "time", True, False),
    ],
)
def test_an_element_reads_as_the_specification_says(
    type_: str, name: str, type_of_it: str, many: bool, required: bool
) -> None:
    element = definitions.elements(type_)[name]
    assert (element.type, element.many, element.required) == (type_of_it, many, required)


def test_every_type_an_element_has_is_defined() -> None:
    for type_ in definitions.table().types:
        for name, element in definitions.elements(type_).items():
            primitive = element.type in definitions.PRIMITIVES
            assert primitive or definitions.known(element.type), f"{type_}.{name}"
            assert element.targets <= definitions.resources(), f"{type_}.{name}"


def test_a_simple_quantity_has_no_comparator() -> None:
    assert "comparator" in definitions.elements("Quantity")
    assert "comparator" not in definitions.elements("SimpleQuantity")
    assert definitions.elements("SimpleQuantity").keys() >= {"id", "extension", "value", "code"}


def test_required_codes_are_whole() -> None:
    status = definitions.elements("Observation")["status"]
    assert all(map(status.allows, ["registered", "corrected", "entered-in-error", "unknown"]))
    assert not status.allows("banana")
    # Nested concepts count, and open lists allow everything.
    clinical = definitions.elements("Condition")["clinicalStatus"].codes
    assert {code for codes in clinical.values() for code in codes} >= {"active", "relapse"}
    assert definitions.elements("Attachment")["contentType"].allows("application/dicom")


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("Patient.identifier[].system", "uri"),
        ("Patient.name[0].family", "string"),
        ("Observation.value[x]", "Quantity"),
        ("Observation.valueQuantity.value", "decimal"),
        ("Observation.referenceRange[0].low.comparator", None),
        ("Observation.valueFoo", None),
        ("Beobachtung.status", None),
        ("Observation.status.status", None),
    ],
)
def test_a_path_leads_to_its_element_or_nowhere(path: str, type_: str | None) -> None:
    found = definitions.at(path)
    assert (found.type if found else None) == type_


def test_every_invariant_looked_at_is_one_of_r4_on_that_type() -> None:
    official = definitions.table().constraints
    for one in (*invariants.PRESENCE, *invariants.CONTENT):
        assert one.key in official[one.type], one
    everywhere = {key for keys in official.values() for key in keys}
    assert {*invariants.ELSEWHERE, *invariants.UNCHECKED} <= everywhere


def test_no_invariant_of_a_type_met_is_left_out_without_a_reason() -> None:
    looked_at = {one.key for one in (*invariants.PRESENCE, *invariants.CONTENT)}
    explained = {*invariants.ELSEWHERE, *invariants.UNCHECKED}
    types = {
        type_
        for type_ in definitions.table().constraints
        if type_.partition(".")[0] in MET - {"Questionnaire", "Claim"}
        or not definitions.table().types[type_][""].startswith(("resource", "part"))
    }
    missing = {
        (type_, key)
        for type_ in types
        for key, told in definitions.table().constraints[type_].items()
        if key not in looked_at | explained and not type_.startswith("ElementDefinition")
    }
    assert missing == set()


def test_formats_refuse_what_the_words_beside_them_forbid() -> None:
    import re

    good = {
        "date": ["2024", "2024-02", "2024-02-29", "2000-02-29"],
        "dateTime": ["2026-03-02T07:58:00+08:00", "2026-03-02T07:58:60Z", "2026-03-02"],
        "instant": ["2026-03-02T07:58:00.123456789Z"],
        "base64Binary": ["YQ==", "YWI=", "YWJj\nYWJj", "YWJjYQ== "],
        "code": ["a", "a b", "阴性"],
        "oid": ["urn:oid:2.16.156.10011"],
        "xhtml": ['<div xmlns="http://www.w3.org/1999/xhtml">x</div>'],
    }
    bad = {
        "date": ["2023-02-29", "1900-02-29", "2024-04-31", "2024-13", "0000", "2024-02-01\n"],
        "dateTime": ["2026-03-02T24:00:00Z", "2026-03-02T07:58+08:00", "2026-03-02T07:58:00"],
        "instant": ["2026-03-02", "2026-03-02 07:58:00Z", "2026-03-02t07:58:00z"],
        "base64Binary": ["Y", "YQ=a", "YQ==YQ==", "Y*Q="],
        "code": [" a", "a  b", "a ", ""],
        "uri": ["a b", ""],
        "id": ["a_b", "", "x" * 65],
        "uuid": ["urn:uuid:C757873D-EC9A-4326-A141-556F43239520"],
        "xhtml": ["hello"],
    }
    for wanted, texts in ((True, good), (False, bad)):
        for type_, listed in texts.items():
            for text in listed:
                matched = re.search(formats.PATTERNS[type_], text) is not None
                assert matched is wanted, (type_, text)
