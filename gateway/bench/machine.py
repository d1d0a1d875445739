"""What was measured on: the machine, the versions, and what a process there has used."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gateway import __version__

_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def cores() -> set[int]:
    """Where this process may run; empty where that cannot be said."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def unpin(before: set[int]) -> None:
    """Run where it did before."""
    if before:
        os.sched_setaffinity(0, before)


def pin(core: int) -> None:
    """Stay on one core (0 for the measured program, 1 for the load), where there are two."""
    if not hasattr(os, "sched_setaffinity"):
        return
    # A program starts on the core of whoever started it: ask for all first, get what is allowed.
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    allowed = sorted(cores())
    if len(allowed) > 1:
        os.sched_setaffinity(0, {allowed[core]})


def described() -> dict[str, Any]:
    """Processor, cores, memory, system."""
    return {
        "processor": _line(Path("/proc/cpuinfo"), "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory": _line(Path("/proc/meminfo"), "MemTotal"),
        "system": platform.platform(),
        "load before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def versions() -> dict[str, str]:
    """Of this program and of what carries it."""
    carriers = (
        "starlette",
        "uvicorn",
        "uvloop",
        "httptools",
        "cryptography",
        "zstandard",
        "msgspec",
    )
    return {
        "health-gateway": __version__,
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
    } | {name: version(name) for name in carriers}


def cpu_seconds(process: int) -> float:
    """Processor time a process has used, in the kernel too; 0 where that cannot be read."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_megabytes(process: int) -> float:
    """Resident memory of a process; 0 where that cannot be read."""
    found = _line(Path(f"/proc/{process}/status"), "VmRSS")
    return int(found.split()[0]) / 1_024 if found else 0.0


def _line(path: Path, name: str) -> str:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
