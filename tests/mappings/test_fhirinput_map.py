"""The maps of FHIR and row sources: shipped ones are clean, a rule that means nothing is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

import mappings
from mappings.engine import fhirinput, lint, load, rules
from mappings.engine.tables import from_pairs

SITES = Path(mappings.__file__).parent / "sites"


@pytest.mark.parametrize("site", ["tcm", "mch", "township"])
def test_the_shipped_map_has_nothing_wrong_and_a_stable_release(site: str) -> None:
    assert lint(SITES / site) == []
    first, second = load(SITES / site), load(SITES / site)
    assert first.release == second.release
    assert first.organization == site


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ("code | add_coding(items)", False),
        ("valueQuantity | add_unit(items)", True),
        ("code | add_coding(ghosts)", True),
        ("code | add_coding()", True),
        ("code | text", True),
        ("'final'", True),
    ],
)
def test_a_rule_that_would_change_what_was_sent_is_a_finding(rule: str, wrong: bool) -> None:
    text = f'[map]\nid = "x"\nversion = "1"\ninput = "fhir"\n\n[Observation]\n"code" = "{rule}"\n'
    file, findings = rules.read_file(text.encode(), "x.toml", Path())
    assert file is not None
    assert findings == []

    found = fhirinput.lint(file, {"items": from_pairs("items", "https://x.example", {})})

    assert [finding.line for finding in found] == ([7] if wrong else [])
