"""Whether rows stay in memory or stream from disk: decided from what files say of themselves, before they are read."""

import os
from dataclasses import dataclass
from pathlib import Path

from pipelines.data.planning import plan_of
from pipelines.data.plans import Plan
from pipelines.spec.data import Data, Streamable

SHARE = 1 / 10
"""Of the machine's memory that resident rows may take: a job has been seen to need seven times as much at its peak, as
they are read, divided, scaled, handed to Ray and taken from there."""

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Choice:
    """Where the rows of a job will be, and why."""

    plan: Plan | None
    """How they stream; None where they stay in memory."""
    reason: str
    """With the figures, for people; empty where there was nothing to choose."""


def choose_memory(source: Data, memory_bytes: int | None = None) -> Choice:
    """Follow `data.memory`; for `auto` compare the rows' size with this machine's memory, all of it and not only what
    is free, so that the same machine always decides alike. Raises DataError for files that cannot be read.
    """
    if not isinstance(source, Streamable) or source.memory == "resident":
        return Choice(None, "")
    plan = plan_of(source)
    size = plan.size
    told = f"{size.rows:,} rows of {size.row_bytes:,} bytes are {_gib(size.total_bytes)}"
    if source.memory == "stream":
        return Choice(plan, f"data streams from disk, as data.memory asks: {told}")
    memory = memory_bytes or machine_memory()
    streamed = size.total_bytes > SHARE * memory
    where = "streams from disk: more than" if streamed else "stays in memory: at most"
    return Choice(plan if streamed else None, f"data {where} a tenth of {_gib(memory)}, as {told}")


def machine_memory() -> int:
    """Bytes that this machine, or the container this runs in, has."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [Path(path).read_text().strip() for path in _LIMITS if Path(path).is_file()]
    return min([total, *(int(limit) for limit in limits if limit.isdigit())])


def _gib(count: int) -> str:
    return f"{count / 2**30:,.2f} GiB"
