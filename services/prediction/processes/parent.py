"""The parent of several processes on one port: it starts them, shows their metrics as one page, and passes signals on.

It answers no call and holds no gRPC object.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, start_http_server

from services.prediction.processes.pages import LOOK_INTERVAL_S, Pages
from services.prediction.processes.place import Place, part_of
from services.prediction.processes.ports import held
from services.prediction.processes.supervisor import Supervisor
from services.prediction.settings import Settings
from services.rpc.background import in_daemon_thread
from services.rpc.errors import PortTakenError

logger = logging.getLogger(__name__)


async def serve_several(settings: Settings) -> int:
    """Run them until SIGTERM or SIGINT; the exit code. Raises PortTakenError."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="drivetrain-", ignore_cleanup_errors=True)))
        port = stack.enter_context(held("gRPC", settings.host, settings.port))
        rest_port = stack.enter_context(held("REST", settings.host, settings.rest_port)) if settings.rest else 0
        family = _Family(part_of(settings, port, rest_port), folder)
        pages = Pages(lambda: supervisor.pids, lambda number: family.place(number).page)
        supervisor = Supervisor(family.command, settings.processes, pages.ended)
        metrics_port = stack.enter_context(_shown(pages, settings))
        _pass_signals_on(supervisor)
        text = "%d processes share %s:%d, REST on port %d, metrics on port %d"
        logger.info(text, settings.processes, settings.host, port, rest_port, metrics_port)
        async with _looking(pages):
            code = await supervisor.run()
    logger.info("stopped")
    return code


class _Family:
    """Who the processes are, and how each is started."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._started: set[int] = set()

    def command(self, number: int) -> list[str]:
        """The command line of its next life."""
        place = self.place(number)
        self._started.add(number)
        documents = (place.model_dump_json(), self._settings.model_dump_json())
        safe = [] if {"", str(Path.cwd())} & {*sys.path} else ["-P"]  # no folder `services` of the user's comes first
        return [sys.executable, *safe, "-m", "services.prediction.processes", *documents]

    def place(self, number: int) -> Place:
        """Who the process is that is started next by this number."""
        return Place(
            number=number,
            processes=self._settings.processes,
            parent=os.getpid(),
            folder=self._folder,
            again=number in self._started,
        )


@contextmanager
def _shown(pages: Pages, settings: Settings) -> Iterator[int]:
    """The metrics page; its port. Raises PortTakenError."""
    registry = CollectorRegistry()
    registry.register(pages)
    try:
        http, _ = start_http_server(settings.metrics_port, settings.host, registry)
    except OSError as error:
        raise PortTakenError("metrics", f"{settings.host}:{settings.metrics_port}") from error
    try:
        yield http.server_port
    finally:
        http.shutdown()
        http.server_close()


@asynccontextmanager
async def _looking(pages: Pages) -> AsyncIterator[None]:
    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            await in_daemon_thread(pages.look)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()


def _pass_signals_on(supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, supervisor.signal, each)
