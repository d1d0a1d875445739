"""Asks the gateway in this container whether it is ready; ends with 0 or 1 and one line.

It speaks TLS when the gateway does. The certificate is not checked: it names the public address,
and this question never leaves the container.
"""

from __future__ import annotations

import os
import ssl
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path


def address(environ: Mapping[str, str]) -> str:
    """Where the gateway of these settings answers: the settings file, overruled by the environment."""
    given: dict[str, object] = {}
    if file := environ.get("GATEWAY_SETTINGS"):
        given = tomllib.loads(Path(file).read_text("utf-8"))
    port = environ.get("GATEWAY_PORT") or given.get("port") or 8080
    certificate = environ.get("GATEWAY_TLS_CERTIFICATE") or given.get("tls_certificate")
    return f"{'https' if certificate else 'http'}://127.0.0.1:{port}/readyz"


def main() -> int:
    """0 when the gateway says it is ready."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        # The address is built here from a fixed scheme and host.
        with urllib.request.urlopen(  # noqa: S310
            address(os.environ), timeout=4, context=context
        ) as answer:
            print(f"ready: {answer.status}")
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError, ValueError) as fault:
        print(f"not ready: {type(fault).__name__}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
