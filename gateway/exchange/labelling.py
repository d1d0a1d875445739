"""Labels records: what a record says of itself, then what it hangs on. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from consent.labels import HEALTH_CHECK, LabelFacts, Labels
from consent.model import Tier as Category
from gateway.identity.systems import canonical_system
from gateway.records import extract
from gateway.records.closure import Label, Node, label_of, raised
from gateway.records.entry import Links, Nature, Part
from gateway.services import Services
from gateway.vault import Tier

OPEN: Final = Label("N", frozenset())
EXEMPT: Final = "none"
"""Stands for the rules' version of what no rule labels: a consent is its person's own word."""


def read(
    resource: Mapping[str, Any],
    said: extract.Said,
    organization: str,
    services: Services,
    *,
    visit: bool = False,
    given: Sequence[tuple[str, str]] = (),
) -> Nature:
    """The nature of a record by the rules in force; `visit`: it hangs on one of a health check.

    `given` are labels its source gave beside the text. Parts of an Observation that are labelled
    more closely than what remains without them are named in it.
    """
    facts = _facts(resource, said, organization, services, visit, given)
    labels = services.labels.label(facts)
    label = Label(labels.confidentiality, labels.sensitivities)
    parts, rest = _parts(resource, facts, (*said.labels, *given), label, services)
    codes = frozenset(_split(code) for code in said.codes)
    return Nature(
        type=said.type,
        source=organization,
        codes=said.codes,
        categories=said.categories,
        confidentiality=label.confidentiality,
        sensitivities=tuple(sorted(label.sensitivities)),
        authors=said.authors,
        status=said.status,
        labels=services.rules,
        tier=int(services.policy.tier_of(said.type, codes, *label)),
        notifiable=labels.notifiable,
        parts=parts,
        rest=(rest.confidentiality, tuple(sorted(rest.sensitivities))),
        health_check=labels.health_check and said.type == "Encounter",
    )


def _facts(
    resource: Mapping[str, Any],
    said: extract.Said,
    organization: str,
    services: Services,
    visit: bool,
    given: Sequence[tuple[str, str]],
) -> LabelFacts:
    identifiers: tuple[tuple[str, str], ...] = ()
    if said.type == "Patient":
        identifiers = tuple(
            (canonical_system(str(one.get("system", ""))), str(one["value"]))
            for one in resource.get("identifier") or ()
            if isinstance(one, Mapping) and one.get("value")
        )
    kind = resource.get("class") if said.type == "Encounter" else None
    return LabelFacts(
        type=said.type,
        codes=said.codings,
        texts=said.texts,
        departments=said.departments,
        encounter_class=HEALTH_CHECK
        if visit
        else str(kind.get("code", ""))
        if isinstance(kind, Mapping)
        else "",
        given=(*said.labels, *said.inline, *given),
        organization=(organization, services.register.get(organization).zh),
        identifiers=identifiers,
    )


def _parts(
    resource: Mapping[str, Any],
    facts: LabelFacts,
    whole_labels: tuple[tuple[str, str], ...],
    whole: Label,
    services: Services,
) -> tuple[tuple[Part, ...], Label]:
    """The components that can be cut out because of their labels, and the labels of what remains."""
    components = resource.get("component") if facts.type == "Observation" else None
    if whole == OPEN or not isinstance(components, list):
        return (), OPEN
    # Labels of the record as a whole are its rest's too; inline ones stand where they stand.
    shared = msgspec.structs.replace(facts, given=whole_labels)
    kept = {name: value for name, value in resource.items() if name not in ("component", "text")}
    rest = _of(shared, kept, services)
    if rest == whole:
        return (), OPEN
    parts = []
    for number, component in enumerate(components):
        label = _of(msgspec.structs.replace(facts, given=(), departments=()), component, services)
        if label.under(rest) != rest:
            label = label.under(rest)
            sensitivities = tuple(sorted(label.sensitivities))
            parts.append(Part(f"component[{number}]", label.confidentiality, sensitivities))
    return tuple(parts), rest


def _of(facts: LabelFacts, value: Any, services: Services) -> Label:
    """The label of a piece of the record by itself, with the facts it shares with the rest."""
    texts, codes, inline = extract.words(value)
    found: Labels = services.labels.label(
        msgspec.structs.replace(
            facts, texts=tuple(texts), codes=tuple(codes), given=(*facts.given, *inline)
        )
    )
    return Label(found.confidentiality, found.sensitivities)


def under(nature: Nature, above: Label, services: Services) -> Nature:
    """A nature at least as close as `above`, what remains of it without its parts included."""
    label = label_of(nature).under(above)
    if label == label_of(nature):
        return nature
    codes = frozenset(_split(code) for code in nature.codes)
    tier = services.policy.tier_of(nature.type, codes, *label)
    rest = Label(nature.rest[0], frozenset(nature.rest[1])).under(above)
    return _with_parts(
        msgspec.structs.replace(
            nature,
            confidentiality=label.confidentiality,
            sensitivities=tuple(sorted(label.sensitivities)),
            tier=max(nature.tier, int(tier)),
        ),
        rest,
    )


def risen(new: Nature, old: Nature, services: Services) -> Nature:
    """What a record says now, labelled no lower than it was: labels never fall with a new version."""
    label = label_of(new).under(label_of(old))
    before = Label(old.rest[0], frozenset(old.rest[1])) if old.parts else label_of(old)
    rest = Label(new.rest[0], frozenset(new.rest[1])).under(before)
    return _with_parts(
        msgspec.structs.replace(
            new,
            confidentiality=label.confidentiality,
            sensitivities=tuple(sorted(label.sensitivities)),
            tier=max(old.tier, under(new, label, services).tier),
            notifiable=new.notifiable or old.notifiable,
        ),
        rest,
    )


def anew(stored: Nature, fresh: Nature, services: Services) -> Nature:
    """A stored nature as the rules in force would have it; the same when they say nothing more."""
    told = msgspec.structs.replace(
        stored,
        labels=fresh.labels,
        confidentiality=fresh.confidentiality,
        sensitivities=fresh.sensitivities,
        tier=fresh.tier,
        notifiable=fresh.notifiable,
        parts=fresh.parts,
        rest=fresh.rest,
        health_check=fresh.health_check,
    )
    now = risen(told, stored, services)
    same = msgspec.structs.replace(now, labels=stored.labels) == stored
    return stored if same and stored.labels else now


def by_codes(nature: Nature, services: Services) -> Nature:
    """What the rules in force say of a record whose text is kept by its source: its codes alone."""
    found = services.labels.label(
        LabelFacts(
            type=nature.type,
            codes=tuple(_split(code) for code in nature.codes),
            organization=(nature.source, services.register.get(nature.source).zh),
        )
    )
    label = Label(found.confidentiality, found.sensitivities)
    bare = msgspec.structs.replace(
        nature, confidentiality="N", sensitivities=(), labels=services.rules, parts=()
    )
    return anew(nature, under(bare, label, services), services)


def _with_parts(nature: Nature, rest: Label) -> Nature:
    """The nature with its parts, if cutting them out still makes it more open."""
    if not nature.parts:
        return nature
    if rest == label_of(nature):
        return msgspec.structs.replace(nature, parts=(), rest=("N", ()))
    parts = tuple(
        Part(one.path, label.confidentiality, tuple(sorted(label.sensitivities)))
        for one in nature.parts
        for label in [Label(one.confidentiality, frozenset(one.sensitivities)).under(rest)]
    )
    told = rest.confidentiality, tuple(sorted(rest.sensitivities))
    return msgspec.structs.replace(nature, parts=parts, rest=told)


def closed(
    natures: Mapping[bytes, tuple[Nature, Links]], services: Services
) -> dict[bytes, Nature]:
    """Those natures that rise by what their records hang on."""
    nodes = {id: Node(n.type, links, label_of(n)) for id, (n, links) in natures.items()}
    found = raised(nodes, lambda label: restricts(label, services))
    return {id: under(natures[id][0], label, services) for id, label in found.items()}


def restricts(label: Label, services: Services) -> bool:
    """Whether a label is one no broad consent opens; such are handed on."""
    return label != OPEN and services.policy.labelling(*label).tier >= Category.RESTRICTED


def shelf_of(nature: Nature) -> Tier:
    """The tier whose key a record of this nature is sealed under."""
    match Category(nature.tier):
        case Category.RESTRICTED:
            return Tier.RESTRICTED
        case Category.SEALED:
            return Tier.SEALED
        case Category.BASIC | Category.GENERAL:
            return Tier.GENERAL


def _split(code: str) -> tuple[str, str]:
    system, _, bare = code.rpartition("|")
    return system, bare
