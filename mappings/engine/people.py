"""Functions for persons, times and texts: identifiers, names, sex, addresses, doctors, dates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mappings.engine import identity, times, values
from mappings.engine.bound import Apply, Bound, Function, Setup
from mappings.engine.elements import Choice, checked_identifier
from mappings.engine.model import LocalId
from mappings.engine.reader import Value

if TYPE_CHECKING:
    from mappings.engine.interpret import Instance


def _make_identifiers(setup: Setup, bound: Bound) -> Apply:
    """identifiers: every repetition of PID-3 whose type the source's `ids` declares."""
    ids = setup.source.ids

    def identifiers(found: Sequence[Value], at: Instance) -> Any:
        nodes: list[dict[str, Any]] = []
        for value in found:
            if not value.text:
                continue
            space = ids.get(value.part(5))
            if space is None:
                at.issue("note", "undeclared-id-type", value.place)
                continue
            node = checked_identifier(space, value.text, at, value.place)
            if node is not None and node not in nodes:
                nodes.append(node)
        return nodes or None

    return identifiers


def _other_patient(setup: Setup, found: Sequence[Value], at: Instance, undone: bool) -> str | None:
    """The chart id behind the best declared number of another patient, noted as joined with this one."""
    ids, run = setup.source.ids, at.run
    spaces = at.block.spaces
    numbers = {ids.get(value.part(5), ""): value for value in reversed(found) if value.text}
    space = next((space for space in spaces if space in numbers), None)
    if space is None:
        at.issue("hold", "merge-unknown-number", found[0].place)
        return None
    other = LocalId(space, identity.local_number(numbers[space].text).value)
    own = next((local for space in spaces for local in run.local if local.space == space), None)
    if other == own or not other.number:
        at.issue("hold", "merge-same-number", numbers[space].place)
        return None
    run.joined.append((other, undone))
    return run.ids(space, "Patient", (other.number,))


def _make_joined(setup: Setup, bound: Bound) -> Apply:
    """joined('replaced-by'): Patient.link to the patient of another PID-3, who is the same person."""
    type_ = bound.texts["type"]

    def joined(found: Sequence[Value], at: Instance) -> Any:
        chart = _other_patient(setup, found, at, undone=False)
        return chart and [{"other": {"reference": f"Patient/{chart}"}, "type": type_}]

    return joined


def _make_parted(setup: Setup, bound: Bound) -> Apply:
    """parted: the patient of another PID-3 is not the same person after all (A37); deletes the element."""

    def parted(found: Sequence[Value], at: Instance) -> Any:
        at.nulled = _other_patient(setup, found, at, undone=True) is not None

    return parted


def _make_person_name(setup: Setup, bound: Bound) -> Apply:
    """person_name: the whole Chinese name as text; pinyin as a second name."""

    def person_name(found: Sequence[Value], at: Instance) -> Any:
        names = [name for value in found for name in identity.human_names(value.parts)]
        return names or None

    return person_name


