"""Which records a page of results opens: what it shows, what judging that needs, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from gateway.exchange.ask import Match, Opened, Permitted
from gateway.exchange.recognise import decision_records
from gateway.exchange.residents import patients_of
from gateway.recognition.facts import LOINC
from gateway.records.entry import Nature
from gateway.services import Services
from gateway.services.caller import Caller

AMENDED: Final = frozenset({"Observation", "DiagnosticReport"})
STUDY: Final = "imaging-study"  # the link of a report to its images, named as FHIR searches for it
ORDER: Final = "based-on"
NEWEST: Final = 3  # of an item, that say on what it is measured now
_ABOUT: Final = frozenset({"specimen", "encounter"})


def of_page(
    permitted: Permitted,
    caller: Caller,
    services: Services,
    ids: Collection[str],
    *,
    reports: bool = False,
) -> list[Match]:
    """The results and reports of `ids`, the results of those reports, and their grounds; nothing at
    all when none may be known of. With `reports` the reports that name those of `ids` come along."""
    main = [m for m in permitted.named(ids) if m.pair[0].type in AMENDED]
    if not main:
        return []
    named = {m.pair[1].id for m in main}
    told = permitted.where(_is("DiagnosticReport")) if reports else ()
    naming = [m for m in told if _names(m, named)]
    return with_grounds(
        permitted,
        [
            *main,
            *(m for m in members(permitted, main) if m.pair[1].id not in named),
            *(m for m in naming if m.pair[1].id not in named),
        ],
        caller,
        services,
    )


def issued(permitted: Permitted, since: int | None = None) -> list[Match]:
    """Results and reports, from `since` on."""
    return permitted.where(_is(*AMENDED), since)


def _is(*types: str) -> Callable[[Nature], bool]:
    return lambda nature: nature.type in types


def in_parts(main: Sequence[Match], most: int) -> list[list[Match]]:
    """Results and reports, newest first, in parts of about `most`: a report stays with its results,
    and what one hospital took at one time stays together."""
    held = {
        to: one
        for one in main
        if one.pair[0].type == "DiagnosticReport"
        for said, to in one.pair[1].links
        if said == "result"
    }
    together: dict[tuple[int, str], list[Match]] = {}
    for one in main:
        nature, entry = held.get(one.pair[1].id, one).pair
        at = entry.start if entry.start is not None else entry.filed
        together.setdefault((-at, nature.source), []).append(one)
    parts: list[list[Match]] = []
    for key in sorted(together):
        if not parts or len(parts[-1]) + len(together[key]) > most:
            parts.append([])
        parts[-1] += together[key]
    return parts


def members(permitted: Permitted, reports: Iterable[Match]) -> list[Match]:
    """The results of these reports."""
    return permitted.among(
        {to for m in reports for said, to in m.pair[1].links if said == "result"}
    )


def with_grounds(
    permitted: Permitted, main: Sequence[Match], caller: Caller, services: Services
) -> list[Match]:
    """`main`, and what a page and a judgement on it need: patients, specimens, visits, the caller
    organisation's open encounters and its decisions; nothing else is opened."""
    at, focused = services.now(), {m.pair[1].id for m in main}
    measured = permitted.where(lambda nature: bool(platform_items(nature, caller, services, at)))
    decided = (
        match
        for match in decision_records(permitted, caller)
        if any(said == "focus" and to in focused for said, to in match.pair[1].links)
    )
    grounds = (
        permitted.among({to for m in main for said, to in m.pair[1].links if said in _ABOUT}),
        studies_for(permitted.where(_is("ImagingStudy")), main),
        open_visits(permitted, caller),
        platforms_told(measured, caller, services),
        patients_of(permitted, services),
        decided,
    )
    return list({match.pair[1].id: match for some in (main, *grounds) for match in some}.values())


def open_visits(permitted: Permitted, caller: Caller) -> list[Match]:
    """The open encounters of the caller's organisation."""
    own = ("Encounter", caller.organization, "in-progress")
    return permitted.where(lambda nature: (nature.type, nature.source, nature.status) == own)


