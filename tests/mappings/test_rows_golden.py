"""Golden cases of the sources that send rows, FHIR and XML: the whole answer, reviewed like code.

Beside each case lie `.fhir.json` (the resources as stored, indented) and `.issues.txt`. To write them
anew after a change that is meant: WRITE_CASES=1 pytest tests/mappings/test_rows_golden.py, then read the diff.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import pytest

import mappings
from mappings.engine import jsontext, load
from mappings.engine.model import Reading

SITES = Path(mappings.__file__).parent / "sites"
HERE = Path(__file__).parent
CASES = sorted(
    path
    for folder in ("rows_cases", "fhirinput_cases", "xml_cases")
    for path in (HERE / folder).glob("*/*")
    if not path.name.endswith((".fhir.json", ".issues.txt"))
)


def ids(space: str, kind: str, key: Sequence[str]) -> str:
    return blake2b("\0".join([space, kind, *key]).encode(), digest_size=16).hexdigest()


def indented(value: jsontext.Value, level: int = 0) -> str:
    """JSON for reviewing; numbers with the digits that are stored."""
    pad = "  " * level
    if members := value.members():
        lines = (f"{pad}  {json.dumps(k)}: {indented(v, level + 1)}" for k, v in members.items())
        return "{\n" + ",\n".join(lines) + f"\n{pad}}}"
    if items := value.items():
        return "[\n" + ",\n".join(f"{pad}  {indented(v, level + 1)}" for v in items) + f"\n{pad}]"
    if isinstance(value.data, jsontext.Number):
        return str(value.data)
    return json.dumps(value.data, ensure_ascii=False)


def resources(reading: Reading) -> str:
    parts: list[str] = []
    for message in reading.messages:
        known = ", ".join(f"{one.system}|{one.value}" for one in message.identifiers)
        patient = (
            f"{message.patient.space}|{message.patient.number}" if message.patient else "nobody"
        )
        parts.append(f"// {message.kind} about {patient}, known by {known or 'nothing'}")
        for one in message.resources:
            meta = f", meta {one.kept_meta.decode()}" if one.kept_meta else ""
            parts.append(f"// {one.place}, {one.mode}, clock {one.clock}{meta}")
            parts.append(indented(jsontext.parse(one.text())))
    return "\n".join(parts) + "\n"


def issues(reading: Reading) -> str:
    found = [*reading.issues, *(issue for m in reading.messages for issue in m.issues)]
    return "".join(f"{one.severity} {one.code}\n  {one.text('zh')}\n" for one in found)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_case_gives_exactly_what_was_agreed(path: Path) -> None:
    site = load(SITES / path.parent.name)
    reading = site.read(path.read_bytes(), ids)
    stem = path.with_suffix("")
    # The release of the map changes with every edit of it, which is not what is agreed here.
    bodies = resources(reading).replace(site.release, "RELEASE")
    for suffix, text in ((".fhir.json", bodies), (".issues.txt", issues(reading))):
        expected = stem.with_name(stem.name + suffix)
        if os.environ.get("WRITE_CASES"):
            expected.write_text(text, encoding="utf-8")
        assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_issue_repeats_a_value(path: Path) -> None:
    raw = path.read_bytes()
    reading = load(SITES / path.parent.name).read(raw, ids)
    text = issues(reading) + "".join(
        issue.text("en") for message in reading.messages for issue in message.issues
    )
    for value in (
        "王珅",
        "李玘",
        "周燶",
        "吴珇",
        "3304",
        "6.10",
        "T0001",
        "M0000",
        "LX0001",
        "宝塔",
    ):
        assert value not in text


@pytest.mark.parametrize("site", ["tcm", "mch", "township", "tcm-cda"])
def test_every_issue_has_a_sentence_in_both_languages(site: str) -> None:
    for path in CASES:
        if path.parent.name == site:
            reading = load(SITES / site).read(path.read_bytes(), ids)
            for message in reading.messages:
                for issue in message.issues:
                    assert issue.code not in issue.text("zh").split(" [")[0]
