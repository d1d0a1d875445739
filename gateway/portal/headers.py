"""What every answer of the portal tells the browser: run what this page names, keep nothing, tell nobody."""

from __future__ import annotations

import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NONCE = "portal.nonce"
"""Where a request's scope holds the nonce its page names its scripts with."""

FRAME = "portal.frame"
"""Where a request's scope says that its page "shows" a file of ours in a frame, or is "shown" in one."""
# A hospital's document in its frame: without an origin, it can neither run nor fetch anything.
SHOWN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'; "
    "base-uri 'none'; form-action 'none'"
)
# Nothing that is not a page runs or shows anything.
FILE_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
# Only the nonce, no 'self' and no 'strict-dynamic': a script tag that somebody managed to write into
# a page does not run, not even with a file of ours, and the scripts named here bring no others.
# Trusted Types: htmx alone may turn text into elements, and its hx-csp extension lets it do so only
# for elements that carry this page's nonce (CSP 3; Trusted Types, 'trusted-types directive').
PAGE_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types htmx"
)
ALWAYS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), usb=()",
}


class SecurityHeaders:
    """Middleware around every portal route; pages are never stored."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = scope[NONCE] = secrets.token_urlsafe(18)

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(ALWAYS)
                page = headers.get("content-type", "").startswith("text/html")
                policy = PAGE_POLICY.format(nonce=nonce) if page else FILE_POLICY
                match scope.get(FRAME):
                    case "shows" if page:
                        policy += "; frame-src 'self'"
                    case "shown" if not page:
                        policy = SHOWN_POLICY
                        headers["x-frame-options"] = "SAMEORIGIN"
                headers["content-security-policy"] = policy
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, sealed)
