"""Named repairs of XML as hospitals really send it: each defect is found, told and, if declared, mended.

``[source] repair = ["namespace-digit", "oid-missing-2"]`` declares what a source is known to get wrong.
A declared repair leaves a note ``repair-NAME``, so that it can be counted; an undeclared one an issue
``defect-NAME`` which says what to declare. The received bytes are never changed, only what is read.

Repairs of text make a document well-formed that is not; repairs of the tree concern CDA alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from html.entities import name2codepoint
from typing import Any

from mappings.engine.model import Issue, Severity
from mappings.engine.xmlvalue import Place

CDA = "urn:hl7-org:v3"
XSI = "http://www.w3.org/2001/XMLSchema-instance"

PREFIXES = {
    "xsi": XSI, "sdtc": "urn:hl7-org:sdtc", "voc": "urn:hl7-org:v3/voc", "mif": "urn:hl7-org:v3/mif",
    "soap": "http://schemas.xmlsoap.org/soap/envelope/",
    "soapenv": "http://schemas.xmlsoap.org/soap/envelope/",
    "xsd": "http://www.w3.org/2001/XMLSchema",
}  # fmt: skip
"""Prefixes whose meaning is certain enough to be declared for a sender that forgot to."""


def tell(
    name: str, repairs: Collection[str], place: object, issues: list[Issue], otherwise: Severity
) -> bool:
    """Say that a defect was met; whether it may be repaired. Undeclared, it has the severity `otherwise`."""
    if name in repairs:
        issues.append(Issue("note", f"repair-{name}", str(place)))
        return True
    issues.append(Issue(otherwise, f"defect-{name}", str(place)))
    return False


# --- text ------------------------------------------------------------------------------------------

_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NESTED = re.compile(rb"<\?xml\s[^<>]{0,200}\?>")
_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]{1,10});")
_AMPERSAND = re.compile(rb"&(?!(?:[A-Za-z][A-Za-z0-9]{0,15}|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)")
# A tag begins with a letter, an underscore or a character beyond ASCII; a digit or a space is a value.
_LESS = re.compile(rb"<(?![A-Za-z_/!?:\x80-\xff])")
_ROOT = re.compile(rb"<[A-Za-z_\x80-\xff][^\s/>]*")


def _outside_cdata(data: bytes, mend: Callable[[bytes], bytes]) -> bytes:
    """Mend everything but CDATA sections, where signs stand for themselves."""
    if b"<![CDATA[" not in data:
        return mend(data)
    parts: list[bytes] = []
    at = 0
    while (begin := data.find(b"<![CDATA[", at)) >= 0:
        end = data.find(b"]]>", begin)
        if end < 0:
            break
        parts += (mend(data[at:begin]), data[begin : end + 3])
        at = end + 3
    return b"".join((*parts, mend(data[at:])))


def _entity(match: re.Match[bytes]) -> bytes:
    point = name2codepoint.get(match[1].decode("ascii"))
    plain = match[1] in (b"lt", b"gt", b"amp", b"quot", b"apos")
    return match[0] if plain or point is None else chr(point).encode()


def _without_nested(data: bytes) -> bytes:
    """A document pasted into another with its declaration."""
    first = _NESTED.match(data)
    head = first.end() if first else 0
    return data[:head] + _NESTED.sub(b"", data[head:])


def _declared_prefixes(data: bytes) -> bytes:
    root = _ROOT.search(data)
    if root is None:
        return data
    added = b"".join(
        b' xmlns:%s="%s"' % (prefix.encode(), space.encode())
        for prefix, space in PREFIXES.items()
        if b"%s:" % prefix.encode() in data and b"xmlns:%s" % prefix.encode() not in data
    )
    return data[: root.end()] + added + data[root.end() :]


_TEXT: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("control-characters", lambda data: _CONTROLS.sub(b"", data)),
    ("nested-declaration", lambda data: _outside_cdata(data, _without_nested)),
    ("html-entities", lambda data: _outside_cdata(data, lambda part: _ENTITY.sub(_entity, part))),
    (
        "bare-ampersand",
        lambda data: _outside_cdata(data, lambda part: _AMPERSAND.sub(b"&amp;", part)),
    ),
    ("bare-less-than", lambda data: _outside_cdata(data, lambda part: _LESS.sub(b"&lt;", part))),
    ("undeclared-prefix", _declared_prefixes),
)


def mend(data: bytes) -> tuple[bytes, list[str]]:
    """The text with everything mended that XML never allows, and the names of what was."""
    names: list[str] = []
    for name, repair in _TEXT:
        after = repair(data)
        if after != data:
            names.append(name)
            data = after
    return data, names


# --- CDA -------------------------------------------------------------------------------------------

ITEM_CODES = ("DE04.30.019.00", "DE04.30.020.00")
_ACTS = frozenset(
    f"{{{CDA}}}{name}"
    for name in (
        "act", "encounter", "observation", "observationMedia", "organizer", "procedure",
        "regionOfInterest", "substanceAdministration", "supply", "realmCode", "typeId", "templateId",
        "reference",
    )
)  # fmt: skip
_CAMEL = {
    name.lower(): name
    for name in (
        "realmCode", "typeId", "templateId", "effectiveTime", "confidentialityCode", "languageCode",
        "setId", "versionNumber", "recordTarget", "patientRole", "patientType", "patienttypeCode",
        "administrativeGenderCode", "birthTime", "maritalStatusCode", "ethnicGroupCode",
        "providerOrganization", "assignedAuthor", "assignedPerson", "representedOrganization",
        "assignedCustodian", "representedCustodianOrganization", "legalAuthenticator",
        "signatureCode", "assignedEntity", "associatedEntity", "scopingOrganization",
        "asOrganizationPartOf", "wholeOrganization", "relatedDocument", "parentDocument",
        "componentOf", "encompassingEncounter", "healthCareFacility",
        "serviceProviderOrganization", "structuredBody", "nonXMLBody", "statusCode",
        "entryRelationship", "interpretationCode", "referenceRange", "observationRange",
        "methodCode", "targetSiteCode", "specimenRole", "specimenPlayingEntity", "originalText",
    )
}  # fmt: skip
_LETTERS = re.compile(rb"2\.16\.[0-9.]*[lIoO][0-9.lIoO]")
_OID_LETTERS = str.maketrans("lIoO", "1100")
_LOOKS_OID = re.compile(r"[0-2]\.16\.[0-9.lIoO]+\Z")
_OUTPATIENT, _INPATIENT = "2.16.156.10011.1.11", "2.16.156.10011.1.12"
_OUTPATIENT_KINDS = frozenset({"1", "2", "01", "02", "AMB", "EMER"})
_INPATIENT_KINDS = frozenset({"3", "4", "03", "04", "IMP"})


def mend_namespace(
    root: Any, data: bytes, repairs: Collection[str], issues: list[Issue]
) -> bytes | None:
    """The document's text in the right namespace when it says it is CDA and names another; else None."""
    space, _, name = root.tag.rpartition("}")
    if name.lower() != "clinicaldocument" or space == f"{{{CDA}":
        return None
    place = "line 1"
    if not space:
        if tell("namespace-missing", repairs, place, issues, otherwise="stop"):
            start = _ROOT.search(data)
            end = start.end() if start else 0
            return data[:end] + b' xmlns="%s"' % CDA.encode() + data[end:]
        return None
    wrong = space[1:]
    if wrong.translate(str.maketrans("1I", "ll")).lower() == CDA and tell(
        "namespace-digit", repairs, place, issues, otherwise="stop"
    ):
        return data.replace(wrong.encode(), CDA.encode())
    return None


