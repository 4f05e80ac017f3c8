"""Kills workers of a job again and again while it is carried out."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from pipelines.training.checkpoints import Moment
from tests.integration.pipelines.processes import kill, titled
from tests.waiting import eventually

BEFORE_CHECKPOINT, AFTER_CHECKPOINT = False, True


def newest(home: Path) -> Moment | None:
    """The moment of the last checkpoint of any job under a home."""
    names = [file.name.split("-") for file in home.glob("checkpoints/*/*/*.pt")]
    return max((Moment(int(epochs), int(updates)) for epochs, updates, _ in names), default=None)


@dataclass
class Killer:
    """Within its block kills a worker for each entry of `plan`, which says whether a checkpoint of its own comes first.

    How long it lives after that, a second at most, is drawn from the seed: a random step.
    """

    title: str
    home: Path
    plan: Sequence[bool]
    random: Random = field(default_factory=lambda: Random(0))
    killed: list[int] = field(default_factory=list)
    """Process ids."""
    left: list[Moment | None] = field(default_factory=list)
    """The last checkpoint at each kill."""
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        for after_checkpoint in self.plan:
            before = newest(self.home)
            self._wait(lambda: bool(self._fresh()))
            if after_checkpoint:
                self._wait(lambda before=before: newest(self.home) != before)  # type: ignore[misc] # mypy cannot infer it
            self._is_over.wait(self.random.random())
            if self._is_over.is_set():
                return
            self._kill()

    def _wait(self, condition: Callable[[], bool]) -> None:
        eventually(lambda: condition() or self._is_over.is_set())

    def _fresh(self) -> list[int]:
        """Workers that come after the last kill, in which Ray may take all of a team down."""
        return [pid for pid in titled(self.title) if pid not in self.killed]

    def _kill(self) -> None:
        team = self._fresh()
        self.left.append(newest(self.home))
        self.killed += team
        kill(self.random.choice(team))
