"""Reading DICOM: pixels stay behind, texts are read as they are and not as they are declared, nothing breaks it."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from itertools import permutations
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from mappings.engine import load, rules
from mappings.engine.binding import bind
from mappings.engine.bound import Setup
from mappings.engine.dicomdata import header, read_file
from mappings.engine.dicominput import DIALECT
from mappings.engine.dicomtext import Letters
from mappings.engine.model import Reading
from mappings.engine.reader import AddressFault
from tests.dicom_objects import SYNTAXES, image, manifest, part10, with_pixels
from tests.mappings.test_rows_golden import SITES, ids

SITE = load(SITES / "people-pacs")


def codes(reading: Reading) -> list[str]:
    found = [*reading.issues, *(issue for m in reading.messages for issue in m.issues)]
    return [issue.code for issue in found]


def study(reading: Reading) -> dict[str, object]:
    (message,) = reading.messages
    return next(json.loads(one.text()) for one in message.resources if one.type == "ImagingStudy")


# --- what is kept ----------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_of_an_image_only_the_header_is_kept(syntax: str) -> None:
    raw = part10(with_pixels(image()), syntax)
    (unit,) = SITE.units(raw)
    assert b"PIXELDATA!" in raw
    assert b"ICONPIXELS" in raw
    assert b"OVERLAYBIT" in raw
    for canary in (b"PIXELDATA!", b"ICONPIXELS", b"OVERLAYBIT"):
        assert canary not in unit.raw
    assert SITE.read(unit.raw, ids) == SITE.read(raw, ids)
    assert len(SITE.read(raw, ids).messages[0].resources) == 4


def test_a_header_is_its_own_header_so_what_comes_again_is_recognised() -> None:
    once = header(part10(with_pixels(image())))
    assert header(once) == once


def test_private_binary_of_any_size_and_documents_stay_behind() -> None:
    made = image()
    made.add_new(0x00290010, "LO", "INVENTED")
    made.add_new(0x00291010, "OB", b"SECRETPIXELS" * 5000)
    made.add_new(0x00420011, "OB", b"%PDF-SECRET")
    (unit,) = SITE.units(part10(made))
    assert b"SECRET" not in unit.raw
    assert len(unit.raw) < 2000
    assert study(SITE.read(unit.raw, ids))["numberOfInstances"] == 1


def test_a_deflated_data_set_is_refused_before_it_can_grow() -> None:
    plain = part10(image())
    begin = plain.index(b"\x08\x00\x05\x00")
    bomb = zlib.compressobj(wbits=-15)
    packed = bomb.compress(b"\0" * 30_000_000) + bomb.flush()
    syntax, deflated = str(ExplicitVRLittleEndian), str(DeflatedExplicitVRLittleEndian)
    meta = plain[:begin].replace(
        b"\x02\x00\x10\x00UI\x14\x00" + syntax.encode().ljust(20, b"\0"),
        b"\x02\x00\x10\x00UI\x16\x00" + deflated.encode().ljust(22, b"\0"),
    )
    assert deflated.encode() in meta
    (unit,) = SITE.units(meta + packed)
    assert unit.raw == meta
    assert codes(SITE.read(unit.raw, ids)) == ["dicom-transfer-syntax"]


def test_a_delivery_over_the_limit_is_refused_before_it_is_read() -> None:
    raw = part10(image()) + b"\0" * 60_000_000
    assert codes(SITE.read(raw, ids)) == ["too-many-bytes"]


def test_a_file_cut_off_anywhere_is_refused_or_says_less_and_never_breaks() -> None:
    whole = header(part10(image()))
    for end in range(len(whole)):
        (unit,) = SITE.units(whole[:end]) if end else (None,)
        reading = SITE.read(whole[:end], ids)
        if unit is not None:
            assert SITE.read(unit.raw, ids) == reading
        stopped = any(i.severity == "stop" for i in reading.issues)
        assert stopped or reading.messages


@settings(max_examples=150)
@given(st.data())
def test_damaged_bytes_never_raise_and_never_tell_a_value(data: st.DataObject) -> None:
    raw = bytearray(header(part10(image())))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(128, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    reading = SITE.read(bytes(raw), ids)
    units = SITE.units(bytes(raw))
    assert [SITE.read(unit.raw, ids) for unit in units]
    for issue in (*reading.issues, *(i for m in reading.messages for i in m.issues)):
        assert "00008123" not in issue.text("zh") + issue.text("en")


@settings(max_examples=100)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\0" * 128 + b"DICM", b"[", b"{"]))
def test_any_bytes_are_answered_with_an_issue(tail: bytes, begin: bytes) -> None:
    reading = SITE.read(begin + tail, ids)
    assert reading.issues or any(message.issues for message in reading.messages)


def test_sequences_without_end_are_refused() -> None:
    made = image()
    inner = Dataset()
    for _ in range(60):
        outer = Dataset()
        outer.ReferencedRequestSequence = Sequence([inner])
        inner = outer
    made.ReferencedRequestSequence = Sequence([inner])
    assert codes(SITE.read(part10(made), ids)) == ["dicom-broken"]


# --- texts -----------------------------------------------------------------------------------------

NAME = "周燶"  # the second character lies outside GB2312 and holds no ASCII
BACKSLASH = "昞"  # its second byte in GBK is a backslash


@pytest.mark.parametrize(
    ("declared", "raw", "expected", "faults"),
    [
        ("GB18030", NAME.encode("gb18030"), NAME, []),
        ("GBK", NAME.encode("gbk"), NAME, []),
        ("ISO_IR 192", NAME.encode(), NAME, []),
        ("\\ISO 2022 IR 58", b"Wang^Li=\x1b$)A" + "王^".encode("gb2312") + b"\x1b$)A" + "珅".encode("gb18030"), "Wang^Li=王^珅", []),
        ("\\ISO 2022 IR 58", b"=\x1b$)A" + "王^丽".encode("gb2312"), "=王^丽", []),
        ("ISO_IR 100", NAME.encode("gb18030"), NAME, ["dicom-charset"]),
        ("ISO_IR 100", "Müller^Jörg".encode("latin-1"), "Müller^Jörg", []),
        ("", NAME.encode("gb18030"), NAME, ["dicom-charset"]),
        ("ISO_IR 6", NAME.encode("gb18030"), NAME, ["dicom-charset"]),
        ("ISO_IR 192", NAME.encode("gb18030"), NAME, ["dicom-charset"]),
        ("ISO_IR 999", NAME.encode("gb18030"), NAME, ["dicom-charset"]),
        ("GB18030", b"\xff\xff", None, ["dicom-charset-broken"]),
        ("\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", "山田", []),
        ("", b"Zhou^Nong", "Zhou^Nong", []),
    ],
)  # fmt: skip
def test_a_text_is_read_by_what_it_is(
    declared: str, raw: bytes, expected: str | None, faults: list[str]
) -> None:
    letters = Letters(declared.split("\\"), "gb18030")
    assert letters.read(raw) == expected
    assert list(letters.faults) == faults


def test_a_character_that_holds_a_backslash_is_not_two_values() -> None:
    assert BACKSLASH.encode("gb18030")[1:] == b"\\"
    made = image(StudyDescription=None)
    made.StudyDescription = f"{BACKSLASH}胸部"
    assert study(SITE.read(part10(made), ids))["description"] == f"{BACKSLASH}胸部"


# --- addresses -------------------------------------------------------------------------------------

SOURCE = SITE.source


def first(address: str, made: Dataset) -> list[str]:
    (letter,), _ = DIALECT.cut(part10(made), SOURCE)
    return [value.text for value in DIALECT.address(address, SOURCE)(letter.root)]


def with_requests() -> Dataset:
    requests = []
    for number in ("A1", "A2"):
        item = Dataset()
        item.AccessionNumber, item.RequestedProcedureID = number, f"P{number}"
        requests.append(item)
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "330421198001010005", "NI"
    made = image(ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], KVP="120.0")
    made.RequestAttributesSequence = Sequence(requests)
    made.OtherPatientIDsSequence = Sequence([other])
    return made


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("PatientID", ["0000812345"]),
        ("00100020", ["0000812345"]),
        ("0010,0020", ["0000812345"]),
        ("ImageType", ["ORIGINAL"]),
        ("ImageType[*]", ["ORIGINAL", "PRIMARY", "AXIAL"]),
        ("ImageType[3]", ["AXIAL"]),
        ("ImageType[4]", []),
        ("KVP", ["120.0"]),
        ("TotalCollimationWidth", ["40.0"]),
        ("RequestAttributesSequence.AccessionNumber", ["A1"]),
        ("RequestAttributesSequence.AccessionNumber[*]", ["A1", "A2"]),
        ("RequestAttributesSequence[2].AccessionNumber", ["A2"]),
        ("RequestAttributesSequence[RequestedProcedureID=PA2].AccessionNumber", ["A2"]),
        ("OtherPatientIDsSequence[TypeOfPatientID=NI].PatientID", ["330421198001010005"]),
        ("StudyDate+StudyTime", ["20260301083000+0800"]),
        ("SeriesDate+SeriesTime", ["20260301083112.250+0800"]),
        ("ContentDate+ContentTime", []),
        ("RequestAttributesSequence", []),
    ],
)
def test_an_address_finds(address: str, expected: list[str]) -> None:
    assert first(address, with_requests()) == expected


@pytest.mark.parametrize("address", ["PatientNumber", "Patient ID", "ImageType[x]", "0010,00", ""])
def test_an_address_that_means_nothing_is_refused_when_the_map_is_loaded(address: str) -> None:
    with pytest.raises(AddressFault):
        DIALECT.address(address, SOURCE)


def test_a_rule_may_name_a_tag_between_backquotes_and_lint_points_at_a_wrong_keyword() -> None:
    text = """
