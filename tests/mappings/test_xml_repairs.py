"""Every defect of a damaged document is told, and with its repair declared it reads like the sound one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from mappings.engine import Map, load, xmlrepair, xmlwording
from mappings.engine.model import Reading
from tests.mappings.test_rows_golden import SITES, ids

CASES = Path(__file__).parent / "xml_cases" / "tcm-cda"
SOUND = (CASES / "c0007-one-organizer-an-item.xml").read_bytes()
SITE = load(SITES / "tcm-cda")


def declaring(*repairs: str, site: Map = SITE) -> Map:
    """The map of a source that declares just these repairs."""
    options = {**site.source.options, "repair": list(repairs)}
    return dataclasses.replace(site, source=msgspec.structs.replace(site.source, options=options))


def bodies(reading: Reading) -> list[tuple[str, bytes]]:
    """Everything but the Provenance, which names the bytes that came."""
    return [
        (one.type, one.text())
        for message in reading.messages
        for one in message.resources
        if one.type != "Provenance"
    ]


def issues(reading: Reading) -> Sequence[tuple[str, str]]:
    found = [*reading.issues, *(issue for one in reading.messages for issue in one.issues)]
    return [(issue.severity, issue.code) for issue in found]


def swapped(old: str, new: str, count: int = -1) -> Callable[[bytes], bytes]:
    def damage(raw: bytes) -> bytes:
        assert old.encode() in raw
        return raw.replace(old.encode(), new.encode(), count)

    return damage


# What hospitals get wrong (the same content said badly), and what happens when nobody declared it.
DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "encoding-gb18030": (lambda raw: raw.decode().encode("gb18030"), "stop"),
    "encoding-utf8": (swapped('encoding="UTF-8"', 'encoding="GBK"'), "stop"),
    "control-characters": (swapped("速率法", "速\x0b率\x00法"), "stop"),
    "nested-declaration": (
        swapped("<recordTarget", '<?xml version="1.0" encoding="GBK"?><recordTarget'),
        "stop",
    ),
    "html-entities": (swapped("×", "&times;"), "stop"),
    "bare-ampersand": (swapped("&amp;", "&"), "stop"),
    "bare-less-than": (swapped("&lt;0.50", "<0.50"), "stop"),
    "undeclared-prefix": (
        swapped(' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"', ""),
        "stop",
    ),
    "namespace-digit": (swapped("urn:hl7-org:v3", "urn:h17-org:v3"), "stop"),
    "namespace-missing": (swapped(' xmlns="urn:hl7-org:v3"', ""), "stop"),
    "element-case": (
        lambda raw: swapped("effectiveTime", "EffectiveTime")(swapped("title>", "TITLE>")(raw)),
        "note",
    ),
    "oid-missing-2": (swapped('"2.16.156.10011.1.3"', '"16.156.10011.1.3"'), "note"),
    "oid-letter": (swapped("2.16.156.10011.1.33", "2.16.156.1001l.1.33"), "note"),
    "determiner-code": (swapped("determinerCode", "determnerCode"), "note"),
    "foreign-elements": (
        swapped("<entry>", "<entry><deviceName>AU5800</deviceName>", 1),
        "note",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_declared_repair_reads_the_document_as_if_it_were_sound(name: str) -> None:
    damaged = DAMAGE[name][0](SOUND)
    reading = declaring(name).read(damaged, ids)
    expected = declaring().read(SOUND, ids)
    assert bodies(reading) == bodies(expected)
    assert ("note", f"repair-{name}") in issues(reading)
    assert not any(code.startswith("defect-") for _, code in issues(reading))


@pytest.mark.parametrize("name", DAMAGE)
def test_without_its_declaration_the_defect_says_which_repair_would_help(name: str) -> None:
    damage, severity = DAMAGE[name]
    reading = declaring().read(damage(SOUND), ids)
    assert (severity, f"defect-{name}") in issues(reading)
    assert bool(bodies(reading)) == (severity != "stop")
    for issue in [*reading.issues, *(i for m in reading.messages for i in m.issues)]:
        if issue.code == f"defect-{name}":
            assert name in issue.text("zh")
            assert name in issue.text("en")
            assert issue.place


def test_a_name_in_the_place_of_a_code_is_read_as_a_name() -> None:
    damaged = swapped('<value xsi:type="ST">0101</value>', '<value xsi:type="ST">肝酶</value>')(
        SOUND
    )
    plain = declaring().read(damaged, ids)
    repaired = declaring("item-name-as-code").read(damaged, ids)
    code = b'"code":"\xe8\x82\x9d\xe9\x85\xb6"'
    assert any(code in text for _, text in bodies(plain))
    assert not any(code in text for _, text in bodies(repaired))
    assert any('"code":{"text":"肝酶"}'.encode() in text for _, text in bodies(repaired))
    assert ("note", "defect-item-name-as-code") in issues(plain)
    assert ("note", "repair-item-name-as-code") in issues(repaired)


@pytest.mark.parametrize(
    ("kind", "kept"), [("1", "outpatient"), ("3", "inpatient"), ("9", "neither")]
)
def test_the_number_that_does_not_fit_the_visit_is_not_taken_for_one(kind: str, kept: str) -> None:
    damaged = swapped('1.12" extension=""', '1.12" extension="T0000123"')(
        swapped('patienttypeCode code="1"', f'patienttypeCode code="{kind}"')(SOUND)
    )
    reading = declaring("two-visit-numbers").read(damaged, ids)
    types = [type for type, _ in bodies(reading)]
    if kept == "neither":
        assert ("hold", "no-local-id") in issues(reading)
    else:
        assert ("Encounter" in types) == (kept == "inpatient")
    assert ("note", "repair-two-visit-numbers") in issues(reading)
    assert ("note", "defect-two-visit-numbers") in issues(declaring().read(damaged, ids))


def test_every_repair_has_been_seen_at_work_and_has_its_sentences() -> None:
    elsewhere = {"item-name-as-code", "two-visit-numbers"}
    assert set(DAMAGE) | elsewhere == set(xmlrepair.NAMES)
    for name in xmlrepair.NAMES:
        for kind in ("repair", "defect"):
            zh, en = xmlwording.SENTENCES[f"{kind}-{name}"]
            assert zh
            assert en.isascii()


def test_several_defects_in_one_document_are_all_told_at_once() -> None:
    damaged = DAMAGE["bare-ampersand"][0](DAMAGE["bare-less-than"][0](SOUND))
    told = {code for _, code in issues(declaring("bare-ampersand").read(damaged, ids))}
    assert {"repair-bare-ampersand", "defect-bare-less-than"} <= told
    both = declaring("bare-ampersand", "bare-less-than").read(damaged, ids)
    assert len(bodies(both)) == len(bodies(declaring().read(SOUND, ids)))


def test_signs_inside_a_cdata_section_are_left_alone() -> None:
    in_cdata = swapped("转氨酶轻度升高，建议复查", "<![CDATA[a < b & c &nbsp;]]>")(SOUND)
    both = swapped("溶血 &amp; 乳糜", "溶血 & 乳糜")(in_cdata)
    reading = declaring("bare-ampersand").read(both, ids)
    (report,) = [text for type, text in bodies(reading) if type == "DiagnosticReport"]
    assert b'"conclusion":"a < b & c &nbsp;"' in report
    assert "溶血 & 乳糜".encode() in report
