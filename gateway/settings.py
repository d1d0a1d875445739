"""What an operator may set; the only reader of the environment."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class SettingsFault(Exception):
    """A setting that cannot be used, said in one sentence."""


def setting(default: Any, says: str) -> Any:
    """A field of Settings: its default and the sentence the README prints."""
    return field(default=default, metadata={"says": says})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting; each is `GATEWAY_<NAME>` in the environment or a key of the TOML file.

    Paths may be relative to the working directory. Secrets are paths to files, never values.
    """

    data: Path = setting(Path("var/gateway"), "folder for databases, checkpoints and the key file")
    database: str = setting("", "database address; empty is SQLite in the data folder")
    keyring: str = setting("", "keyring database address; empty is SQLite in the data folder")
    key_file: Path = setting(Path(), "the root key; empty is `root.key` in the data folder")
    county: str = setting("county", "short name of the county; part of every seal and of the log")
    county_file: Path = setting(Path(), "register of organisations (TOML); empty is none")
    sites: Path = setting(Path(), "folder of the hospitals' maps; empty is the shipped ones")
    catalogue: Path = setting(
        Path(),
        "folder of the county's own files the catalogue is founded with (members.csv, "
        "entitlements.csv, orders.csv …); empty is none",
    )
    labels: Path = setting(
        Path(), "folder of the county's own rows of the label lists; empty is none"
    )
    node: str = setting("gateway", "name of this process group in the access log")
    policy: Literal["", "cn-optin", "opt-out"] = setting(
        "", "consent preset the county is founded with; empty is cn-optin"
    )
    timezone: str = setting("Asia/Shanghai", "the county's time zone")
    canonical: str = setting("https://gateway.example/fhir", "base of our own code systems")
    base_url: str = setting("http://127.0.0.1:8080", "the address clients use for us")
    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(8080, "port to listen on")
    tls_certificate: Path = setting(Path(), "certificate chain (PEM) of the HTTP and MLLP doors")
    tls_key: Path = setting(Path(), "private key (PEM) of that certificate")
    tls_client_ca: Path = setting(Path(), "who signs the hospitals' client certificates (PEM)")
    behind_proxy: bool = setting(False, "TLS ends in a proxy on this machine or in this pod")
    mllp_port: int = setting(2575, "port of the MLLP door; 0 is none")
    mllp_plain: str = setting("", "address ranges that may speak plain MLLP: `source=range,…`")
    identifiers_in_urls: Literal["refuse", "systems"] = setting(
        "refuse", "resident IDs in GET addresses: refuse, or allow for systems"
    )
    body_limit: int = setting(50_000_000, "largest accepted body or MLLP frame, in bytes")
    worker: bool = setting(True, "file messages in the serving process too")
    answer_floor_ms: int = setting(
        15, "answers that show nothing take a whole number of these steps, in milliseconds"
    )
    cds_cutoff_ms: int = setting(
        800, "a prompt that takes longer is answered empty and counted, in milliseconds"
    )
    cds_origins: str = setting(
        "", "origins whose pages may call the CDS services, with commas between; empty is none"
    )
    sms_url: str = setting("", "where short messages are handed over (HTTP POST); empty is nowhere")
    sms_token: str = setting("", "bearer token of that address")
    signature_anchors: Path = setting(
        Path(), "who issues the certificates residents sign with (PEM); empty is nobody"
    )
    show_viewer_names: bool = setting(
        False, "residents see who looked by name; else by role, and a name is told when they ask"
    )
    contact: str = setting("", "where residents turn with questions: a telephone, an address")
    demo: bool = setting(False, "this is the pretend county: demo keys and plain doors are allowed")

    @property
    def zone(self) -> ZoneInfo:
        """The county's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def root_key(self) -> Path:
        """Where the root key file is."""
        return self.key_file if self.key_file != Path() else self.data / "root.key"

    @property
    def database_url(self) -> str:
        """The record database: `sqlite:///path` or `postgresql://…`."""
        return self.database or f"sqlite:///{self.data / 'records.sqlite'}"

    @property
    def keyring_url(self) -> str:
        """The keyring database, apart from the records."""
        return self.keyring or f"sqlite:///{self.data / 'keyring.sqlite'}"

    @property
    def plain_ranges(self) -> tuple[tuple[str, IPv4Network | IPv6Network], ...]:
        """(source, address range) pairs that may speak plain MLLP."""
        pairs = []
        for item in filter(None, (part.strip() for part in self.mllp_plain.split(","))):
            source, _, cidr = item.partition("=")
            try:
                pairs.append((source.strip(), ip_network(cidr.strip())))
            except ValueError:
                raise SettingsFault(f"GATEWAY_MLLP_PLAIN: {item!r} is not `source=range`") from None
        return tuple(pairs)


def read(environ: Mapping[str, str] | None = None, file: Path | None = None) -> Settings:
    """Settings from `GATEWAY_SETTINGS` (TOML) and the environment, which wins.

    Raises SettingsFault on an unknown name or a value that does not fit: a misspelt setting is a
    wrong setting.
    """
    environ = os.environ if environ is None else environ
    known = {f.name: f for f in fields(Settings)}
    given: dict[str, Any] = {}
    path = file or (Path(environ["GATEWAY_SETTINGS"]) if environ.get("GATEWAY_SETTINGS") else None)
    if path is not None:
        try:
            given |= tomllib.loads(path.read_text("utf-8"))
        except OSError as fault:
            raise SettingsFault(f"GATEWAY_SETTINGS: {path}: {fault.strerror}") from None
        except tomllib.TOMLDecodeError as fault:
            raise SettingsFault(f"GATEWAY_SETTINGS: {path}: {fault}") from None
    for name, value in environ.items():
        if name.startswith("GATEWAY_") and name != "GATEWAY_SETTINGS":
            given[name.removeprefix("GATEWAY_").lower()] = value
    unknown = sorted(f"GATEWAY_{name.upper()}" for name in set(given) - set(known))
    if unknown:
        raise SettingsFault(f"no such setting: {', '.join(unknown)}; the README lists them all")
    settings = Settings(**{name: _fit(name, known[name], value) for name, value in given.items()})
    for name, address in (("database", settings.database), ("keyring", settings.keyring)):
        if address and not address.startswith(("sqlite:///", "postgresql://")):
            raise SettingsFault(
                f"GATEWAY_{name.upper()}: an address is sqlite:///path or postgresql://…"
            )
    try:
        _ = settings.zone, settings.plain_ranges
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingsFault(f"GATEWAY_TIMEZONE: {settings.timezone!r} is not known") from None
    return settings


_TYPES = {"int": "a whole number", "bool": "true or false"}


def _fit(name: str, known: Any, value: Any) -> Any:
    """`value` as the type of the setting `name`."""
    wanted, shown = str(known.type), f"GATEWAY_{name.upper()}"
    if isinstance(value, (dict, list)):
        raise SettingsFault(f"{shown}: one value is wanted")
    try:
        if wanted == "bool":
            text = str(value).lower()
            if text not in {"true", "false", "1", "0", "yes", "no"}:
                raise ValueError
            return text in {"true", "1", "yes"}
        if wanted == "int":
            return int(str(value))
        if wanted == "Path":
            return Path(str(value))
        if wanted.startswith("Literal"):
            choices = [part.strip(" '\"") for part in wanted[8:-1].split(",")]
            if value not in choices:
                raise SettingsFault(
                    f"{shown}: one of {', '.join(filter(None, choices))}, not {value!r}"
                )
        return str(value)
    except ValueError:
        raise SettingsFault(f"{shown}: {value!r} is not {_TYPES.get(wanted, wanted)}") from None


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """(environment name, value in force, what it is for); passwords and tokens masked."""
    rows = []
    for one in fields(Settings):
        value = str(getattr(settings, one.name))
        if "://" in value and "@" in value:
            scheme, _, rest = value.partition("://")
            value = f"{scheme}://***@{rest.rpartition('@')[2]}"
        if one.name.endswith("_token") and value:
            value = "***"
        value = re.sub(r"(password=)[^&\s]*", r"\1***", value, flags=re.IGNORECASE)
        rows.append((f"GATEWAY_{one.name.upper()}", value, str(one.metadata["says"])))
    return rows
