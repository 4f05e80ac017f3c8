"""The `drivetrain` command as a process, and what it may leave behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import PATIENCE_S, eventually

DRIVETRAIN = [sys.executable, "-m", "services.cli"]
ROOT = Path(__file__).parents[3]

SERVERS = (
    *("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "DRIVETRAIN_TRAINING_ADDRESS", "DRIVETRAIN_PREDICTION_ADDRESS"),
    *("DRIVETRAIN_TOKEN", "DRIVETRAIN_TOKEN_FILE"),
    *("DRIVETRAIN_TLS_CA", "DRIVETRAIN_TLS_CERTIFICATE", "DRIVETRAIN_TLS_KEY", "DRIVETRAIN_TLS_NAME"),
)
"""Variables that would lead a command away from what a test has set up."""


def environment(home: Path, **variables: str) -> Mapping[str, str]:
    """A terminal's variables, with the embedded state at `home`."""
    outer = {name: value for name, value in os.environ.items() if name not in SERVERS}
    return outer | {"DRIVETRAIN_HOME": str(home), "PYTHONPATH": str(ROOT)} | variables


def drivetrain(
    *arguments: str, home: Path, cwd: Path | None = None, within_s: float = 2 * PATIENCE_S, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in `home` unless `cwd` says where."""
    return subprocess.run(
        [*DRIVETRAIN, *arguments],
        cwd=cwd or home,
        env=environment(home, **variables),
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )


@dataclass
class Running:
    """A command in the background; what it prints goes to a file."""

    popen: subprocess.Popen[bytes]
    log: Path

    def printed(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        """Return when it has printed the text; fail if it ends before."""

        def has_come() -> bool:
            ended = self.popen.poll() is not None
            printed = self.printed()
            assert text in printed or not ended, printed
            return text in printed

        eventually(has_come)


@contextmanager
def running(
    *arguments: str, home: Path, command: list[str] = DRIVETRAIN, log_name: str = "command.log", **variables: str
) -> Iterator[Running]:
    """Start a command in a process group of its own, which ends with the block at the latest."""
    log = home / log_name
    with log.open("wb") as file:
        popen = subprocess.Popen(
            [*command, *arguments],
            cwd=home,
            env=environment(home, **variables),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield Running(popen, log)
    finally:
        if popen.poll() is None:
            os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()


def processes_of(home: Path) -> dict[int, str]:
    """Command lines of all processes that were started with this `DRIVETRAIN_HOME`, by process id."""
    wanted = f"DRIVETRAIN_HOME={home}".encode()
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # ended meanwhile
            continue
    return found
