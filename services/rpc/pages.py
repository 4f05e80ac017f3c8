"""The metrics page of one process of several, on a private socket: who connects is told it, and nothing is asked."""

import asyncio
import socket
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

READ_TIMEOUT_S = 1.0
"""Seconds that a process may take for its page, or a part of it."""


async def show_page(registry: CollectorRegistry, path: Path) -> asyncio.Server:
    """Show it on a unix socket until the server is closed; a socket that a dead process left is replaced."""

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(generate_latest(registry))
        writer.close()

    return await asyncio.start_unix_server(tell, path)


def read_page(path: Path) -> str:
    """The page of the process behind the socket. Blocks; raises OSError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(READ_TIMEOUT_S)
        connection.connect(str(path))
        return b"".join(iter(lambda: connection.recv(2**16), b"")).decode()
