"""Qualified signatures under a Consent: a detached JWS whose certificate names the resident.

RFC 7515 with the certificate chain in `x5c`, its payload left out (appendix F). What is signed are the
bytes of `evidence.statement`. A signature counts when its chain leads to an anchor of the county at the
time of recording and the signer's certificate carries the resident ID number, or its SHA-256, as the
subject's serialNumber (X.520). Revocation lists are not asked: the county keeps its anchors current.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID

MEDIA_TYPE = "application/jose"
LONGEST = 64_000  # bytes of a signature with its chain
_CHAIN = 5  # certificates, the anchor included
_HEADER = frozenset({"alg", "x5c", "typ", "cty", "kid"})  # crit, jwk, jku, x5u: never


class Anchors:
    """The certificates the county trusts to issue signers' certificates."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self._certificates = tuple(certificates)

    def verified(self, jws: bytes, payload: bytes, at: int) -> str | None:
        """The signer's serialNumber when the signature holds at `at` (µs UTC); None for any fault."""
        try:
            chain, algorithm, signature, signed = _parts(jws, payload)
            when = datetime.fromtimestamp(at // 1_000_000, UTC)
            self._trust(chain, when)
            _verify(chain[0], algorithm, signature, signed)
            (named,) = chain[0].subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
        except (ValueError, TypeError, KeyError, InvalidSignature, x509.DuplicateExtension):
            return None
        return str(named.value)

    def _trust(self, chain: Sequence[x509.Certificate], when: datetime) -> None:
        """ValueError unless each is issued by the next and the last by an anchor, all valid now."""
        anchor = next((one for one in self._certificates if _issued(chain[-1], one)), None)
        if anchor is None:
            raise ValueError("no anchor")
        path = [*chain, anchor]
        for place, certificate in enumerate(path):
            if not certificate.not_valid_before_utc <= when <= certificate.not_valid_after_utc:
                raise ValueError("not valid now")
            if place and not _issued(path[place - 1], certificate):
                raise ValueError("not issued by the next")
            _may(certificate, place)


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _may(certificate: x509.Certificate, place: int) -> None:
    """ValueError unless the certificate may stand at this place of the path: 0 signs, others issue."""
    extensions = certificate.extensions
    authority, deepest = False, None
    for one in extensions:
        if isinstance(one.value, x509.BasicConstraints):
            authority, deepest = one.value.ca, one.value.path_length
        elif isinstance(one.value, x509.KeyUsage):
            usage = one.value
            fit = (
                usage.key_cert_sign
                if place
                else usage.digital_signature or usage.content_commitment
            )
            if not fit:
                raise ValueError("not for this use")
        elif one.critical and not isinstance(one.value, x509.ExtendedKeyUsage):
            raise ValueError("an extension nobody here understands")
    if authority != bool(place) or (place and deepest is not None and place - 1 > deepest):
        raise ValueError("an authority signs, or a signer issues")


def _parts(jws: bytes, payload: bytes) -> tuple[list[x509.Certificate], str, bytes, bytes]:
    if len(jws) > LONGEST:
        raise ValueError("too long")
    protected, middle, signature = jws.strip().split(b".")
    if middle:
        raise ValueError("the payload is not detached")
    header: Any = json.loads(_decoded(protected), object_pairs_hook=_once)
    if not isinstance(header, dict) or set(header) - _HEADER:
        raise ValueError("a header nobody here understands")
    if not isinstance(header["x5c"], list) or not 1 <= len(header["x5c"]) < _CHAIN:
        raise ValueError("no chain, or too long a one")
    chain = [
        x509.load_der_x509_certificate(base64.b64decode(one, validate=True))
        for one in header["x5c"]
    ]
    signed = protected + b"." + base64.urlsafe_b64encode(payload).rstrip(b"=")
    return chain, str(header["alg"]), _decoded(signature), signed


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member stands twice")
    return dict(pairs)


def _decoded(text: bytes) -> bytes:
    try:
        plain = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    if base64.urlsafe_b64encode(plain).rstrip(b"=") != text:
        raise ValueError("another spelling")
    return plain


def _verify(certificate: x509.Certificate, algorithm: str, signature: bytes, signed: bytes) -> None:
    key = certificate.public_key()
    match algorithm, key:
        case "ES256", ec.EllipticCurvePublicKey() if (
            isinstance(key.curve, ec.SECP256R1) and len(signature) == 64
        ):
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
        case "RS256", rsa.RSAPublicKey() if key.key_size >= 2048:
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        case "PS256", rsa.RSAPublicKey() if key.key_size >= 2048:
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
            key.verify(signature, signed, pss, hashes.SHA256())
        case _:
            raise ValueError("an algorithm that does not go with the key, or none of ours")


def names(serial: str, number: str) -> bool:
    """Whether a certificate's serialNumber is this resident ID number, or its SHA-256 in hex."""
    return bool(number) and serial in (number, sha256(number.encode()).hexdigest())


@lru_cache(maxsize=4)
def anchors(path: Path) -> Anchors:
    """The anchors in a PEM file; without one nobody's signature counts."""
    if path == Path():
        return Anchors(())
    return Anchors(x509.load_pem_x509_certificates(path.read_bytes()))
