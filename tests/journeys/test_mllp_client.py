"""python-hl7's own client, `mllp_send`, over a real socket: what it sends is acknowledged and filed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from gateway.demo.check import free_port
from gateway.demo.volume import volume
from gateway.exchange import sources
from gateway.intake import mllp
from gateway.jobs.worker import Worker
from gateway.services import Services


async def test_mllp_send_is_answered_and_its_messages_are_filed(
    services: Services, tmp_path: Path
) -> None:
    port = free_port()
    settings = replace(services.settings, mllp_port=port, mllp_plain="people-his=127.0.0.1/32")
    here = replace(services, settings=settings)
    door = await mllp.open_door(here)
    try:
        for number, delivery in enumerate(volume(3, 20)):
            file = tmp_path / f"{number}.hl7"
            file.write_bytes(b"\x0b" + delivery.raw + b"\x1c\r")
            process = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).parent / "mllp_send"),
                "--file",
                str(file),
                "--port",
                str(port),
                "127.0.0.1",
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            out, err = await process.communicate()
            assert process.returncode == 0, err
            assert b"MSA|AA|" + delivery.control_id.encode() in out
    finally:
        await door.close()
    await Worker(here).drain()
    tally = next(t for t in await sources.tallies(here) if t.name == "people-his")
    assert (tally.received, tally.filed, tally.agrees) == (3, 3, True)
