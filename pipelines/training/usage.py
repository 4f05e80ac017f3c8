"""What a worker's machine is busy with, sampled in a thread beside training; samples travel with the reports."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil
import torch

EVERY_S = 10.0
"""As MLflow's own monitor does."""


@dataclass(frozen=True)
class Sample:
    """One look at the machine."""

    time_ms: int
    """Of the clock, since 1970."""
    figures: Mapping[str, float]
    """By the names that MLflow's own monitor uses, and the worker's process beside its machine."""


@dataclass(frozen=True)
class Usage:
    """Samples of one worker since its last ones."""

    rank: int
    samples: tuple[Sample, ...]


class Meter:
    """Takes a sample every ten seconds while its block lasts."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._process = psutil.Process()
        self._samples: list[Sample] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="usage", daemon=True)
        self._look()  # the first one is what shares of time are counted from

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._is_over.set()
        self._thread.join()

    def take(self, *, now: bool = False) -> tuple[Sample, ...]:
        """The samples since they were last taken; with `now` one more."""
        if now:
            self._samples.append(self._look())
        taken, self._samples = self._samples, []
        return tuple(taken)

    def _watch(self) -> None:
        while not self._is_over.wait(self._every_s):
            self._samples.append(self._look())

    def _look(self) -> Sample:
        memory = psutil.virtual_memory()
        figures = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / 1e6,
            "system_memory_usage_percentage": memory.used / memory.total * 100,
            "process_cpu_utilization_percentage": self._process.cpu_percent(),
            "process_memory_usage_megabytes": self._process.memory_info().rss / 1e6,
        }
        return Sample(time.time_ns() // 1_000_000, figures | _gpus())


def _gpus() -> dict[str, float]:
    """Of the GPUs that this process may use, if it uses any; nothing where the driver does not tell."""
    figures: dict[str, float] = {}
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call] # torch leaves it unannotated
    for number in range(torch.cuda.device_count() if in_use else 0):
        free, total = torch.cuda.mem_get_info(number)
        figures[f"gpu_{number}_memory_usage_megabytes"] = (total - free) / 1e6
        figures[f"gpu_{number}_memory_usage_percentage"] = (total - free) / total * 100
        try:
            figures[f"gpu_{number}_utilization_percentage"] = float(torch.cuda.utilization(number))
        except (ModuleNotFoundError, RuntimeError):  # nvidia-ml-py, or what it asks, is missing
            continue
    return figures
