"""What a contestant is given and what it has to tell. Runs in every peer's environment: numpy is all it may import."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """The same rows, first weights and settings for everybody."""

    spec: dict[str, Any]
    outputs: int
    train_x: Array
    train_y: NDArray[np.int64]
    validation_x: Array
    validation_y: NDArray[np.int64]
    weights: list[Array]
    """First weights as torch has them, in the order of its modules."""

    @property
    def epochs(self) -> int:
        """Passes over the training rows."""
        return int(self.spec["training"]["epochs"])

    @property
    def batch_size(self) -> int:
        """Rows a step; the last batch of an epoch may have fewer."""
        return int(self.spec["training"]["batch_size"])

    @property
    def learning_rate(self) -> float:
        """Of Adam, whose other settings are the paper's."""
        return float(self.spec["optimizer"]["learning_rate"])


@dataclass(frozen=True)
class Learned:
    """What came of it: the seconds of each epoch, and logits of the validation rows by the final weights."""

    seconds: Sequence[float]
    logits: Array


def main(carry_out: Callable[[Task], Learned]) -> None:
    """`python -m MODULE FOLDER RESULT`: read the task in FOLDER, carry it out, write the figures to RESULT."""
    folder, result = map(Path, sys.argv[1:])
    task = _read(folder)
    learned = carry_out(task)
    loss, accuracy = scores(learned.logits, task.validation_y)
    tell(result, task.train_x, task.batch_size, learned.seconds, loss, accuracy)


def tell(result: Path, train_x: Array, batch_size: int, seconds: Sequence[float], loss: float, accuracy: float) -> None:
    """Write the figures."""
    figures = {
        "rows": len(train_x),
        "steps": -(-len(train_x) // batch_size),
        "seconds": list(seconds),
        "loss": loss,
        "accuracy": accuracy,
        "peak_bytes": _peak_bytes(),
    }
    result.write_text(json.dumps(figures))


def scores(logits: Array, targets: NDArray[np.int64]) -> tuple[float, float]:
    """Mean cross-entropy and accuracy: logits (N, K), targets (N,)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    right = logits.argmax(axis=1) == targets
    return float(-logs[np.arange(len(targets)), targets].mean()), float(right.mean())


def _read(folder: Path) -> Task:
    work = json.loads((folder / "work.json").read_text())
    with np.load(folder / "rows.npz") as rows, np.load(folder / "weights.npz") as weights:
        return Task(**work, **dict(rows), weights=[weights[f"arr_{number}"] for number in range(len(weights.files))])


def _peak_bytes() -> int:
    """From the kernel's page of this process: `getrusage` would count the parent's memory before the exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status does not tell the peak of memory")
