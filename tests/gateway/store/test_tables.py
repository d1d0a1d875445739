"""The migrations and the declared tables are the same thing, on both engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Integer, MetaData, Table

from gateway.settings import Settings
from gateway.store import migrate as migrations
from gateway.store import schema
from gateway.store.migrate import Which, migrate, pending

METADATA: dict[Which, MetaData] = {"records": schema.records, "keyring": schema.keyring}


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
    for table in schema.records.tables.values():
        table.to_metadata(more)
    Table("forgotten", more, Column("id", Integer, primary_key=True))
    found = await migrations._on(settings.database_url, differences, more)
    assert [one[0] for one in found] == ["add_table"]


async def test_migrating_again_changes_nothing(settings: Settings) -> None:
    await migrate(settings.database_url, "records")
    assert await migrations._on(settings.database_url, differences, schema.records) == []


@pytest.mark.parametrize("which", ["records", "keyring"])
def test_the_newest_migration_is_found_without_alembic(which: Which) -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent / "migrations" / which))
    assert migrations.heads(which) == set(script.get_heads())


async def test_charts_that_were_joined_before_are_one_identity_only_where_a_rule_proved_it(
    settings: Settings,
) -> None:
    """A, B by their number, B, C by a hospital's word, C, D by the number until it was revoked."""

    def back_and_forth(connection: Connection) -> list[tuple[str, str]]:
        config = migrations._config("records", connection)
        command.downgrade(config, "0002")
        for id in "ABCD":
            connection.exec_driver_sql(
                "INSERT INTO chart (id, bucket, organization, person, epoch, seq, disputed, facts,"
                f" created) VALUES ('{id}', 0, 'o', 'A', 0, 0, 0, '', 1)"
            )
        for one, two, rule, revoked in (
            ("A", "B", "resident-id+name", 0),
            ("B", "C", "source-merge", 0),
            ("C", "D", "resident-id+name", 9),
        ):
            connection.exec_driver_sql(
                'INSERT INTO link ("left", "right", rule, made_by, at, revoked, revoked_by)'
                f" VALUES ('{one}', '{two}', '{rule}', 'x', 5, {revoked}, '')"
            )
        command.upgrade(config, "head")
        found = connection.exec_driver_sql("SELECT id, identity FROM chart ORDER BY id")
        standing = connection.exec_driver_sql("SELECT confirmed, rule FROM link ORDER BY id")
        assert [row[0] for row in standing] == [5, 0, 5]
        return [(id, identity) for id, identity in found]

    told = await migrations._on(settings.database_url, back_and_forth)
    assert told == [("A", "A"), ("B", "A"), ("C", "C"), ("D", "D")]
