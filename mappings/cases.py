"""Golden cases of a site: a delivery as received beside what must come of it, in ``cases/`` beside the map.

``cases/NAME.raw`` holds the bytes, ``cases/NAME.expect.json`` an object: ``resources`` (in order,
every digit as written), ``issues`` (severity, code, place) and, where the ``resources`` are only some
of what is made and each only some of its elements, ``"partial": true``. Ids are those of `trial_ids`,
the release hash stands as ``RELEASE``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson

from mappings.engine import Map, Message, Reading, jsontext
from mappings.engine.model import trial_ids

ORIGIN = "0011223344556677"


@dataclass(frozen=True, slots=True)
class Case:
    """One delivery and what is expected of it."""

    name: str
    raw: bytes
    expected: bytes


def cases(site: Path) -> list[Case]:
    """A site's cases by name; one without its expectation expects nothing and so fails."""
    found = []
    for raw in sorted((site / "cases").glob("*.raw")):
        wanted = raw.with_suffix(".expect.json")
        expected = wanted.read_bytes() if wanted.is_file() else b"{}"
        found.append(Case(raw.stem, raw.read_bytes(), expected))
    return found


def written(site: Map, raw: bytes) -> bytes:
    """What a map makes of a delivery, as a case expects it."""
    reading = site.read(raw, trial_ids, origin=ORIGIN)
    return _written(site, reading.messages, _issues(reading))


def _written(site: Map, messages: Sequence[Message], issues: Sequence[object]) -> bytes:
    texts = [one.text() for message in messages for one in message.resources]
    whole = b'{"resources":[%s],"issues":%s}' % (b",".join(texts), orjson.dumps(issues))
    return msgspec.json.format(whole.replace(site.release.encode(), b"RELEASE"), indent=1) + b"\n"


def _issues(reading: Reading) -> list[tuple[str, str, str]]:
    found = (*reading.issues, *(i for message in reading.messages for i in message.issues))
    return [(one.severity, one.code, one.place) for one in found]


def failures(case: Case, site: Map) -> list[str]:
    """What is otherwise than expected, as the lines of a difference; none when all is well.

    Both executors read the case, and must say the same.
    """
    made = written(site, case.raw)
    other = _explained(site, case.raw)
    if made != other:
        return ["the two executors differ:", *_difference(made, other)]
    try:
        wanted = orjson.loads(case.expected)
    except orjson.JSONDecodeError:
        return [f"{case.name}.expect.json is not JSON"]
    if wanted.get("partial"):
        return list(_lacking(wanted, case.expected, made))
    tidy = msgspec.json.format(case.expected, indent=1) + b"\n"
    return list(_difference(tidy, made))


def _explained(site: Map, raw: bytes) -> bytes:
    told = site.explain(raw, trial_ids, origin=ORIGIN)
    messages = [said.message for said in told.messages]
    return _written(site, messages, _issues(Reading(tuple(messages), told.issues)))


def _difference(wanted: bytes, made: bytes) -> Iterator[str]:
    yield from difflib.unified_diff(
        wanted.decode().splitlines(),
        made.decode().splitlines(),
        "expected",
        "read now",
        lineterm="",
        n=2,
    )


def _lacking(wanted: dict[str, Any], expected: bytes, made: bytes) -> Iterator[str]:
    """What a partial case names and is not made so; numbers are compared as written."""
    found = {}
    for text in _resources(made):
        node = orjson.loads(text)
        found[node["resourceType"], node["id"]] = text
    for text in _resources(expected):
        node = orjson.loads(text)
        name = node.get("resourceType"), node.get("id")
        standing = found.get(name)
        if standing is None:
            yield f"- {name[0]}/{name[1]} is not made"
            continue
        was, now = _members(text), _members(standing)
        for member, value in was.items():
            if now.get(member) != value:
                yield f"- {name[0]}/{name[1]} {member}: {value.decode()}"
                yield f"+ {name[0]}/{name[1]} {member}: {now.get(member, b'').decode()}"
    issues = orjson.loads(made)["issues"]
    for issue in wanted.get("issues", ()):
        if issue not in issues:
            yield f"- issue {' '.join(issue)}"


def _resources(text: bytes) -> Iterator[bytes]:
    listed = jsontext.parse(text).get("resources")
    for value in listed.items() if listed is not None else ():
        yield text[value.start : value.end]


def _members(text: bytes) -> dict[str, bytes]:
    root = jsontext.parse(text)
    return {
        name: msgspec.json.format(text[value.start : value.end], indent=-1)
        for name, value in root.members().items()
    }


_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{17}[0-9Xx](?![0-9A-Za-z])")


def real_looking_numbers(raw: bytes, charset: str) -> int:
    """How many resident IDs in a delivery may be somebody's: well formed, and not of sequence 000."""
    text = raw.decode(charset, "replace")
    return sum(match[0][14:17] != "000" for match in _NUMBER.finditer(text))
