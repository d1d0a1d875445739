"""What a browser is given besides pages: style, pictures and scripts, each named by its content."""

from __future__ import annotations

import tomllib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256, sha384
from pathlib import Path

from gateway.errors import Kind, Problem

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
FETCHED = SCRIPTS / "node_modules"
NEEDED = ("htmx", "hx-csp")
"""Without these a page does without all scripts: ours only improve on them."""
MISSING = (
    "the portal's scripts are not there (make install fetches them with npm): "
    "every page works, but is loaded whole at each step and draws no charts"
)
_FIRST = ("tokens", "base", "parts")
_LAST = ("narrow", "print")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file a browser may keep for ever: `path` (below the portal) changes with its content."""

    path: str
    content: bytes
    media_type: str
    integrity: str  # as in HTML's `integrity` (W3C Subresource Integrity)


def made(name: str, suffix: str, content: bytes) -> Asset:
    """An asset under its content's own name."""
    proof = "sha384-" + b64encode(sha384(content).digest()).decode()
    path = f"/assets/{name}.{sha256(content).hexdigest()[:16]}{suffix}"
    return Asset(path, content, _TYPES[suffix], proof)


def read(fetched: Path = FETCHED) -> dict[str, Asset]:
    """Everything by its short name: `style`, `dark`, `mark`, `icons`, and the scripts.

    Scripts are absent together when they were not fetched; Problem CONFLICT when one of another's
    packages is not the file that was pinned: nobody knows what it would do in a doctor's browser.
    """
    found = {
        "style": made("style", ".css", style()),
        "dark": made("dark", ".css", (HERE / "style" / "dark.css").read_bytes()),
        "mark": made("mark", ".svg", (HERE / "mark.svg").read_bytes()),
        "icons": made("icons", ".svg", (HERE / "icons.svg").read_bytes()),
    }
    others = _pinned(fetched)
    if not set(NEEDED) <= set(others):
        return found
    own = {one.stem: made(one.stem, ".js", one.read_bytes()) for one in SCRIPTS.glob("*.js")}
    return found | others | own


def style() -> bytes:
    """The style sheet: tokens first, then each area's part, small windows and paper last."""
    parts = {one.stem: one for one in sorted((HERE / "style").glob("*.css"))}
    between = [name for name in parts if name not in (*_FIRST, *_LAST, "dark")]
    return b"\n".join(parts[name].read_bytes() for name in (*_FIRST, *between, *_LAST))


def _pinned(fetched: Path) -> dict[str, Asset]:
    listed: Mapping[str, Mapping[str, str]] = tomllib.loads(
        (SCRIPTS / "pinned.toml").read_text("utf-8")
    )
    found = {}
    for name, one in listed.items():
        path = fetched / one["file"]
        if not path.is_file():
            continue
        content = path.read_bytes()
        if sha256(content).hexdigest() != one["sha256"]:
            raise Problem(Kind.CONFLICT, f"{one['file']} is not the file that was pinned.", name)
        found[name] = made(name, path.suffix, content)
    return found
