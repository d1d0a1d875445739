"""Code tables as ConceptMaps: valid R4, identical when they come back, nothing dropped on the way in."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.conceptmap import ConceptMap
from hypothesis import example, given
from hypothesis import strategies as st

import mappings
from mappings.engine import tables
from mappings.engine.conceptmap import NO_NOTE, CannotKeep, export, read_conceptmap
from mappings.engine.tables import ITEM_COLUMNS, Read, ReadRow

HOME = Path(mappings.__path__[0])
FILES = sorted(
    path
    for path in (*HOME.glob("tables/*.csv"), *HOME.glob("sites/*/codes/*.csv"))
    if path.name != "conversions.csv"
)
BASE = "https://gateway.example/fhir"
SYSTEM = f"{BASE}/CodeSystem/people-items"


def exported(raw: bytes) -> dict[str, Any]:
    found, findings = tables.read("x.csv", raw)
    assert findings == []
    return export(found, "items", SYSTEM, BASE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.parent.name}/{path.name}")
def test_every_shipped_table_is_a_valid_conceptmap_and_comes_back_byte_for_byte(path):
    made = exported(path.read_bytes())

    ConceptMap.model_validate(made)
    assert read_conceptmap(json.loads(json.dumps(made))).raw == path.read_bytes()


ITEMS = (
    "# agreed with the laboratory\n"
    "code,name,specimen,loinc,relation,unit,state,by,on,note\n"
    "GLU,葡萄糖,SER,14749-6,equivalent,mmol/L,approved,王敏,2026-11-02,\n"
    "ALT,谷丙,,1742-6,,U/L,,,,\n"
    "GLU,尿糖,UR,,unmatched,,review,,,尿糖定性 别与血糖混\n"
    "CRP,,,1988-5,narrower,mg/L,approved,王敏,2026-11-02,\n"
)


def test_what_a_row_says_stands_where_fhir_has_a_place_for_it():
    made = exported(ITEMS.encode())
    (group,) = made["group"]
    assert (group["source"], group["target"]) == (SYSTEM, "http://loinc.org")
    assert group["unmapped"] == {"mode": "provided"}
    glucose, alt, crp = group["element"]
    assert [target.get("code") for target in glucose["target"]] == ["14749-6", None]
    assert [target["equivalence"] for target in glucose["target"]] == ["equivalent", "unmatched"]
    assert glucose["target"][1]["dependsOn"] == [
        {"property": f"{BASE}/property/specimen", "value": "UR"}
    ]
    assert glucose["target"][1]["comment"] == "尿糖定性 别与血糖混"
    said = {
        e["url"].rpartition("-")[2]: e["valueString"] for e in glucose["target"][0]["extension"]
    }
    assert said == {
        "row": "1", "name": "葡萄糖", "unit": "mmol/L", "state": "approved", "by": "王敏", "on": "2026-11-02",
    }  # fmt: skip
    assert alt["display"] == "谷丙"
    assert alt["target"][0]["equivalence"] == "equivalent"
    assert crp["target"][0]["comment"] == NO_NOTE  # cmd-1
    assert made["description"] == "# agreed with the laboratory"
    assert read_conceptmap(made).raw == ITEMS.encode()


cell = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=6)
code = cell.filter(lambda text: text and not text.startswith("#"))


@st.composite
def csv_tables(draw: st.DrawFn) -> Read:
    gives = draw(st.sampled_from(["loinc", "ucum", "target"]))
    others = draw(
        st.lists(
            st.sampled_from(
                sorted({*ITEM_COLUMNS, "system", "display", "alarm"} - {"code", "loinc"})
            ),
            unique=True,
        )
    )
    header = ("code", *draw(st.permutations([gives, *others])))
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        row = {column: draw(cell) for column in header}
        row["code"] = draw(code)
        if "relation" in row:
            row["relation"] = draw(st.sampled_from(tables.RELATIONS))
        lines.append(ReadRow(0, 0, "", row))
    comments = draw(st.lists(cell.map(lambda text: f"# {text}"), max_size=2))
    return Read(tuple(comments), header, tuple(lines))


@given(csv_tables())
def test_out_and_in_again_it_is_the_same_table(table: Read):
    raw = tables.write(table)
    found, findings = tables.read("x.csv", raw)
    assert findings == []

    made = export(found, "t", SYSTEM, BASE)

    ConceptMap.model_validate(made)
    assert read_conceptmap(json.loads(json.dumps(made))).raw == raw


@pytest.mark.parametrize("cells", ["A  B,x,1742-6", "A,x\x01y,1742-6", f"A,{NO_NOTE},1742-6"])
def test_text_that_fhir_has_no_form_for_is_refused_by_its_line(cells):
    with pytest.raises(CannotKeep, match="line 2"):
        exported(f"code,name,loinc\n{cells}\n".encode())


REFUSED = [
    # the element that would be lost, and a way to it
    ("ConceptMap.status", lambda m: m.update(status="retired")),
    ("ConceptMap.contact", lambda m: m.update(contact=[{"name": "x"}])),
    ("ConceptMap.useContext", lambda m: m.update(useContext=[])),
    ("ConceptMap.extension[1]", lambda m: m["extension"].append({"url": "urn:x"})),
    ("ConceptMap.group[0].sourceVersion", lambda m: m["group"][0].update(sourceVersion="1")),
    ("ConceptMap.group[0].unmapped", lambda m: m["group"][0].update(unmapped={"mode": "fixed", "code": "x"})),
    ("ConceptMap.group[1].source", lambda m: m["group"].append(m["group"][0] | {"source": "urn:y"})),
    ("ConceptMap.group[0].element[0].id", lambda m: m["group"][0]["element"][0].update(id="1")),
    ("ConceptMap.group[0].element[1].target[0].product", lambda m: target(m).update(product=[{}])),
    ("ConceptMap.group[0].element[1].target[0].equivalence", lambda m: target(m).update(equivalence="subsumes")),
    ("ConceptMap.group[0].element[1].target[0].equivalence", lambda m: target(m).pop("equivalence")),
    ("ConceptMap.group[0].element[1].target[0].dependsOn[0]", lambda m: target(m).update(dependsOn=[{"property": "urn:age", "value": "child"}])),
    ("ConceptMap.group[0].element[1].target[0].dependsOn[0].display", lambda m: target(m).update(dependsOn=[{"property": "x/specimen", "value": "SER", "display": "serum"}])),
    ("ConceptMap.group[0].element[1].target[0].extension[0]", lambda m: target(m)["extension"].insert(0, {"url": "urn:x", "valueString": "y"})),
    ("ConceptMap.group[0].element[1].target[0].extension[0].valueInteger", lambda m: target(m)["extension"].insert(0, {"url": "urn:x", "valueInteger": 1})),
    ("ConceptMap.group[0].element[1].target[0].comment", lambda m: target(m).update(comment="a\nb")),
    ("ConceptMap.group[0].element[1].target[0].code", lambda m: target(m).update(code=1)),
]  # fmt: skip


def target(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["group"][0]["element"][1]["target"][0]
    return found


@pytest.mark.parametrize(("place", "change"), REFUSED, ids=[place for place, _ in REFUSED])
def test_what_a_table_has_no_place_for_is_refused_by_name(place, change):
    made = copy.deepcopy(exported(ITEMS.encode()))
    change(made)

    with pytest.raises(CannotKeep) as refused:
        read_conceptmap(made)

    assert refused.value.place == place
    assert refused.value.zh


@pytest.mark.parametrize("thing", [None, [], "x", {"resourceType": "ValueSet"}, 1])
def test_what_is_no_conceptmap_is_refused(thing):
    with pytest.raises(CannotKeep, match="no ConceptMap"):
        read_conceptmap(thing)


def test_a_conceptmap_of_others_becomes_a_table_with_its_remarks_as_comments():
    made = {
        "resourceType": "ConceptMap",
        "status": "draft",
        "title": "Laboratory codes\nof a hospital",
        "description": "made elsewhere",
        "group": [
            {
                "source": "urn:lis",
                "target": "http://loinc.org",
                "element": [
                    {"code": "A", "display": "谷丙", "target": [{"code": "1742-6", "equivalence": "equal"}]},
                    {"code": "B"},
                ],
            }
        ],
    }  # fmt: skip
    ConceptMap.model_validate(made)

    imported = read_conceptmap(made)

    assert imported.system == "urn:lis"
    assert imported.raw.decode() == (
        "# made elsewhere\n# title: Laboratory codes of a hospital\n"
        "code,name,specimen,loinc,relation,unit,state,by,on,note\n"
        "A,谷丙,,1742-6,equal,,,,,\nB,,,,unmatched,,,,,\n"
    )


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["resourceType", "group", "element", "target", "code", "extension", "url", "status",
             "equivalence", "dependsOn", "valueString", "description", "unmapped"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(anything, st.sampled_from(["top", "group", "element", "target"]))
@example({"target": ["x"]}, "group")
def test_no_json_makes_importing_fail_otherwise_than_by_name(thing: Any, where: str):
    made: Any = {"resourceType": "ConceptMap", "status": "active"}
    match where:
        case "top":
            made = made | thing if isinstance(thing, dict) else thing
        case "group":
            made["group"] = [thing]
        case "element":
            made["group"] = [{"element": [thing]}]
        case "target":
            made["group"] = [{"element": [{"code": "A", "target": [thing]}]}]
    try:
        place = "ConceptMap" if read_conceptmap(made).raw else ""
    except CannotKeep as refused:
        place = refused.place
    assert place.startswith("ConceptMap")
