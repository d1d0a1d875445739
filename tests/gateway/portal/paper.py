"""Reads the words of each page of a PDF file that Chromium printed or WeasyPrint laid out."""

from __future__ import annotations

import re
import zlib
from unicodedata import normalize

_LOOKALIKES = str.maketrans("⺠⻓⻔⻚⻛⻢⻥⻮⻰", "民长门页风马鱼齿龙")  # those NFKC leaves
_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\b(.*?)\bendobj", re.S)
_FONT = re.compile(rb"/(F\d+|[A-Z]{6}) (\d+) 0 R")
_SHOWN = re.compile(rb"/(F\d+|[A-Z]{6}) [\d.]+ Tf|<([0-9A-Fa-f]+)>")


def pages(pdf: bytes) -> list[str]:
    """The text of each page, in the order it was drawn, without blanks."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    for body in list(objects.values()):
        if b"/ObjStm" in body:
            objects |= _packed(body)
    fonts: dict[int, dict[int, str]] = {}

    def letters(number: int) -> dict[int, str]:
        if number not in fonts:
            found = re.search(rb"/ToUnicode (\d+) 0 R", objects[number])
            fonts[number] = _map(_content(objects[int(found[1])])) if found else {}
        return fonts[number]

    told = []
    for body in objects.values():
        if not re.search(rb"/Type ?/Page\b", body):
            continue
        named = {
            name: letters(int(number)) for name, number in _FONT.findall(_resources(body, objects))
        }
        drawn = b"\n".join(
            _content(objects[int(one)])
            for listed in re.findall(rb"/Contents ?(\[[^\]]*\]|\d+ 0 R)", body)
            for one in re.findall(rb"(\d+) 0 R", listed)
        )
        said, font = [], dict[int, str]()
        for name, codes in _SHOWN.findall(drawn):
            if name:
                font = named.get(name, {})
            else:
                glyphs = (int(codes[n : n + 4], 16) for n in range(0, len(codes), 4))
                said.append("".join(font.get(glyph, "") for glyph in glyphs))
        # Fonts draw some characters by a lookalike (⼈ for 人): the plain one is given back.
        text = normalize("NFKC", "".join(said)).translate(_LOOKALIKES)
        told.append(re.sub(r"\s", "", text))
    return told


def _resources(page: bytes, objects: dict[int, bytes]) -> bytes:
    """A page with what it draws from where that stands elsewhere."""
    for what in (rb"/Resources (\d+) 0 R", rb"/Font (\d+) 0 R"):
        if found := re.search(what, page):
            page += objects[int(found[1])]
    return page


def _packed(body: bytes) -> dict[int, bytes]:
    """The objects of an object stream (ISO 32000-1, 7.5.7)."""
    first = re.search(rb"/First (\d+)", body)
    assert first
    content = _content(body)
    numbers = [int(one) for one in content[: int(first[1])].split()]
    starts = [int(first[1]) + at for at in numbers[1::2]]
    ends = [*starts[1:], len(content)]
    return {
        number: content[start:end]
        for number, start, end in zip(numbers[::2], starts, ends, strict=True)
    }


def _content(body: bytes) -> bytes:
    length = re.search(rb"/Length (\d+)", body)
    assert length
    start = body.index(b"stream\n") + len(b"stream\n")
    kept = body[start : start + int(length[1])]
    return zlib.decompress(kept) if b"FlateDecode" in body else kept


def _map(table: bytes) -> dict[int, str]:
    """A ToUnicode table (ISO 32000-1, 9.10.3)."""
    known: dict[int, str] = {}
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", table, re.S):
        for code, text in re.findall(rb"<(\w+)>\s*<(\w+)>", block):
            known[int(code, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be")
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", table, re.S):
        for low, high, text in re.findall(rb"<(\w+)>\s*<(\w+)>\s*<(\w+)>", block):
            first = int(text, 16)
            for n in range(int(high, 16) - int(low, 16) + 1):
                known[int(low, 16) + n] = chr(first + n)
    return known
