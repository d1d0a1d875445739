"""The migrations and the declared tables are the same thing, on both engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Integer, MetaData, Table

from gateway.settings import Settings
from gateway.store import migrate as migrations
from gateway.store.migrate import Which, migrate, pending
from gateway.store.tables import Base, keyring_metadata

METADATA: dict[Which, MetaData] = {"records": Base.metadata, "keyring": keyring_metadata}


def address(settings: Settings, which: Which) -> str:
    return settings.database_url if which == "records" else settings.keyring_url


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


@pytest.mark.parametrize("which", ["records", "keyring"])
async def test_migrating_makes_exactly_the_declared_tables(
    settings: Settings, which: Which
) -> None:
    url = address(settings, which)
    assert await migrations._on(url, differences, METADATA[which]) == []
    assert not await pending(url, which)


async def test_a_table_without_a_migration_would_be_noticed(settings: Settings) -> None:
    more = MetaData()
    for table in Base.metadata.tables.values():
        table.to_metadata(more)
    Table("forgotten", more, Column("id", Integer, primary_key=True))
    found = await migrations._on(settings.database_url, differences, more)
    assert [one[0] for one in found] == ["add_table"]


async def test_migrating_again_changes_nothing(settings: Settings) -> None:
    await migrate(settings.database_url, "records")
    assert await migrations._on(settings.database_url, differences, Base.metadata) == []


@pytest.mark.parametrize("which", ["records", "keyring"])
def test_the_newest_migration_is_found_without_alembic(which: Which) -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent / "migrations" / which))
    assert migrations.heads(which) == set(script.get_heads())
