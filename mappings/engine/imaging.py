"""Functions for image studies: UIDs, accession numbers, modalities, and the series with what their quality is judged by.

They read DICOM scopes (`dicominput`): a study's series and their instances.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, DivisionByZero, InvalidOperation
from typing import TYPE_CHECKING, Any

from mappings.engine import times, values
from mappings.engine.bound import Apply, Bound, Function, Setup
from mappings.engine.reader import Getter, Value
from mappings.engine.tables import Table

if TYPE_CHECKING:
    from mappings.engine.interpret import Instance

DCM = "http://dicom.nema.org/resources/ontology/DCM"
UCUM = "http://unitsofmeasure.org"
URI = "urn:ietf:rfc:3986"
_UID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+")
_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_COUNT = re.compile(r"0|[1-9]\d{0,8}")


def _make_uid(setup: Setup, bound: Bound) -> Apply:
    """dicom_uid: the identifier of a DICOM object (FHIR R4 ImagingStudy.identifier)."""

    def uid(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        if not _UID.fullmatch(value.text) or len(value.text) > 64:
            at.issue("note", "dicom-uid-form", value.place)
        return {"system": "urn:dicom:uid", "value": f"urn:oid:{value.text}"}

    return uid


def _make_accession(setup: Setup, bound: Bound) -> Apply:
    """accession: an accession number (检查号) as a typed identifier of the organisation."""
    system = setup.source.system_of("accession")
    typed = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]
    }
    return lambda found, at: {"type": typed, "system": system, "value": found[0].text}


def _make_count(setup: Setup, bound: Bound) -> Apply:
    """count: a whole number."""

    def count(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        if not _COUNT.fullmatch(value.text):
            at.issue("drop", "not-a-number", value.place)
            return None
        return int(value.text)

    return count


def _make_endpoints(setup: Setup, bound: Bound) -> Apply:
    """endpoints: where images can be had: application entity titles and web addresses, as logical references."""
    system = setup.source.system_of("ae-title")

    def endpoints(found: Sequence[Value], at: Instance) -> Any:
        return [_endpoint(value.text, system) for value in found]

    return endpoints


def _endpoint(text: str, system: str) -> dict[str, Any]:
    system = URI if "://" in text else system
    return {"type": "Endpoint", "identifier": {"system": system, "value": text}}


def _make_modalities(setup: Setup, bound: Bound) -> Apply:
    """modalities(table): DICOM's own modality codes; an unknown one stays the sender's."""
    table = bound.tables["modalities"]

    def modalities(found: Sequence[Value], at: Instance) -> Any:
        nodes = []
        for value in found:
            node = _modality(value, table, at)
            if node not in nodes:
                nodes.append(node)
        return nodes

    return modalities


def _row(table: Table, text: str) -> Any:
    return table.get(text) or table.get(values.fold(text).upper())


def _modality(value: Value, table: Table, at: Instance) -> dict[str, Any]:
    row = _row(table, value.text)
    if row is None or not row.get("target"):
        _unknown(table, value, at)
        return {"system": table.system, "code": value.text}
    return {"system": DCM, "code": row["target"]}


def _unknown(table: Table, value: Value, at: Instance) -> None:
    """Tell it once of a study: all its series say the same."""
    if not any((one.table, one.code) == (table.name, value.text) for one in at.run.unmapped):
        at.issue("note", "unmapped-code", value.place)
        at.unmapped(table.name, value.text)


# --- series ----------------------------------------------------------------------------------------

_QUALITY: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("sliceThickness", "Quantity", "mm",
     ("SliceThickness", "SharedFunctionalGroupsSequence.PixelMeasuresSequence.SliceThickness")),
    ("spacingBetweenSlices", "Quantity", "mm", ("SpacingBetweenSlices",)),
    ("kvp", "Quantity", "kV",
     ("KVP", "SharedFunctionalGroupsSequence.CTXRayDetailsSequence.KVP")),
    ("fieldStrength", "Quantity", "T", ("MagneticFieldStrength",)),
    ("viewPosition", "String", "", ("ViewPosition", "ViewCodeSequence.CodeMeaning")),
    ("scanningSequence", "String", "", ("ScanningSequence[*]",)),
    ("contrastAgent", "String", "",
     ("ContrastBolusAgent", "ContrastBolusAgentSequence.CodeMeaning")),
    ("manufacturer", "String", "", ("Manufacturer",)),
    ("model", "String", "", ("ManufacturerModelName",)),
    ("lossyCompression", "String", "", ("LossyImageCompression",)),
    ("burnedInAnnotation", "String", "", ("BurnedInAnnotation",)),
)  # fmt: skip
"""Facts a receiver judges images by (name in the extension, type, UCUM unit, attributes best first)."""
_COLLIMATION = ("SingleCollimationWidth", "TotalCollimationWidth")
_READS = (
    "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances",
    "SeriesDate+SeriesTime", "RetrieveAETitle[*]", "RetrieveURL[*]", "SOPInstanceUID", "SOPClassUID",
    "InstanceNumber", "DocumentTitle", "ConceptNameCodeSequence.CodeMeaning", *_COLLIMATION,
    *(address for *_, addresses in _QUALITY for address in addresses),
)  # fmt: skip


def _make_series(setup: Setup, bound: Bound) -> Apply:
    """imaging_series(modalities, body_parts, laterality, modality=, body=, side=): ImagingStudy.series.

    One element for each series below, with its instances. What a series is judged by (slice thickness,
    kV, field strength, contrast …) stands in the extension image-quality, digits as sent. Counts of
    series and instances are offered to the study: what is known so far.
    """
    return _Series(setup, bound).make


class _Series:
    def __init__(self, setup: Setup, bound: Bound) -> None:
        self.tables, self.bound, self.source = bound.tables, bound, setup.source
        self.reads = bound.reads
        self.quality_url = setup.extension("image-quality")
        self.sent_url = setup.extension("modality-as-sent")
        self.endpoint_system = setup.source.system_of("ae-title")
        self.body_system = setup.code_system("body-part-examined")
        self.side_system = setup.code_system("laterality")

    def make(self, found: Sequence[Value], at: Instance) -> Any:
        nodes = []
        for scope in at.scope.children("series"):
            inner = type(at)(at.block, scope, at.run)  # the same rule, seen from a series
            inner.rule = at.rule
            if (node := self.series(scope, inner)) is not None:
                nodes.append(node)
        if nodes:
            at.offer("numberOfSeries", len(nodes))
            at.offer("numberOfInstances", sum(node["numberOfInstances"] for node in nodes))
        return nodes or None

    def series(self, scope: Any, at: Instance) -> dict[str, Any] | None:
        uid = self.first(scope, "SeriesInstanceUID")
        if uid is None or not _FHIR_ID.fullmatch(uid.text):
            at.issue("drop", "dicom-uid-form", scope.place)
            return None
        node: dict[str, Any] = {"uid": uid.text}
        number = self.first(scope, "SeriesNumber")
        if number is not None and _COUNT.fullmatch(number.text):
            node["number"] = int(number.text)
        modality = self.bound.first("modality", at)
        if modality is None:
            at.issue("drop", "dicom-modality-missing", scope.locate("Modality"))
            return None
        node["modality"] = _modality(modality, self.tables["modalities"], at)
        if (said := self.first(scope, "SeriesDescription")) is not None:
            node["description"] = said.text
        instances = list(self.instances(scope, at))
        stated = self.first(scope, "NumberOfSeriesRelatedInstances")
        known = int(stated.text) if stated and _COUNT.fullmatch(stated.text) else 0
        node["numberOfInstances"] = max(known, len(instances))
        where = [*self.reads["RetrieveAETitle[*]"](scope), *self.reads["RetrieveURL[*]"](scope)]
        if where:
            node["endpoint"] = [_endpoint(one.text, self.endpoint_system) for one in where]
        self.anatomy(node, scope, at)
        if (started := self.first(scope, "SeriesDate+SeriesTime")) is not None:
            moment = times.read(started.text, self.source.zone)
            if isinstance(moment, times.Moment):
                node["started"] = moment.text
        if instances:
            node["instance"] = instances
        extensions = self.extensions(scope, modality, node["modality"]["code"])
        if extensions:
            node["extension"] = extensions
        return node

    def anatomy(self, node: dict[str, Any], scope: Any, at: Instance) -> None:
        body, side = self.bound.first("body", at), self.bound.first("side", at)
        paired = False
        if body is not None:
            row = _row(self.tables["body_parts"], body.text)
            if row is None:
                _unknown(self.tables["body_parts"], body, at)
                node["bodySite"] = {"display": body.text}
            else:
                paired = row.get("laterality") == "required"
                site = {"system": self.body_system, "code": row["target"]}
                if body.text != row["target"]:
                    site["display"] = body.text
                node["bodySite"] = site
        if side is not None:
            row = _row(self.tables["laterality"], side.text)
            if row is None:
                _unknown(self.tables["laterality"], side, at)
                node["laterality"] = {"display": side.text}
            else:
                node["laterality"] = {"system": self.side_system, "code": row["target"]}
        elif paired:
            at.issue("note", "laterality-missing", scope.locate("Laterality"))

    def extensions(self, scope: Any, modality: Value, code: str) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        if modality.text != code:
            made.append({"url": self.sent_url, "valueString": modality.text})
        facts = list(_facts(scope, self.reads))
        if facts:
            made.append({"url": self.quality_url, "extension": facts})
        return made

    def first(self, scope: Any, address: str) -> Value | None:
        found = self.reads[address](scope)
        return found[0] if found else None

    def instances(self, scope: Any, at: Instance) -> Iterator[dict[str, Any]]:
        seen = set()
        for instance in scope.children("instance"):
            uid, kind = self.first(instance, "SOPInstanceUID"), self.first(instance, "SOPClassUID")
            if uid is None or kind is None or not _FHIR_ID.fullmatch(uid.text):
                at.issue("drop", "dicom-uid-form", instance.place)
                continue
            if uid.text in seen:
                continue
            seen.add(uid.text)
            node: dict[str, Any] = {
                "uid": uid.text,
                "sopClass": {"system": URI, "code": f"urn:oid:{kind.text}"},
            }
            number = self.first(instance, "InstanceNumber")
            if number is not None and _COUNT.fullmatch(number.text):
                node["number"] = int(number.text)
            title = self.first(instance, "DocumentTitle") or self.first(
                instance, "ConceptNameCodeSequence.CodeMeaning"
            )
            if title is not None:
                node["title"] = title.text
            yield node


def _facts(scope: Any, reads: Mapping[str, Getter]) -> Iterator[dict[str, Any]]:
    for name, kind, unit, addresses in _QUALITY:
        found = next((some for one in addresses if (some := reads[one](scope))), ())
        if not found:
            continue
        if kind == "String":
            yield {"url": name, "valueString": "\\".join(value.text for value in found)}
        elif (digits := values.digits(found[0].text)) is not None:
            quantity = {"value": values.number(digits), "unit": unit, "system": UCUM, "code": unit}
            yield {"url": name, "valueQuantity": quantity}
    single, total = (reads[one](scope) for one in _COLLIMATION)
    rows = _detector_rows(single[0], total[0]) if single and total else 0
    if rows:
        yield {"url": "detectorRows", "valueInteger": rows}


def _detector_rows(single: Value, total: Value) -> int:
    """Rows of a CT detector in use: how often the single width goes into the total one, 0 when not whole."""
    try:
        rows = Decimal(total.text) / Decimal(single.text)
    except (InvalidOperation, DivisionByZero):
        return 0
    whole = int(rows.to_integral_value()) if rows.is_finite() and 0 < rows < 10_000 else 0
    return whole if whole and abs(rows - whole) < Decimal("0.05") else 0


FUNCTIONS = {
    "dicom_uid": Function(_make_uid),
    "accession": Function(_make_accession),
    "count": Function(_make_count),
    "endpoints": Function(_make_endpoints),
    "modalities": Function(
        _make_modalities, order=("modalities",), tables=("modalities",), needs=("modalities",)
    ),
    "imaging_series": Function(
        _make_series,
        own=True,
        order=("modalities", "body_parts", "laterality"),
        tables=("modalities", "body_parts", "laterality"),
        needs=("modalities", "body_parts", "laterality"),
        sources=("modality", "body", "side"),
        reads=_READS,
    ),
}