def mend_tree(root: Any, data: bytes, repairs: Collection[str], issues: list[Issue]) -> None:
    """Find the defects of a CDA document and mend, in the tree, those whose repair is declared.

    Each check first asks the text whether the defect can be there at all, which costs next to nothing.
    """
    for name, suspicious, sites, repair in _TREE:
        if not suspicious(data):
            continue
        found = list(sites(root))
        if found and tell(name, repairs, Place(found[0]), issues, otherwise="note"):
            for element in found:
                repair(element)


def _capitalised(root: Any) -> Iterator[Any]:
    for element in root.iter(f"{{{CDA}}}*"):
        name = element.tag.rpartition("}")[2]
        if name[0].isupper() and name != "ClinicalDocument":
            yield element


def _lower(element: Any) -> None:
    name = element.tag.rpartition("}")[2]
    proper = _CAMEL.get(name.lower()) or (
        name.lower() if name.isupper() else name[0].lower() + name[1:]
    )
    element.tag = f"{{{CDA}}}{proper}"


def _with_oid(test: Callable[[str], bool]) -> Callable[[Any], Iterator[Any]]:
    def sites(root: Any) -> Iterator[Any]:
        for element in root.iter(f"{{{CDA}}}*"):
            if any(test(element.get(name) or "") for name in ("root", "codeSystem")):
                yield element

    return sites


def _short(oid: str) -> bool:
    return oid.startswith(("16.156.", "16.840."))


def _lettered(oid: str) -> bool:
    return bool(_LOOKS_OID.match(oid)) and any(sign in oid for sign in "lIoO")


def _mend_oid(test: Callable[[str], bool], mended: Callable[[str], str]) -> Callable[[Any], None]:
    def repair(element: Any) -> None:
        for name in ("root", "codeSystem"):
            oid = element.get(name) or ""
            if test(oid):
                element.set(name, mended(oid))

    return repair


