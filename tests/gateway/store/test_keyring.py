"""The keyring on both engines keeps what the vault's Keyring promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.settings import Settings
from gateway.store.engine import Store, StoreFault, open_store
from gateway.store.keyring import StoredKeyring
from gateway.vault import Keyring, Wrapped

ONE = Wrapped("chart/aa/0", 1, "county/general/1", b"first")
TWO = Wrapped("chart/aa/0", 2, "county/general/1", b"second")
ELSE = Wrapped("chart/aa/1", 1, "county/restricted/1", b"third")


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Store]:
    opened = open_store(settings.keyring_url)
    yield opened
    await opened.close()


@pytest.fixture
def keyring(database: Store) -> Keyring:
    return StoredKeyring(database, Wrapped)


async def found(keyring: Keyring, *names: str) -> list[Wrapped]:
    return sorted(await keyring.fetch(names), key=lambda row: (row.name, row.generation))


async def test_what_is_kept_is_fetched_by_name_in_all_generations(keyring: Keyring) -> None:
    await keyring.keep([ONE, TWO, ELSE])
    assert await found(keyring, "chart/aa/0", "nobody") == [ONE, TWO]
    assert await found(keyring, "chart/aa/0", "chart/aa/1") == [ONE, TWO, ELSE]
    assert await found(keyring) == []


async def test_a_row_that_stands_is_left_untouched(keyring: Keyring) -> None:
    await keyring.keep([ONE])
    await keyring.keep([Wrapped(ONE.name, 1, "county/general/2", b"usurper"), TWO])
    assert await found(keyring, ONE.name) == [ONE, TWO]


async def test_two_who_make_the_same_key_end_with_the_same_key(keyring: Keyring) -> None:
    made = [Wrapped("chart/bb/0", 1, "u", bytes([n])) for n in range(8)]
    await asyncio.gather(*(keyring.keep([row]) for row in made))
    (row,) = await found(keyring, "chart/bb/0")
    assert row in made


async def test_replacing_never_brings_back_what_was_destroyed(keyring: Keyring) -> None:
    await keyring.keep([ONE])
    changed = await keyring.replace(
        [Wrapped(ONE.name, 1, "county/general/2", b"again"), Wrapped(ONE.name, 2, "x", b"ghost")]
    )
    assert changed == 1
    assert await found(keyring, ONE.name) == [Wrapped(ONE.name, 1, "county/general/2", b"again")]


async def test_erasing_takes_one_generation_or_all(keyring: Keyring) -> None:
    await keyring.keep([ONE, TWO, ELSE])
    assert await keyring.erase(ONE.name, 1) == 1
    assert await found(keyring, ONE.name) == [TWO]
    assert await keyring.erase(ONE.name) == 1
    assert await keyring.erase(ONE.name) == 0
    assert await found(keyring, ONE.name, ELSE.name) == [ELSE]


@pytest.mark.parametrize("sign", ["%", "_", "\\", "'", "É"])
async def test_names_are_listed_by_prefix_and_a_prefix_is_no_pattern(
    keyring: Keyring, sign: str
) -> None:
    odd = Wrapped(f"audit/{sign}/2026", 1, "u", b"k")
    await keyring.keep([ONE, TWO, ELSE, odd])
    assert await keyring.names("chart/") == ["chart/aa/0", "chart/aa/1"]
    assert await keyring.names(f"audit/{sign}") == [odd.name]
    assert await keyring.names("CHART/") == []
    assert len(await keyring.names("")) == 3


async def test_one_bad_row_keeps_none(keyring: Keyring) -> None:
    with pytest.raises(StoreFault):
        await keyring.keep([ONE, Wrapped("chart/cc/0", None, "u", b"k")])  # type: ignore[arg-type]
    assert await found(keyring, ONE.name) == []


async def test_an_erased_key_is_not_left_in_the_file(settings: Settings, database: Store) -> None:
    if database.engine != "sqlite":
        pytest.skip("PostgreSQL overwrites at vacuum; its files are not ours")
    keyring: Keyring = StoredKeyring(database, Wrapped)
    secret = b"wrapped-key-canary" * 3
    await keyring.keep([Wrapped("chart/dd/0", 1, "u", secret)])
    await keyring.erase("chart/dd/0")
    await database.close()  # the last connection brings the log back into the file
    path = Path(settings.keyring_url.removeprefix("sqlite:///"))
    for file in path.parent.glob(f"{path.name}*"):
        assert secret not in file.read_bytes(), file.name
