"""An address that stays while the servers behind it come and go, as behind a load balancer that asks who is ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Door:
    """Passes connections to 127.0.0.1:`port` on to the server that it is open to; resets them while it is closed."""

    def __init__(self) -> None:
        self.port = 0
        """Known from the first opening, and the same ever after."""
        self.num_connections = 0
        self._to_port: int | None = None
        self._listening: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def address(self) -> str:
        """For a client."""
        return f"127.0.0.1:{self.port}"

    async def open(self, port: int) -> None:
        """Let connections through to the server at `port`."""
        self._to_port = port
        if self._listening is None:
            self._listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
            self.port = self._listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut the connections that are there, and those that come."""
        self._to_port = None
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # aborted transports close in the loop's next round

    async def remove(self) -> None:
        """Close for ever, once no client is there: asyncio leaves a connection open that came as its server closed."""
        await self.close()
        if self._listening is not None:
            self._listening.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._to_port is None:
            writer.transport.abort()
            return
        self.num_connections += 1
        self._writers.append(writer)
        task = asyncio.create_task(_pass_on(reader, writer, self._to_port))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)


@asynccontextmanager
async def door_to(port: int) -> AsyncIterator[Door]:
    """An open door, closed with the block."""
    door = Door()
    await door.open(port)
    try:
        yield door
    finally:
        await door.remove()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    try:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        writer.transport.abort()
        return
    ways = [asyncio.create_task(_pump(reader, there_writer)), asyncio.create_task(_pump(there_reader, writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)  # one side ended: so does the other
    finally:
        for way in ways:
            way.cancel()
        there_writer.transport.abort()
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while content := await reader.read(2**16):
            writer.write(content)
            await writer.drain()
