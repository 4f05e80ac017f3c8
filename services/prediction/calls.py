"""What travels through a queue: a valid request on one side, what one run of the graph gave on the other."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]
Content = bytes | memoryview | Array
"""The values of one input, row-major: as the message's own bytes where they can be, else as an array."""
RowShapes = tuple[tuple[int, ...], ...]
"""The shape of one row by input, in the order of the manifest's."""

DEFAULT_PRIORITY, LOWEST_PRIORITY = 5, 9
"""Of a request that names none, and the last there is; 1 is the highest."""


class Lane(NamedTuple):
    """What calls must have in common to share a batch."""

    priority: int
    row_shapes: RowShapes


class Run:
    """The outputs of one run, `(rows, ...)` by name. The calls of a batch share it, each knows its rows."""

    __slots__ = ("_contents", "outputs")

    def __init__(self, outputs: Arrays) -> None:
        self.outputs = outputs
        self._contents: dict[str, bytes] = {}

    def rows(self, start: int, stop: int) -> Arrays:
        """The outputs of these rows, as views."""
        return {name: array[start:stop] for name, array in self.outputs.items()}

    def content(self, name: str) -> bytes:
        """All rows of an output, row-major; written once, however many calls share them."""
        content = self._contents.get(name)
        if content is None:
            content = self._contents[name] = self.outputs[name].tobytes()
        return content


@dataclass(frozen=True, slots=True)
class Ran:
    """The run that answered a call: of which version, with how many rows, from when to when of `time.monotonic()`."""

    model: str
    version: str
    batch_size: int
    taken_s: float
    ran_s: float


class Call(ABC):
    """A valid request that waits for its answer; a subclass says where the answer goes. Called in any thread.

    `contents` are in the order of the manifest's inputs. `deadline_s` and `queued_s` are times of `time.monotonic()`;
    `size_bytes` is what it holds of memory while it waits.
    """

    __slots__ = ("cancelled", "contents", "deadline_s", "lane", "num_rows", "queued_s", "size_bytes")

    counts: bool = True
    """Whether the run that answers it is the one in which its request counts as answered."""
    takes_place: bool = True
    """Whether it takes one of the places in the queue: a request in parts takes one altogether."""

    def __init__(
        self,
        contents: Sequence[Content],
        lane: Lane,
        num_rows: int,
        deadline_s: float = math.inf,
        queued_s: float | None = None,
        size_bytes: int = 0,
    ) -> None:
        self.contents, self.lane, self.num_rows, self.deadline_s = contents, lane, num_rows, deadline_s
        self.queued_s = time.monotonic() if queued_s is None else queued_s
        self.size_bytes = size_bytes
        self.cancelled = False
        """Nobody waits for the answer any more."""

    def is_dead(self, now_s: float) -> bool:
        """Whether it is too late, or nobody waits for the answer."""
        return self.cancelled or self.deadline_s <= now_s

    @abstractmethod
    def answer(self, run: Run, start: int) -> None:
        """The call's rows are those of `run` from `start` on."""

    @abstractmethod
    def refuse(self, error: Exception) -> None:
        """There will be no answer."""

    def trace(self, ran: Ran) -> None:  # noqa: B027 - most have nobody who follows them
        """This run has answered the call; told only where requests are traced."""


class Part(Call):
    """Some rows of a call that has more of them than a batch."""

    __slots__ = ("_place", "_whole", "counts", "takes_place")

    def __init__(self, whole: "_Whole", place: int, start: int, stop: int) -> None:
        call = whole.call
        contents = [_rows(content, call.num_rows, start, stop) for content in call.contents]
        size_bytes = call.size_bytes if stop == call.num_rows else 0  # the message stays until its last part has run
        super().__init__(contents, call.lane, stop - start, call.deadline_s, call.queued_s, size_bytes)
        self._whole, self._place = whole, place
        self.counts = self.takes_place = stop == call.num_rows  # the last part does for all

    def is_dead(self, now_s: float) -> bool:
        """Also where another part failed."""
        return self._whole.failed or self._whole.call.is_dead(now_s)

    def answer(self, run: Run, start: int) -> None:
        """Keep the rows, and answer the whole call with the last of them."""
        self._whole.add(self._place, run.rows(start, start + self.num_rows))

    def refuse(self, error: Exception) -> None:
        """One part fails, the call fails."""
        self._whole.fail(error)

    def trace(self, ran: Ran) -> None:
        """The call ran from its first part's run to its last."""
        self._whole.trace(ran, last=self.counts)


class _Whole:
    """A call in parts; they come back one after another, as a version runs one batch at a time."""

    def __init__(self, call: Call, num_parts: int) -> None:
        self.call = call
        self._outputs: list[Arrays | None] = [None] * num_parts
        self.failed = False
        self._taken_s = math.inf

    def add(self, place: int, outputs: Arrays) -> None:
        self._outputs[place] = outputs
        parts = [part for part in self._outputs if part is not None]
        if len(parts) == len(self._outputs) and not self.failed:
            joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            self.call.answer(Run(joined), 0)

    def fail(self, error: Exception) -> None:
        if not self.failed:
            self.failed = True
            self.call.refuse(error)

    def trace(self, ran: Ran, *, last: bool) -> None:
        self._taken_s = min(self._taken_s, ran.taken_s)
        if last and not self.failed:
            self.call.trace(replace(ran, taken_s=self._taken_s))


def split(call: Call, max_rows: int) -> list[Call]:
    """The call, or its parts of at most `max_rows` rows."""
    if call.num_rows <= max_rows:
        return [call]
    starts = range(0, call.num_rows, max_rows)
    whole = _Whole(call, len(starts))
    return [Part(whole, place, start, min(start + max_rows, call.num_rows)) for place, start in enumerate(starts)]


def _rows(content: Content, num_rows: int, start: int, stop: int) -> Content:
    if isinstance(content, np.ndarray):
        return content[start:stop]
    row_bytes = len(content) // num_rows
    return memoryview(content)[start * row_bytes : stop * row_bytes]
