"""Code tables at the command line: listed, out as a ConceptMap, back as the same CSV."""

from __future__ import annotations

import json
from pathlib import Path

import mappings

ITEMS = Path(mappings.__path__[0]) / "sites" / "tcm" / "codes" / "lis_items.csv"


def test_the_tables_of_a_map_are_listed_with_their_files(empty):
    told = empty("mappings", "tables", "list", "tcm")

    assert told.code == 0
    lines = {line.split()[0]: line.split()[1:] for line in told.out.splitlines()}
    assert lines["items"][1] == "codes/lis_items.csv"
    assert lines["county_units"][1] == "tables/units.csv"
    assert int(lines["items"][0]) > 10


def test_a_table_goes_out_and_comes_back_the_same(empty, tmp_path):
    out, back = tmp_path / "items.json", tmp_path / "items.csv"

    assert empty("mappings", "tables", "export", "tcm", "items", "--into", out).code == 0
    assert json.loads(out.read_text())["resourceType"] == "ConceptMap"
    told = empty("mappings", "tables", "import", out, "--into", back)

    assert (told.code, told.err) == (0, "")
    assert back.read_bytes() == ITEMS.read_bytes()


def test_pairs_of_a_rule_file_go_out_too(empty):
    told = empty("mappings", "tables", "export", "township", "units")
    assert (told.code, told.json["name"]) == (0, "units")


def test_what_cannot_be_kept_or_found_is_told_in_one_sentence(empty, tmp_path):
    broken = tmp_path / "x.json"
    broken.write_text('{"resourceType":"ConceptMap","status":"active","group":[{"product":1}]}')
    for words, place in (
        (("import", broken, "--english"), "ConceptMap.group[0].product"),
        (("export", "tcm", "nonsense"), "nonsense"),
    ):
        told = empty("mappings", "tables", *words)
        assert told.code == 1
        assert told.err.count("\n") == 1
        assert place in told.err
    broken.write_text("{")
    assert empty("mappings", "tables", "import", broken).err.startswith("health-gateway: The file")


def test_a_doubtful_table_is_written_and_told(empty, tmp_path):
    target = {"code": "47238-1", "equivalence": "equivalent"}
    element = {"code": "TP", "target": [target]}
    group = {"source": "urn:x", "target": "http://loinc.org", "element": [element]}
    file = tmp_path / "x.json"
    file.write_text(
        json.dumps({"resourceType": "ConceptMap", "status": "active", "group": [group]})
    )

    told = empty("mappings", "tables", "import", file, "--english")

    assert told.code == 1
    assert "TP,,,47238-1,equivalent" in told.out
    assert "IgG only" in told.err
