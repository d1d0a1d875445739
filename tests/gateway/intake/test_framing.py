"""Frames come out whole however the network cut them, and a lost place is noticed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.intake.framing import Frames, framed

CONTENT = st.binary(max_size=60).map(lambda raw: raw.translate(None, b"\x0b\x1c"))


@given(st.lists(CONTENT, max_size=6), st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_frames_are_the_same_however_they_arrive(contents, steps):
    wire = b"\r\n".join(map(framed, contents))
    frames, got, at = Frames(100), [], 0
    while at < len(wire):
        step = steps[at % len(steps)]
        whole, fault = frames.feed(wire[at : at + step])
        assert fault is None
        got += whole
        at += step
    assert got == contents
    assert not frames.begun
    assert frames.held == 0


@given(st.binary(max_size=200))
def test_no_bytes_upset_it_and_nothing_above_the_limit_is_held(data):
    frames = Frames(20)
    whole, fault = frames.feed(data)
    assert all(len(content) <= 20 for content in whole)
    assert fault is not None or frames.held <= 20


def test_a_frame_without_its_final_carriage_return_is_whole():
    assert Frames(10).feed(b"\x0bMSH\x1c") == ([b"MSH"], None)


def test_bytes_outside_a_frame_lose_the_place_but_not_the_frames_before():
    whole, fault = Frames(10).feed(b"\x0bone\x1c\rGET / HTTP/1.1\r\n")
    assert whole == [b"one"]
    assert fault is not None
    assert (fault.reason, fault.beginning[:3]) == ("stray", b"GET")


def test_a_frame_that_begins_inside_another_is_not_guessed_at():
    whole, fault = Frames(50).feed(b"\x0bone\x0btwo\x1c\r")
    assert whole == []
    assert fault is not None
    assert (fault.reason, fault.beginning) == ("unended", b"one")


def test_the_limit_is_told_before_the_end_arrives():
    frames = Frames(10)
    assert frames.feed(b"\x0b" + b"x" * 10) == ([], None)
    _, fault = frames.feed(b"x")
    assert fault is not None
    assert fault.reason == "too-large"
