"""Qualified signatures: what a chain, an algorithm and a name must be for a consent to be worth 3."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from consent.fhir import Choice, Form, write_consent
from gateway.errors import Kind, Problem
from gateway.exchange import consents, evidence, signatures
from gateway.exchange.patients import county_id
from gateway.identity.systems import RESIDENT_ID
from gateway.store import tables
from gateway.store.statements import Statement
from tests.gateway.exchange.house import NOON, REGISTRAR, House, person

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
SHEN = person()
START = datetime(2025, 1, 1, tzinfo=UTC)
DIRECTIVE = tables.Directive.__table__  # type: ignore[attr-defined]


@dataclass
class Card:
    """A key and its certificate."""

    key: Any
    certificate: x509.Certificate

    @property
    def der(self) -> str:
        return base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()


def card(
    serial: str,
    by: Card | None = None,
    *,
    authority: bool = False,
    days: int = 1000,
    key: Any = None,
    usage: str = "",
) -> Card:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"card {serial[:4]} {authority}"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, serial),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=days))
        .add_extension(x509.BasicConstraints(authority, None), True)
    )
    if usage:
        flags = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False
        )  # fmt: skip
        builder = builder.add_extension(x509.KeyUsage(**flags | {usage: True}), True)
    return Card(key, builder.sign(by.key if by else key, hashes.SHA256()))


ROOT = card("root", authority=True)
MIDDLE = card("middle", ROOT, authority=True)
SIGNER = card(SHEN.number, MIDDLE)
RSA = rsa.generate_private_key(65537, 2048)


def b64(plain: bytes) -> bytes:
    return base64.urlsafe_b64encode(plain).rstrip(b"=")


def jws(payload: bytes, *chain: Card, algorithm: str = "ES256", **header: Any) -> bytes:
    said = {"alg": algorithm, "x5c": [one.der for one in chain]} | header
    protected = b64(json.dumps(said).encode())
    signed, key = protected + b"." + b64(payload), chain[0].key
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        scheme = pss if algorithm == "PS256" else padding.PKCS1v15()
        raw = key.sign(signed, scheme, hashes.SHA256())
    else:
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return protected + b".." + b64(raw)


@pytest.fixture
async def here(house: House, tmp_path: Path) -> House:
    await house.file(house.adt(SHEN))
    path = tmp_path / "anchors.pem"
    path.write_bytes(ROOT.certificate.public_bytes(serialization.Encoding.PEM))
    settings = replace(house.services.settings, signature_anchors=path)
    house.services = replace(house.services, settings=settings)
    return house


def plain(here: House) -> dict[str, Any]:
    chart = f"Patient/{here.chart()}"
    form = Form(Choice.REFUSE_ALL, "x", chart, chart, "Organization/county",
                "2026-02-01T10:00:00+08:00", "")  # fmt: skip
    text: dict[str, Any] = json.loads(write_consent(form, here.services.settings.canonical))
    del text["sourceAttachment"]
    return text


def signed(text: dict[str, Any], make: Callable[[bytes], bytes]) -> bytes:
    made = base64.b64encode(make(evidence.statement(text))).decode()
    source = {"contentType": signatures.MEDIA_TYPE, "data": made}
    return json.dumps(text | {"sourceAttachment": source}).encode()


async def worth(here: House) -> list[tuple[int, str]]:
    """What is kept: version and evidence hash stand for a directive."""
    return [
        (row[2], row[5].hex()) for row in await here.services.db.read(Statement(DIRECTIVE.select()))
    ]


GOOD: dict[str, Callable[[bytes], bytes]] = {
    "through an issuer": lambda p: jws(p, SIGNER, MIDDLE),
    "straight from the anchor": lambda p: jws(p, card(SHEN.number, ROOT)),
    "by the hash of the number": lambda p: jws(
        p, card(sha256(SHEN.number.encode()).hexdigest(), ROOT, usage="content_commitment")
    ),
    "RS256": lambda p: jws(p, card(SHEN.number, ROOT, key=RSA), algorithm="RS256"),
    "PS256": lambda p: jws(p, card(SHEN.number, ROOT, key=RSA), algorithm="PS256"),
}


@pytest.mark.parametrize("how", GOOD)
async def test_a_signature_of_the_resident_is_worth_more_than_a_clerks_word(
    here: House, how: str
) -> None:
    made = await consents.create(signed(plain(here), GOOD[how]), REGISTRAR, here.services)
    # A refusal proved like this is undone by nothing less.
    with pytest.raises(Problem) as told:
        await consents.withdraw(made.id, REGISTRAR, here.services)
    assert [one.place for one in told.value.complaints] == ["Consent.source[x]"]


def _other_text(payload: bytes) -> bytes:
    return jws(payload.replace(b'"deny"', b'"permit"'), SIGNER, MIDDLE)


def _flipped(payload: bytes) -> bytes:
    head, _, tail = jws(payload, SIGNER, MIDDLE).rpartition(b".")
    return head + b"." + bytes([tail[0] ^ 1 if tail[0] ^ 1 != 0x40 else 0x41]) + tail[1:]


BAD: dict[str, Callable[[bytes], bytes]] = {
    "another text": _other_text,
    "a bit of the signature": _flipped,
    "an unknown root": lambda p: jws(p, card(SHEN.number, card("own", authority=True))),
    "signed by itself": lambda p: jws(p, card(SHEN.number)),
    "an issuer that is none": lambda p: jws(p, card(SHEN.number, SIGNER), SIGNER, MIDDLE),
    "an authority that signs": lambda p: jws(p, card(SHEN.number, ROOT, authority=True)),
    "expired": lambda p: jws(p, card(SHEN.number, ROOT, days=30)),
    "not for signing": lambda p: jws(p, card(SHEN.number, ROOT, usage="key_agreement")),
    "a gap in the chain": lambda p: jws(p, SIGNER),
    "the wrong order": lambda p: jws(p, SIGNER, ROOT, MIDDLE),
    "an algorithm of another key": lambda p: jws(p, SIGNER, MIDDLE, algorithm="RS256"),
    "no algorithm": lambda p: jws(p, SIGNER, MIDDLE, algorithm="none"),
    "a key of its own": lambda p: jws(p, SIGNER, MIDDLE, jwk={"kty": "EC"}),
    "a critical header": lambda p: jws(p, SIGNER, MIDDLE, crit=["b64"], b64=False),
    "an attached payload": lambda p: jws(p, SIGNER, MIDDLE).replace(b"..", b"." + b64(p) + b"."),
    "no chain": lambda p: jws(p, SIGNER, x5c=[]),
    "nothing": lambda _: b"",
    "no signature": lambda p: jws(p, SIGNER, MIDDLE).rpartition(b".")[0] + b".",
    "too long": lambda p: jws(p, SIGNER, MIDDLE, kid="x" * signatures.LONGEST),
}


@pytest.mark.parametrize("how", BAD)
async def test_what_is_not_a_signature_of_this_text_proves_nothing(here: House, how: str) -> None:
    with pytest.raises(Problem) as told:
        await consents.create(signed(plain(here), BAD[how]), REGISTRAR, here.services)
    assert told.value.kind is Kind.UNPROCESSABLE
    assert [one.place for one in told.value.complaints] == ["Consent.sourceAttachment"]
    assert await worth(here) == []


async def test_somebody_elses_certificate_does_not_sign_for_the_patient(here: House) -> None:
    stranger = card("330421199001010017", MIDDLE)
    with pytest.raises(Problem) as told:
        await consents.create(
            signed(plain(here), lambda p: jws(p, stranger, MIDDLE)), REGISTRAR, here.services
        )
    assert [one.place for one in told.value.complaints] == ["Consent.source[x]"]
    assert await worth(here) == []


async def test_what_was_signed_with_the_residents_number_is_found_under_our_id(here: House) -> None:
    """The signer need not know our ids: the Consent as it was sent is what was signed."""
    who = {"identifier": {"system": RESIDENT_ID, "value": SHEN.number}}
    text = plain(here) | {"patient": who, "performer": [who]}
    made = await consents.create(
        signed(text, lambda p: jws(p, SIGNER, MIDDLE)), REGISTRAR, here.services
    )
    own = county_id(SHEN.number, here.services)
    assert json.loads(made.text)["patient"] == {"reference": f"Patient/{own}"}
    assert here.clock.at > NOON


async def test_without_anchors_nobodys_signature_counts(here: House) -> None:
    settings = replace(here.services.settings, signature_anchors=Path())
    services = replace(here.services, settings=settings)
    with pytest.raises(Problem):
        await consents.create(
            signed(plain(here), lambda p: jws(p, SIGNER, MIDDLE)), REGISTRAR, services
        )
