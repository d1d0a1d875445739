"""Keys over time: made before data, held shortly, rotated, renewed and destroyed."""

from __future__ import annotations

import asyncio

import pytest

from gateway.vault import (
    ChartTier,
    KeyFile,
    KeyMissing,
    RecordName,
    RootRefused,
    SealBroken,
    Shredded,
    Tier,
    Vault,
    VaultError,
)

ALICE, BOB = ("a" * 32, "b" * 32)
GENERAL, RESTRICTED = ChartTier(ALICE, Tier.GENERAL), ChartTier(ALICE, Tier.RESTRICTED)
HERS = ChartTier(BOB, Tier.GENERAL)
NAME = RecordName("Observation", "c" * 32, 1)


async def seal(vault, grant, want=GENERAL, text=b'{"a":1}'):
    return (await vault.records(grant, [want]))[want].seal(text, NAME)


async def open_(vault, grant, sealed, want=GENERAL):
    return (await vault.records(grant, [want]))[want].open(sealed, NAME)


# Opening the vault.


async def test_a_new_county_makes_its_keys_once(keyring, root):
    first = await Vault.open(keyring, root, "yunxi")
    again = await Vault.open(keyring, root, "yunxi")

    assert (first.created, again.created, keyring.writes) == (True, False, 1)
    assert first.public_key() == again.public_key()
    assert first.resource_id("people", "mrn", "Patient", ["1"]) == again.resource_id(
        "people", "mrn", "Patient", ["1"]
    )


async def test_two_processes_starting_at_once_agree(keyring, root):
    one, other = await asyncio.gather(
        Vault.open(keyring, root, "yunxi"), Vault.open(keyring, root, "yunxi")
    )

    assert one.open_token("page", other.seal_token("page", b"x")) == b"x"


@pytest.mark.parametrize("house", ["id", "general", "signing"])
async def test_a_damaged_keyring_stops_the_start_and_gets_no_new_key(keyring, root, vault, house):
    await keyring.erase(f"county/{house}")
    before = dict(keyring.rows)

    with pytest.raises(KeyMissing, match=f"county/{house}"):
        await Vault.open(keyring, root, "yunxi")
    assert keyring.rows == before


async def test_a_county_made_before_policies_were_signed_is_given_the_key(keyring, root, vault):
    await keyring.erase("county/policy")

    again = await Vault.open(keyring, root, "yunxi")

    assert again.policy_key() != vault.policy_key()
    assert again.policy_key() == (await Vault.open(keyring, root, "yunxi")).policy_key()


async def test_another_root_or_county_does_not_open_the_keyring(keyring, root, vault, tmp_path):
    stranger = KeyFile.create(tmp_path / "other.key")

    with pytest.raises(RootRefused):
        await Vault.open(keyring, stranger, "yunxi")
    with pytest.raises(RootRefused):
        await Vault.open(keyring, root, "linshui")


async def test_the_demonstration_root_is_visible(keyring, tmp_path):
    root = KeyFile.create(tmp_path / "demo.key", demo=True)

    assert (await Vault.open(keyring, root, "yunxi")).demo


# Making chart keys.


async def test_keys_are_durable_before_they_are_used(vault, keyring, filing):
    await vault.ensure([GENERAL, RESTRICTED], [(ALICE, 2026), ("", 2026)])

    names = await keyring.names("")
    assert {f"chart/{ALICE}/0", f"chart/{ALICE}/1", f"audit/{ALICE}/2026", "audit//2026"} <= set(
        names
    )
    assert keyring.writes == 2  # the county's, and one for all four


async def test_making_them_again_changes_nothing_and_costs_nothing(vault, keyring, filing):
    await vault.ensure([GENERAL])
    rows, fetches = dict(keyring.rows), keyring.fetches
    await vault.ensure([GENERAL])

    assert (keyring.rows, keyring.fetches) == (rows, fetches)


@pytest.mark.parametrize("lost", ["question", "answer"])
async def test_a_crash_between_keyring_and_data_leaves_a_key_that_serves(
    vault, keyring, root, filing, lost
):
    keyring.lose = lost
    with pytest.raises(ConnectionError):
        await vault.ensure([GENERAL])
    keyring.lose = ""
    after = await Vault.open(keyring, root, "yunxi")

    await after.ensure([GENERAL])
    await vault.ensure([GENERAL])

    assert await open_(vault, filing, await seal(after, filing)) == b'{"a":1}'
    assert len([name for name, _ in keyring.rows if name == f"chart/{ALICE}/0"]) == 1


