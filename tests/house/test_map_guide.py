"""The guide for hospital engineers (mappings/README.md): its example maps, its lists are complete."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import pytest

import mappings
from mappings.engine import lint, load
from mappings.engine.binding import FACTS
from mappings.engine.functions import FUNCTIONS
from mappings.engine.reader import SYSTEMS
from mappings.engine.release import DIALECTS
from mappings.engine.rules import BLOCK_WORDS, MODES

HOME = Path(mappings.__path__[0])
GUIDE = (HOME / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def ids(space: str, type: str, key: Sequence[str]) -> str:
    return blake2b(repr((space, type, tuple(key))).encode(), digest_size=16).hexdigest()


def site(folder: Path, rules: str) -> Path:
    """The example's folder."""
    items, _ = blocks("csv")
    (folder / "codes").mkdir()
    (folder / "codes" / "lis_items.csv").write_text(items, "utf-8")
    (folder / "lis.toml").write_text(rules, "utf-8")
    return folder


def test_the_example_map_has_nothing_to_complain_about(tmp_path):
    assert lint(site(tmp_path, blocks("toml")[0])) == []


def test_the_example_overlay_with_reasons_has_nothing_to_complain_about(tmp_path):
    rules, overlay, _ = blocks("toml")
    head, _, _ = rules.partition("[Observation]")

    assert lint(site(tmp_path, head + overlay)) == []


def test_the_example_of_validation_has_nothing_to_complain_about(tmp_path):
    rules, _, validation = blocks("toml")

    assert lint(site(tmp_path, rules + validation)) == []


def test_loosening_a_must_without_a_reason_is_found(tmp_path):
    rules, overlay, _ = blocks("toml")
    head, _, _ = rules.partition("[Observation]")
    bare = re.sub(r" \| optional\('[^']*'\)", "", overlay)

    assert [finding.line for finding in lint(site(tmp_path, head + bare))]


def test_the_example_delivery_gives_the_issues_that_are_printed(tmp_path):
    _, view = blocks("csv")

    reading = load(site(tmp_path, blocks("toml")[0])).read(view.encode("gb18030"), ids)

    told = [*reading.issues, *(i for message in reading.messages for i in message.issues)]
    printed = next(block for block in blocks("text") if "[base/lab_rows" in block)
    assert [f"{issue.severity}: {issue.text('zh')}" for issue in told] == printed.splitlines()
    types = [one.type for message in reading.messages for one in message.resources]
    assert types.count("Observation") == 2  # the third waits


def test_every_function_is_listed_with_its_arguments_and_no_other():
    chapter = GUIDE.split("## 6.")[1].split("## 7.")[0]
    rows = re.findall(r"^\| `([a-z_]+)(?:\(([^)]*)\))?` \|", chapter, re.MULTILINE)
    told = [name for name, _ in rows]
    listed = {
        name: {word.strip(" =…") for word in arguments.split(",")} - {""}
        for name, arguments in rows
    }

    assert set(told) == set(FUNCTIONS)
    assert told == sorted(told)
    assert listed == {
        name: {*one.order, *one.sources, *one.tables, *one.texts} for name, one in FUNCTIONS.items()
    }


def test_every_word_of_a_block_and_every_mode_is_explained():
    chapter = GUIDE.split("## 4.")[1].split("## 5.")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", chapter, re.MULTILINE)) == set(BLOCK_WORDS)
    assert all(f"`{mode}`" in chapter for mode in MODES)
    assert set(re.findall(r"\$(\w+)", chapter)) == set(FACTS)


def test_every_input_form_and_national_number_space_is_named():
    assert all(f"`{form}`" in GUIDE for form in DIALECTS)
    assert all(f"`{space}`" in GUIDE for space in SYSTEMS)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:sites|base|tables|tests)/[\w/.]*)`", GUIDE)))
)
def test_what_the_guide_points_at_is_there(path):
    assert any(
        (root / name).exists() for root in (HOME, HOME.parent) for name in (path, f"{path}.toml")
    )


def test_the_columns_of_the_shipped_item_tables_are_explained():
    chapter = GUIDE.split("## 7.")[1].split("## 8.")[0]
    told = set(re.findall(r"`(\w+)`", chapter))
    for table in HOME.glob("sites/*/codes/*items.csv"):
        heading = next(
            line for line in table.read_text("utf-8").splitlines() if not line.startswith("#")
        )
        assert set(heading.split(",")) <= told, table
