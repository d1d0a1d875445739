"""Which HL7 v2 segment belongs to which: declared for each segment, never searched for.

A message becomes one letter per patient. Merges say something of two patients, so they become two:
one about the patient that stays, and one of kind ``MRG^A40`` about the number that is no longer used,
whose group holds PID and MRG. In A24 and A37 the second patient's letter holds the first PID too,
under the name ``PI1``. An OBX that holds a document opens a group of its own kind, ``DOC``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mappings.engine.attachments import MARK
from mappings.engine.er7segments import Group, Segment, compile_address
from mappings.engine.model import Issue
from mappings.engine.reader import Getter, Letter

_HEADERS = frozenset({"MSH", "SFT", "UAC", "EVN", "PID", "PD1", "PV1", "PV2", "MRG", "ARV"})
_COMMON = frozenset({"EVN", "SFT", "UAC"})
"""Segments above the patient: true of every patient of the message."""
_RESULTS = frozenset({"ORU", "OUL"})
_ORDERS = frozenset({"ORM", "OMG", "OML", "OMI", "ORR", "ORL", "OPL"})
_DOCUMENTS = frozenset({"MDM"})
_ORC_LAST = frozenset({"R22", "R23", "R24"})
"""Events whose ORC stands behind the OBR it belongs to (HL7 2.5.1 chapter 7.3.6 to 7.3.8)."""
_ORDER_PARTS = frozenset(
    {"CTD", "TQ1", "TQ2", "CTI", "FT1", "BLG", "TCD", "RXR", "RXC", "RXD", "TXA"}
)
_OTHER_ORDERS = frozenset({"RXO", "RXE", "RQD", "RQ1", "ODS", "ODT"})
"""What is ordered where it is no examination: opens an order like an OBR does."""
_CONTAINERS = frozenset({"SAC", "INV", "SID"})
_DOCUMENT_TYPES = frozenset({"ED", "RP"})
MERGES = frozenset({"A18", "A30", "A34", "A36", "A39", "A40", "A46", "A47"})
"""ADT events by which the number of MRG-1 is no longer used and that of PID-3 stands for it."""
PAIRS = frozenset({"A24", "A37"})
"""ADT events about two PID segments: two numbers are one person, or are not after all."""


_MSH = [compile_address(f"MSH-{where}") for where in ("9.1", "9.2", "9.3", "10", "3", "7")]


def _text(get: Getter, scope: Group) -> str:
    values = get(scope)
    return values[0].text if values else ""


def _kind(code: str, event: str, structure: str, segments: list[Segment]) -> tuple[str, str]:
    """Message code and event. Where MSH-9.2 is empty, EVN-1 or the structure's name says the event.

    ``ADT_A01`` stands for many events and says none; ``ORU_R01`` in the place of the code says both.
    """
    if "_" in code and not event:
        code, structure = code.partition("_")[0], code
    if not event and code == "ADT":
        evn = next((segment for segment in segments if segment.name == "EVN"), None)
        event = evn.field(1).strip() if evn is not None else ""
    elif not event and structure.startswith(f"{code}_"):
        event = structure[len(code) + 1 :]
    return code, event


def group(
    segments: list[Segment], digest: str, issues: list[Issue], blobs: Mapping[str, Any]
) -> list[Letter]:
    """The letters of one message; `issues` (those of reading it) go with the first of them.

    Each letter may use all documents that were cut out of the message (`blobs`).
    """
    head = segments[0]
    message = Group("message", head, None)

    code, event, structure, control_id, sender, sent = (_text(get, message) for get in _MSH)
    code, event = _kind(code, event, structure, segments)
    kind = f"{code}^{event}" if event else code
    if not kind:
        stop = Issue("stop", "no-kind", "MSH-9 (line 1)")
        return [Letter(control_id, "", sender, sent, None, digest, (stop,))]
    if not control_id:
        issues.append(Issue("note", "no-control-id", "MSH-10 (line 1)"))
    grouper = _Grouper(head, code, event, issues)
    for segment in segments[1:]:
        grouper.place(segment)
    letters: list[Letter] = []
    for root in grouper.finish():
        number = len(letters) + 1
        own = tuple(issues) if number == 1 else ()
        if number > 1 and code != "ADT":
            own = (Issue("note", "second-patient", str(root.own["PID"][0].where())),)
        retired = root.own.get("MRG", ()) if code == "ADT" and event in MERGES else ()
        said = (kind, *(f"MRG^{event}" for _ in retired))
        for other, what in enumerate(said):
            part = _retiring(root, retired[other - 1]) if other else root
            number = len(letters) + 1
            letters.append(
                Letter(
                    control_id if number == 1 else f"{control_id}#{number}",
                    what,
                    sender,
                    sent,
                    part,
                    digest if number == 1 else f"{digest}#{number}",
                    () if other else own,
                    blobs,
                )
            )
    return letters


def _retiring(root: Group, merge: Segment) -> Group:
    """What is said of the number in one MRG: the heads of its patient's part, and that MRG."""
    part = Group("message", root.head, None)
    for name in ("EVN", "PID"):
        for segment in root.own.get(name, ()):
            part.add(segment)
    part.add(merge)
    return part


def is_document(segment: Segment) -> bool:
    """Whether an OBX holds a document and no result: by its type, or because one was cut out of it."""
    fields = segment.fields
    if len(fields) > 5:
        return fields[2] in _DOCUMENT_TYPES or MARK in fields[5]
    return segment.field(2) in _DOCUMENT_TYPES


