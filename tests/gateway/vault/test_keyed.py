"""Ids, version tags, digests, blind indexes, tokens, fields and signatures."""

from __future__ import annotations

import unicodedata

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.vault import KeyFile, SealBroken, Vault
from gateway.vault.keyed import Keyed

KEYED = Keyed(bytes(32), bytes([1]) * 32, bytes([2]) * 32)
ID = "c" * 32
texts = st.text(max_size=4)
addresses = st.tuples(texts, texts, texts, st.lists(texts, max_size=3).map(tuple))


def test_ids_tags_digests_and_indexes_are_the_same_for_as_long_as_the_county_exists():
    # If one of these changes, every record of a running county loses its name.
    assert (
        KEYED.resource_id("people", "mrn", "Patient", ["0001"])
        == "64bc705579bc976f8e8ae8790bfeec84"
    )
    assert KEYED.version_tag(ID, 1) == "5e7ca4cce943085b"
    assert (
        KEYED.digest("raw", b"MSH|").hex()
        == "350b7f3527f1422e1a8a462f4406885ec82ec09bc2392c1cc910654fc07db290"
    )
    assert (
        KEYED.blind("phone", "19900000000").hex()
        == "5b30947a159e86113244333e625780114da6ee8ffb3aa5f88ca4176e5f5e268d"
    )


@given(addresses, addresses)
def test_different_business_keys_have_different_ids(one, other):
    def plain(address):  # equal in Unicode NFC
        organization, *rest = address
        nfc = [
            unicodedata.normalize("NFC", part)
            if isinstance(part, str)
            else tuple(unicodedata.normalize("NFC", item) for item in part)
            for part in rest
        ]
        return organization, *nfc

    same = KEYED.resource_id(*one) == KEYED.resource_id(*other)
    assert same == (plain(one) == plain(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("people", "mrn", "Patient", ["a", "bc"]), ("people", "mrn", "Patient", ["ab", "c"])),
        (("people", "mrn", "Patient", ["a"]), ("people", "mrn", "Patient", ["a", ""])),
        (("people", "mrn", "Patient", ["1"]), ("tcm", "mrn", "Patient", ["1"])),
        (("people", "mrn", "Patient", ["1"]), ("people", "visit", "Patient", ["1"])),
        (("people", "mrn", "Patient", ["1"]), ("people", "mrn", "Encounter", ["1"])),
        (("people", "mrn", "Patient", ["01"]), ("people", "mrn", "Patient", ["1"])),
    ],
)
def test_what_an_id_keeps_apart(one, other):
    assert KEYED.resource_id(*one) != KEYED.resource_id(*other)


def test_composed_and_decomposed_writing_is_one_key():
    assert KEYED.resource_id("people", "é", "Patient", ["é"]) == KEYED.resource_id(
        "people", "e\u0301", "Patient", ["e\u0301"]
    )


def test_an_id_looks_like_an_id():
    made = KEYED.resource_id("people", "mrn", "Patient", ["\ud800", "张"])

    assert len(made) == 32
    assert not made.strip("0123456789abcdef")


def test_version_tags_tell_no_order_and_leave_no_gap():
    tags = [KEYED.version_tag(ID, version) for version in range(1, 200)]

    assert len(set(tags)) == 199
    assert all(len(tag) == 16 for tag in tags)
    assert tags != sorted(tags)
    assert KEYED.version_tag("d" * 32, 1) not in tags


@given(texts, st.binary(max_size=8), texts, st.binary(max_size=8))
def test_a_digest_belongs_to_what_it_is_about(about, data, other, more):
    same = KEYED.digest(about, data) == KEYED.digest(other, more)

    assert same == ((about, data) == (other, more))
    assert len(KEYED.digest(about, data)) == 32


def test_a_blind_index_is_full_length_and_differs_by_field():
    phone, card = KEYED.blind("phone", "1"), KEYED.blind("card", "1")

    assert (len(phone), phone != card) == (32, True)
    assert KEYED.blind("phone", "1") == phone


async def test_two_counties_have_nothing_in_common(vault, tmp_path):
    other = await Vault.open(
        type(vault._keyring)(), KeyFile.create(tmp_path / "other.key"), "linshui"
    )
    for ask in (
        lambda v: v.resource_id("people", "mrn", "Patient", ["1"]),
        lambda v: v.version_tag(ID, 1),
        lambda v: v.digest("raw", b""),
        lambda v: v.blind("phone", "1"),
        lambda v: v.public_key(),
    ):
        assert ask(vault) != ask(other)
    assert other.open_token("page", vault.seal_token("page", b"x")) is None


async def test_a_token_opens_as_its_kind_only(vault):
    token = vault.seal_token("page", b"next")

    assert vault.open_token("page", token) == b"next"
    assert vault.open_token("session", token) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.sampled_from("Aa0-_=. é\n"))
async def test_a_changed_token_is_none_never_an_error(vault, place, character):
    token = vault.seal_token("page", b"next")
    place %= len(token)
    for forged in (
        token[:place] + character + token[place + 1 :],
        token[:place] + character + token[place:],
        token[:place],
    ):
        assert vault.open_token("page", forged) == (b"next" if forged == token else None)


async def test_a_token_has_one_spelling(vault):
    # base64 ignores the spare bits of the last letter, padding and strange letters.
    token = vault.seal_token("page", b"next")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = [token[:-1] + letter for letter in letters] + [token + "=", token + "!!!!"]

    assert [other for other in spellings if vault.open_token("page", other)] == [token]


@pytest.mark.parametrize("token", ["", "=", "a", "é", "\ud800", "A" * 4000])
async def test_nonsense_is_no_token(vault, token):
    assert vault.open_token("page", token) is None


async def test_tokens_are_safe_in_a_url(vault):
    token = vault.seal_token("page", bytes(range(256)))

    assert not token.lower().strip("abcdefghijklmnopqrstuvwxyz0123456789-_")


async def test_a_field_opens_in_its_own_row(vault):
    sealed = vault.seal_field("user", "7", "王医生".encode())

    assert vault.open_field("user", "7", sealed).decode() == "王医生"
    for table, row in (("user", "8"), ("client", "7"), ("use", "r7")):
        with pytest.raises(SealBroken):
            vault.open_field(table, row, sealed)


async def test_anyone_with_the_public_key_verifies_a_signature(vault):
    signature = vault.sign(b"checkpoint")

    Ed25519PublicKey.from_public_bytes(vault.public_key()).verify(signature, b"checkpoint")
    assert (len(signature), len(vault.public_key())) == (64, 32)
