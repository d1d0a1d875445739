"""MLLP framing (HL7 v2 Implementation Guide, appendix C): bytes in, whole frames out.

Strict about what would lose messages, lenient about what would not: blank space between frames and a
missing carriage return after the end block are accepted.
"""

from __future__ import annotations

START, END, CR = 0x0B, 0x1C, 0x0D
_BETWEEN = frozenset(b"\r\n \t")
_HEADER = 8_192


class FrameFault(Exception):
    """The bytes cannot be cut into frames; the connection has lost its place."""

    def __init__(self, reason: str, beginning: bytes) -> None:
        super().__init__(reason)
        self.reason = reason  # stray | unended | too-large
        self.beginning = beginning


class Frames:
    """Collects the bytes of one connection; `limit` is the largest content of a frame."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._content: bytearray | None = None

    @property
    def begun(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._content is not None

    @property
    def held(self) -> int:
        """How many bytes are waiting for the end of their frame."""
        return len(self._content) if self._content is not None else 0

    @property
    def beginning(self) -> bytes:
        """The first bytes of the frame that is being received: enough for its header."""
        return bytes(self._content[:_HEADER]) if self._content is not None else b""

    def feed(self, data: bytes) -> tuple[list[bytes], FrameFault | None]:
        """The frames that `data` completes, and what is wrong after them, if anything.

        `stray` bytes stand outside a frame, `unended` is a start block inside one, `too-large` is
        told as soon as the limit is passed. After a fault the connection is of no more use.
        """
        whole: list[bytes] = []
        at = 0
        while at < len(data):
            if self._content is None:
                byte = data[at]
                if byte == START:
                    self._content = bytearray()
                elif byte not in _BETWEEN:
                    return whole, FrameFault("stray", data[at : at + _HEADER])
                at += 1
                continue
            end = data.find(END, at)
            piece = data[at : end if end >= 0 else len(data)]
            broken = piece.find(START)
            self._content += piece if broken < 0 else piece[:broken]
            if len(self._content) > self._limit:
                return whole, FrameFault("too-large", self.beginning)
            if broken >= 0:
                return whole, FrameFault("unended", self.beginning)
            at += len(piece)
            if end >= 0:
                whole.append(bytes(self._content))
                self._content = None
                at += 1
        return whole, None


def framed(content: bytes) -> bytes:
    """The content as one frame."""
    return b"%c%b%c%c" % (START, content, END, CR)
