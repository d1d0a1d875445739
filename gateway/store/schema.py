"""All tables of both databases: whoever makes, compares or counts them finds every one here."""

from __future__ import annotations

from gateway.store import log_tables, recognition_tables
from gateway.store.tables import Base, keyring_metadata

__all__ = ["keyring", "log_tables", "recognition_tables", "records"]

records = Base.metadata
keyring = keyring_metadata
