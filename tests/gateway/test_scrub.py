"""Nothing that looks like a resident ID leaves the process by a log, whoever logs it."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.scrub import TAKEN_OUT, Scrubbing, scrubbed, withheld

NUMBER = "330421198001010005"


@pytest.mark.parametrize(
    "text",
    [
        NUMBER,
        "33042119550615000X",
        "33042119550615000x",
        f"SELECT * FROM p WHERE sfzh='{NUMBER}'",
        f"/patients/{NUMBER}?x=1",
        f"病人{NUMBER}的",
        "330421 19800101 0005",
        "330421-19800101-0005",
        f"a{NUMBER}b",
    ],
)
def test_a_number_is_taken_out_wherever_it_stands(text: str) -> None:
    withheld.take()
    assert "19800101" not in scrubbed(text)
    assert "19550615" not in scrubbed(text)
    assert TAKEN_OUT in scrubbed(text)
    assert withheld.take() == 3


@pytest.mark.parametrize(
    "text",
    ["1772337600000001", "20260302093000", "b7e4f0c2" * 4, "330421199913010005", "1" * 30, NUMBER + "1"],
)  # fmt: skip
def test_times_ids_and_what_is_no_date_stay(text: str) -> None:
    assert scrubbed(text) == text


@given(st.text(), st.text())
def test_no_surroundings_hide_a_number(before: str, after: str) -> None:
    before, after = before.rstrip("0123456789"), after.lstrip("0123456789")
    if before[-1:].isdigit() or after[:1].isdigit():
        return  # digits of other scripts are digits
    assert NUMBER not in scrubbed(before + NUMBER + after)


def test_a_traceback_of_the_standard_library_is_scrubbed_too() -> None:
    try:
        raise ValueError(f"duplicate key {NUMBER}")
    except ValueError:
        record = logging.LogRecord("x", 40, "f", 1, "for %s", (NUMBER,), sys.exc_info())
    line = Scrubbing().format(record)
    assert NUMBER not in line
    assert line.count(TAKEN_OUT) == 2


PROGRAM = f"""
import logging, structlog
from gateway.cli.serving import quiet_logs
quiet_logs()
structlog.get_logger("a").warning("x {NUMBER}", patient="{NUMBER}", deep={{"a": ["{NUMBER}"]}})
logging.getLogger("uvicorn.error").error("GET /x/%s", "{NUMBER}")
logging.getLogger("some.library").warning("{NUMBER}")
try:
    raise KeyError("{NUMBER}")
except KeyError:
    logging.getLogger("other").exception("failed")
    structlog.get_logger("b").error("failed", exc_info=True)
"""


def test_no_number_leaves_a_process_that_logs_as_the_server_does() -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    said = told.stdout + told.stderr
    assert NUMBER not in said
    assert said.count(TAKEN_OUT) >= 6, "every line was written, without its number"
