"""Published FHIR that nobody here wrote: kept byte for byte outside the recorded edits, under stable ids."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mappings.engine import jsontext
from mappings.engine.fhirinput import FhirMap
from mappings.engine.fhirresource import Rules, received
from mappings.engine.model import Mapped, Reading
from mappings.engine.reader import Limits, Source
from tests import public

FILES = public.files(
    "hl7-fhir-r4-examples", "ihe-pixm", "ihe-pdqm", "synthea-bulk-10", suffixes=(".json", ".ndjson")
)
SOURCE = Source(
    org="examples",
    name="examples",
    charset="utf-8",
    zone=ZoneInfo("Asia/Shanghai"),
    space="",
    ids={},
    limits=Limits(),
    options={},
    base_url="https://gateway.example/fhir",
)
MAP = FhirMap(Rules(SOURCE))

# Not resources of a record: the answer to somebody's question, and a receipt.
ANSWERS = {"searchset", "batch-response", "transaction-response", "history"}
TWO_PATIENTS = {"Bundle-bundle-transaction", "Bundle-10bb101f-a121-4264-a920-67be9cb82c74"}


def ids(space: str, kind: str, key: Any) -> str:
    return blake2b("\0".join([space, kind, *key]).encode(), digest_size=16).hexdigest()


def sent_texts(raw: bytes, kind: str) -> list[bytes]:
    """The resources of a delivery as the sender wrote them, found by another route than the reader's."""
    if kind == ".ndjson":
        return [line for line in raw.split(b"\n") if line.strip()]
    root = jsontext.parse(raw)
    if root.string("resourceType") != "Bundle" or root.string("type") == "document":
        return [raw.strip()]
    entries = root.get("entry")
    assert entries is not None
    nodes = [entry.get("resource") for entry in entries.items()]
    return [
        raw[node.start : node.end]
        for node in nodes
        if node is not None and node.string("resourceType") != "MessageHeader"
    ]


def resources(reading: Reading) -> list[Mapped]:
    return [resource for message in reading.messages for resource in message.resources]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem[:40])
def test_outside_the_recorded_edits_the_bytes_are_the_senders(path: Path) -> None:
    raw = path.read_bytes()

    reading = MAP.read(raw, ids)

    content = json.loads(raw) if path.suffix == ".json" else {}
    stops = [i for m in reading.messages for i in m.issues if i.severity == "stop"]
    if content.get("resourceType") == "Bundle" and content["type"] in ANSWERS:
        assert [stop.code for stop in stops] == ["bundle-type"]
        return
    if path.stem in TWO_PATIENTS:
        assert [stop.code for stop in stops] == ["several-patients"]
        return
    assert not stops
    held = {i.place for m in reading.messages for i in m.issues if i.severity == "hold"}
    assert not held or path.stem == "Bundle-bundle-request-simplesummary"
    mapped = resources(reading)
    originals = sent_texts(raw, path.suffix)
    assert [received(one.text(), one.edits) for one in mapped] == originals

    again = MAP.read(raw, ids)
    assert [one.id for one in resources(again)] == [one.id for one in mapped]
    assert again == reading

    for one, original in zip(mapped, originals, strict=True):
        stored = one.head + b'"meta":{"versionId":"1"},' + one.tail
        kept, sent = json.loads(stored, parse_float=str), json.loads(original, parse_float=str)
        assert kept.pop("meta") == {"versionId": "1"}
        assert kept.pop("id") == one.id
        meta = sent.pop("meta", {})
        sent.pop("id", None)
        assert json.loads(b"{" + one.kept_meta + b"}") == {
            name: meta[name] for name in ("profile", "tag", "security") if name in meta
        }
        assert without_references(kept) == without_references(sent)


def without_references(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "…" if name == "reference" and isinstance(part, str) else without_references(part)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [without_references(part) for part in value]
    return value


def test_what_becomes_of_every_published_file() -> None:
    public.folder("synthea-bulk-10")
    outcome: Counter[str] = Counter()
    for path in FILES:
        reading = MAP.read(path.read_bytes(), ids)
        for message in reading.messages:
            stops = [issue.code for issue in message.issues if issue.severity == "stop"]
            outcome[stops[0] if stops else "read"] += 1
    assert outcome == {"read": 1155, "bundle-type": 10, "several-patients": 2}


def test_a_result_that_arrives_before_its_patient_points_at_the_same_chart() -> None:
    folder = public.folder("synthea-bulk-10")
    conditions = MAP.read((folder / "Condition.000.ndjson").read_bytes(), ids)
    patients = MAP.read((folder / "Patient.000.ndjson").read_bytes(), ids)

    charts = {one.id for one in resources(patients)}

    assert len(conditions.messages) == 555
    for message in conditions.messages:
        assert message.patient is not None
        assert ids(message.patient.space, "Patient", [message.patient.number]) in charts
        subject = json.loads(message.resources[0].text())["subject"]["reference"]
        assert subject.removeprefix("Patient/") in charts


def test_numbers_keep_every_digit() -> None:
    raw = (public.folder("hl7-fhir-r4-examples") / "Observation-decimal.json").read_bytes()
    stored = resources(MAP.read(raw, ids))[0].text()
    for digits in (b"1.0e0", b"-1.00000e245", b"1.000000000000000000e-245", b"0.00000000000000001"):
        assert (digits in stored) == (digits in raw)
    assert b"1.00" in stored
