"""How long hidden and absent take, side by side: `python -m tests.gateway.neutral.timing [samples]`.

The same requests with the steps of time and without them, over a real socket, in turn. The last
column is the chance that a guess by one answer's time is right (0.5 is a coin; the area under the
curve of the two samples, Mann–Whitney).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles

from gateway.exchange import residents
from gateway.identity.systems import RESIDENT_ID
from gateway.settings import Settings
from gateway.store.migrate import migrate
from tests.gateway.exchange.house import clinician
from tests.gateway.fhir.conftest import SHEN, Door, fill, served

ABSENT = "0" * 32


def guess(one: Sequence[float], other: Sequence[float]) -> float:
    """The chance that the slower of two answers, one of each, is of the slower kind."""
    ordered = sorted(other)
    wins = sum(bisect_left(ordered, x) + bisect_right(ordered, x) for x in one)
    area = wins / (2 * len(one) * len(ordered))
    return max(area, 1 - area)


async def sample(door: Door, address: str, ids: Sequence[str], count: int) -> list[list[float]]:
    """Seconds of `count` requests for each id, taken in turn."""
    headers = await door.li()
    taken: list[list[float]] = [[] for _ in ids]
    for _ in range(count):
        for place, id in enumerate(ids):
            began = time.perf_counter()
            await door.web.get(address.format(id), headers=headers)
            taken[place].append(time.perf_counter() - began)
    return taken


def line(name: str, times: Sequence[float]) -> str:
    """A distribution in milliseconds."""
    cuts = quantiles(times, n=100)
    shown = (min(times), cuts[9], median(times), cuts[89], cuts[98], max(times))
    return f"    {name:8}" + "".join(f"{one * 1000:10.3f}" for one in shown)


async def main(count: int) -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="timing-"))
    empty = Settings(data=folder / "empty")
    empty.data.mkdir()
    await migrate(empty.database_url, "records")
    await migrate(empty.keyring_url, "keyring")
    (folder / "county").mkdir()
    async with served(folder / "county", empty.data) as door:
        services = door.house.services
        await fill(door)
        await door.house.sign()
        li = clinician("dr-li", "tcm")
        await residents.open_resident(RESIDENT_ID, SHEN.number, li, services, claim="急诊抢救接诊")
        stored = await door.house.current("Observation")
        hidden = next(one.id for one in stored if one.nature.sensitivities)
        print(f"{count} samples each, in turn; milliseconds")
        for step in (0, 15):
            # The server's door holds the settings object: both steps are measured on one server.
            object.__setattr__(
                services, "settings", replace(services.settings, answer_floor_ms=step)
            )
            for address in ("/fhir/Observation/{}", "/fhir/Observation?_id={}"):
                taken = await sample(door, address, (hidden, ABSENT), count)
                print(f"{address.format('[id]')}  steps of {step} ms" + " " * 4)
                print(
                    "            "
                    + "".join(f"{n:>10}" for n in ["min", "p10", "p50", "p90", "p99", "max"])
                )
                print(line("hidden", taken[0]))
                print(line("absent", taken[1]))
                print(f"    a guess by one answer's time is right: {guess(*taken):.3f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
