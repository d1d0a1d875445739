"""One invented person's messages, mapped once and written out again for as many persons as wanted.

Mapping 10,000 messages takes longer than measuring does. So one person's messages go through the real
map and the real labeller; every other person gets the same resources with their own numbers, name and
ids, as if mapped from their own messages. Sealing and filing are then done for each person in full.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import msgspec

from gateway.demo.people import CHARSET
from gateway.demo.residents import Resident
from gateway.demo.volume import person, volume
from gateway.exchange.planning import Planned, prepare
from gateway.services import Services
from gateway.vault import Tier
from mappings.engine import Mapped

ORGANIZATION, SITE = "people", "people"
MODEL = 87_654_321  # the number of the person who is mapped; seen nowhere else in a message
SEED = "bench"
LAST = date(2026, 6, 30)

Key = tuple[str, str, tuple[str, ...]]  # number space, type, business key


@dataclass(frozen=True, slots=True)
class Piece:
    """One resource, cut at every place where another person's differs."""

    model: Planned
    head: tuple[bytes, ...]
    tail: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A person's resources; `keys` names what each id in them was made of."""

    pieces: tuple[Piece, ...]
    keys: Mapping[str, Key]
    chart: str

    @property
    def texts(self) -> list[bytes]:
        """The observations' texts, as the model person's."""
        return [p.model.mapped.text() for p in self.pieces if p.model.mapped.type == "Observation"]

    def resources(self, index: int, services: Services) -> tuple[str, tuple[Planned, ...]]:
        """Chart id and resources of person `index`, ready to be filed."""
        said = {old.decode(): new for old, new in _words(index).items()}

        def own(key: tuple[str, ...]) -> list[str]:
            parts = list(key)
            for old, new in said.items():
                parts = [part.replace(old, new) for part in parts]
            # A key that is a hash of the message does not show whose it is.
            return parts if tuple(parts) != key else [*parts, str(index)]

        id_of = services.ids(ORGANIZATION)
        ids = {
            known: id_of(space, type, own(key)) for known, (space, type, key) in self.keys.items()
        }
        words = {old: new.encode() for old, new in _words(index).items()}
        words |= {old.encode(): new.encode() for old, new in ids.items()}
        return ids[self.chart], tuple(_for(one, ids, words, services) for one in self.pieces)


def _words(index: int) -> dict[bytes, str]:
    """What a message says of the model person, and of person `index` in its place."""
    model, other = person(MODEL, SEED), person(index, SEED)

    def told(one: Resident) -> tuple[str, ...]:
        return one.name, one.number, str(one.born)

    pairs = zip(told(model), told(other), strict=True)
    return {f"{MODEL:08d}".encode(): f"{index:08d}"} | {a.encode(): b for a, b in pairs}


def _for(
    piece: Piece, ids: Mapping[str, str], words: Mapping[bytes, bytes], services: Services
) -> Planned:
    mapped = piece.model.mapped
    head = b"".join([words.get(part, part) for part in piece.head])
    tail = b"".join([words.get(part, part) for part in piece.tail])
    said = replace(
        piece.model.said,
        links=tuple((name, bytes.fromhex(ids[to.hex()])) for name, to in piece.model.said.links),
    )
    return Planned(
        msgspec.structs.replace(mapped, id=ids[mapped.id], head=head, tail=tail),
        said,
        piece.model.nature,
        piece.model.tier,
        services.vault.digest("content", head + tail)[:16],
    )


def made(observations: int, services: Services, last: date | None = None) -> Pattern:
    """Map the model person's messages, the newest of day `last`; LookupError when the map gave less
    than was asked for."""
    keys: dict[str, Key] = {}
    id_of = services.ids(ORGANIZATION)

    def noted(space: str, type: str, key: Sequence[str]) -> str:
        id = id_of(space, type, key)
        keys[id] = (space, type, tuple(key))
        return id

    site = services.maps.draft(SITE)
    found: dict[str, Mapped] = {}
    chart = ""
    for raw in _messages(observations, last or LAST):
        for message in site.read(raw, noted, origin="bench").messages:
            if message.patient is None:
                continue
            chart = noted(message.patient.space, "Patient", (message.patient.number,))
            found |= {one.id: one for one in message.resources}
    # Every id, ours or not: what is not in `keys` stays as it is.
    cut = re.compile(b"([0-9a-f]{32}|" + b"|".join(map(re.escape, _words(0))) + b")")
    planned = [prepare(one, ORGANIZATION, services) for one in found.values()]
    if sum(one.mapped.type == "Observation" for one in planned) < observations:
        raise LookupError("the map gave fewer observations than the messages hold")
    if any(one.tier is not Tier.GENERAL for one in planned):
        raise LookupError("the invented results were to be ordinary ones")
    return Pattern(
        tuple(
            Piece(one, tuple(cut.split(one.mapped.head)), tuple(cut.split(one.mapped.tail)))
            for one in planned
        ),
        keys,
        chart,
    )


def _messages(observations: int, last: date) -> list[bytes]:
    """The messages of person 0 under the model's numbers, which no other text resembles."""
    first, model = person(0, SEED), person(MODEL, SEED)
    messages = []
    for turn, one in enumerate(volume(1, observations, SEED, last)):
        text = one.raw.decode(CHARSET)
        for old, new in (
            (f"V{turn:04d}{0:08d}", f"V{turn:04d}{MODEL:08d}"),  # specimen, order, visit
            (f"V{0:09d}^", f"V{MODEL:09d}^"),  # patient
            (first.phone, model.phone),
            (first.number, model.number),
            (first.name, model.name),
            (f"{first.born:%Y%m%d}", f"{model.born:%Y%m%d}"),
        ):
            text = text.replace(old, new)
        messages.append(text.encode(CHARSET))
    return messages
