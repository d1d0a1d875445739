"""Signed client assertions: which of them prove that a registered system is speaking.

RFC 7523 and SMART Backend Services ("Authentication Using Asymmetric Keys"). Stricter than these
where parsers differ: duplicate JSON members are refused, every `crit` is refused because none is
understood, and a key in the header (`jwk`, `jku`, `x5c`) is never looked at.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.errors import Kind, Problem
from mappings.engine.jsontext import JsonFault, check

LONGEST = 16_000
LIFETIME = 300
SKEW = 30
LATEST = 4_102_444_800  # 2100: no key counts longer
_ALGORITHMS = {"ES384": "EC", "RS384": "RSA"}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k", "oth"})


class Unproven(Exception):
    """The assertion does not prove who speaks; the text is for our log, never for the caller."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An assertion as read, nothing of it proven yet."""

    text: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def client(self) -> str:
        """The client that the assertion says it is from."""
        return str(self.claims["iss"])


@dataclass(frozen=True, slots=True)
class Proven:
    """What a verified assertion says: its id, when it ends (µs UTC), its extensions; `kid` proved it."""

    jti: str
    expires: int
    extensions: Mapping[str, Any]
    kid: str = ""


def _object(segment: str, name: str) -> Mapping[str, Any]:
    try:
        value = check(urlsafe_b64decode(segment + "=" * (-len(segment) % 4)), max_depth=8)
    except (JsonFault, binascii.Error, ValueError):
        raise Unproven(f"{name} is not strict JSON") from None
    if not isinstance(value, dict):
        raise Unproven(f"{name} is not an object")
    return value


def read(text: str, *, subject: bool = True) -> Claimed:
    """Take the assertion apart; raises Unproven when it cannot be from a registered client.

    `subject` False: the standard at hand has no `sub` (CDS Hooks); one that is there says the same.
    """
    parts = text.split(".")
    if len(text) > LONGEST or len(parts) != 3 or not text.isascii():
        raise Unproven("not a compact JWS")
    header, claims = _object(parts[0], "the header"), _object(parts[1], "the payload")
    if not isinstance(header.get("alg"), str) or header["alg"] not in _ALGORITHMS:
        raise Unproven("algorithm")
    if "crit" in header:
        raise Unproven("crit")
    if str(header.get("typ", "JWT")).upper() != "JWT":
        raise Unproven("typ")
    if not isinstance(header.get("kid"), str):
        raise Unproven("kid")
    issuer = claims.get("iss")
    named = claims.get("sub", None if subject else issuer)
    if not isinstance(issuer, str) or not issuer or named != issuer:
        raise Unproven("iss and sub")
    return Claimed(text, header, claims)


def key_set(text: str) -> dict[str, ECKey | RSAKey]:
    """The public keys of a registered key set (RFC 7517) by `kid`.

    Raises Problem(MALFORMED) for what must not be registered: no or repeated `kid`, private parts,
    RSA below 2048 bits, another curve than P-384, another use than signing, times that are none.
    """
    keys: dict[str, ECKey | RSAKey] = {}
    try:
        listed = check(text.encode())["keys"]
        if not isinstance(listed, list) or not listed:
            raise TypeError
        for one in listed:
            kid, kind = one.get("kid"), one.get("kty")
            if not isinstance(kid, str) or not kid or kid in keys:
                raise Problem(Kind.MALFORMED, "Each key of the key set needs a `kid` of its own.")
            if _PRIVATE & set(one):
                raise Problem(Kind.MALFORMED, "The key set holds a private or a shared key.")
            times = [one.get(name, 0) for name in ("iat", "exp")]
            if any(type(at) is not int or not 0 <= at < LATEST for at in times):
                raise Problem(Kind.MALFORMED, "`iat` and `exp` of a key are whole seconds.")
            if one.get("use", "sig") != "sig":
                raise Problem(Kind.MALFORMED, "A key of the key set is not for signing.")
            if kind == "EC" and one.get("crv") == "P-384" and one.get("alg", "ES384") == "ES384":
                keys[kid] = ECKey.import_key(one)
            elif kind == "RSA" and one.get("alg", "RS384") == "RS384":
                rsa = keys[kid] = RSAKey.import_key(one)
                if rsa.raw_value.key_size < 2048:
                    raise Problem(Kind.MALFORMED, "An RSA key needs 2048 bits or more.")
            else:
                raise Problem(Kind.MALFORMED, "A key is for ES384 (curve P-384) or RS384.")
    except (JsonFault, JoseError, KeyError, TypeError, AttributeError, ValueError):
        raise Problem(Kind.MALFORMED, "The key set is not a JSON Web Key Set.") from None
    return keys


def verify(claimed: Claimed, jwks: str, audience: str, at: int) -> Proven:
    """The assertion's content once its signature, audience and times are found good at `at` (µs).

    Raises Unproven. That it was not used before is for the caller to see to, by `jti`.
    """
    algorithm = claimed.header["alg"]
    try:
        key = key_set(jwks).get(claimed.header["kid"])
    except Problem:
        raise Unproven("registered key set") from None
    if key is None or key.key_type != _ALGORITHMS[algorithm]:
        raise Unproven("key")
    ends = listed(jwks)[claimed.header["kid"]].get("exp")
    if ends is not None and ends <= at / 1_000_000:
        raise Unproven("key expired")
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = LONGEST
    try:
        jws.deserialize_compact(claimed.text, key, registry=registry)
    except (JoseError, ValueError):
        raise Unproven("signature") from None

    claims = claimed.claims
    if claims.get("aud") not in (audience, [audience]):
        raise Unproven("aud")
    expires, now = _seconds(claims, "exp"), at / 1_000_000
    if expires is None or expires <= now - SKEW:
        raise Unproven("exp")
    issued, not_before = _seconds(claims, "iat"), _seconds(claims, "nbf")
    if expires > now + LIFETIME + SKEW or (issued is not None and expires - issued > LIFETIME):
        raise Unproven("lifetime")
    if any(start is not None and start > now + SKEW for start in (issued, not_before)):
        raise Unproven("not yet valid")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= 256:
        raise Unproven("jti")
    extensions = claims.get("extensions", {})
    if not isinstance(extensions, dict):
        raise Unproven("extensions")
    return Proven(jti, int((expires + SKEW) * 1_000_000), extensions, claimed.header["kid"])


def listed(jwks: str) -> dict[str, dict[str, Any]]:
    """The keys of a registered key set as written, by `kid`; none of what is no key set.

    A key may say when it was taken up and until when it counts (`iat`, `exp`, seconds since 1970).
    """
    try:
        return {one["kid"]: dict(one) for one in check(jwks.encode())["keys"]}
    except (JsonFault, KeyError, TypeError, ValueError):
        return {}


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate, None when absent; Unproven when it is something else (also true and false)."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if type(value) not in (int, float):
        raise Unproven(name)
    return float(value)  # type: ignore[arg-type]