[map]
id = "x"
input = "dicom"
[Patient]
"identifier(mrn)" = "`0010,0020` ?? PatientNumber"
"""
    parsed, findings = rules.read_file(text.encode(), "x.toml", SITES)
    assert parsed is not None
    assert not findings
    _, findings = bind(parsed, DIALECT, Setup(SOURCE, {}))
    assert [(f.line, "PatientNumber" in f.en) for f in findings] == [(6, True)]


# --- studies ---------------------------------------------------------------------------------------


def test_a_json_array_gives_the_same_as_its_units_whatever_their_order() -> None:
    sets = [
        json.dumps(
            {
                "0020000D": {"vr": "UI", "Value": [f"1.2.{study}"]},
                "0020000E": {"vr": "UI", "Value": [f"1.2.{study}.1"]},
                "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
                "00080018": {"vr": "UI", "Value": [f"1.2.{study}.1.{instance}"]},
                "00080060": {"vr": "CS", "Value": ["CT"]},
                "00100020": {"vr": "LO", "Value": ["0000812345"]},
                "00080020": {"vr": "DA", "Value": ["20260301"]},
            }
        )
        for study, instance in ((1, 1), (2, 1), (1, 2))
    ]
    for order in permutations(sets):
        raw = f"[{','.join(order)}]".encode()
        whole = SITE.read(raw, ids)
        apart = [SITE.read(unit.raw, ids) for unit in SITE.units(raw)]
        assert len(apart) == 2
        assert [m.resources for m in whole.messages] == [r.messages[0].resources for r in apart]
        counts = {
            json.loads(one.text())["numberOfInstances"]
            for m in whole.messages
            for one in m.resources
            if one.type == "ImagingStudy"
        }
        assert counts == {1, 2}


@pytest.mark.parametrize("title", ["113001", "113037", "113038", "113039"])
def test_a_document_that_withdraws_images_is_never_read_as_a_list_of_them(title: str) -> None:
    raw = part10(manifest({"1.2.3": [("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")]}, (title, "x")))
    reading = SITE.read(raw, ids)
    assert codes(reading) == ["dicom-rejection"]
    assert not reading.messages


def test_key_images_are_instances_like_others() -> None:
    raw = part10(
        manifest({"1.2.3": [("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")]}, ("113000", "Of Interest"))
    )
    assert study(SITE.read(raw, ids))["numberOfInstances"] == 1


# --- what others made ------------------------------------------------------------------------------

LIBRARY = Path(pydicom.__file__).parent / "data"
PUBLISHED = sorted(
    path
    for path in LIBRARY.rglob("*")
    if path.is_file() and path.suffix.lower() in ("", ".dcm") and path.name != "README"
)


def test_every_object_the_library_ships_is_answered_and_leaves_its_pixels_behind() -> None:
    """Good and damaged objects of many devices: JPEG, RLE, big endian, without preamble, cut off."""
    assert len(PUBLISHED) > 150
    seen: Counter[str] = Counter()
    for path in PUBLISHED:
        raw = path.read_bytes()
        (unit,) = SITE.units(raw)
        reading = SITE.read(unit.raw, ids)
        assert SITE.read(raw, ids) == reading, path.name
        assert len(unit.raw) < 36_000, path.name
        stopped = any(issue.severity == "stop" for issue in reading.issues)
        assert stopped or reading.messages, path.name
        seen["study" if any(m.resources for m in reading.messages) else "none"] += 1
    assert seen["study"] >= 95


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chrX1", "Wang^XiaoDong=王^小東="),
        ("chrX2", "Wang^XiaoDong=王^小东="),
        ("chrI2", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("chrH31", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("chrH32", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("chrGerm", "Äneas^Rüdiger"),
        ("chrRuss", "Люкceмбypг"),
        ("chrArab", "قباني^لنزار"),
    ],
)
def test_the_librarys_names_are_read_as_it_reads_them(name: str, expected: str) -> None:
    file = read_file((LIBRARY / "charset_files" / f"{name}.dcm").read_bytes(), "gb18030")
    assert file.data[0x00100010].values == (expected,)
    assert file.faults == ()


def test_an_item_may_declare_a_character_set_of_its_own() -> None:
    file = read_file((LIBRARY / "charset_files" / "chrSQEncoding.dcm").read_bytes(), "gb18030")
    item = file.data[0x00321064].values[0]
    assert isinstance(item, dict)
    assert item[0x00100010].values == ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",)
    assert file.faults == ()


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_a_data_set_without_preamble_is_read_too(syntax: str) -> None:
    raw = part10(with_pixels(image()), syntax)
    bare = raw[raw.index(b"\x08\x00\x05\x00") :]
    (unit,) = SITE.units(bare)
    assert b"PIXELDATA!" not in unit.raw
    assert study(SITE.read(unit.raw, ids)) == study(SITE.read(raw, ids))


def test_of_what_is_no_dicom_only_the_beginning_is_kept() -> None:
    (unit,) = SITE.units(b"\xff\xd8\xff\xe0 a picture" + b"x" * 1_000_000)
    assert len(unit.raw) == 1_024
    assert codes(SITE.read(unit.raw, ids)) == ["not-dicom"]