def studies_for(studies: Sequence[Match], main: Sequence[Match]) -> list[Match]:
    """Those of the `studies` that these name, and those of the orders that reports among them are of, where
    both name the order."""
    named = {to for m in main for said, to in m.pair[1].links if said == STUDY}
    orders = {
        (m.pair[0].source, to)
        for m in main
        if m.pair[0].type == "DiagnosticReport"
        for said, to in m.pair[1].links
        if said == ORDER
    }
    return [
        match
        for match in studies
        if match.pair[1].id in named
        or any(
            said == ORDER and (match.pair[0].source, to) in orders
            for said, to in match.pair[1].links
        )
    ]


def platforms_told(
    permitted: Iterable[Match], caller: Caller, services: Services
) -> Iterator[Match]:
    """The receiver's own newest results of items that are comparable on one platform only: what it
    measures them on now. Pages, prompts and decisions all ask here."""
    at, taken = services.now(), Counter[str]()
    items: dict[Nature, list[str]] = {}
    found = []
    for one in permitted:
        nature = one.pair[0]
        if nature not in items:
            items[nature] = platform_items(nature, caller, services, at)
        if items[nature]:
            found.append(one)
    for one in sorted(found, key=lambda one: (-(one.pair[1].start or 0), one.pair[1].hex)):
        codes = items[one.pair[0]]
        if any(taken[code] < NEWEST for code in codes):
            yield one
        taken.update(codes)


def platform_items(nature: Nature, caller: Caller, services: Services, at: int) -> list[str]:
    """Of the items that such a record of the receiver's own measures, those that are comparable on one
    platform only."""
    if (nature.type, nature.source) != ("Observation", caller.organization):
        return []
    said = (code.partition("|") for code in nature.codes)
    codes = (code for system, _, code in said if system == LOINC)
    return [item.code for item in services.catalogue.items_for(codes, at) if item.platform_only]


def to_decide(
    permitted: Permitted,
    caller: Caller,
    services: Services,
    ids: Collection[str],
    beside: Collection[str],
) -> list[Match]:
    """What a decision on `ids` is made from: their page, the reports on them, what says who signed
    them, and the caller's own records `beside` them."""
    chosen = of_page(permitted, caller, services, ids, reports=True)
    if not chosen:
        return []
    known = {match.pair[1].id for match in chosen}
    chosen += tellings(permitted, known)
    known |= {match.pair[1].id for match in chosen}
    own = permitted.named(beside)
    return chosen + [
        match
        for match in own
        if match.pair[1].id not in known and match.pair[0].source == caller.organization
    ]


def tellings(permitted: Permitted, ids: Collection[bytes]) -> list[Match]:
    """Each Provenance of what is in `ids`: who made it, and who signed."""
    return [
        match
        for match in permitted.where(_is("Provenance"))
        if match.pair[1].id not in ids
        and any(said == "target" and to in ids for said, to in match.pair[1].links)
    ]


def _names(match: Match, ids: Collection[bytes]) -> bool:
    """Is it a report on any of these results?"""
    return any(said == "result" and to in ids for said, to in match.pair[1].links)


def studies_of(report: Opened, records: Iterable[Opened]) -> list[str]:
    """Ids of the imaging studies a report names among these records, else those of its order at the
    same hospital: many systems send both and say no more of one in the other."""
    nature, entry = report.match.pair
    studies = [one for one in records if one.type == "ImagingStudy"]
    if not studies:
        return []
    named = {to for said, to in entry.links if said == STUDY}
    if found := [one.id for one in studies if one.match.pair[1].id in named]:
        return found
    orders = {to for said, to in entry.links if said == ORDER}
    return [
        one.id
        for one in studies
        if one.match.pair[0].source == nature.source
        and any(said == ORDER and to in orders for said, to in one.match.pair[1].links)
    ]
