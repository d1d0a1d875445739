"""Long manifests: what is kept for a minute is only ever what stands in the very bytes just fetched."""

from __future__ import annotations

import hashlib

import pytest

from gateway.exchange.shelves import manifests, segment_name
from gateway.records.entry import Entry, Nature, pack_segment
from gateway.services import Services
from gateway.services.long_manifests import LIFE, LONG, LongManifests
from gateway.vault import ChartTier, Grant, ManifestKey, SealBroken, Tier

CHART = "c" * 32
ABOUT = segment_name(CHART, 1, 1)


@pytest.fixture
async def key(services: Services) -> ManifestKey:
    want = ChartTier(CHART, Tier.GENERAL)
    await services.vault.ensure([want])
    return (await manifests(services, Grant("job", "test", frozenset(Tier)), [want]))[want]


def _sealed(key: ManifestKey, about: bytes = ABOUT, source: str = "people") -> bytes:
    nature = Nature("Observation", source)
    # Ids and digests that nothing can be saved of: long enough to be kept.
    entries = [
        (nature, Entry(_hash(n), 1, n, 0, digest=_hash(-n))) for n in range(1, LONG // 32 + 1)
    ]
    return key.seal(pack_segment(entries), about)


def _hash(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()[:16]


async def test_the_same_bytes_are_read_once_a_minute(key: ManifestKey) -> None:
    now = 0.0
    held = LongManifests(clock=lambda: now)
    sealed = _sealed(key)
    first = held.opened(key, sealed, ABOUT)
    assert held.opened(key, bytes(bytearray(sealed)), ABOUT) is first
    now = LIFE + 1
    assert held.opened(key, sealed, ABOUT) is not first


async def test_other_bytes_are_read_anew_and_broken_ones_are_refused(key: ManifestKey) -> None:
    held = LongManifests()
    sealed = _sealed(key)
    held.opened(key, sealed, ABOUT)
    later = held.opened(key, _sealed(key, source="tcm"), ABOUT)
    assert [one.source for one in later.natures] == ["tcm"]
    broken = bytearray(sealed)
    broken[len(broken) // 2] ^= 1
    with pytest.raises(SealBroken):
        held.opened(key, bytes(broken), ABOUT)
    with pytest.raises(SealBroken):  # another chart's bytes in this place
        held.opened(key, sealed, segment_name("d" * 32, 1, 1))


async def test_short_ones_are_never_kept_and_the_oldest_make_room(key: ManifestKey) -> None:
    one = pack_segment([(Nature("Patient", "people"), Entry(b"p" * 16, 1, 1, 0))])
    held = LongManifests()
    held.opened(key, key.seal(one, ABOUT), ABOUT)
    assert len(held) == 0
    names = [segment_name(CHART, 1, number) for number in range(4)]
    pieces = [_sealed(key, name) for name in names]
    small = LongManifests(most=2 * len(pieces[0]))
    first = small.opened(key, pieces[0], names[0])
    for name, piece in zip(names[1:], pieces[1:], strict=True):
        small.opened(key, piece, name)
    assert len(small) == 2
    assert small.opened(key, pieces[0], names[0]) is not first


async def test_what_was_kept_too_long_goes_with_the_next_question(key: ManifestKey) -> None:
    now = 0.0
    held = LongManifests(clock=lambda: now)
    held.opened(key, _sealed(key), ABOUT)
    now = LIFE
    one = pack_segment([(Nature("Patient", "people"), Entry(b"p" * 16, 1, 1, 0))])
    held.opened(key, key.seal(one, b"other"), b"other")
    assert len(held) == 0
