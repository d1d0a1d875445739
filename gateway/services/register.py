"""The register of organisations: who takes part, under whom, and in which recognition scopes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gateway.recognition.reasons import Declined, LocalReason

T = TypeVar("T")

PRIMARY_CARE = frozenset(
    {
        "township health centre",
        "community health centre",
        "community health station",
        "village clinic",
        "clinic",
    }
)
"""The kinds of organisation that sign family-doctor contracts."""


_SCHEMES = {"https": True, "mllps": True, "http": False, "mllp": False}  # is it in TLS?
_HERE = frozenset({"127.0.0.1", "::1"})


class RegisterFault(ValueError):
    """The register file cannot be used."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a hospital's system takes messages, in which form: "fhir" or "hl7v2".

    `url` is https://, or mllps://host:port for HL7 v2 (MLLP in TLS); http:// and mllp:// on this
    computer only, mllp:// elsewhere where `plain` says that the network there is closed.
    `token_file` holds a bearer token, `ca_file` the certificates (PEM) that vouch for the system,
    `client_file` ours with its key; all are paths.
    """

    url: str
    form: str = "fhir"
    token_file: str = ""
    ca_file: str = ""
    client_file: str = ""
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Organization:
    """A hospital, centre or authority.

    `part_of` is for a unit or campus of one legal body: its staff are staff of the whole, and the
    whole's own records are theirs. A medical consortium is not one: see members.csv.
    """

    id: str
    zh: str
    en: str = ""
    kind: str = ""
    level: str = ""
    region: str = ""
    facility: str = ""
    part_of: str = ""
    write_back: Endpoint | None = None

    @property
    def primary_care(self) -> bool:
        """Does it sign residents up with a family doctor?"""
        return self.kind in PRIMARY_CARE

    @property
    def name(self) -> str:
        """What it is called in the county's language."""
        return self.zh


@dataclass(frozen=True, slots=True)
class DeclaredSource:
    """A system the register lists, so that `init` can declare it."""

    name: str
    organization: str
    map: str
    facility: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """People whom a consent may name together; `members` are "organization/login": whom another
    organisation calls by the same login is somebody else."""

    id: str
    zh: str
    organization: str
    members: tuple[str, ...] = ()
    en: str = ""


@dataclass(frozen=True, slots=True)
class KnownPolicy:
    """A consent policy of the county's catalogue, by the address a Consent names it with."""

    uri: str
    zh: str
    en: str = ""


@dataclass(frozen=True, slots=True)
class Archive:
    """An organisation's image archive: the base address of its DICOMweb services (PS3.18).

    `password_file` holds "user:password" on one line, for Basic authentication over TLS; empty is none.
    """

    organization: str
    dicomweb: str
    password_file: str = ""


class Register:
    """All organisations by id; unknown ids have only themselves."""

    def __init__(
        self,
        organizations: Mapping[str, Organization],
        sources: tuple[DeclaredSource, ...] = (),
        name: str = "",
        groups: Iterable[Group] = (),
        policies: Iterable[KnownPolicy] = (),
        reasons: Iterable[LocalReason] = (),
        archives: Iterable[Archive] = (),
    ) -> None:
        self._organizations = dict(organizations)
        self._facilities = {one.facility: one for one in organizations.values() if one.facility}
        self.sources = sources
        self.name = name
        self.groups = {group.id: group for group in groups}
        self.policies = frozenset(policy.uri for policy in policies)
        self._reasons = tuple(reasons)
        self.archives = {archive.organization: archive for archive in archives}

    def __iter__(self) -> Iterator[Organization]:
        return iter(self._organizations.values())

    def get(self, id: str) -> Organization:
        """The organisation, or a nameless one of that id."""
        return self._organizations.get(id) or Organization(id, id, id)

    def named(self, code: str) -> Organization | None:
        """The listed organisation that an id or a facility code means; None for any other text."""
        return self._organizations.get(code) or self._facilities.get(code)

    def chain(self, id: str) -> tuple[str, ...]:
        """The organisation, what it is part of, and so on up."""
        chain: list[str] = []
        while id and id not in chain:
            chain.append(id)
            id = self.get(id).part_of
        return tuple(chain)

    def reasons(self, organization: str) -> tuple[LocalReason, ...]:
        """The organisation's own reasons for not recognising a result, those of its whole included."""
        chain = self.chain(organization)
        return tuple(one for one in self._reasons if one.organization in chain)

    def groups_of(self, login: str, organization: str) -> frozenset[str]:
        """The groups somebody belongs to where they act."""
        member = f"{organization}/{login}"
        return frozenset(group.id for group in self.groups.values() if member in group.members)


