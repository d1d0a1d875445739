"""Lint refuses a rule whose target FHIR R4 does not have, or that gives it what R4 does not allow there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mappings.engine import fhirinput, lint, rules
from mappings.engine.tables import from_pairs

MAP = """
[map]
id = "x"
version = "1"
input = "rows"

[source]
org = "x"
timezone = "Asia/Shanghai"
ids = { "" = "mrn" }
columns = "A,B"
group = "A"

[tables]
sex = { "1" = "male" }
state = { "2" = "final" }

[Patient]
mode = "reference"
"identifier(mrn)" = "A"

[Specimen]
key = ["A"]
"subject" = "@Patient"

[Observation]
each = "row"
key = ["A"]
"status" = "'final'"
"subject" = "@Patient"
"""


def findings(rule: str, folder: Path) -> list[tuple[int, str]]:
    (folder / "lis.toml").write_text(MAP + rule + "\n", "utf-8")
    return [(found.line, found.text("en")) for found in lint(folder)]


RULE_LINE = MAP.count("\n") + 1


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('"stauts" = "A"', "known are: status"),
        ('"code.txt" = "A"', "known are: text"),
        ('"code[0].text" = "A"', "code is no list in FHIR; remove [0]"),
        ('"category.text" = "A"', "category is a list in FHIR; write category[0]"),
        ('"valu[x]" = "A"', "known are: value[x]"),
        ('"valueAttachment" = "A"', "Observation has no element valueAttachment"),
        ('"specimen" = "@Patient"', "may not point at Patient; FHIR allows: Specimen"),
        ('"performer" = "@Specimen"', "may not point at Specimen; FHIR allows: CareTeam"),
        ('"code" = "@Specimen"', "code is a CodeableConcept in FHIR"),
        ('"status" = "\'finished\'"', "status cannot be finished; FHIR requires one of: amended"),
        ('"status" = "A | code(sex)"', "status cannot be male"),
        ("\"status\" = \"A | code(state, '1' = 'finished')\"", "status cannot be finished"),
    ],
)
def test_what_r4_does_not_have_or_allow_is_refused(rule: str, said: str, tmp_path: Path) -> None:
    text = MAP
    if rule.startswith('"status"'):
        text = MAP.replace('"status" = "\'final\'"\n', "")
    (tmp_path / "lis.toml").write_text(text + rule + "\n", "utf-8")
    told = [(one.line, one.text("en"), one.text("zh")) for one in lint(tmp_path)]
    assert len(told) == 1, told
    line, english, chinese = told[0]
    assert line == text.count("\n") + 1
    assert said in english
    assert chinese != english


@pytest.mark.parametrize(
    "rule",
    [
        '"specimen" = "@Specimen"',
        '"focus" = "@Patient"',  # any type is allowed
        '"category[0].text" = "A"',
        '"valueQuantity.unit" = "A"',
        '"code.coding" = "A | coding(sex)"',
        '"derivedFrom" = "@[*]"',
        '"extension(result-raw)" = "A"',
        '"component[1].code.text" = "A"',
    ],
)
def test_what_r4_has_is_accepted(rule: str, tmp_path: Path) -> None:
    assert findings(rule, tmp_path) == []


def test_a_block_of_no_resource_type_is_refused_once(tmp_path: Path) -> None:
    told = findings('[Beobachtung]\nkey = ["A"]\n"status" = "A"', tmp_path)
    assert len(told) == 1
    assert "FHIR R4 has no resource Beobachtung" in told[0][1]


def test_every_resource_type_of_r4_may_be_mapped(tmp_path: Path) -> None:
    rule = '[Media]\nkey = ["A"]\n"status" = "\'completed\'"\n"content.title" = "A"'
    assert findings(rule, tmp_path) == []


@pytest.mark.parametrize(
    ("path", "wrong"), [("code", False), ("component.code", False), ("cod", True)]
)
def test_a_fhir_map_names_elements_that_exist(path: str, wrong: bool) -> None:
    text = f'[map]\nid = "x"\nversion = "1"\ninput = "fhir"\n\n[Observation]\n"{path}" = "{path} | add_coding(items)"\n'
    file, _ = rules.read_file(text.encode(), "x.toml", Path())
    assert file is not None
    found = fhirinput.lint(file, {"items": from_pairs("items", "https://x.example", {})})
    assert [one.en for one in found] == (["Observation has no cod in FHIR R4"] if wrong else [])