async def test_two_processes_filing_at_once_use_the_same_key(vault, keyring, root, filing):
    other = await Vault.open(keyring, root, "yunxi")
    await asyncio.gather(vault.ensure([GENERAL]), other.ensure([GENERAL]))

    assert await open_(other, filing, await seal(vault, filing)) == b'{"a":1}'


async def test_a_key_nobody_made_is_missing_and_the_caller_learns_which(vault, filing):
    await vault.ensure([GENERAL])

    with pytest.raises(KeyMissing) as missing:
        await vault.manifests(filing, [GENERAL, HERS])
    assert missing.value.wants == (HERS,)


@pytest.mark.parametrize("chart", ["", "A" * 32, "a" * 31, "a/" * 16, "a" * 31 + "\n"])
async def test_a_chart_has_32_hexadecimal_characters(vault, filing, chart):
    with pytest.raises(ValueError):
        await vault.ensure([ChartTier(chart, Tier.GENERAL)])
    with pytest.raises(ValueError):
        await vault.manifests(filing, [ChartTier(chart, Tier.GENERAL)])


# Looking keys up.


async def test_a_batch_is_one_fetch_and_then_none(keyring, root, vault, filing):
    wants = [GENERAL, RESTRICTED, HERS]
    await vault.ensure(wants)
    fresh = await Vault.open(keyring, root, "yunxi")
    fetches = keyring.fetches

    await fresh.manifests(filing, wants)
    assert keyring.fetches == fetches + 1
    await fresh.manifests(filing, wants)
    await fresh.records(filing, wants)
    assert keyring.fetches == fetches + 1


async def test_keys_are_held_five_minutes_at_most_however_often_used(vault, keyring, clock, filing):
    await vault.ensure([GENERAL])
    clock.now += 299
    fetches = keyring.fetches
    await vault.manifests(filing, [GENERAL])
    assert keyring.fetches == fetches

    clock.now += 1
    await vault.manifests(filing, [GENERAL])
    assert keyring.fetches == fetches + 1


async def test_the_number_of_keys_held_is_bounded(keyring, root, filing):
    vault = await Vault.open(keyring, root, "yunxi", cached=10)
    wants = [ChartTier(f"{number:032x}", Tier.GENERAL) for number in range(30)]
    await vault.ensure(wants)

    assert len(vault._stock) == 10
    assert set(await vault.manifests(filing, wants)) == set(wants)
    assert len(vault._stock) == 10


async def test_rows_swapped_in_the_keyring_do_not_unwrap(vault, keyring, root, filing):
    await vault.ensure([GENERAL, RESTRICTED, HERS])
    fresh = await Vault.open(keyring, root, "yunxi")
    hers = keyring.rows[f"chart/{BOB}/0", 1]
    keyring.put(hers, name=f"chart/{ALICE}/0")  # another chart's key
    keyring.put(keyring.rows[f"chart/{ALICE}/1", 1], name=f"chart/{BOB}/0")  # another tier's

    for want in (GENERAL, HERS):
        with pytest.raises(SealBroken):
            await fresh.manifests(filing, [want])


async def test_a_generation_cannot_be_relabelled_in_the_keyring(vault, keyring, root, filing):
    await vault.ensure([GENERAL])
    keyring.put(keyring.rows[f"chart/{ALICE}/0", 1], generation=2)
    fresh = await Vault.open(keyring, root, "yunxi")

    with pytest.raises(SealBroken):
        await fresh.manifests(filing, [GENERAL])


# Rotating.


async def test_rotation_touches_wraps_and_no_data(vault, keyring, root, filing):
    await vault.ensure([GENERAL, RESTRICTED, HERS])
    sealed = await seal(vault, filing)
    restricted = keyring.rows[f"chart/{ALICE}/1", 1]

    assert await vault.rotate(Tier.GENERAL) == 2

    assert keyring.rows[f"chart/{ALICE}/0", 1].under == "county/general/2"
    assert keyring.rows[f"chart/{ALICE}/1", 1] == restricted
    assert await open_(vault, filing, sealed) == b'{"a":1}'
    fresh = await Vault.open(keyring, root, "yunxi")
    assert await open_(fresh, filing, sealed) == b'{"a":1}'
    assert await vault.retire(Tier.GENERAL) == 1
    assert await open_(vault, filing, sealed) == b'{"a":1}'


