"""The pretend hospital repeats what was not accepted, and reports what it was told."""

from __future__ import annotations

import socket
import threading
from datetime import date

import pytest

from gateway.demo.hospital import Line, code, send
from gateway.demo.story import county

SENT = county(date(2026, 11, 20), 30).about("story")[:3]


class Listener:
    """An MLLP listener that gives canned answers; an empty one hangs up instead."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.heard: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while self.answers:
            caller, _ = self.socket.accept()
            with caller:
                while self.answers:
                    frame = b""
                    while not frame.endswith(b"\x1c\r"):
                        piece = caller.recv(65536)
                        if not piece:
                            break
                        frame += piece
                    if not frame:
                        break
                    self.heard.append(frame[1:-2])
                    answer = self.answers.pop(0)
                    if not answer:
                        break
                    caller.sendall(f"\x0bMSH|^~\\&|\rMSA|{answer}|1\r\x1c\r".encode())
        self.socket.close()


def test_accepted_messages_are_sent_once_each_in_order():
    listener = Listener("AA", "AA", "AA")

    told = send(SENT, Line("127.0.0.1", listener.port), pause=0)

    assert told == {"AA": 3}
    assert listener.heard == [one.raw for one in SENT]


@pytest.mark.parametrize("trouble", ["AE", ""])
def test_a_message_that_was_not_kept_is_sent_again(trouble):
    listener = Listener("AA", trouble, "AA", "AA")

    told = send(SENT, Line("127.0.0.1", listener.port), pause=0)

    assert told == {"AA": 3}
    assert listener.heard == [SENT[0].raw, SENT[1].raw, SENT[1].raw, SENT[2].raw]


def test_a_refused_message_is_not_repeated():
    listener = Listener("AR", "AA", "AA")

    assert send(SENT, Line("127.0.0.1", listener.port), pause=0) == {"AR": 1, "AA": 2}


def test_nobody_listening_is_said():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    assert send(SENT[:1], Line("127.0.0.1", port), tries=2, pause=0) == {"lost": 1}


def test_an_answer_without_msa_has_no_code():
    assert code(b"MSH|^~\\&|\r") == "none"
