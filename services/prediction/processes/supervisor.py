"""Runs several processes of one command: restarts what dies, passes signals on, and leaves none behind.

It spawns, never forks, and holds no gRPC object: those do not survive a fork.
"""

import asyncio
import ctypes
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""Seconds before a process that died is started again; twice as long each time, while it dies young."""
YOUNG_S = 30.0
"""Seconds after which a process has proven itself."""
SETTINGS_EXIT = 2
"""How a process ends that its settings do not allow to start: another try would end alike."""
PR_SET_PDEATHSIG = 1
"""Of Linux' prctl."""


def pause_s(young_deaths: int) -> float:
    """Seconds to wait after so many deaths in a row of which each came young."""
    return float(min(FIRST_PAUSE_S * 2.0 ** min(young_deaths, 30), LONGEST_PAUSE_S))


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent (a process id) ends, however it ends; Linux only.

    Call it first of all in the child. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it ended before the kernel was told
        os.kill(os.getpid(), signal.SIGKILL)


class Supervisor:
    """`processes` of them; `command` gives the command line of a number from 0 on, `ended` hears of each end.

    `run` returns once all have ended after `signal`; call both in one event loop, on the main thread.
    """

    def __init__(self, command: Callable[[int], Sequence[str]], processes: int, ended: Callable[[int], None]) -> None:
        self._command, self._processes, self._ended = command, processes, ended
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._exit = 0

    @property
    def pids(self) -> dict[int, int]:
        """Of those that run now, by number; may be asked in any thread."""
        return {number: process.pid for number, process in list(self._running.items())}

    async def run(self) -> int:
        """The exit code: 0, or that of a process whose settings do not allow it to start."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._processes):
                group.create_task(self._keep(number))
        return self._exit

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on, to end by: what dies from now on stays dead."""
        self._stopping.set()
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    async def _keep(self, number: int) -> None:
        young_deaths, is_first = 0, True
        while not self._stopping.is_set():
            began_s = time.monotonic()
            code = await self._live(number)
            if self._stopping.is_set():
                return
            if code == SETTINGS_EXIT and is_first:  # later they were right before: the others go on
                self._exit = code
                self.signal(signal.SIGTERM)
                return
            is_first = False
            young_deaths = young_deaths + 1 if time.monotonic() - began_s < YOUNG_S else 0
            logger.error("process %d ended with %d; it is started again", number, code)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s(young_deaths))

    async def _live(self, number: int) -> int:
        """One life of a process; its exit code, negative for a signal.

        It has a session of its own, as a terminal's Ctrl-C goes to the whole group: it would hear of each twice.
        """
        process = await asyncio.create_subprocess_exec(*self._command(number), start_new_session=True)
        self._running[number] = process
        if self._stopping.is_set():  # the signal came while it was being started
            process.terminate()
        try:
            return await process.wait()
        finally:
            if process.returncode is None:  # whoever waits was cancelled: nobody is left to end it
                process.kill()
            del self._running[number]
            self._ended(number)