def _make_gender(setup: Setup, bound: Bound) -> Apply:
    """gender(sex): administrative-gender; a row may carry an issue code in `alarm` (FEMAIL)."""
    table = bound.tables["sex"]

    def gender(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        row = table.get(value.text) or table.get(values.fold(value.text).upper())
        if row is None:
            at.issue("drop", "unknown-code", value.place)
            at.unmapped(table.name, value.text)
            return None
        if row.get("alarm"):
            at.issue("note", row["alarm"], value.place)
        return row["target"]

    return gender


_USES = {
    "PRN": "home", "ORN": "home", "VHN": "home", "WPN": "work", "PRS": "mobile", "EMR": "home",
}  # fmt: skip
"""HL7 table 0201 to contact-point-use."""
_TELECOMS = {"PH": "phone", "CP": "phone", "FX": "fax", "BP": "pager", "SAT": "phone"}
"""HL7 table 0202 to contact-point-system."""


def _make_telecom(setup: Setup, bound: Bound) -> Apply:
    """phone or phone('home'): the number as written; area and local number joined when the first component is empty.

    XTN-2 and XTN-3 say what it is for and what kind it is; XTN-4 is an electronic mail address.
    """
    use = bound.texts.get("use", "")

    def phone(found: Sequence[Value], at: Instance) -> Any:
        nodes = []
        for value in found:
            number = value.part(1) or value.part(12) or (value.part(6) + value.part(7))
            number = values.fold(number)
            said = _USES.get(value.part(2), use)
            shared = {"use": said} if said else {}
            if number and any(sign.isdigit() for sign in number):
                kind = _TELECOMS.get(value.part(3), "phone")
                nodes.append({"system": kind, "value": number, **shared})
            if value.part(4):
                nodes.append({"system": "email", "value": value.part(4), **shared})
        return nodes or None

    return phone


def _make_address(setup: Setup, bound: Bound) -> Apply:
    """address: one text; the parts too when the sender filled more than the first."""
    names = ((3, "city"), (4, "state"), (5, "postalCode"), (6, "country"), (9, "district"))

    def address(found: Sequence[Value], at: Instance) -> Any:
        nodes = []
        for value in found:
            parts = [value.part(number).replace("&", " ").strip() for number in range(1, 10)]
            if not any(parts[:6]):
                continue
            shown = [part for part in parts[:6] if part]
            node: dict[str, Any] = dict(_PLACES.get(parts[6], {}))
            node["text"] = " ".join(shown)
            if any(parts[2:6]) or parts[8]:
                lines = [part for part in parts[:2] if part]
                if lines:
                    node["line"] = lines
                node.update((name, parts[at_ - 1]) for at_, name in names if parts[at_ - 1])
            nodes.append(node)
        return nodes or None

    return address


_PLACES = {
    "H": {"use": "home"}, "B": {"use": "work"}, "O": {"use": "work"}, "C": {"use": "temp"},
    "BA": {"use": "old"}, "BI": {"use": "billing"}, "M": {"type": "postal"},
    "SH": {"type": "postal"},
}  # fmt: skip
"""HL7 table 0190 to address-use and address-type."""


def _make_practitioner(setup: Setup, bound: Bound) -> Apply:
    """practitioner: a logical reference from ``D001^李^四``, ``1371&王然`` or a bare name."""
    system = f"{setup.source.base_url}/sid/{setup.source.org}/staff"

    def practitioner(found: Sequence[Value], at: Instance) -> Any:
        value = found[0]
        number, name = (
            value.part(1),
            "".join(part.split("&", 1)[0] for part in (value.part(2), value.part(3))),
        )
        if "&" in number and not name:
            # The name of OBR-32 to OBR-35 stands in subcomponents of the first component (NDL).
            number, *named = number.split("&")
            name = "".join(named[:2])
            if name.isascii():
                name = " ".join(part for part in (*named[1:2], *named[:1]) if part)
        if name and name.isascii():
            family, given = value.part(2).split("&", 1)[0], value.part(3)
            name = " ".join(part for part in (given, family) if part)
        if not name and number and not number.isascii():
            number, name = "", number
        node: dict[str, Any] = {"type": "Practitioner"}
        if number:
            node["identifier"] = {"system": system, "value": number}
        if name:
            node["display"] = name
        return node if len(node) > 1 else None

    return practitioner


def _moment(
    found: Sequence[Value], at: Instance, form: str, quiet: bool, ahead: bool = False
) -> times.Moment | None:
    value = found[0]
    pseudo = bool(at.run.source.options.get("pseudo_utc"))
    moment = times.read(value.text, at.run.source.zone, form, pseudo)
    if isinstance(moment, times.BadTime):
        at.issue("drop", moment.code, value.place)
        return None
    if not ahead and at.in_future(moment.us):
        at.issue("drop", "future-time", value.place)
        return None
    if not quiet:
        for code in moment.notes:
            at.issue("note", code, value.place)
    return moment


def _make_time(setup: Setup, bound: Bound) -> Apply:
    """time or time('%Y-%m-%d %H:%M'): a dateTime at the sender's precision."""
    form = bound.texts.get("format", "")

    def time(found: Sequence[Value], at: Instance) -> Any:
        moment = _moment(found, at, form, quiet=False)
        return None if moment is None else moment.text

    return time


def _make_instant(setup: Setup, bound: Bound) -> Apply:
    """instant: a full time with offset, for issued and recorded; a bare date is none."""
    return _precise(bound, ahead=False)


def _make_planned(setup: Setup, bound: Bound) -> Apply:
    """planned: a dateTime that may lie ahead, as the end of a contract does; everywhere else that is a mistake."""
    form = bound.texts.get("format", "")

    def planned(found: Sequence[Value], at: Instance) -> Any:
        moment = _moment(found, at, form, quiet=False, ahead=True)
        return None if moment is None else moment.text

    return planned


def _make_planned_instant(setup: Setup, bound: Bound) -> Apply:
    """planned_instant: the same with offset, for the start and end of an appointment; a bare date is none."""
    return _precise(bound, ahead=True)


def _precise(bound: Bound, *, ahead: bool) -> Apply:
    form = bound.texts.get("format", "")

    def precise(found: Sequence[Value], at: Instance) -> Any:
        moment = _moment(found, at, form, quiet=False, ahead=ahead)
        if moment is None:
            return None
        if not moment.precise:
            at.issue("drop", "bad-time", found[0].place)
            return None
        return moment.text

    return precise


def _make_date(setup: Setup, bound: Bound) -> Apply:
    """date: the day alone, for birthDate; a time of day behind it is left off."""
    form = bound.texts.get("format", "")

    def date(found: Sequence[Value], at: Instance) -> Any:
        moment = _moment(found, at, form, quiet=True)
        return None if moment is None else moment.text[:10]

    return date


def _make_span(setup: Setup, bound: Bound) -> Apply:
    """span(end=OBR-8): a dateTime, or a Period when there is an end."""
    moment = _make_time(setup, Bound())

    def span(found: Sequence[Value], at: Instance) -> Any:
        start, last = moment(found, at) if found else None, bound.first("end", at)
        end = moment((last,), at) if last is not None else None
        if end is None:
            return start and Choice("DateTime", start)
        return Choice("Period", {"start": start, "end": end} if start else {"end": end})

    return span


def _make_text(setup: Setup, bound: Bound) -> Apply:
    """text: all values, one a line."""
    return lambda found, at: "\n".join(value.whole for value in found)


def _make_note(setup: Setup, bound: Bound) -> Apply:
    """note(author=NTE-5, time=NTE-6): an Annotation holding all values, one a line."""
    person = _make_practitioner(setup, bound)
    moment = _make_time(setup, Bound())

    def note(found: Sequence[Value], at: Instance) -> Any:
        node: dict[str, Any] = {}
        author, said = bound.first("author", at), bound.first("time", at)
        if author is not None and (who := person((author,), at)):
            node["authorReference"] = who
        if said is not None and (when := moment((said,), at)):
            node["time"] = when
        node["text"] = "\n".join(value.whole for value in found)
        return [node]

    return note


def _make_display(setup: Setup, bound: Bound) -> Apply:
    """display: a reference or device that is only named."""

    def display(found: Sequence[Value], at: Instance) -> Any:
        name = found[0].part(2) or found[0].text
        return {"display": name} if name else None

    return display


def _make_codeable_text(setup: Setup, bound: Bound) -> Apply:
    """codeable_text: a CodeableConcept of text alone."""

    def codeable_text(found: Sequence[Value], at: Instance) -> Any:
        name = found[0].part(2) or found[0].text
        return {"text": name} if name else None

    return codeable_text


def _make_yes_no(setup: Setup, bound: Bound) -> Apply:
    """yes_no: a boolean from Y/N, 1/0, 是/否."""
    known = {"Y": True, "N": False, "1": True, "0": False, "是": True, "否": False}
    return lambda found, at: known.get(found[0].text.upper())


FUNCTIONS = {
    "identifiers": Function(_make_identifiers),
    "joined": Function(_make_joined, order=("type",), texts=("type",), own=True),
    "parted": Function(_make_parted, own=True),
    "person_name": Function(_make_person_name),
    "gender": Function(_make_gender, order=("sex",), tables=("sex",), needs=("sex",)),
    "phone": Function(_make_telecom, order=("use",), texts=("use",)),
    "span": Function(_make_span, sources=("end",), timed=True, empty=True),
    "address": Function(_make_address),
    "practitioner": Function(_make_practitioner),
    "planned": Function(_make_planned, order=("format",), texts=("format",)),
    "planned_instant": Function(_make_planned_instant, order=("format",), texts=("format",)),
    "time": Function(_make_time, order=("format",), texts=("format",), timed=True),
    "instant": Function(_make_instant, order=("format",), texts=("format",), timed=True),
    "date": Function(_make_date, order=("format",), texts=("format",), timed=True),
    "text": Function(_make_text, wide=True),
    "note": Function(_make_note, sources=("author", "time"), timed=True, wide=True),
    "display": Function(_make_display),
    "codeable_text": Function(_make_codeable_text),
    "yes_no": Function(_make_yes_no),
}
