"""One empty migrated record database on each engine, and a second opening of the same one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.settings import Settings
from gateway.store.engine import Store, open_store


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    opened = open_store(settings.database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def other(settings: Settings) -> AsyncIterator[Store]:
    """Another process on the same database, as far as the database can tell."""
    opened = open_store(settings.database_url)
    yield opened
    await opened.close()
