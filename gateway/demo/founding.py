"""Founds the pretend county: keys, databases, sources, systems with their own keys, accounts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import ECKey

from gateway.auth import factors, people, registry
from gateway.demo import registers, story
from gateway.exchange import sources
from gateway.services import Services, open_services
from gateway.services.caller import Caller
from gateway.settings import Settings
from gateway.store.migrate import migrate
from gateway.vault import KeyFile

FOUNDER = Caller(client="demo", organization="county", role="operator", user="demo")


@dataclass(frozen=True, slots=True)
class Keys:
    """The private keys of the pretend hospitals' systems, by client id."""

    private: dict[str, ECKey]

    @classmethod
    def in_folder(cls, folder: Path) -> Keys:
        """The keys kept in `folder`, made when absent."""
        folder.mkdir(parents=True, exist_ok=True)
        keys = {}
        for client in story.CLIENTS:
            path = folder / f"{client.id}.json"
            if not path.exists():
                made = ECKey.generate_key("P-384", {"kid": f"{client.id}-1", "alg": "ES384"})
                path.touch(0o600)
                path.write_text(json.dumps(made.as_dict(private=True)))
            keys[client.id] = ECKey.import_key(json.loads(path.read_text()))
        return cls(keys)


def settings_for(data: Path, port: int, mllp_port: int) -> Settings:
    """Settings of a pretend county: this machine only, demo keys, one declared plain MLLP range."""
    return Settings(
        data=data,
        county="yunxi",
        county_file=story.REGISTER,
        catalogue=story.CATALOGUE,
        base_url=f"http://127.0.0.1:{port}",
        port=port,
        mllp_port=mllp_port,
        mllp_plain="people-his=127.0.0.1/32",
        demo=True,
    )


async def found(settings: Settings, keys: Keys) -> Services:
    """Open the county's services, everything in place but its messages and consents."""
    settings.data.mkdir(parents=True, exist_ok=True)
    if not settings.root_key.exists():
        KeyFile.create(settings.root_key, demo=True)
    await migrate(settings.database_url, "records")
    await migrate(settings.keyring_url, "keyring")
    services = await open_services(settings)
    await sources.declare(services)
    for client in story.CLIENTS:
        public = keys.private[client.id].as_dict(private=False)
        await registry.register(
            services,
            id=client.id,
            organization=client.organization,
            name=client.name,
            jwks=json.dumps({"keys": [public]}),
            scopes=client.scopes,
            roles=tuple(client.roles.split()),
            by=FOUNDER,
        )
    for account in story.ACCOUNTS:
        await people.open_account(
            services,
            login=account.login,
            name=account.name,
            organization=account.organization,
            password=story.PASSWORD,
            roles=(account.role,),
            by=FOUNDER,
            licence="110330000000000" if account.role == "clinician" else "",
        )
        if account.secret:
            await factors.enrol(services, account.login, account.secret, by=FOUNDER)
    await registers.fill(services)
    return services
