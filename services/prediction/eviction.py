"""Which versions leave when the loaded ones take more memory than they may: a pure decision."""

from collections.abc import Iterable
from dataclasses import dataclass

MEMORY_PER_MODEL_BYTE = 2
"""Bytes that onnxruntime takes for each byte of a graph: measured 0.8 to 1.8 (1.32, weights of 1 to 36 MB, 64 rows)."""
SESSION_BYTES = 256 * 1024
"""Bytes that a session takes besides: measured 140 kB."""


@dataclass(frozen=True)
class Resident:
    """A loaded version; a champion stays whatever it takes."""

    name: str
    version: str
    memory_bytes: int
    used_s: float
    is_champion: bool


def estimated_bytes(model_bytes: int) -> int:
    """The memory that a graph of so many bytes will take once it is loaded."""
    return SESSION_BYTES + MEMORY_PER_MODEL_BYTE * model_bytes


def fits(memory_bytes: int, residents: Iterable[Resident], max_bytes: int) -> bool:
    """Whether there is room for one more when all others but the champions leave; a limit of 0 is none."""
    return (
        max_bytes == 0 or memory_bytes + sum(each.memory_bytes for each in residents if each.is_champion) <= max_bytes
    )


def leaving(residents: Iterable[Resident], max_bytes: int) -> list[Resident]:
    """Those that leave, least recently used first; a limit of 0 is none."""
    held = sorted(residents, key=lambda each: each.used_s)
    excess_bytes = sum(each.memory_bytes for each in held) - max_bytes if max_bytes else 0
    gone = []
    for each in held:
        if excess_bytes > 0 and not each.is_champion:
            gone.append(each)
            excess_bytes -= each.memory_bytes
    return gone
