"""The machine that a benchmark runs on: what it is, and whether somebody else is using it."""

import os
import platform
from pathlib import Path

from rich.console import Console

_BUSY_LOAD = 0.5
"""Mean number of running processes above which somebody else is at work."""


def describe() -> dict[str, object]:
    """What figures are kept with."""
    return {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}


def processor() -> str:
    """The processor's name where Linux tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def warn_if_busy(console: Console) -> None:
    """Say so where others would be measured too."""
    if (busy := os.getloadavg()[0]) > _BUSY_LOAD:
        text = f"WARNING: the machine is busy (load {busy:.1f}): expect low and uneven figures, also in the ratios"
        console.print(text, style="bold red", highlight=False)
