"""A request of the event loop, while it waits in a queue: the way from the version's thread back to its caller."""

import asyncio
from collections.abc import Sequence

from services.prediction.calls import Arrays, Call, Content, Lane, Ran, Run
from services.prediction.tracing import current


class FutureCall(Call):
    """A call whose answer is awaited in an event loop."""

    __slots__ = ("_loop", "_outputs", "_trace")

    def __init__(self, contents: Sequence[Content], lane: Lane, num_rows: int, deadline_s: float) -> None:
        size_bytes = sum(len(content) if isinstance(content, bytes) else content.nbytes for content in contents)
        super().__init__(contents, lane, num_rows, deadline_s, size_bytes=size_bytes)
        self._loop, self._trace = asyncio.get_running_loop(), current.get()
        self._outputs: asyncio.Future[Arrays] = self._loop.create_future()

    async def outputs(self) -> Arrays:
        """The outputs of the call's rows. Raises what it was refused with; cancelled, it leaves the queue."""
        try:
            return await self._outputs
        finally:
            self.cancelled = True

    def answer(self, run: Run, start: int) -> None:
        """Hand the rows to the event loop."""
        self._settle(run.rows(start, start + self.num_rows))

    def refuse(self, error: Exception) -> None:
        """Hand the error to the event loop."""
        self._settle(error)

    def trace(self, ran: Ran) -> None:
        """Put it into the span of the request."""
        self._trace.ran(self.queued_s, ran)

    def _settle(self, answer: Arrays | Exception) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_set, self._outputs, answer)


def _set(future: "asyncio.Future[Arrays]", answer: Arrays | Exception) -> None:
    if future.done():
        return  # its caller has gone
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