class _Grouper:
    """Declared grouping: who belongs to whom is never searched for and never bound to a neighbour."""

    def __init__(self, head: Segment, code: str, event: str, issues: list[Issue]) -> None:
        self.head, self.issues = head, issues
        self.results = code in _RESULTS
        self.orders = code in _ORDERS
        self.documents = code in _DOCUMENTS
        self.strict = self.results or self.orders or self.documents
        self.pairs = code == "ADT" and event in PAIRS
        self.orc_last = code == "OUL" and event in _ORC_LAST
        self.common: list[Segment] = []
        self.roots: list[Group] = []
        self.start()

    def start(self) -> None:
        self.root = Group("message", self.head, None)
        for segment in self.common:
            self.root.add(segment)
        self.order: Group | None = None
        self.specimen: Group | None = None
        self.document: Group | None = None
        self.orc: Segment | None = None
        # Containers in front of the OBR they belong to (OUL^R21).
        self.containers: list[Segment] = []
        # The segment that notes belong to: the nearest OBR, OBX or PID above.
        self.noted: Group = self.root
        self.last = ""
        self.roots.append(self.root)

    def place(self, segment: Segment) -> None:
        name = segment.name
        if name == "OBX":
            # By far the most frequent.
            self.result(segment)
            self.last = name
            return
        if name == "PID" and "PID" in self.root.own:
            self.next_patient()
        match name:
            case "OBR":
                self.open_order(segment)
            case "ORC":
                self.open_common_order(segment)
            case "NTE":
                self.noted.add(segment)
            case "SPM":
                self.open_specimen(segment)
            case "TXA" if self.documents:
                self.document = self.noted = Group("TXA", segment, self.root)
                self.root.add(segment)
            case "PRT":
                self.noted.add(segment)
            case _ if name in _CONTAINERS:
                self.container(segment)
            case _ if name in _OTHER_ORDERS and self.orc is not None:
                self.order = self.noted = Group("ORC", self.orc, self.root)
                self.order.add(segment)
                self.orc = None
            case _ if name in _ORDER_PARTS or name in _OTHER_ORDERS:
                self.order_part(segment)
            case _ if name in _HEADERS:
                self.header(segment)
            case _:
                # AL1, NK1, IN1, Z segments …: each its own small group of the patient; the
                # diagnoses of an order belong to the order.
                above = self.order if name == "DG1" and self.orders and self.order else self.root
                Group(name, segment, above)
                above.add(segment)
        if name != "PRT":
            self.last = name

    def next_patient(self) -> None:
        self.flush()
        first = self.root.own["PID"][0]
        self.start()
        if self.pairs:
            self.root.own["PI1"] = [first]

    def header(self, segment: Segment) -> None:
        name = segment.name
        if name in _COMMON and "PID" not in self.root.own:
            self.common.append(segment)
        late = self.order or self.orc or self.specimen or self.document
        early = name in ("PV1", "PV2", "PD1") and "PID" not in self.root.own
        if late or early:
            self.issues.append(Issue("note", "segment-order", segment.where()))
        self.root.add(segment)
        if name == "PID":
            self.noted = self.root

    def open_common_order(self, segment: Segment) -> None:
        if self.orc_last and self.last == "OBR" and self.order is not None:
            self.order.add(segment)
            return
        self.stand_alone()
        self.orc, self.order = segment, None
        self.noted = self.root

    def open_order(self, segment: Segment) -> None:
        if self.specimen is not None and self.specimen.parent is self.root:
            parent = self.specimen
        else:
            parent, self.specimen = self.root, None
        self.order = Group("OBR", segment, parent)
        if self.orc is not None:
            self.order.add(self.orc)
            self.orc = None
        for container in self.containers:
            self.order.add(container)
        self.containers = []
        self.noted = self.order

    def order_part(self, segment: Segment) -> None:
        if self.order is not None:
            self.order.add(segment)
        elif (self.results or self.orders) and self.orc is None:
            self.issues.append(Issue("drop", "orphan", segment.where()))
        else:
            self.root.add(segment)

    def container(self, segment: Segment) -> None:
        """A container belongs to the specimen above it, else to the OBR above or below it."""
        if self.specimen is not None:
            self.specimen.add(segment)
        elif self.order is not None and self.last not in ("OBX", "NTE"):
            self.order.add(segment)
        else:
            self.containers.append(segment)

    def open_specimen(self, segment: Segment) -> None:
        """SPM behind its OBR belongs to that order; in front of every OBR it opens a specimen group."""
        under = self.order is None or self.order.parent is not self.root
        if under:
            self.specimen = Group("SPM", segment, self.root)
            self.order = None
        elif self.order is not None:
            self.specimen = Group("SPM", segment, self.order)
            self.order.add(segment)
        self.noted = self.specimen or self.root

    def result(self, segment: Segment) -> None:
        parent: Group
        if self.document is not None:
            parent = self.document
        elif self.specimen is not None:
            parent = (
                self.order
                if self.order is not None and self.specimen.parent is self.root
                else (self.specimen)
            )
        else:
            parent = self.order or self.root
        if parent is self.root and self.strict:
            self.issues.append(Issue("hold", "orphan", segment.where()))
            return
        self.noted = Group("DOC" if is_document(segment) else "OBX", segment, parent)
        parent.add(segment)

    def stand_alone(self) -> None:
        """An ORC that no OBR followed stands alone."""
        if self.orc is not None:
            Group("ORC", self.orc, self.root)
            self.root.add(self.orc)
            self.orc = None

    def flush(self) -> None:
        """The end of a patient: what still waits for an OBR stands alone, or has no parent."""
        self.stand_alone()
        for container in self.containers:
            self.issues.append(Issue("drop", "orphan", container.where()))
        self.containers = []

    def finish(self) -> list[Group]:
        self.flush()
        if "PID" not in self.root.own and not any("PID" in root.own for root in self.roots):
            self.issues.append(Issue("stop", "no-patient", "PID"))
        return self.roots