async def test_a_process_that_missed_the_rotation_goes_on(vault, keyring, root, filing):
    other = await Vault.open(keyring, root, "yunxi")
    await vault.ensure([GENERAL])
    await vault.rotate(Tier.GENERAL)
    await vault.retire(Tier.GENERAL)

    await other.ensure([HERS])

    assert keyring.rows[f"chart/{BOB}/0", 1].under == "county/general/2"
    assert await open_(vault, filing, await seal(other, filing)) == b'{"a":1}'


async def test_a_process_that_missed_the_rotation_reads_new_keys(vault, keyring, root, filing):
    other = await Vault.open(keyring, root, "yunxi")
    await vault.rotate(Tier.GENERAL)
    await vault.ensure([GENERAL])

    assert await open_(other, filing, await seal(vault, filing)) == b'{"a":1}'


async def test_a_key_whose_county_key_is_gone_is_missing(vault, keyring, root, filing):
    await vault.ensure([GENERAL])
    keyring.put(keyring.rows[f"chart/{ALICE}/0", 1], under="county/general/9")
    fresh = await Vault.open(keyring, root, "yunxi")

    with pytest.raises(KeyMissing):
        await fresh.manifests(filing, [GENERAL])


@pytest.mark.parametrize("what", ["audit", "intake"])
async def test_audit_and_intake_keys_rotate_as_well(vault, keyring, root, filing, what):
    await vault.ensure([], [(ALICE, 2026), ("", 2026)])
    raw = await vault.seal_raw("people-his", "2026-03-01", "7", b"MSH|")
    audit = (await vault.audit_seals(filing, [("", 2026)]))["", 2026].seal(b"who", b"w/1")

    moved = await vault.rotate(what)
    await vault.retire(what)

    assert moved == {"audit": 2, "intake": 1}[what]
    fresh = await Vault.open(keyring, root, "yunxi")
    assert await fresh.open_raw("people-his", "2026-03-01", "7", *raw, None) == b"MSH|"
    handle = (await fresh.audit_seals(filing, [("", 2026)]))["", 2026]
    assert handle.open(audit, b"w/1") == b"who"


async def test_an_epoch_still_in_use_is_not_destroyed(vault, keyring, monkeypatch):
    await vault.ensure([GENERAL])
    await vault.rotate(Tier.GENERAL)
    stale = keyring.rows[f"chart/{ALICE}/0", 1]
    replace = type(keyring).replace

    async def somebody_keeps_making_old_ones(self, rows):
        done = await replace(self, rows)
        keyring.put(stale, under="county/general/1", wrapped=old.wrapped)
        return done

    await vault.rotate(Tier.GENERAL)
    old = await _under_the_first_epoch(vault, keyring)
    keyring.put(old)
    monkeypatch.setattr(type(keyring), "replace", somebody_keeps_making_old_ones)

    with pytest.raises(VaultError, match="later"):
        await vault.retire(Tier.GENERAL)
    assert ("county/general", 1) in keyring.rows


async def _under_the_first_epoch(vault, keyring):
    wrap = vault._keys._wraps["general"]
    newest, wrap.newest = wrap.newest, 1
    row = vault._keys.wrap("general", f"chart/{ALICE}/0", 1, bytes(32))
    wrap.newest = newest
    return row


async def test_new_versions_seal_under_a_renewed_key_and_old_ones_still_open(vault, filing):
    await vault.ensure([GENERAL])
    old = await seal(vault, filing, text=b"1")
    await vault.renew([GENERAL])
    new = await seal(vault, filing, text=b"2")

    assert (old[1:5], new[1:5]) == ((1).to_bytes(4, "big"), (2).to_bytes(4, "big"))
    assert [await open_(vault, filing, sealed) for sealed in (old, new)] == [b"1", b"2"]


# Destroying.


async def test_a_shredded_chart_opens_nowhere_and_the_neighbour_does(vault, keyring, root, filing):
    await vault.ensure([GENERAL, RESTRICTED, HERS], [(ALICE, 2026)])
    hers = await seal(vault, filing, HERS)

    assert await vault.shred(ALICE) == 2
    assert await vault.shred(ALICE) == 0  # harmless

    for one in (vault, await Vault.open(keyring, root, "yunxi")):
        with pytest.raises(Shredded) as shredded:
            await one.records(filing, [GENERAL, HERS])
        assert shredded.value.wants == (GENERAL,)
        with pytest.raises(Shredded):
            await one.ensure([GENERAL, HERS])  # a repeated message does not begin it again
        with pytest.raises(Shredded):
            await one.manifests(filing, [ChartTier(ALICE, Tier.SEALED)])  # nor a tier never used
        assert await open_(one, filing, hers, HERS) == b'{"a":1}'
        await one.audit_seals(filing, [(ALICE, 2026)])  # who looked remains readable


