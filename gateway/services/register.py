"""The register of organisations: who takes part, under whom, and in which recognition scopes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


class RegisterFault(ValueError):
    """The register file cannot be used."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A hospital, centre or authority."""

    id: str
    name: str
    name_en: str = ""
    parent: str = ""
    level: str = ""
    region: str = ""
    scopes: tuple[str, ...] = ()


class Register:
    """All organisations by id; unknown ids have only themselves."""

    def __init__(self, organizations: Mapping[str, Organization], name: str = "") -> None:
        self._organizations = dict(organizations)
        self.name = name

    def __iter__(self) -> Iterator[Organization]:
        return iter(self._organizations.values())

    def get(self, id: str) -> Organization:
        """The organisation, or a nameless one of that id."""
        return self._organizations.get(id) or Organization(id, id)

    def chain(self, id: str) -> tuple[str, ...]:
        """The organisation, what it belongs to, and so on up."""
        chain: list[str] = []
        while id and id not in chain:
            chain.append(id)
            id = self.get(id).parent
        return tuple(chain)


def load(path: Path) -> Register:
    """Read a register (TOML: `[county] name`, `[[organization]] id, name, …`).

    Raises RegisterFault naming what is unknown, missing or repeated.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as fault:
        raise RegisterFault(f"{path}: {fault}") from None
    organizations: dict[str, Organization] = {}
    for row in table.get("organization", []):
        try:
            one = Organization(**{**row, "scopes": tuple(row.get("scopes", ()))})
        except TypeError as fault:
            raise RegisterFault(f"{path}: {row.get('id', '?')}: {fault}") from None
        if one.id in organizations:
            raise RegisterFault(f"{path}: organisation {one.id} stands twice")
        organizations[one.id] = one
    for one in organizations.values():
        if one.parent and one.parent not in organizations:
            raise RegisterFault(f"{path}: {one.id} belongs to {one.parent}, which is not listed")
    return Register(organizations, str(table.get("county", {}).get("name", "")))
