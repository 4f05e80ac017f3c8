"""The processes that Ray started for this one, by the titles that it gave them, and their sudden end."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path


def descendants(pid: int) -> Iterator[int]:
    """Children of a process, theirs, and so on."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _text(task).split()):
            yield child
            yield from descendants(child)


def titled(title: str, ancestor: int | None = None) -> list[int]:
    """Processes below this one, or below `ancestor`, whose title begins like this."""
    return [
        pid for pid in descendants(ancestor or os.getpid()) if _text(Path(f"/proc/{pid}/cmdline")).startswith(title)
    ]


def named(name: str, ancestor: int) -> list[int]:
    """Processes below `ancestor` that run the program of this name."""
    return [pid for pid in descendants(ancestor) if _text(Path(f"/proc/{pid}/comm")).strip() == name]


def kill(pid: int) -> None:
    """End a process as a crash of its machine would."""
    os.kill(pid, signal.SIGKILL)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):  # the process has gone meanwhile
        return ""