async def test_audit_bodies_are_destroyed_only_when_asked_and_noting_goes_on(vault, filing):
    await vault.ensure([GENERAL], [(ALICE, 2025), (ALICE, 2026)])
    body = (await vault.audit_seals(filing, [(ALICE, 2026)]))[ALICE, 2026].seal(b"who", b"w/1")

    assert await vault.shred(ALICE, audit=True) == 3

    with pytest.raises(Shredded):
        await vault.audit_seals(filing, [(ALICE, 2026)])
    await vault.ensure([], [(ALICE, 2026)])
    after = (await vault.audit_seals(filing, [(ALICE, 2026)]))[ALICE, 2026]
    assert after.open(after.seal(b"x", b"w/2"), b"w/2") == b"x"
    with pytest.raises(Shredded):
        after.open(body, b"w/1")


async def test_a_chart_can_begin_again_on_purpose_without_its_past(vault, keyring, root, filing):
    await vault.ensure([GENERAL])
    past = await seal(vault, filing)
    await vault.shred(ALICE)

    await vault.renew([GENERAL])
    await vault.ensure([GENERAL])

    assert await open_(vault, filing, await seal(vault, filing, text=b"new")) == b"new"
    with pytest.raises(Shredded):
        await open_(vault, filing, past)
    await vault.shred(ALICE)
    with pytest.raises(Shredded):
        await vault.manifests(filing, [GENERAL])


async def test_a_shred_that_crashed_halfway_is_shredded_and_can_be_repeated(
    vault, keyring, root, filing, monkeypatch
):
    await vault.ensure([GENERAL, RESTRICTED])

    async def crash(self, name, generation=None):
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(type(keyring), "erase", crash)
        with pytest.raises(ConnectionError):
            await vault.shred(ALICE)

    for one in (vault, await Vault.open(keyring, root, "yunxi")):
        with pytest.raises(Shredded):
            await one.manifests(filing, [GENERAL])
    assert await vault.shred(ALICE) == 2
    assert not await keyring.names(f"chart/{ALICE}/")


async def test_a_backup_of_the_keyring_is_useless_after_rotation_and_retirement(
    vault, keyring, root, filing
):
    await vault.ensure([GENERAL, HERS])
    sealed = await seal(vault, filing)
    backup = keyring.copy()
    await vault.shred(ALICE)
    await vault.rotate(Tier.GENERAL)
    await vault.retire(Tier.GENERAL)

    # The thief has the old wrapped key and everything the county still holds, root included.
    for key, row in backup.rows.items():
        if key[0].startswith("chart/"):
            keyring.put(row)
    await keyring.erase(f"shred/chart/{ALICE}/0")
    thief = await Vault.open(keyring, root, "yunxi")
    with pytest.raises(VaultError):
        await open_(thief, filing, sealed)


async def test_another_process_notices_a_shred_within_five_minutes(vault, keyring, root, filing):
    from_elsewhere = await Vault.open(keyring, root, "yunxi")
    await vault.ensure([GENERAL])
    await from_elsewhere.shred(ALICE)
    vault._clock.now += 300

    with pytest.raises(Shredded):
        await vault.manifests(filing, [GENERAL])


async def test_a_shred_during_a_look_up_is_not_outlived_by_it(vault, keyring, filing, monkeypatch):
    await vault.ensure([GENERAL])
    vault._stock.clear()
    fetch, waiting, go = type(keyring).fetch, asyncio.Event(), asyncio.Event()

    async def slow(self, names):
        rows = await fetch(self, names)
        waiting.set()
        await go.wait()
        return rows

    monkeypatch.setattr(type(keyring), "fetch", slow)
    look_up = asyncio.create_task(vault.manifests(filing, [GENERAL]))
    await waiting.wait()
    monkeypatch.setattr(type(keyring), "fetch", fetch)
    await vault.shred(ALICE)
    go.set()

    with pytest.raises(Shredded):
        await look_up


async def test_a_rotation_does_not_bring_a_shredded_key_back(vault, keyring, monkeypatch):
    await vault.ensure([GENERAL, HERS])
    replace = type(keyring).replace

    async def shredded_meanwhile(self, rows):
        await vault.shred(ALICE)
        return await replace(self, rows)

    monkeypatch.setattr(type(keyring), "replace", shredded_meanwhile)
    await vault.rotate(Tier.GENERAL)

    assert not await keyring.names(f"chart/{ALICE}/")
