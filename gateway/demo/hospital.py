"""A pretend hospital: sends the people's hospital's messages over MLLP and waits for each answer.

`python -m gateway.demo.hospital HOST PORT`; with `--certificate`, `--key` and `--authority` over
TLS. It behaves as hospital systems do: one message at a time, and the same message again for as
long as the answer is AE or no answer comes.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.demo.delivery import Delivery
from gateway.demo.story import county

START, END = b"\x0b", b"\x1c\r"


class Line:
    """One MLLP connection, opened again when it breaks."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.host, self.port, self.tls = host, port, tls
        self.open: socket.socket | None = None

    def ask(self, raw: bytes) -> bytes:
        """Send one message and give the answer without its frame; OSError when there is none."""
        try:
            if self.open is None:
                plain = socket.create_connection((self.host, self.port), timeout=30)
                self.open = (
                    self.tls.wrap_socket(plain, server_hostname=self.host) if self.tls else plain
                )
            self.open.sendall(START + raw + END)
            answer = b""
            while not answer.endswith(END):
                piece = self.open.recv(65536)
                if not piece:
                    raise ConnectionError("the other side hung up")
                answer += piece
            return answer[len(START) : -len(END)]
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self.open is not None:
            self.open.close()
            self.open = None


def code(answer: bytes) -> str:
    """MSA-1 of an acknowledgment, or `none`."""
    for line in answer.split(b"\r"):
        if line.startswith(b"MSA|"):
            return line.split(b"|")[1].decode("ascii", "replace")
    return "none"


def send(
    deliveries: Iterable[Delivery], line: Line, tries: int = 5, pause: float = 1.0
) -> Counter[str]:
    """Send every MLLP delivery in order; counts the last answer of each, `lost` when none came."""
    told: Counter[str] = Counter()
    for one in deliveries:
        if one.channel != "mllp":
            continue
        verdict = "lost"
        for turn in range(tries):
            if turn:
                time.sleep(pause)
            try:
                verdict = code(line.ask(one.raw))
            except OSError:
                verdict = "lost"
            if verdict not in {"AE", "lost"}:
                break
        told[verdict] += 1
    line.close()
    return told


def main(arguments: list[str] | None = None) -> int:
    """Send the county as it stands today; 0 when everything was accepted."""
    parser = argparse.ArgumentParser(prog="gateway.demo.hospital", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--residents", type=int, default=300)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--authority", type=Path)
    given = parser.parse_args(arguments)
    tls = None
    if given.certificate:
        tls = ssl.create_default_context(cafile=given.authority)
        tls.load_cert_chain(given.certificate, given.key)
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date()
    told = send(county(today, given.residents).messages, Line(given.host, given.port, tls))
    print(", ".join(f"{verdict} {count}" for verdict, count in sorted(told.items())))
    return 0 if set(told) <= {"AA"} else 1


if __name__ == "__main__":
    sys.exit(main())
