"""Checks of this machine: Python, libraries, the folder of the state."""

import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryFile

from packaging.requirements import Requirement
from rich.filesize import decimal

from pipelines.home import home
from services.cli.checks.finding import Finding

MIN_FREE_BYTES = 10**9

_SHOWN = ("grpcio", "mlflow-skinny", "onnxruntime", "ray", "torch")


def libraries() -> list[Finding]:
    """Whether the installed versions are those that Drivetrain asks for; what is only for training may be missing."""
    needed = [Requirement(text) for text in requires("drivetrain") or []]
    base = [each for each in needed if _applies(each, "")]
    training = [each for each in needed if _applies(each, "train") and each not in base]
    wrong = [text for each in base if (text := _what_is_wrong(each))]
    wrong += [text for each in training if _installed(each.name) and (text := _what_is_wrong(each))]
    if wrong:
        advice = "install with: pip install -c constraints.txt 'drivetrain[train]'"
        return [Finding("libraries", "failed", "; ".join(wrong), advice)]
    shown = [f"{name} {found}" for name in _SHOWN if (found := _installed(name))]
    detail = f"drivetrain {version('drivetrain')}, Python {sys.version.split()[0]}, {', '.join(shown)}"
    if missing := [each.name for each in training if not _installed(each.name)]:
        detail += f"; without {', '.join(missing)}, so that train works with --remote only"
    return [Finding("libraries", "ok", detail)]


def state_folder() -> list[Finding]:
    """Whether DRIVETRAIN_HOME can be written to and has room; what does not exist is not made."""
    name, folder = "DRIVETRAIN_HOME", home()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if error := _write_error(existing):
        advice = "let DRIVETRAIN_HOME name a folder that you may write to"
        return [Finding(name, "failed", f"{existing} cannot be written to ({error})", advice)]
    if free < MIN_FREE_BYTES:
        advice = "remove what is not needed, or let DRIVETRAIN_HOME name a folder on another disk"
        return [Finding(name, "failed", f"{folder} has only {decimal(free)} left", advice)]
    return [Finding(name, "ok", f"{folder}, {decimal(free)} free")]


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _what_is_wrong(requirement: Requirement) -> str:
    found = _installed(requirement.name)
    if found and requirement.specifier.contains(found, prereleases=True):
        return ""
    return f"{requirement.name}: expected {requirement.specifier or 'any'}, came {found or 'nothing'}"


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _write_error(folder: Path) -> str:
    try:
        with TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)
