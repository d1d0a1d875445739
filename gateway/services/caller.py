"""Who is asking, as proved at the door."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's requester; built by `auth` from a verified token or session, never from input.

    `purpose` is one v3-ActReason code or empty (then nothing of a patient may be read except what
    the caller's own source sent). `strength` is the authentication strength, 1 to 3.
    """

    client: str
    organization: str
    role: str = ""  # clinician | registrar | auditor | privacy | commission | it | …
    user: str = ""
    name: str = ""
    purpose: str = ""
    scopes: frozenset[str] = frozenset()
    strength: int = 1
    session: str = ""  # names the session or token in the log; never the secret itself
    address: str = ""


OPERATOR = Caller(client="command-line", organization="county", role="operator", user="operator")
"""Who runs the program's commands and starts it."""
