"""Key sets that may be registered: public, for signing, one name each, strong enough."""

from __future__ import annotations

import json

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.auth.assertions import key_set
from gateway.errors import Kind, Problem

EC = ECKey.generate_key("P-384", {"kid": "1"})


def public(key, **changed):
    return {**key.as_dict(private=False), **changed}


def test_public_signing_keys_are_taken():
    rsa = RSAKey.generate_key(2048, {"kid": "2"})
    assert set(key_set(json.dumps({"keys": [public(EC), public(rsa)]}))) == {"1", "2"}


REFUSED = {
    "not JSON": "{",
    "no keys": "{}",
    "an empty set": '{"keys": []}',
    "a list": "[]",
    "two of one name": json.dumps({"keys": [public(EC), public(EC)]}),
    "a nameless key": json.dumps({"keys": [public(EC, kid="")]}),
    "a private key": json.dumps({"keys": [EC.as_dict(private=True)]}),
    "a shared key": json.dumps({"keys": [OctKey.generate_key(256, {"kid": "o"}).as_dict()]}),
    "a key for encryption": json.dumps({"keys": [public(EC, use="enc")]}),
    "another algorithm": json.dumps({"keys": [public(EC, alg="ES256")]}),
    "another curve": json.dumps({"keys": [public(ECKey.generate_key("P-256", {"kid": "w"}))]}),
    "a point off the curve": json.dumps({"keys": [public(EC, x="AAAA")]}),
    "a key that is no object": '{"keys": ["1"]}',
    "a repeated member": '{"keys": [], "keys": [' + json.dumps(public(EC)) + "]}",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_other_key_sets_are_refused(text):
    with pytest.raises(Problem) as caught:
        key_set(text)
    assert caught.value.kind is Kind.MALFORMED


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_short_rsa_keys_are_refused():
    from cryptography.hazmat.primitives.asymmetric import rsa

    numbers = rsa.generate_private_key(65537, 1024).public_key()
    key = RSAKey.import_key(numbers, {"kid": "short"})
    with pytest.raises(Problem):
        key_set(json.dumps({"keys": [key.as_dict(private=False)]}))
