"""The rule language: what parses, what is found wrong and where, and how an overlay lies on its base."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.engine import MapError, lint, load, wording
from mappings.engine.rules import Fault, overlay, parse_expression, read_file

SITES = Path(__file__).parent.parent.parent / "mappings" / "sites"
BASE = """
[map]
id = "own"
version = "1"
input = "er7"
accept = ["ORU^R01"]

[source]
org = "x"
charset = "utf-8"
timezone = "Asia/Shanghai"
ids = { "" = "mrn" }

[tables]
words = { "阴性" = "neg" }

[Patient]
mode = "reference"
"identifier" = "PID-3[*] | identifiers"

[Observation]
each = "OBX"
key = ["OBR-3.1", "OBX-3.1"]
"status" = "'final'"
"code" = "OBX-3 | local('items') | must"
"subject" = "@Patient | must"
"""


def site(tmp_path: Path, text: str) -> Path:
    (tmp_path / "map.toml").write_text(text, encoding="utf-8")
    return tmp_path


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    return hashlib.blake2b("\x1f".join((space, type_, *key)).encode(), digest_size=16).hexdigest()


def test_every_shipped_site_is_without_findings() -> None:
    for folder in sorted(SITES.iterdir()):
        if folder.is_dir():
            assert lint(folder) == [], folder.name


def test_a_rule_reads_as_alternatives_then_functions_then_must() -> None:
    found = parse_expression("OBX-14 ?? OBR-22 ?? 'x' | time('%Y') | text | must")
    assert [[atom.text for atom in option] for option in found.alternatives] == [
        ["OBX-14"],
        ["OBR-22"],
        ["x"],
    ]
    assert [call.name for call in found.calls] == ["time", "text"]
    assert found.must


def test_arguments_are_positional_named_with_alternatives_or_pairs() -> None:
    (call,) = parse_expression("A-1 | f(items, specimen=SPM-4.1 ?? OBR-15.1, '2' = 'final')").calls
    assert [atom.text for atom in call.positional] == ["items"]
    assert [atom.text for atom in call.named["specimen"]] == ["SPM-4.1", "OBR-15.1"]
    assert call.pairs == {"2": "final"}


def test_several_columns_make_one_composite_and_odd_names_stand_in_backquotes() -> None:
    ((code, name),) = parse_expression("XMDM, `检验 (名称)` | concept(items)").alternatives
    assert (code.text, name.text, name.kind) == ("XMDM", "检验 (名称)", "address")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("OBX-5 |", 7),
        ("| code(x)", 0),
        ("OBX-5 code(x)", 6),
        ("OBX-5 | code(x", 14),
        ("OBX-5 ??", 8),
        ("OBX-5 | must | time", 15),
        ("OBX-5 | code(a='b' 'c')", 19),
        ("'open", 0),
        ("", 0),
    ],
)
def test_a_broken_rule_names_the_column(text: str, column: int) -> None:
    with pytest.raises(Fault) as fault:
        parse_expression(text)
    assert fault.value.column == column


@given(st.text(max_size=40))
def test_any_text_is_a_rule_or_a_fault_with_a_column(text: str) -> None:
    try:
        parse_expression(text)
    except Fault as fault:
        column = fault.column
    else:
        return
    assert 0 <= column <= len(text)


@pytest.mark.parametrize(
    ("old", "new", "line", "chinese"),
    [
        ("OBX-3 | local", "OBX-3 | lokal", 25, "没有函数 lokal"),
        ("OBX-3 | local('items')", "OBX-3 | coded(nothing)", 25, "没有 nothing"),
        ("OBX-3 | local", "OBXX-3 | local", 25, "写法不对"),
        ("@Patient", "@Person", 26, "@Person 所指的块不存在"),
        ('each = "OBX"', 'each = "row of"', 21, "each"),
        ('"OBX-3.1"]', '"OBX-1"]', 23, "不能作主键"),
        ('"OBX-3.1"]', '"MSH-10"]', 23, "不能作主键"),
        ('mode = "reference"', 'mode = "merge"', 18, "mode"),
        ('timezone = "Asia/Shanghai"', 'timezone = "Asia/Jiaxing"', 11, "timezone"),
        ('charset = "utf-8"', 'charset = "klingon"', 10, "字符集"),
        ('"status" = "\'final\'"', '"sta tus" = "\'final\'"', 24, "目标路径"),
        ('"status" = "\'final\'"', '"status" = "$now"', 24, "没有 $now"),
        ("[Observation]", "[Observatory]", 0, "FHIR R4 没有资源 Observatory"),
        ("[map]", "[mapp]", 2, "不认识 mapp"),
    ],
)
def test_a_wrong_name_is_a_finding_with_its_line_in_both_languages(
    tmp_path: Path, old: str, new: str, line: int, chinese: str
) -> None:
    assert old in BASE
    findings = lint(site(tmp_path, BASE.replace(old, new)))
    assert findings
    hit = [finding for finding in findings if chinese in finding.zh]
    assert hit
    assert hit[0].en
    assert hit[0].file == "map.toml"
    if line:
        assert hit[0].line == line
    with pytest.raises(MapError):
        load(tmp_path)


def test_a_finding_points_at_the_column_of_the_wrong_word(tmp_path: Path) -> None:
    (finding,) = lint(site(tmp_path, BASE.replace("OBX-3 | local", "OBX-3 | lokal")))
    row = (tmp_path / "map.toml").read_text("utf-8").splitlines()[finding.line - 1]
    assert row[finding.column - 1 :].startswith("lokal")


def test_broken_toml_names_its_line(tmp_path: Path) -> None:
    (finding, *_) = lint(site(tmp_path, BASE + '\n[Patient]\n"x" = "y"\n'))
    assert finding.line >= 28
    assert "TOML" in finding.zh


def test_a_map_of_two_blocks_is_enough(tmp_path: Path) -> None:
    loaded = load(site(tmp_path, BASE))
    raw = b"MSH|^~\\&|L||||||ORU^R01|1\rPID|||7\rOBR|1||S\rOBX|1|ST|A^a||1\r"
    (message,) = loaded.read(raw, ids).messages
    assert {mapped.type for mapped in message.resources} == {"Patient", "Observation"}


# --- layers ----------------------------------------------------------------------------------------

LOWER = '[map]\nid="l"\n[Observation]\n"code" = "OBX-3 | local(\'a\') | must"\n"note" = "NTE-3 | note"\n'


def layered(upper: str) -> tuple[dict[str, str], list[str]]:
    below, none = read_file(LOWER.encode(), "low.toml", Path())
    above, first = read_file(('[map]\nid="u"\n' + upper).encode(), "up.toml", Path())
    assert below is not None
    assert not none
    if above is None:
        return {}, [finding.zh for finding in first]
    merged, second = overlay(below, above)
    rules = merged.blocks["Observation"].rules
    shown = {path: f"{rule.line} {rule.text}" for path, rule in rules.items()}
    return shown, [finding.zh for finding in (*first, *second)]


def test_an_overlay_replaces_one_line_and_every_line_keeps_its_place() -> None:
    rules, findings = layered('[Observation]\n"note" = "NTE[*]-3 | note"\n')
    assert findings == []
    assert rules["note"] == "up.toml:4 NTE[*]-3 | note"
    assert rules["code"].startswith("low.toml:4 ")


def test_dropping_a_rule_needs_a_reason() -> None:
    rules, findings = layered('[Observation]\n"note" = "drop(\'LIS 不发备注\')"\n')
    assert (list(rules), findings) == (["code"], [])
    _, findings = layered('[Observation]\n"note" = "drop()"\n')
    assert any("理由" in finding for finding in findings)


def test_loosening_a_must_needs_a_reason() -> None:
    _, findings = layered('[Observation]\n"code" = "OBX-3 | local(\'b\')"\n')
    assert any("must" in finding for finding in findings)
    _, findings = layered(
        "[Observation]\n\"code\" = \"OBX-3 | local('b') | optional('仪器不发代码')\"\n"
    )
    assert findings == []


def test_three_layers_keep_their_lines_and_reasons() -> None:
    profile = (
        '[map]\nid="p"\n[Observation]\n"code" = "OBX-3 | local(\'b\') | optional(\'仪器不发代码\')"\n'
        '"note" = "drop(\'厂商不发备注\')"\n'
    )
    house = '[map]\nid="h"\n[Observation]\n"code" = "OBX-3 | local(\'c\')"\n"method" = "OBX-17 | text"\n'
    layers = [
        read_file(text.encode(), f"{n}.toml", Path())[0]
        for n, text in enumerate((LOWER, profile, house))
    ]
    lower, middle, upper = (layer for layer in layers if layer is not None)
    below, first = overlay(lower, middle)
    merged, second = overlay(below, upper)
    assert (first, second) == ([], [])
    block = merged.blocks["Observation"]
    assert {path: str(rule.line) for path, rule in block.rules.items()} == {
        "code": "2.toml:4",
        "method": "2.toml:5",
    }
    assert {path: (reason, str(line)) for path, (reason, line) in block.dropped.items()} == {
        "note": ("厂商不发备注", "1.toml:5")
    }
    assert len(merged.layers) == 3


def test_dropping_what_the_base_has_not_is_a_finding() -> None:
    _, findings = layered('[Observation]\n"method" = "drop(\'没有\')"\n')
    assert any("没有 method" in finding for finding in findings)


def test_a_stale_base_version_is_a_finding(tmp_path: Path) -> None:
    text = '[map]\nid="x"\nversion="1"\nbase="base/adt@0"\n[source]\norg="x"\ntimezone="Asia/Shanghai"\n'
    findings = lint(site(tmp_path, text))
    assert any("版本" in finding.zh for finding in findings)


def test_a_map_cannot_reach_files_outside(tmp_path: Path) -> None:
    (tmp_path.parent / "secret.csv").write_text("code,target\na,b\n")
    text = BASE.replace('words = { "阴性" = "neg" }', 'words = "../secret.csv"')
    assert any("找不到码表" in finding.zh for finding in lint(site(tmp_path, text)))
    assert lint(site(tmp_path, BASE.replace('id = "own"', 'id = "own"\nbase = "../../x"')))


# --- tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "chinese"),
    [
        ("1.01E+17,名,SER,1742-6,equivalent,U/L,approved", "表格软件"),
        ("ALT,名,SER,48067-5,equivalent,U/L,approved", "LOINC 校验位"),
        ("ALT,名,SER,1742-6,equivalent,U/L", "列"),
        (
            "A,名,SER,1742-6,equivalent,U/L,approved\nA,名,SER,1920-8,equivalent,U/L,approved",
            "两次",
        ),
    ],
)
def test_a_damaged_table_row_is_a_finding(tmp_path: Path, row: str, chinese: str) -> None:
    heading = "code,name,specimen,loinc,relation,unit,state\n"
    (tmp_path / "items.csv").write_text(heading + row + "\n", encoding="utf-8")
    text = BASE.replace("[tables]", '[tables]\nitems = "items.csv"')
    assert any(chinese in finding.zh for finding in lint(site(tmp_path, text)))


def test_a_changed_table_is_a_new_release(tmp_path: Path) -> None:
    text = BASE.replace("[tables]", '[tables]\nitems = "items.csv"')
    table = tmp_path / "items.csv"
    table.write_text("code,name,loinc\nALT,名,1742-6\n", encoding="utf-8")
    first = load(site(tmp_path, text)).release
    assert load(tmp_path).release == first
    table.write_text("code,name,loinc\nALT,名,1920-8\n", encoding="utf-8")
    assert load(tmp_path).release != first


# --- words -----------------------------------------------------------------------------------------


def test_every_issue_the_engine_raises_has_a_sentence_in_both_languages() -> None:
    raised: set[str] = set()
    for path in (SITES.parent / "engine").glob("*.py"):
        text = path.read_text("utf-8")
        raised |= set(re.findall(r'[Ii]ssue\(\s*"[a-z]+",\s*"([a-z0-9-]+)"', text))
        raised |= set(re.findall(r'(?:BadTime\(|issue=)"([a-z0-9-]+)"', text))
    assert len(raised) > 40
    for code in raised:
        for language in ("zh", "en"):
            assert wording.sentence(code, language) != code, code
    assert not any("\u4e00" <= sign <= "\u9fff" for sign in wording.sentence("no-map", "en"))


def test_what_a_partial_view_may_only_add_to_is_declared_and_needs_a_rule(tmp_path: Path) -> None:
    (tmp_path / "lis.toml").write_text(
        '[map]\nbase = "base/lab_rows@1"\n[source]\norg = "x"\ntimezone = "Asia/Shanghai"\n'
        '[DiagnosticReport]\nunite = "result, colour"\n',
        encoding="utf-8",
    )
    (finding,) = lint(tmp_path)
    assert "colour" in finding.en


def test_a_rule_that_means_nothing_for_fhir_is_found_when_the_map_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "fhir.toml").write_text(
        '[map]\nbase = "base/fhir@1"\n[source]\norg = "x"\ntimezone = "Asia/Shanghai"\n'
        '[Observation]\n"status" = "status | upper"\n',
        encoding="utf-8",
    )
    (finding,) = lint(tmp_path)
    assert (finding.line, "add_coding" in finding.en) == (7, True)
    with pytest.raises(MapError):
        load(tmp_path)
