"""Python environments of the peers: made on demand from pinned requirements, and kept for the next run."""

import hashlib
import subprocess
import sys
from pathlib import Path

_INSTALL_DEADLINE_S = 1800.0
_TAIL_CHARS = 1500


class SetUpError(Exception):
    """A peer could not be installed on this machine."""


def environment(folder: Path, requirements: Path) -> Path:
    """The environment's Python, with `requirements` installed; made anew when they have changed. Raises SetUpError."""
    python, mark = folder / "bin" / "python", folder / "installed"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return python
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)])
    mark.write_text(wanted)
    return python


def site_packages(python: Path) -> Path:
    """Where the environment keeps its packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return python.parent.parent / "lib" / version / "site-packages"


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_DEADLINE_S)
    except subprocess.CalledProcessError as error:
        raise SetUpError(f"{' '.join(command)} failed:\n{error.stderr[-_TAIL_CHARS:]}") from error
    except subprocess.TimeoutExpired as error:
        raise SetUpError(f"{' '.join(command)} took more than {_INSTALL_DEADLINE_S:g} s") from error
