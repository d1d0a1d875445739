"""Who gets which handle, and that a handle gives away nothing but its work."""

from __future__ import annotations

import copy
import gc
import json
import os
import pickle
import traceback

import pytest

from gateway.vault import (
    ChartTier,
    Grant,
    GrantRefused,
    KeyFile,
    RecordName,
    SealBroken,
    Tier,
    Vault,
    seal,
    stock,
    wrap,
)

GENERAL, RESTRICTED = ChartTier("a" * 32, Tier.GENERAL), ChartTier("a" * 32, Tier.RESTRICTED)
NAME = RecordName("Observation", "c" * 32, 1)
GENERAL_ONLY = frozenset({Tier.GENERAL})
LEAF = ("writer-1", 12)


@pytest.fixture
async def filled(vault):
    await vault.ensure([GENERAL, RESTRICTED], [(GENERAL.chart, 2026), ("", 2026)])
    return vault


async def test_a_request_reads_manifests_before_its_leaf_but_no_records(filled):
    grant = Grant("request", "r-1", GENERAL_ONLY)

    assert set(await filled.manifests(grant, [GENERAL])) == {GENERAL}
    with pytest.raises(GrantRefused, match="leaf"):
        await filled.records(grant, [GENERAL])


@pytest.mark.parametrize(
    ("kind", "leaf", "opens"),
    [
        ("request", None, False),
        ("request", ("", 1), False),
        ("request", ("writer-1", -1), False),
        ("request", LEAF, True),
        ("release", None, False),
        ("release", LEAF, True),
        ("filing", None, True),
        ("job", None, True),
    ],
)
async def test_no_leaf_no_records(filled, kind, leaf, opens):
    grant = Grant(kind, "about-1", GENERAL_ONLY, leaf)
    try:
        assert set(await filled.records(grant, [GENERAL])) == {GENERAL}
    except GrantRefused:
        assert not opens
    else:
        assert opens


@pytest.mark.parametrize("ask", ["manifests", "records"])
async def test_one_tier_too_many_refuses_the_whole_batch(filled, ask, keyring):
    fetches = keyring.fetches

    with pytest.raises(GrantRefused, match="tier"):
        await getattr(filled, ask)(
            Grant("request", "r-1", GENERAL_ONLY, LEAF), [GENERAL, RESTRICTED]
        )
    assert keyring.fetches == fetches  # refused before anything is looked up


@pytest.mark.parametrize(("kind", "about"), [("reading", "r-1"), ("request", ""), ("", "r-1")])
def test_a_grant_says_its_kind_and_what_it_is_about(kind, about):
    with pytest.raises(GrantRefused):
        Grant(kind, about, GENERAL_ONLY)


async def test_handles_of_one_chart_do_not_open_each_others_texts(filled, filing):
    charts = [GENERAL, RESTRICTED]
    manifests = await filled.manifests(filing, charts)
    records = await filled.records(filing, charts)
    audits = await filled.audit_seals(filing, [(GENERAL.chart, 2026), ("", 2026)])
    keys = [*manifests.values(), *records.values(), *audits.values()]

    for mine in keys:
        about = NAME if mine in records.values() else b"about"
        sealed = mine.seal(b"text", about)
        assert mine.open(sealed, about) == b"text"
        for other in keys:
            if other is not mine:
                with pytest.raises(SealBroken):
                    other.open(sealed, NAME if other in records.values() else b"about")


async def test_a_record_does_not_open_as_another_version_id_or_type(filled, filing):
    record = (await filled.records(filing, [GENERAL]))[GENERAL]
    sealed = record.seal(b"{}", NAME)

    for other in (NAME._replace(version=2), NAME._replace(id="d" * 32), NAME._replace(type="Task")):
        with pytest.raises(SealBroken):
            record.open(sealed, other)


# Keys do not leave.


class Ears:
    """Notes what functions return, and tells no traceback."""

    def __init__(self):
        self.heard = set()

    def keys(self):
        return {key for key in self.heard if len(key) == 32}

    def at(self, function):
        def wrapper(*arguments):
            key = function(*arguments)
            self.heard.add(key)
            return key

        return wrapper


