"""Generated code holds no text of a map but as a literal, remembers within bounds, and grows with its input only."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mappings.engine import Map, MapError, compile, lint, load, memo
from mappings.engine.er7 import DIALECT as ER7
from tests.mappings.test_executors import CASES, SITES, ids, oru, site

HOSTILE = [
    "' + __import__('os').system('x') + '",
    '"; raise SystemExit; "',
    "\\'\\\" {x} {{}} %s %(a)s \\N{DIGIT ONE} \\x41",
    "line\nfeed\ttab\u2028\u0000end",
    "''' + \"\"\"",
    "b'\\x00' + o0 + run.ids",
]
LOCALS = frozenset({"run", "scopes", "add", "scope", "build", "made", "one", "name", "key", "id_", "us", "us_", "bits", "mask", "mapped", "ys", "zs",
                    "y", "e", "j", "k", "l", "t", "u", "w", "ls", "when", "clock", "clock_", "issues", "told", "parts", "tail", "last",
                    "limit", "taken", "ids", "facts", "built", "everything", "twin", "twins", "asks"})  # fmt: skip


def generated(loaded: Map) -> Iterator[str]:
    dialect = loaded.dialect
    for part in loaded.parts:
        own = part.dialect or dialect
        for number, block in enumerate(part.blocks):
            text = compile.text_of(block, number, part.file, own, loaded.source)
            if text:
                yield text


def known(name: str) -> bool:
    """Names of our own: numbered ones, locals, and what generated code is given."""
    numbered = name.rstrip("_0123456789")
    return (
        name in LOCALS
        or name in compile._GLOBALS
        or numbered in tuple("prbfymcohuk")
        or name.startswith("b_")
    )


def only_ours(text: str) -> None:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Import | ast.ImportFrom | ast.Global | ast.Lambda)
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")
        if isinstance(node, ast.Name):
            assert known(node.id), node.id


@pytest.mark.parametrize("name", ["people", "tcm", "township", "tcm-cda"])
def test_shipped_maps_become_code_of_our_own_names_only(name: str) -> None:
    texts = list(generated(site(name)))
    assert texts
    for text in texts:
        only_ours(text)


def escaped(text: str) -> str:
    """A text inside a TOML basic string."""
    plain = set("abcdefghijklmnopqrstuvwxyz{}%() ")
    return "".join(sign if sign in plain else f"\\U{ord(sign):08X}" for sign in text)


def hostile(folder: Path, texts: list[str]) -> Map:
    base = (SITES.parent / "base" / "oru_r01.toml").read_text(encoding="utf-8")
    version = base.split('version = "')[1].split('"')[0] if 'version = "' in base else ""
    version = version or base.split("version")[1].split('"')[1]
    rules = [
        "[map]", 'id = "hostile"', 'version = "1"', f'base = "base/oru_r01@{version}"',
        "[source]", 'org = "people"', 'charset = "gb18030"', 'timezone = "Asia/Shanghai"', 'ids = { "" = "mrn", "MR" = "mrn" }',
        "[tables]", f'own = {{ "F" = "{escaped(texts[0])}" }}',
        "[Observation]",
    ]  # fmt: skip
    for number, text in enumerate(texts):
        quoted = "\"OBX-99 ?? '" + escaped(text.replace("'", "")) + "'\""
        rules.append(f'"extension(x{number})" = {quoted}')
    rules += ['"bodySite" = "OBX-11 | coded(own)"', '"code.text" = "\'}\' "']
    (folder / "hostile.toml").write_text("\n".join(rules), encoding="utf-8")
    return load(folder / "hostile.toml")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'"), max_size=30),
        min_size=1,
        max_size=3,
    )
)
def test_any_text_of_a_map_stays_a_text(tmp_path: Path, texts: list[str]) -> None:
    loaded = hostile(tmp_path, [*texts, *(one.replace("'", "") for one in HOSTILE)])
    for text in generated(loaded):
        only_ours(text)
    message = loaded.read(oru(1), ids).messages[0]
    body = next(json.loads(one.text()) for one in message.resources if one.type == "Observation")
    written = [one.get("valueString") for one in body["extension"] if "/x" in one["url"]]
    assert written == [*texts, *(one.replace("'", "") for one in HOSTILE)]
    assert message == loaded.interpreted().read(oru(1), ids).messages[0]


# --- bounds -----------------------------------------------------------------------------------------


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "SIZE", 8)
    monkeypatch.setattr(memo, "PATIENTS", 8)
    people = load(SITES / "people")
    for number in range(60):
        raw = oru(3, name=f"人{number}").replace(b"0000812345", b"%010d" % (number + 900))
        raw = raw.replace(b".10|", b".%d|" % number).replace(
            b"|R1|S1|", b"|R%d|S%d|" % (number, number)
        )
        people.read(raw, ids)
    kept = [
        len(known_)
        for part in people.parts
        if part.program is not None
        for _, blocks in part.program._states.values()
        for block in blocks
        for known_ in block
    ]
    assert max(kept) == 8
    assert sum(kept) == sum(part.program.remembered() for part in people.parts if part.program)


def test_long_texts_are_not_remembered() -> None:
    people = load(SITES / "people")
    people.read(oru(1), ids)
    before = sum(part.program.remembered() for part in people.parts if part.program)
    raw = oru(1).replace(b"|9--50|", b"|" + b"x.y," * 1_000 + b"|")
    assert b"x.y," * 1_000 in b"".join(
        one.tail for one in people.read(raw, ids).messages[0].resources
    )
    after = sum(part.program.remembered() for part in people.parts if part.program)
    assert after == before


def test_an_edited_table_never_answers_with_old_codes(tmp_path: Path) -> None:
    for path in (SITES / "people").rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(SITES / "people")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    raw = oru(1).replace("C1^项目1".encode("gb18030"), "ALT^谷丙".encode("gb18030"))
    assert b'"1742-6"' in b"".join(
        one.tail for one in load(tmp_path).read(raw, ids).messages[0].resources
    )
    items = tmp_path / "codes" / "lis_items.csv"
    items.write_text(
        items.read_text(encoding="utf-8").replace("1742-6", "1920-8"), encoding="utf-8"
    )
    assert b'"1742-6"' not in b"".join(
        one.tail for one in load(tmp_path).read(raw, ids).messages[0].resources
    )


def calls(loaded: Map, raw: bytes) -> int:
    """Functions called while a delivery is read: what grows when something is done too often."""
    counted = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        loaded.read(raw, ids)
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("executor", ["generated", "interpreter"])
def test_ten_times_the_results_are_ten_times_the_work(executor: str) -> None:
    work: list[int] = []
    for size in (10, 100, 1_000, 10_000) if executor == "generated" else (10, 100, 1_000):
        loaded = load(SITES / "people")
        fresh = loaded if executor == "generated" else loaded.interpreted()
        work.append(calls(fresh, oru(size)))
    for less, more in pairwise(work):
        assert more < 11 * less


# --- anything at all --------------------------------------------------------------------------------

ORU = next(path for path in CASES if path.name == "oru-every-form-of-value.hl7").read_bytes()
PIECES = st.sampled_from(
    [
        b"|",
        b"^",
        b"~",
        b"\\",
        b"&",
        b"\r",
        b"\n",
        b'""',
        b"\x00",
        b"\xff",
        b"MSH|^~\\&|",
        b"OBX|",
        b"\\X",
        b"\\.br\\",
        b"\x81",
    ]
)


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.integers(0, len(ORU)), st.integers(0, 40), PIECES), min_size=1, max_size=12
    )
)
def test_damaged_messages_are_read_without_raising_and_the_same_in_both(
    damage: list[tuple[int, int, bytes]],
) -> None:
    raw = ORU
    for at, length, piece in damage:
        raw = raw[:at] + piece + raw[at + length :]
    people = site("people")
    assert people.read(raw, ids) == people.interpreted().read(raw, ids)
    told = people.explain(raw, ids)
    assert [said.message for said in told.messages] == list(people.read(raw, ids).messages)


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_bytes_that_are_no_message_at_all_are_read_without_raising(raw: bytes) -> None:
    for name in ("people", "tcm", "tcm-cda"):
        reading = site(name).read(raw, ids)
        assert reading == site(name).interpreted().read(raw, ids)


RULES = (SITES / "people" / "oru.toml").read_text(encoding="utf-8")
SIGNS = st.sampled_from(
    [
        *"|?'\"[](),=@$`{}#\n\\é中\x00",
        "??",
        "| must",
        "drop('x')",
        "@[*]",
        "OBX-5",
        "[Observation]",
        "key = []",
        "each = 1",
    ]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, len(RULES)), st.integers(0, 30), SIGNS), min_size=1, max_size=6
    )
)
def test_damaged_rule_files_give_findings_and_nothing_else(
    tmp_path: Path, damage: list[tuple[int, int, str]]
) -> None:
    text = RULES
    for at, length, sign in damage:
        text = text[:at] + sign + text[at + length :]
    text += '\n[source]\norg = "x"\ntimezone = "Asia/Shanghai"\n' if "[source]" not in text else ""
    path = tmp_path / "map.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    findings = lint(path)
    for finding in findings:
        assert finding.line >= 1
        assert finding.column >= 1
        assert finding.zh
        assert finding.en
    if findings:
        with pytest.raises(MapError):
            load(path)
    else:
        assert load(path).parts


def test_the_dialect_says_where_raw_texts_lie() -> None:
    source = site("people").source
    assert ER7.slot("OBX-5[*]", source) == ("OBX", 5)
    assert ER7.slot("NTE[*]-3[*]", source) == ("NTE", -1)
    assert ER7.text("OBX-5[*]", source) is None