def load(path: Path) -> Register:
    """Read a register (TOML: `[county] zh`, `[[organization]] id, zh, …`, `[[source]] name, …`,
    `[[group]] id, zh, organization, members`, `[[policy]] uri, zh`,
    `[[decline_reason]] organization, code, zh, en, national`, `[[archive]] organization, dicomweb,
    password_file`).

    Raises RegisterFault naming what is unknown, missing or repeated.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as fault:
        raise RegisterFault(f"GATEWAY_COUNTY_FILE: {path}: {fault.strerror}") from None
    except tomllib.TOMLDecodeError as fault:
        raise RegisterFault(f"{path}: {fault}") from None
    organizations: dict[str, Organization] = {}
    for row in table.get("organization", []):
        told = row.get("write_back")
        endpoint = _endpoint(told, path) if told is not None else None
        one = _made(Organization, row | {"write_back": endpoint}, path)
        if one.id in organizations:
            raise RegisterFault(f"{path}: organisation {one.id} stands twice")
        organizations[one.id] = one
    sources = tuple(_made(DeclaredSource, row, path) for row in table.get("source", []))
    for id, named in [
        *((one.id, one.part_of) for one in organizations.values() if one.part_of),
        *((source.name, source.organization) for source in sources),
    ]:
        if named not in organizations:
            raise RegisterFault(f"{path}: {id} names {named}, which is not listed")
    groups = [
        _made(Group, row | {"members": tuple(row.get("members", ()))}, path)
        for row in table.get("group", [])
    ]
    for group in groups:
        if group.organization not in organizations:
            raise RegisterFault(
                f"{path}: {group.id} names {group.organization}, which is not listed"
            )
    policies = [_made(KnownPolicy, row, path) for row in table.get("policy", [])]
    reasons = [_reason(row, organizations, path) for row in table.get("decline_reason", [])]
    archives = [_made(Archive, row, path) for row in table.get("archive", [])]
    for archive in archives:
        if archive.organization not in organizations:
            raise RegisterFault(
                f"{path}: an archive of {archive.organization}, which is not listed"
            )
        if not archive.dicomweb.startswith(("https://", "http://127.0.0.1:", "http://[::1]:")):
            raise RegisterFault(f"{path}: the archive of {archive.organization} is not at https://")
    name = str(table.get("county", {}).get("zh", ""))
    return Register(organizations, sources, name, groups, policies, reasons, archives)


def _endpoint(row: Mapping[str, Any], path: Path) -> Endpoint:
    one = _made(Endpoint, row, path)
    try:
        parts = urlsplit(one.url)
        port = parts.port
    except ValueError:
        raise RegisterFault(f"{path}: write_back has no address in its url") from None
    if one.form not in {"fhir", "hl7v2"} or parts.scheme not in _SCHEMES or not parts.hostname:
        raise RegisterFault(f"{path}: write_back needs a url and a form, fhir or hl7v2")
    if parts.scheme.startswith("mllp") and (port is None or one.form != "hl7v2"):
        raise RegisterFault(f"{path}: write_back by MLLP needs a port and is in hl7v2")
    declared = parts.scheme == "mllp" and one.plain is True
    if not (_SCHEMES[parts.scheme] or parts.hostname in _HERE or declared):
        raise RegisterFault(f"{path}: write_back goes to another computer in plain text")
    return one


def _reason(
    row: Mapping[str, Any], organizations: Mapping[str, Organization], path: Path
) -> LocalReason:
    code = str(row.get("code", ""))
    if row.get("organization") not in organizations:
        raise RegisterFault(f"{path}: reason {code} names no listed organisation")
    if not code or code in set(Declined) or row.get("national") not in set(Declined):
        raise RegisterFault(f"{path}: reason {code} needs a code of its own and a national one")
    return _made(LocalReason, {**row, "national": Declined(row["national"])}, path)


def _made(kind: type[T], row: Mapping[str, Any], path: Path) -> T:
    try:
        return kind(**row)
    except TypeError as fault:
        raise RegisterFault(f"{path}: {row.get('id', row.get('name', '?'))}: {fault}") from None
