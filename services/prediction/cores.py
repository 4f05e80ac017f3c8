"""How many cores this process may use: what its affinity allows, and what its control group grants of them."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def available_cores(cgroups: Path = CGROUPS) -> int:
    """At least one. A quota of a part of a core counts as a whole one."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, quota(cgroups))))


def quota(cgroups: Path) -> float:
    """The cores that the control group grants; infinity where it sets no limit, or there is none.

    Version 2 has `cpu.max` ("QUOTA PERIOD" in microseconds, or "max PERIOD"), version 1 a file for each; a quota of
    -1 is no limit.
    """
    words = _read(cgroups / "cpu.max").split()
    if not words:
        words = [_read(cgroups / f"cpu/cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return math.inf
    return int(words[0]) / int(words[1])


def intra_op_threads(cores: int) -> int:
    """Threads inside one operator: half of the cores, but two where there are two, and no more than four.

    A convolution gains a third by a second thread, small operators stay with one whatever they may have; the other
    cores carry connections and other models.
    """
    return min(cores, 4, max(2, cores // 2))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
