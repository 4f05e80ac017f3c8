"""The contestants, in the order of the tables, and how one carries out a work: as a process that leaves its figures."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.environments import environment
from tests.benchmarks.training.figures import Key, Measurement, read_result
from tests.benchmarks.training.work import WORKS

_ROOT = Path(__file__).parents[3]
_PEERS = Path(__file__).parent / "peers"
_DEADLINE_S = 900.0
_TAIL_CHARS = 1500
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class RunError(Exception):
    """A contestant did not come to an end."""


@dataclass(frozen=True)
class Contestant:
    """A loop as it takes part."""

    name: str
    title: str
    """As tables and plots call it."""
    peer: str
    """Module and requirements in `peers`; Drivetrain's own has no requirements, and runs in this environment."""
    works: Sequence[str] = WORKS
    settings: Sequence[str] = ()
    """Of the spec, for Drivetrain."""

    def set_up(self, workplace: Path) -> None:
        """Install what it needs under `workplace`, or find it there. Raises SetUpError."""
        self._python(workplace)

    def run(self, work: str, folder: Path, workplace: Path, repetition: int) -> Measurement:
        """Carry out the work in `folder`. Raises RunError."""
        result, log = folder / "result.json", workplace / "logs" / f"training-{self.name}-{work}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        result.unlink(missing_ok=True)
        command = [str(self._python(workplace)), "-m", f"tests.benchmarks.training.peers.{self.peer}"]
        variables = dict(os.environ) | _ONE_THREAD | {"PYTHONPATH": str(_ROOT)}
        with log.open("w") as output:
            try:
                ended = subprocess.run(
                    [*command, str(folder), str(result)],
                    env=variables,
                    stdout=output,
                    stderr=output,
                    timeout=_DEADLINE_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise RunError(f"not done within {_DEADLINE_S:g} s: see {log}") from error
        if ended.returncode or not result.exists():
            raise RunError(f"ended with {ended.returncode}: {log.read_text()[-_TAIL_CHARS:]}")
        return read_result(Key(work, self.name), repetition, result)

    def _python(self, workplace: Path) -> Path:
        requirements = _PEERS / f"{self.peer}.txt"
        if not requirements.exists():
            return Path(sys.executable)
        return environment(workplace / f"training-{self.peer}", requirements)


CONTESTANTS = (
    Contestant("drivetrain", "Drivetrain", "own"),
    Contestant("drivetrain-fp32", "Drivetrain, fp32", "own", ("cnn",), ("compute.precision=fp32",)),
    Contestant("plain", "torch DataLoader loop", "plain"),
    Contestant("lightning", "Lightning", "lightning"),
    Contestant("keras", "Keras on TensorFlow", "keras"),
)