@pytest.fixture
async def seen_keys(monkeypatch, keyring, root, filing, tmp_path):
    """A vault at work, its handles, and every key byte string that passed through its hands."""
    ears = Ears()
    monkeypatch.setattr(wrap.KeyWrap, "unwrap", ears.at(wrap.KeyWrap.unwrap))
    monkeypatch.setattr(stock, "sub_key", ears.at(seal.sub_key))
    monkeypatch.setattr(os, "urandom", ears.at(os.urandom))
    await Vault.open(keyring, root, "yunxi")
    vault = await Vault.open(keyring, KeyFile.open(tmp_path / "root.key"), "yunxi")
    await vault.ensure([GENERAL, RESTRICTED], [("", 2026)])
    handles = [
        *(await vault.manifests(filing, [GENERAL, RESTRICTED])).values(),
        *(await vault.records(filing, [GENERAL])).values(),
        *(await vault.audit_seals(filing, [("", 2026)])).values(),
    ]
    sealed, wrapped = await vault.seal_raw("people-his", "2026-03-01", "1", b"MSH|")
    await vault.open_raw("people-his", "2026-03-01", "1", sealed, wrapped, None)
    vault.resource_id("people", "mrn", "Patient", ["1"])
    vault.blind("phone", "1")
    return vault, handles, ears


async def test_no_object_reachable_from_vault_or_handles_is_a_key(seen_keys):
    vault, handles, ears = seen_keys
    keys = ears.keys()
    assert len(keys) > 12
    reached: dict[int, object] = {}
    todo: list[object] = [vault, *handles]
    while todo:
        thing = todo.pop()
        if id(thing) in reached or isinstance(thing, type) or type(thing).__name__ == "module":
            continue
        reached[id(thing)] = thing
        if type(thing).__name__ in ("function", "method", "frame"):
            continue
        todo += gc.get_referents(thing)

    texts = [thing for thing in reached.values() if isinstance(thing, (bytes, bytearray, str))]
    assert len(texts) > 20
    assert not [text for text in texts if isinstance(text, bytes) and _holds(text, keys)]


def _holds(text: bytes, keys: set[bytes]) -> bool:
    return any(key in text for key in keys)


async def test_a_handle_cannot_be_printed_copied_or_pickled(seen_keys):
    vault, handles, ears = seen_keys
    keys = ears.keys()
    for thing in [vault, *handles, *[handle._sealer for handle in handles]]:
        shown = repr(thing) + str(thing) + f"{thing}" + json.dumps(dir(thing))
        assert len(repr(thing)) < 40
        assert not [key for key in keys if key.hex() in shown or repr(key)[2:-1] in shown]
        for leave in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="do not leave"):
                leave(thing)


async def test_no_traceback_shows_a_key(seen_keys, keyring, filing, root):
    vault, handles, ears = seen_keys
    # Damage of every kind: a text, a chart key, a county key, a raw wrap.
    record = handles[2]
    broken = bytearray(record.seal(b"{}", NAME))
    broken[-1] ^= 1
    raw = await vault.seal_raw("people-his", "2026-03-01", "2", b"MSH|")
    await vault.renew([RESTRICTED])
    spoiled = keyring.rows["chart/" + "a" * 32 + "/1", 2]
    keyring.put(spoiled, wrapped=spoiled.wrapped[:-1] + bytes([spoiled.wrapped[-1] ^ 1]))
    acts = [
        lambda: _now(record.open, bytes(broken), NAME),
        lambda: vault.manifests(filing, [RESTRICTED]),
        lambda: vault.open_raw("people-his", "2026-03-01", "3", *raw, None),
        lambda: vault.open_raw("people-his", "2026-03-01", "2", raw.sealed[:-1], raw.wrap, None),
        lambda: type(vault).open(keyring, root, "linshui"),
    ]
    for act in acts:
        fault = await fault_of(act)
        keys = ears.keys()
        told = "".join(
            traceback.TracebackException.from_exception(fault, capture_locals=True).format()
        )
        assert "vault" in told  # the frames are there, with their variables
        assert not [key for key in keys if key.hex() in told or repr(key)[2:-1] in told]
        held = [v for frame, _ in traceback.walk_tb(fault.__traceback__) for v in everything(frame)]
        assert not keys.intersection(v for v in held if isinstance(v, bytes))


def everything(frame):
    """The variables of a frame, and what lies in its containers."""
    for value in frame.f_locals.values():
        yield value
        if isinstance(value, dict):
            yield from value.values()
        if isinstance(value, list | tuple | set):
            yield from value


async def fault_of(act):
    try:
        await act()
    except Exception as fault:
        return fault
    raise AssertionError("nothing was raised")


async def _now(function, *arguments):
    return function(*arguments)


async def test_errors_name_kinds_and_never_a_chart(filled, filing):
    strange = ChartTier("e" * 32, Tier.SEALED)
    record = (await filled.records(filing, [GENERAL]))[GENERAL]
    told = []
    for act in (
        lambda: filled.manifests(filing, [strange]),
        lambda: _now(record.open, record.seal(b"{}", NAME), NAME._replace(version=9)),
    ):
        with pytest.raises(Exception) as caught:
            await act()
        told.append(str(caught.value))
    assert not [text for text in told if "e" * 32 in text or "a" * 32 in text or "c" * 32 in text]
