"""Runs the migrations of the keyring database on the connection `migrate` hands over."""

from __future__ import annotations

from alembic import context

from gateway.store import schema

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=schema.keyring,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
