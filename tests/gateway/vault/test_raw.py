"""Raw messages: a key each, an owner each."""

from __future__ import annotations

import asyncio
import os

import pytest

from gateway.vault import ChartTier, KeyMissing, SealBroken, Shredded, Tier, Vault, VaultError

OWNER = ChartTier("a" * 32, Tier.GENERAL)
HIGHER = OWNER._replace(tier=Tier.SEALED)
OTHER = ChartTier("b" * 32, Tier.GENERAL)
DAY = ("people-his", "2026-03-01")
TEXT = "MSH|^~\\&|HIS|PEOPLE|GW|COUNTY|20260301||ADT^A01|MSG1|P|2.4\rPID|1||1\r".encode("gb18030")


async def test_a_message_opens_under_its_intake_key(vault):
    raw = await vault.seal_raw(*DAY, "1", TEXT)

    assert await vault.open_raw(*DAY, "1", *raw, None) == TEXT
    assert len(raw.wrap) == 65


@pytest.mark.parametrize(
    "place",
    [
        ("tcm-lis", "2026-03-01", "1"),
        ("people-his", "2026-03-02", "1"),
        ("people-his", "2026-03-01", "2"),
    ],
)
async def test_it_does_not_open_as_another_message(vault, place):
    raw = await vault.seal_raw(*DAY, "1", TEXT)
    await vault.seal_raw(*place, TEXT)

    with pytest.raises(SealBroken):
        await vault.open_raw(*place, *raw, None)


async def test_text_and_wrap_of_two_messages_do_not_mix(vault):
    one, other = [await vault.seal_raw(*DAY, "1", TEXT) for _ in range(2)]

    with pytest.raises(SealBroken):
        await vault.open_raw(*DAY, "1", one.sealed, other.wrap, None)


async def test_after_filing_the_chart_owns_it_and_its_text_stays(vault, keyring, root):
    raw = await vault.seal_raw(*DAY, "1", TEXT)
    await vault.ensure([OWNER, HIGHER, OTHER])

    owned = await vault.own_raw(*DAY, "1", raw.wrap, OWNER)
    raised = await vault.own_raw(*DAY, "1", owned, HIGHER, was=OWNER)

    fresh = await Vault.open(keyring, root, "yunxi")
    assert await fresh.open_raw(*DAY, "1", raw.sealed, owned, OWNER) == TEXT
    assert await fresh.open_raw(*DAY, "1", raw.sealed, raised, HIGHER) == TEXT
    for wrong in (None, OTHER, HIGHER):
        with pytest.raises(SealBroken):
            await fresh.open_raw(*DAY, "1", raw.sealed, owned, wrong)


async def test_shredding_the_chart_destroys_its_messages(vault):
    raw = await vault.seal_raw(*DAY, "1", TEXT)
    await vault.ensure([OWNER])
    owned = await vault.own_raw(*DAY, "1", raw.wrap, OWNER)
    await vault.shred(OWNER.chart)

    with pytest.raises(Shredded):
        await vault.open_raw(*DAY, "1", raw.sealed, owned, OWNER)


async def test_a_closed_day_makes_old_wraps_useless_but_not_owned_ones(vault):
    raw = await vault.seal_raw(*DAY, "1", TEXT)
    await vault.ensure([OWNER])
    owned = await vault.own_raw(*DAY, "1", raw.wrap, OWNER)

    assert await vault.close_intake(*DAY) == 1

    with pytest.raises(VaultError):
        await vault.open_raw(*DAY, "1", *raw, None)
    assert await vault.open_raw(*DAY, "1", raw.sealed, owned, OWNER) == TEXT
    late = await vault.seal_raw(*DAY, "2", TEXT)
    assert await vault.open_raw(*DAY, "2", *late, None) == TEXT
    with pytest.raises(KeyMissing):
        await vault.open_raw(*DAY, "1", *raw, None)


async def test_the_intake_key_is_durable_before_the_message_is_sealed(vault, keyring):
    keyring.lose = "question"
    with pytest.raises(ConnectionError):
        await vault.seal_raw(*DAY, "1", TEXT)


@pytest.mark.parametrize("place", [("", "d"), ("s", ""), ("a/b", "d"), ("a", "b/d")])
async def test_sources_and_days_cannot_run_into_each_other(vault, place):
    with pytest.raises(ValueError):
        await vault.seal_raw(*place, "1", TEXT)


async def test_fifty_megabytes_pass_and_the_loop_goes_on(vault):
    large = os.urandom(50 << 20)
    turns = 0

    async def others():
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    task = asyncio.create_task(others())
    raw = await vault.seal_raw(*DAY, "1", large)
    while_sealing = turns
    assert await vault.open_raw(*DAY, "1", *raw, None) == large
    task.cancel()
    assert while_sealing > 0
    assert turns > while_sealing
