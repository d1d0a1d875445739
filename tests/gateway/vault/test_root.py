"""The root key file: private, whole, and never a demonstration's by accident."""

from __future__ import annotations

import os
import stat

import pytest

from gateway.vault import KeyFile, RootRefused, SealBroken


@pytest.fixture
def path(tmp_path):
    return tmp_path / "root.key"


def test_a_key_file_is_private_says_what_it_is_and_opens_again(path):
    wrapped = KeyFile.create(path).wrap(bytes(32), b"county/id")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("health-gateway root key 1\ncheck ")
    again = KeyFile.open(path)
    assert again.unwrap(wrapped, b"county/id") == bytes(32)
    assert not again.demo
    with pytest.raises(SealBroken):
        again.unwrap(wrapped, b"county/blind")


def test_the_file_is_private_even_under_an_open_umask(path):
    before = os.umask(0)
    try:
        KeyFile.create(path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_existing_file_is_never_overwritten(path):
    KeyFile.create(path)
    before = path.read_bytes()

    with pytest.raises(RootRefused, match="never overwritten"):
        KeyFile.create(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o777])
def test_a_file_others_may_touch_is_refused(path, mode):
    KeyFile.create(path)
    path.chmod(mode)

    with pytest.raises(RootRefused, match="other users"):
        KeyFile.open(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:2],
        lambda lines: [*lines, "more"],
        lambda lines: ["some other file", *lines[1:]],
        lambda lines: [lines[0], "check 0000000000000000", lines[2]],
        lambda lines: [*lines[:2], lines[2][:-5] + "AAAA="],
        lambda lines: [*lines[:2], lines[2][:20]],
        lambda lines: [*lines[:2], "密钥"],
        lambda lines: [],
    ],
)
def test_a_damaged_file_is_refused_without_telling_its_content(path, damage):
    KeyFile.create(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(damage(lines)))

    with pytest.raises(RootRefused) as refused:
        KeyFile.open(path)
    assert lines[2] not in str(refused.value)


def test_a_demonstration_key_opens_only_where_demonstrations_are(path):
    KeyFile.create(path, demo=True)

    with pytest.raises(RootRefused, match="protects nothing"):
        KeyFile.open(path)
    assert KeyFile.open(path, allow_demo=True).demo


def test_a_demonstration_key_is_not_made_real_by_editing_its_name(path):
    KeyFile.create(path, demo=True)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["health-gateway root key 1", *lines[1:]]))

    with pytest.raises(RootRefused, match="damaged"):
        KeyFile.open(path)


@pytest.mark.parametrize("strange", ["absent", "folder", "pipe"])
def test_what_is_not_a_file_is_refused_and_does_not_hang(path, strange):
    if strange == "folder":
        path.mkdir(mode=0o700)
    if strange == "pipe":
        os.mkfifo(path, 0o600)

    with pytest.raises(RootRefused):
        KeyFile.open(path)


def test_its_limits_are_sentences():
    assert KeyFile.limits
    assert all(limit[0].isupper() and limit.endswith(".") for limit in KeyFile.limits)
