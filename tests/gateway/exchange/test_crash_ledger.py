"""The plug is pulled between an act's event, the figures' event and the answer: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from gateway.audit.events import Body, Kind, Outcome
from gateway.exchange import ledger
from gateway.exchange.verification import verify_log
from gateway.recognition.ledger import Event, Happened
from gateway.services import Services, open_services
from gateway.settings import Settings, read
from gateway.store import ledger as rows
from gateway.store.engine import Tx
from tests.gateway.exchange.house import clinician

LI = clinician("dr-li", "tcm")
SEEN = Event(
    Happened.VIEW, "q" * 32, 1_000, "tcm", "people", "HR-L-0001", "p" * 32, "r" * 32,
    practitioner="dr-li",
)  # fmt: skip


async def look(services: Services) -> None:
    """As a page does: the event of the access, then what the figures know, then the answer."""
    await services.log.note(Kind.RECOGNITION_VIEW, Outcome.PERMIT, LI, 1_000, Body(request="look"))
    await services.db.do(ledger.write, ledger.prepared([SEEN], services, once=True))


def die(*_: Any) -> None:
    """Pull the plug."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying(point: str) -> None:
    """From now on the process dies at that point of `look`."""
    write, append = ledger.write, ledger.append

    def before(tx: Tx, prepared: ledger.Prepared) -> None:
        die()

    def between(*given: Any) -> None:
        append(*given)
        die()

    def uncommitted(tx: Tx, prepared: ledger.Prepared) -> None:
        write(tx, prepared)
        tx.all(rows.FIRST)  # on PostgreSQL: what was written has arrived
        die()

    match point:
        case "before":
            ledger.write = before
        case "between":
            ledger.append = between  # type: ignore[attr-defined]
        case "uncommitted":
            ledger.write = uncommitted


async def _main(point: str) -> None:
    dying(point)
    await look(await open_services(read()))
    die()  # all is written, and nobody was told


@pytest.mark.parametrize(
    ("settings", "point", "kept"),
    [
        ("sqlite", "before", 0),
        ("sqlite", "between", 0),
        ("sqlite", "uncommitted", 0),
        ("postgresql", "uncommitted", 0),
        ("sqlite", "unanswered", 1),
    ],
    indirect=["settings"],
)
async def test_row_and_event_are_there_together_or_not_at_all(
    services: Services, settings: Settings, point: str, kept: int
) -> None:
    named = ((one, str(getattr(settings, one))) for one in settings.__slots__)
    given = {f"GATEWAY_{name.upper()}": value for name, value in named if value not in ("", ".")}
    child = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", __name__, point],
        env={**os.environ, **given},
        capture_output=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()[-2000:]

    assert await ledger.between(0, 2_000, services) == [SEEN] * kept
    assert (await verify_log(services)).ok, "a crash is not taken for a deletion"

    await look(services)  # the doctor opens the page again
    assert await ledger.between(0, 2_000, services) == [SEEN]
    assert (await verify_log(services)).ok


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
