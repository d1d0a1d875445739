"""Turns the bytes of DICOM text values into letters: by the character set the device declares, when that can be true.

Specific Character Set (0008,0005; PS3.5 6.1, PS3.3 C.12.1.1.2) is often wrong: devices copy names from a
worklist in GBK and declare Latin-1, or nothing. So bytes that cannot be what is declared are read by the
character set registered for the source, and an issue says so; nothing is replaced or guessed beyond that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom import charset

from mappings.engine.er7 import CODECS

_GB_ESCAPES = re.compile(rb"\x1b\$\)A|\x1b\(B")
_UPPER_PAIR = re.compile(rb"[\x80-\xff]{2}")
_CHINESE = re.compile("[\x00-\x7f\u3000-\u303f\u3400-\u9fff\uff00-\uffef]*")
_LATIN = frozenset({"ISO_IR 100", "ISO 2022 IR 100"})
_PLAIN = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_CODECS = {
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gb18030",
    "ISO 2022 GBK": "gb18030",
    "ISO 2022 IR 58": "gb18030",
    "ISO_IR 58": "gb18030",
}


class Letters:
    """Reads the texts of one data set; `faults` are issue codes for what was read otherwise than declared."""

    __slots__ = ("_codec", "_declared", "_python", "_registered", "faults")

    def __init__(
        self, declared: Sequence[str], registered: str, faults: dict[str, None] | None = None
    ) -> None:
        terms = [term.strip().upper() for term in declared]
        self._declared = [term for term in terms if term not in _PLAIN]
        self._registered = CODECS.get(registered, "utf-8")
        self._codec = next((_CODECS[t] for t in self._declared if t in _CODECS), "")
        self._python: list[str] = []
        self.faults: dict[str, None] = {} if faults is None else faults

    def within(self, declared: Sequence[str]) -> Letters:
        """The same for an item of a sequence that declares a character set of its own."""
        return Letters(declared, self._registered, self.faults)

    def read(self, raw: bytes) -> str | None:
        """The text, or None when it is in no character set that was declared or registered."""
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii")
        text = self._as_declared(raw)
        if text is not None:
            return text
        # GBK names under another flag, or under none: what the hospital registered decides.
        for codec in dict.fromkeys((self._registered, "gb18030")):
            try:
                text = _GB_ESCAPES.sub(b"", raw).decode(codec)
            except UnicodeDecodeError:
                continue
            self.faults["dicom-charset"] = None
            return text
        self.faults["dicom-charset-broken"] = None
        return None

    def _as_declared(self, raw: bytes) -> str | None:
        if not self._declared:
            return None
        if self._codec:
            # The escapes of ISO 2022 IR 58 change nothing here: its bytes are GB2312 in the upper
            # half, which is a part of GB18030. Devices forget to repeat them behind a caret.
            try:
                return _GB_ESCAPES.sub(b"", raw).decode(self._codec)
            except UnicodeDecodeError:
                return None
        if _LATIN.issuperset(self._declared) and _is_chinese(raw):
            return None
        return self._by_library(raw)

    def _by_library(self, raw: bytes) -> str | None:
        """Other character sets of PS3.3 C.12.1.1.2, with their code extensions."""
        if not self._python:
            known = [charset.python_encoding.get(term) for term in self._declared]
            self._python = [name for name in known if name] or ["ascii"]
        if b"\x1b" not in raw:
            try:
                return raw.decode(self._python[0])
            except (UnicodeDecodeError, LookupError):
                return None
        text = str(charset.decode_bytes(raw, self._python, {0x5C, 0x5E, 0x3D}))
        return None if "\ufffd" in text else text


def _is_chinese(raw: bytes) -> bool:
    """Is this Chinese under a Latin-1 flag? Upper bytes stand in pairs, and all of them give Chinese signs.

    Latin-1 can hold any bytes, so it never fails; but in ``Müller`` the upper byte stands alone.
    """
    if not _UPPER_PAIR.search(raw):
        return False
    try:
        return _CHINESE.fullmatch(raw.decode("gb18030")) is not None
    except UnicodeDecodeError:
        return False
