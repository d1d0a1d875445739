"""Generated code and the interpreter say the same of everything."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mappings
from mappings.engine import Map, load
from mappings.engine.bound import BoundBlock
from mappings.engine.er7segments import Group
from mappings.engine.interpret import Run
from mappings.engine.reader import Scope

HERE = Path(__file__).parent
SITES = Path(mappings.__file__).parent / "sites"
CASES = sorted(
    path
    for folder in HERE.glob("*cases")
    for path in folder.glob("*/*")
    if not path.name.endswith((".fhir.json", ".issues.txt"))
)


def ids(space: str, type_: str, key: Sequence[str]) -> str:
    text = "\x1f".join((space, type_, *key))
    return hashlib.blake2b(text.encode(), digest_size=16, key=b"test").hexdigest()


@cache
def site(name: str) -> Map:
    return load(SITES / name)


def same(site: Map, raw: bytes) -> None:
    """Twice, so that both what is made and what is remembered are compared."""
    slow = site.interpreted().read(raw, ids, "0011")
    for _ in range(2):
        fast = site.read(raw, ids, "0011")
        for one, other in zip(fast.messages, slow.messages, strict=True):
            assert one.issues == other.issues
            assert one.resources == other.resources
        assert fast == slow


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_golden_case_is_the_same_in_both(case: Path) -> None:
    same(site(case.parent.name), case.read_bytes())


# --- messages nobody wrote --------------------------------------------------------------------------


def mostly(good: str, *odd: str) -> st.SearchStrategy[str]:
    """What a message usually holds, and what it sometimes holds: both executors must be at work."""
    return st.sampled_from([good] * len(odd) * 3 + list(odd))


CODES = mostly("ALT^【全国HR】丙氨酸氨基转移酶", "GLU^葡萄糖(氧化酶法)", "ZZ9^没有的项目", "^只有名称", "A\\F\\B^带转义",
               "ALT^x~AST^y", '""', "", "1742-6^ALT^LN", "YXZD^影像诊断", "IMP^impression")  # fmt: skip
VALUES = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-9, max_value=99).map(str),
    mostly("6.10", "<0.01", "＞20.00", "1:80", "阴性(-)", "-", "溶血", "0-1/HP", "6.1↑", "1,234", "10\\S\\9", "a^b", '""', "",
           "  7.0  ", "\\X41\\", "\\Zz\\", "多行\\.br\\文字", "+++", "8.8 H", "~", "^", "9--50"),
)  # fmt: skip
UNITS = mostly("U/L", "10^9/L", "^mmol/L", "", "怪单位", "10\\S\\9/L", '""', "g/L")
RANGES = mostly("9--50", "<5.2", "男:57-97;女:41-73", "阴性", "?1-2", "", '""', "5-1")
FLAGS = mostly("", "↑", "H", "L~H", "怪", '""', "N", "阳性")
STATUS = mostly("F", "C", "P", "X", "O", "N", "W", "U", "?", "", '""', "D", "F~C")
TIMES = mostly("20260302101500", "202603021015", "20260302", "2026-03-02 10:15:30", "20290101000000", "bad", "", '""', "19000101",
               "20260302101500+0900", "20260302240000", "20260228120000")  # fmt: skip
SHORT = mostly("", "速率法", "AU5800-2^仪器", "张三", '""', "a\\T\\b", "x~y")
PERSONS = mostly(
    "PID|1||0000812345^^^330421A&HIS^MR||王珅||19800101|M||01^汉族|浙江省嘉善县||13800000000|||2|||330421198001010005",
    "PID|1||0000812346^^^330421A&HIS^MR~330421198001010005^^^^NI||李玘之子||20260301|F|||||||||||330421198001010005",
    "PID|1||^^^^MR~77^^^^XX||||1900|?|||||||||||330421198001010006",
    "PID|1||900^^^^PI||O'Neil^Ann||29990101|0|||||||||||110101900307",
    "PID|1||901^^^^PI||将来||20270101|0|||||||||||",
    'PID|1||12^^^^MR||""||""|""',
    "PID|1",
)


@st.composite
def results(draw: st.DrawFn, number: int) -> str:
    fields = ["OBX", str(number), draw(mostly("NM", "ST", "TX", "FT", "", "CE", "HD")), draw(CODES), draw(st.sampled_from(["", "1"])),
              draw(VALUES), draw(UNITS), draw(RANGES), draw(FLAGS), "", "", draw(STATUS), "", "", draw(TIMES), "LAB01", "", draw(SHORT),
              draw(SHORT), draw(TIMES)]  # fmt: skip
    line = "|".join(fields[: draw(st.sampled_from([20, 19, 19, 18, 12, 6, 4]))])
    notes = draw(
        st.lists(st.sampled_from(["NTE|1||备注", "NTE|2||行一~行二", "NTE|1"]), max_size=2)
    )
    return "\r".join([line, *notes])


@st.composite
def orders(draw: st.DrawFn, number: int) -> str:
    code = draw(mostly("LFT^肝功能", "CT^胸部", "", "^名"))
    placer, filler = (
        draw(st.sampled_from(["", f"R{number}", '""'])),
        draw(st.sampled_from(["", f"S{number}", "S1"])),
    )
    fields = ["OBR", str(number), placer, filler, code, "", draw(TIMES), draw(TIMES), "", "", "", "", "", "", draw(TIMES),
              draw(mostly("SER^血清", "", "怪^标本", "^血")), draw(st.sampled_from(["", "D001^李^四", "1371&王然"])), "", "", "", "",
              "", draw(TIMES), "", draw(mostly("CH", "", "RAD", "?")), draw(STATUS)]  # fmt: skip
    before = draw(st.sampled_from(["", "ORC|RE|R1|S1||||||20260302080000|||D9^王五\r"]))
    behind = draw(
        st.sampled_from(["", "\rSPM|1|^SP1||BLD^全血|||||||||||||20260302075800|20260302081500"])
    )
    lines = [draw(results(index)) for index in range(1, draw(st.integers(0, 4)) + 1)]
    return before + "|".join(fields) + behind + "".join(f"\r{line}" for line in lines)


@st.composite
def messages(draw: st.DrawFn) -> str:
    signs = draw(mostly("|^~\\&", "|^~", "|^~\\&#", "|~^\\&"))
    kind = draw(mostly("ORU^R01", "OUL^R24", "ORU", "ADT^A08", "ADT^A40", "MDM^T02"))
    head = f"MSH{signs}|LIS|330421A|GATEWAY|330421|{draw(TIMES)}||{kind}|L{draw(st.integers(1, 3))}|P|2.4"
    visit = draw(
        st.sampled_from(
            ["PV1|1|O|0203^心内科||||||||||||||||V1", "PV1|1|?|||||||||||||||||V2", "PV1|1", ""]
        )
    )
    event = draw(st.sampled_from(["", "EVN|A08|20260302"]))
    diagnosis = draw(
        st.sampled_from(
            ["", "DG1|1|ICD10|I10.x00^高血压||20260302|W", "DG1|1||J06.903\rDG1|2||^感冒"]
        )
    )
    parts = [
        head,
        event,
        draw(PERSONS),
        visit,
        *(draw(orders(n)) for n in range(1, draw(st.integers(0, 3)) + 1)),
        diagnosis,
    ]
    return "\r".join(part for part in parts if part) + "\r"


@settings(max_examples=250)
@given(messages())
def test_any_message_is_the_same_in_both(message: str) -> None:
    same(site("people"), message.encode("gb18030"))


@settings(max_examples=40)
@given(st.lists(messages(), min_size=2, max_size=3), st.sampled_from([b"\r", b"\n", b"\r\n"]))
def test_any_batch_is_the_same_in_both(batch: list[str], end: bytes) -> None:
    raw = b"BHS|^~\\&\r" + "".join(batch).encode("gb18030") + b"BTS|2\r"
    same(site("people"), raw.replace(b"\r", end))


CELLS = st.sampled_from(["", "NULL", "S1", "S2", "赵一", "女", "1976-05-20", "330421197605200025", "R1", "血清", "A01", "葡萄糖", "5.60", "<0.01",
                         "阴性(-)", "mmol/L", "3.9-6.1", "↑", "2026-03-02 07:30:00", "2", "9", "审核", "bad", "溶血", "-"])  # fmt: skip


@settings(max_examples=150)
@given(
    st.lists(st.lists(CELLS, min_size=17, max_size=17), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_any_rows_are_the_same_in_both(rows: list[list[str]], random: Random) -> None:
    heading = "BRID,XM,XB,CSRQ,SFZH,BGDH,BBLX,XMDM,XMMC,JG,DW,CKFW,TS,CYSJ,BGSJ,ZT,GXSJ"
    likely = "S1,赵一,女,1976-05-20,330421197605200025,R1,血清,A01,葡萄糖,5.60,mmol/L,3.9-6.1,↑,2026-03-02 07:30:00,2026-03-02 09:30:00,2,2026-03-02 09:31:00"
    mixed = [
        [
            good if random.random() < 0.8 else cell
            for good, cell in zip(likely.split(","), row, strict=True)
        ]
        for row in rows
    ]
    same(site("tcm"), "\n".join([heading, *(",".join(row) for row in mixed)]).encode("gb18030"))


# --- maps nobody wrote ------------------------------------------------------------------------------

ODD = """
[map]
id = "odd.oru"
version = "1"
base = "base/oru_r01@%s"

