"""Which HL7 v2 segment belongs to which: declared for each segment, never searched for."""

from __future__ import annotations

from mappings.engine.er7segments import Group, Segment, compile_address
from mappings.engine.model import Issue
from mappings.engine.reader import Getter, Letter

_HEADERS = frozenset({"MSH", "SFT", "UAC", "EVN", "PID", "PD1", "PV1", "PV2", "MRG", "ARV"})
_RESULTS = ("ORU", "OUL")


_MSH = [compile_address(f"MSH-{where}") for where in ("9.1", "9.2", "10", "3", "7")]


def _text(get: Getter, scope: Group) -> str:
    values = get(scope)
    return values[0].text if values else ""


def group(segments: list[Segment], digest: str, issues: list[Issue]) -> list[Letter]:
    head = segments[0]
    message = Group("message", head, None)

    code, event, control_id, sender, sent = (_text(get, message) for get in _MSH)
    kind = f"{code}^{event}" if event else code
    if not kind:
        stop = Issue("stop", "no-kind", "MSH-9 (line 1)")
        return [Letter(control_id, "", sender, sent, None, digest, (stop,))]
    if not control_id:
        issues.append(Issue("note", "no-control-id", "MSH-10 (line 1)"))
    grouper = _Grouper(head, code, issues)
    for segment in segments[1:]:
        grouper.place(segment)
    roots = grouper.finish()
    letters: list[Letter] = []
    for number, root in enumerate(roots, 1):
        own = tuple(issues) if number == 1 else ()
        if number > 1:
            own = (Issue("note", "second-patient", str(root.own["PID"][0].where())),)
        letters.append(
            Letter(
                control_id if number == 1 else f"{control_id}#{number}",
                kind,
                sender,
                sent,
                root,
                digest if number == 1 else f"{digest}#{number}",
                own,
            )
        )
    return letters


class _Grouper:
    """Declared grouping: who belongs to whom is never searched for and never bound to a neighbour."""

    def __init__(self, head: Segment, code: str, issues: list[Issue]) -> None:
        self.head, self.issues = head, issues
        self.results = code in _RESULTS
        self.common: list[Segment] = []
        self.roots: list[Group] = []
        self.start()

    def start(self) -> None:
        self.root = Group("message", self.head, None)
        for segment in self.common:
            self.root.add(segment)
        self.order: Group | None = None
        self.specimen: Group | None = None
        self.orc: Segment | None = None
        # The segment that notes belong to: the nearest OBR, OBX or PID above.
        self.noted: Group = self.root
        self.roots.append(self.root)

    def place(self, segment: Segment) -> None:
        name = segment.name
        if name == "PID" and "PID" in self.root.own:
            self.flush()
            self.start()
        match name:
            case "OBR":
                self.open_order(segment)
            case "ORC":
                self.flush()
                self.orc, self.order = segment, None
            case "OBX":
                self.result(segment)
            case "NTE":
                self.noted.add(segment)
            case "SPM":
                self.open_specimen(segment)
            case (
                "SAC"
                | "CTD"
                | "TQ1"
                | "TQ2"
                | "CTI"
                | "FT1"
                | "BLG"
                | "RXO"
                | "RXE"
                | "RXR"
                | "RXD"
            ):
                (self.order or self.root).add(segment)
            case _ if name in _HEADERS:
                self.header(segment)
            case _:
                # DG1, AL1, NK1, IN1, Z segments …: each its own small group of the patient.
                Group(name, segment, self.root)
                self.root.add(segment)

    def header(self, segment: Segment) -> None:
        if "PID" not in self.root.own and segment.name in ("EVN", "SFT", "UAC"):
            self.common.append(segment)
        self.root.add(segment)
        if segment.name == "PID":
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
        self.noted = self.order

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
        if self.specimen is not None:
            parent = (
                self.order
                if self.order is not None and self.specimen.parent is self.root
                else (self.specimen)
            )
        else:
            parent = self.order or self.root
        if parent is self.root and self.results:
            self.issues.append(Issue("note", "orphan", segment.where()))
            return
        self.noted = Group("OBX", segment, parent)
        parent.add(segment)

    def flush(self) -> None:
        """An ORC that no OBR followed stands alone."""
        if self.orc is not None:
            Group("ORC", self.orc, self.root)
            self.root.add(self.orc)
            self.orc = None

    def finish(self) -> list[Group]:
        self.flush()
        if "PID" not in self.root.own and not any("PID" in root.own for root in self.roots):
            self.issues.append(Issue("stop", "no-patient", "PID"))
        return self.roots
