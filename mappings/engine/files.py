"""Where a map's files come from: a site's folder over the shipped maps, or a release kept elsewhere.

A path is written with ``/``. One that begins with ``/`` belongs to the shipped maps
(``/base/oru_r01.toml``, ``/tables/units.csv``), every other to the site (``oru.toml``,
``codes/lis_items.csv``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Protocol

HOME = Path(__file__).resolve().parent.parent
SHIPPED = PurePosixPath("/")
SITE = PurePosixPath()


class Files(Protocol):
    """The files a map is made of; nothing outside them can be named."""

    name: str

    def rule_files(self) -> list[str]:
        """Paths of the site's own rule files, in order."""
        ...

    def get(self, path: str) -> bytes | None:
        """The bytes of a file, None when there is none of that path."""
        ...

    def shown(self, path: str) -> str:
        """The path as findings and issues name it."""
        ...


def within(folder: PurePosixPath, path: str) -> str | None:
    """`path` seen from `folder`, or None when it leads out of it."""
    inner = normpath(path)
    if inner.startswith(("..", "/")):
        return None
    return str(folder / inner)


class Folder:
    """A site's folder, or one map file in it, over the shipped maps."""

    def __init__(self, site: Path) -> None:
        self.name = site.name
        self._only = None if site.is_dir() else site.name
        self._root = site if site.is_dir() else site.parent

    def rule_files(self) -> list[str]:
        if self._only is not None:
            return [self._only] if (self._root / self._only).is_file() else []
        return sorted(path.name for path in self._root.glob("*.toml") if path.is_file())

    def get(self, path: str) -> bytes | None:
        root = HOME if path.startswith("/") else self._root
        found = (root / path.lstrip("/")).resolve()
        # A link may lead out of the folder where the path itself does not.
        if not found.is_relative_to(root.resolve()) or not found.is_file():
            return None
        return found.read_bytes()

    def shown(self, path: str) -> str:
        if path.startswith("/"):
            return path.lstrip("/")
        found = (self._root / path).resolve()
        return str(found.relative_to(HOME)) if found.is_relative_to(HOME) else path


class Kept:
    """Files as they were once, by path; the same set always makes the same map."""

    def __init__(self, contents: Mapping[str, bytes], name: str = "release") -> None:
        self.name = name
        self._contents = contents

    def rule_files(self) -> list[str]:
        own = (path for path in self._contents if "/" not in path)
        return sorted(path for path in own if path.endswith(".toml"))

    def get(self, path: str) -> bytes | None:
        return self._contents.get(path)

    def shown(self, path: str) -> str:
        return path.lstrip("/")