[source]
org = "odd"
charset = "gb18030"
timezone = "Asia/Shanghai"
pseudo_utc = true
ids = { "" = "mrn", "MR" = "mrn", "PI" = "mrn", "NI" = "resident-id" }

[Patient]
mode = "patch"

[Encounter]
# Held whenever PV1-2 is unknown, so that what points at it says so.
"status" = "PV1-2 | code(class_state, 'O' = 'finished') | must"

[ServiceRequest]
"note" = "NTE[*]-3[*] ?? OBR-13 | note"
"code.text" = "OBR-4.2 ?? 'it''s \\\\ a \\"test\\" {x} %%s \\u2028'"
"identifier(second)" = "OBR-3.1 ?? OBR-2.1"
"extension(sent)" = "$sent ?? $origin"

[Observation]
mode = "patch"
when = "OBX-2 | not_among('CE')"
key = ["OBR-3.1 ?? OBR-2.1", "OBX-3.1 | text", "$event ?? 'none'"]
"issued" = "OBR-22 | instant"
"effectiveDateTime" = "OBR-7 | time | must"
"code.text" = "OBX-3.2 ?? OBX-3.1"
"bodySite" = "OBR-15 | codeable_text"
"extension(device)" = "OBX-18"
"identifier(line)" = "OBX-1"
"note" = "OBX-17[*] ?? OBX-8 | note"
"interpretation" = "OBX-8[*] | interpretation(flags)"
"subject.display" = "PID-5.1"

