"""The hospitals' maps, loaded once and shared by every message."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import Kind, Problem
from mappings.engine import Map, MapError, load


class Maps:
    """Maps by site name, from the sites folder."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder = folder
        self._base_url = base_url
        self._loaded: dict[str, Map] = {}

    def get(self, site: str) -> Map:
        """The map of a site; Problem when it does not exist or has findings."""
        known = self._loaded.get(site)
        if known is None:
            try:
                known = load(self.folder / site, self._base_url)
            except (OSError, MapError):
                raise Problem(
                    Kind.BUSY, f"The map {site!r} cannot be loaded; see `mappings lint`."
                ) from None
            self._loaded[site] = known
        return known
