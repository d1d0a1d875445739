"""What makes a start unsafe: the gateway refuses to serve while anything is found."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from gateway.services.register import RegisterFault, load
from gateway.settings import Settings
from gateway.vault import KeyFile, RootRefused


def findings(settings: Settings) -> list[str]:
    """One sentence for each reason not to serve; empty is safe."""
    found = []
    try:
        root = KeyFile.open(settings.root_key, allow_demo=True)
        if root.demo and not settings.demo:
            found.append("The root key is a demonstration's; make a real one with `init`.")
    except (OSError, RootRefused) as fault:
        found.append(f"The root key cannot be used: {fault}")
    if settings.database_url == settings.keyring_url:
        found.append("The keyring must be a database of its own.")
    tls = settings.tls_certificate != Path() and settings.tls_key != Path()
    local = _is_loopback(settings.host)
    if settings.demo and not local:
        found.append("The pretend county listens on this machine only.")
    if not settings.demo and not tls and not settings.behind_proxy:
        found.append(
            "Set GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY, or GATEWAY_BEHIND_PROXY=true when TLS"
            " ends before us."
        )
    if (settings.behind_proxy or tls) and not settings.base_url.startswith("https://"):
        # Token audiences and the origin of forms are compared with it.
        found.append(
            "Where TLS is used, here or in a proxy, GATEWAY_BASE_URL begins with https://."
        )
    if settings.mllp_port and not settings.demo and not settings.plain_ranges and not tls:
        found.append("The MLLP door needs GATEWAY_TLS_CERTIFICATE, or GATEWAY_MLLP_PORT=0.")
    if settings.mllp_port and tls and settings.tls_client_ca == Path() and not settings.demo:
        found.append(
            "The MLLP door needs GATEWAY_TLS_CLIENT_CA: hospitals prove themselves by certificate."
        )
    for source, network in settings.plain_ranges:
        if network.prefixlen == 0:
            found.append(f"Plain MLLP for {source} is declared for every address.")
    if settings.county_file != Path():
        try:
            load(settings.county_file)
        except RegisterFault as fault:
            found.append(str(fault))
    named = (
        settings.tls_certificate,
        settings.tls_key,
        settings.tls_client_ca,
        settings.signature_anchors,
    )
    found += [f"{path} is not there." for path in named if path != Path() and not path.is_file()]
    if settings.tls_key.is_file() and settings.tls_key.stat().st_mode & 0o077:
        found.append("The TLS key can be read by others than its owner.")
    return found


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