[DiagnosticReport]
"conclusion" = "OBX[3.1=ALT]-5 ?? OBX-5 ?? NTE[*]-3 | text"
"presentedForm[0].title" = "OBR-4.2"

[tables]
class_state = { "X" = "planned" }
"""


@cache
def odd(folder: Path) -> Map:
    version = (SITES.parent / "base" / "oru_r01.toml").read_text(encoding="utf-8")
    number = version.split('version = "')[1].split('"')[0]
    text = (ODD % number).replace("it''s", "its")
    (folder / "odd.toml").write_text(text, encoding="utf-8")
    return load(folder / "odd.toml")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages())
def test_a_map_of_odd_rules_is_the_same_in_both(folder: Path, message: str) -> None:
    same(odd(folder), message.encode("gb18030"))


def oru(results: int = 2, **texts: str) -> bytes:
    """A laboratory message as it should be."""
    sent = texts.get("sent", "20260302102100")
    lines = [
        f"MSH|^~\\&|LIS|330421A|GATEWAY|330421|{sent}||ORU^R01|L1|P|2.4",
        f"PID|1||0000812345^^^330421A&HIS^MR||{texts.get('name', '王珅')}||{texts.get('born', '19800101')}|M",
        "PV1|1|O|0203^心内科||||||||||||||||V1",
        "OBR|1|R1|S1|LFT^肝功能|||20260302075800|||||||20260302081500|SER^血清|D0012^李玘||||||20260302102100||CH|F",
    ]
    lines += [
        f"OBX|{n}|NM|C{n}^项目{n}||{n}.{n % 10}0|U/L|9--50|↑|||F|||20260302101500|LAB01||速率法|AU5800-2"
        for n in range(1, results + 1)
    ]
    return ("\r".join(lines) + "\r").encode("gb18030")


def test_a_person_remembered_is_looked_at_again_when_the_message_is_older() -> None:
    people = load(SITES / "people")
    later, earlier = oru(born="20270101", sent="20280302102100"), oru(born="20270101")
    for raw in (later, earlier, later):
        assert people.read(raw, ids) == people.interpreted().read(raw, ids)
    assert b"birthDate" not in people.read(earlier, ids).messages[0].resources[0].text()


def test_a_person_remembered_gets_the_clock_place_and_ids_of_each_message() -> None:
    people = load(SITES / "people")
    first, second = oru(), oru(sent="20260303102100").replace(b"\rPID|", b"\rZZ1|x\rPID|")
    for raw in (first, second):
        assert people.read(raw, ids) == people.interpreted().read(raw, ids)

    def other(space: str, type_: str, key: Sequence[str]) -> str:
        return ids("another county", type_, key)

    assert people.read(first, other) == people.interpreted().read(first, other)


def test_an_ordinary_message_needs_no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """What generated code cannot do it leaves to the interpreter, so a fault in it would only be slow."""
    people = load(SITES / "people")
    built: list[str] = []

    def by_hand(block: BoundBlock, scope: Scope, run: Run) -> None:
        built.append(block.name)

    for part in people.parts:
        for build in part.program.builds if part.program is not None else ():
            if build is not None:
                monkeypatch.setitem(build.__globals__, "by_hand", by_hand)
    message = people.read(oru(30), ids).messages[0]
    assert built == []
    assert len([one for one in message.resources if one.type == "Observation"]) == 30
    assert {one.mask > 0 for one in message.resources} == {True}


# Attachments come one by one and never twice.
BY_HAND = {"Binary"}


@pytest.mark.parametrize("name", ["people", "tcm", "township"])
def test_every_block_of_the_shipped_maps_has_generated_code(name: str) -> None:
    for part in site(name).parts:
        assert part.program is not None
        without = [
            block.type
            for block, build in zip(part.blocks, part.program.builds, strict=True)
            if build is None and block.type not in BY_HAND
        ]
        assert without == []


def test_an_order_never_takes_the_specimen_of_its_neighbour() -> None:
    raw = oru(1) + (
        "OBR|2|R2|S2|CBC^血常规|||20260302075800|||||||20260302081500|BLD^全血|||||||20260302102100||CH|F\r"
        "OBX|1|NM|WBC^白细胞||6.10|10^9/L|4-10||||F\r"
    ).encode("gb18030")
    people = site("people")
    same(people, raw)
    made = people.read(raw, ids).messages[0].resources
    specimens = [one.id for one in made if one.type == "Specimen"]
    reports = [one for one in made if one.type == "DiagnosticReport"]
    named = [[number for number in specimens if number.encode() in one.tail] for one in reports]
    assert named == [[number] for number in specimens]


def test_what_raises_while_a_resource_is_handed_over_loses_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw, people = oru(3), load(SITES / "people")
    whole = people.interpreted().read(raw, ids)

    def lost(scope: Group) -> str:
        raise KeyError

    monkeypatch.setattr(Group, "where", lost)
    assert people.read(raw, ids) == whole
