"""What hangs on a protected record is protected as it is: labels handed on along stored links."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from consent.model import CONFIDENTIALITY
from gateway.records.entry import Links, Nature

# A record that names one of these under such an element is protected as it is: the visit (its
# department), the order (its name), what it was taken from, what it tells of.
_FROM_TARGET: Final = frozenset(
    {
        "encounter",
        "based-on",
        "related",
        "specimen",
        "derived-from",
        "imaging-study",
        "attachment",
        "relatesto",
        "target",
        "focus",
        "implicated",
        "supporting-info",
        "about",
    }
)
# What a record names under one of these is protected as the record is: the results of a report.
_TO_TARGET: Final = frozenset({"result", "has-member", "imaging-study", "attachment", "relatesto"})


class Label(NamedTuple):
    """How closely a record is kept, and why."""

    confidentiality: str
    sensitivities: frozenset[str]

    def under(self, above: Label) -> Label:
        """At least as close as `above`."""
        return Label(
            max(self.confidentiality, above.confidentiality, key=CONFIDENTIALITY.index),
            self.sensitivities | above.sensitivities,
        )


class Node(NamedTuple):
    """A record as far as labels are handed on."""

    type: str
    links: Links
    label: Label


def label_of(nature: Nature) -> Label:
    """The label of a nature."""
    return Label(nature.confidentiality, frozenset(nature.sensitivities))


def raised(nodes: Mapping[bytes, Node], hands_on: Callable[[Label], bool]) -> dict[bytes, Label]:
    """The records that are labelled too openly for what they hang on, each with its new label.

    `hands_on` tells which labels are handed on. A Patient is raised by nothing, and raises
    nothing unless it is for named persons only (V): then everything of the chart is. The answer
    does not depend on the order of anything.
    """
    if not any(hands_on(node.label) for node in nodes.values()):
        return {}
    now = {id: node.label for id, node in nodes.items()}
    sealed = [n.label for n in nodes.values() if n.type == "Patient" and n.label[0] == "V"]
    for id, node in nodes.items():
        if node.type != "Patient":
            for label in sealed:
                now[id] = now[id].under(label)
    below = _below(nodes)
    todo = [id for id, label in now.items() if hands_on(label)]
    while todo:
        source = todo.pop()
        for id in below.get(source, ()):
            label = now[id].under(now[source])
            if label != now[id]:
                now[id] = label
                todo.append(id)
    return {id: label for id, label in now.items() if label != nodes[id].label}


def _below(nodes: Mapping[bytes, Node]) -> dict[bytes, list[bytes]]:
    """Of each record those that are protected as it is."""
    below: dict[bytes, list[bytes]] = {}
    for id, to, name in _links(nodes):
        if name in _FROM_TARGET and nodes[to].type != "Patient":
            below.setdefault(to, []).append(id)
        if name in _TO_TARGET and nodes[to].type != "Patient":
            below.setdefault(id, []).append(to)
    return below


def _links(nodes: Mapping[bytes, Node]) -> Iterable[tuple[bytes, bytes, str]]:
    for id, node in nodes.items():
        if node.type != "Patient":
            for name, to in node.links:
                if to in nodes:
                    yield id, to, name
