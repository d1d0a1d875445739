"""What a story may reach for: the store, the keys, the log, the clock, the county's registers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mappings
from consent.labels import Labeller
from consent.policy import PolicySet
from gateway.recognition.catalogue import SHIPPED, Catalogue
from gateway.recognition.catalogue.reader import load as load_catalogue
from gateway.services.archives import Archives
from gateway.services.catalogues import Catalogues
from gateway.services.copied_times import CopiedTimes
from gateway.services.labels import open_labels, rules_version
from gateway.services.log import AccessLog
from gateway.services.long_manifests import LongManifests
from gateway.services.maps import Maps
from gateway.services.messenger import Messenger, open_messenger
from gateway.services.open_studies import OpenStudies
from gateway.services.policies import Policies
from gateway.services.probes import Probes
from gateway.services.register import Register
from gateway.services.register import load as load_register
from gateway.services.rights import Rights
from gateway.settings import Settings, SettingsFault
from gateway.store import inbox
from gateway.store.engine import Store, open_store
from gateway.store.keyring import StoredKeyring
from gateway.vault import KeyFile, KeyMissing, Vault, Wrapped


def wall_clock() -> int:
    """Microseconds since 1970 UTC. Nothing but `Services.now` calls it."""
    return time.time_ns() // 1000


@dataclass(frozen=True)
class Services:
    """Everything a story may reach for; tests replace parts with `dataclasses.replace`."""

    settings: Settings
    db: Store
    keyring: Store
    wrapped_keys: StoredKeyring[Wrapped]
    vault: Vault
    log: AccessLog
    policies: Policies
    register: Register
    rights: Rights
    maps: Maps
    catalogues: Catalogues
    copied_times: CopiedTimes
    messenger: Messenger
    labels: Labeller
    now: Callable[[], int] = wall_clock
    probes: Probes = field(default_factory=Probes)
    archives: Archives = field(default_factory=lambda: Archives({}))
    open_studies: OpenStudies = field(default_factory=OpenStudies)
    manifests: LongManifests = field(default_factory=LongManifests)
    counts: Counter[str] = field(default_factory=Counter)  # of this process, for /metrics

    @property
    def policy(self) -> PolicySet:
        """The county's policy that is in force, as this process last read it; see `policies`."""
        return self.policies.policy

    @property
    def catalogue(self) -> Catalogue:
        """The recognition catalogue in force now, as this process last read it; see `catalogues`."""
        return self.catalogues.at(self.now())

    @property
    def rules(self) -> str:
        """The version of all that makes a record's labels and tier; charts say theirs."""
        return rules_version(self.labels, self.policy)

    def ids(self, organization: str) -> Callable[[str, str, Sequence[str]], str]:
        """The id function of one organisation: (number space, type, business key) → 32 hex."""
        vault = self.vault

        def id_of(space: str, type: str, key: Sequence[str]) -> str:
            return vault.resource_id(organization, space, type, key)

        return id_of

    async def close(self) -> None:
        """Let go of keys and databases."""
        await self.archives.close()
        await self.vault.close()
        await self.db.close()
        await self.keyring.close()


def founding_catalogue(settings: Settings) -> Catalogue:
    """What a county begins with: the shipped list and its own files. CatalogueFault as `load`."""
    own = [] if settings.catalogue == Path() else [settings.catalogue]
    return load_catalogue(SHIPPED, *own, zone=settings.zone)


async def open_services(settings: Settings, *, policy: bool = True) -> Services:
    """Open everything the settings name; raises before anything is served if a part is unsafe.

    Without `policy` neither the county's policy nor its catalogue is read: for the commands that put
    them right.
    """
    labels = open_labels(settings)
    db, keyring = open_store(settings.database_url), open_store(settings.keyring_url)
    wrapped_keys = StoredKeyring(keyring, Wrapped)
    try:
        root = KeyFile.open(settings.root_key, allow_demo=settings.demo)
        # New keys beside old records would open nothing, and other ids would be made from then on.
        if not await wrapped_keys.names("county/") and await db.read(inbox.SOURCES):
            raise KeyMissing("The keyring is empty but the records are not: restore its backup.")
        vault = await Vault.open(wrapped_keys, root, settings.county)
        log = AccessLog(db, vault, settings.node, wall_clock)
        policies = Policies(db, wrapped_keys, vault, settings.timezone)
        catalogues = Catalogues(db, wrapped_keys, vault, settings.zone)
        if policy:
            await policies.open(settings.policy, log)
            unknown = sorted(labels.sensitivities - policies.policy.known_labels)
            if unknown:
                raise SettingsFault(f"labels: the policy does not know {', '.join(unknown)}")
            await catalogues.open(lambda: founding_catalogue(settings), log)
    except BaseException:
        await db.close()
        await keyring.close()
        raise
    register = (
        load_register(settings.county_file) if settings.county_file != Path() else Register({})
    )
    sites = settings.sites
    if sites == Path():
        sites = Path(mappings.__file__).parent / "sites"
    return Services(
        settings=settings,
        db=db,
        keyring=keyring,
        wrapped_keys=wrapped_keys,
        vault=vault,
        log=log,
        policies=policies,
        register=register,
        rights=Rights(db, wrapped_keys, vault, register, settings.zone),
        maps=Maps(sites, settings.canonical, db, wall_clock),
        catalogues=catalogues,
        copied_times=CopiedTimes(db, settings.zone),
        messenger=open_messenger(settings),
        labels=labels,
        archives=Archives(register.archives),
    )