def _misspelt(root: Any) -> Iterator[Any]:
    return (one for one in root.iter(f"{{{CDA}}}*") if one.get("determnerCode") is not None)


def _respell(element: Any) -> None:
    element.set("determinerCode", element.attrib.pop("determnerCode"))


def _names_as_codes(root: Any) -> Iterator[Any]:
    """Values of item-code elements that hold a name in Chinese and no code."""
    for code in root.iter(f"{{{CDA}}}code"):
        # The same data element is met under other headings (标本类别); only 项目代码 wants a code.
        if code.get("code") in ITEM_CODES and "代码" in (code.get("displayName") or "代码"):
            for value in code.getparent().iterchildren(f"{{{CDA}}}value"):
                text = value.text or ""
                if not value.get("code") and any("\u4e00" <= sign <= "\u9fff" for sign in text):
                    yield value


def _as_name(value: Any) -> None:
    value.set("displayName", (value.text or "").strip())
    value.text = None


def _foreign(root: Any) -> Iterator[Any]:
    for entry in root.iter(f"{{{CDA}}}entry"):
        for child in entry:
            if child.tag not in _ACTS:
                yield child


def _two_numbers(root: Any) -> Iterator[Any]:
    """The number that does not fit the kind of visit, when both hold the same."""
    for role in root.iter(f"{{{CDA}}}patientRole"):
        ids = {one.get("root"): one for one in role.iterchildren(f"{{{CDA}}}id")}
        out, into = ids.get(_OUTPATIENT), ids.get(_INPATIENT)
        if out is None or into is None or not out.get("extension"):
            continue
        if out.get("extension") != into.get("extension"):
            continue
        kinds = {
            element.get("code")
            for path in (
                f"{{{CDA}}}patientType/{{{CDA}}}patienttypeCode",
                f"../../{{{CDA}}}componentOf/{{{CDA}}}encompassingEncounter/{{{CDA}}}code",
            )
            for element in role.iterfind(path)
        }
        if kinds & _INPATIENT_KINDS:
            yield out
        elif kinds & _OUTPATIENT_KINDS:
            yield into
        else:  # nobody says which it is, so it is neither
            yield from (out, into)


def _drop(element: Any) -> None:
    element.getparent().remove(element)


def _keep(element: Any) -> None:
    """Declared as known: nothing has to change, a rule may read it."""


_CAPITAL = re.compile(rb"<[A-Z](?!linicalDocument\b)")
_PREFIXED = re.compile(rb":[A-Z]\w*[\s/>]")


def _capitals_in(data: bytes) -> bool:
    prefixed = b":ClinicalDocument" in data and _PREFIXED.search(data) is not None
    return prefixed or _CAPITAL.search(data) is not None


def _short_in(data: bytes) -> bool:
    if not any(sign in data for sign in (b'"16.', b"'16.")):
        return False
    return any(sign + oid in data for sign in (b'"', b"'") for oid in (b"16.156.", b"16.840."))


def _codes_in(data: bytes) -> bool:
    """Whether behind an item code the next value begins with a character beyond ASCII."""
    for code in ITEM_CODES:
        at = data.find(code.encode())
        while at >= 0:
            value = data.find(b"<value", at)
            begin = data.find(b">", value) + 1
            if value >= 0 and data[begin : begin + 64].lstrip()[:1] >= b"\x80":
                return True
            at = data.find(code.encode(), at + 1)
    return b":value" in data


_TREE: tuple[
    tuple[str, Callable[[bytes], object], Callable[[Any], Iterator[Any]], Callable[[Any], None]],
    ...,
] = (
    (
        "element-case",
        _capitals_in,
        _capitalised,
        _lower,
    ),
    ("oid-missing-2", _short_in, _with_oid(_short), _mend_oid(_short, lambda oid: f"2.{oid}")),
    (
        "oid-letter",
        _LETTERS.search,
        _with_oid(_lettered),
        _mend_oid(_lettered, lambda oid: oid.translate(_OID_LETTERS)),
    ),
    ("determiner-code", lambda data: b"determnerCode" in data, _misspelt, _respell),
    ("item-name-as-code", _codes_in, _names_as_codes, _as_name),
    ("foreign-elements", lambda data: b"entry" in data, _foreign, _keep),
    ("two-visit-numbers", lambda data: _INPATIENT.encode() in data, _two_numbers, _drop),
)

NAMES = (
    "encoding-gb18030",
    "encoding-utf8",
    *(name for name, _ in _TEXT),
    "namespace-digit",
    "namespace-missing",
    *(name for name, *_ in _TREE),
)
"""Every repair that `[source] repair` may declare."""
