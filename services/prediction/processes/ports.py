"""Ports that several processes are going to share: free before, and held meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from services.rpc.errors import PortTakenError


@contextmanager
def held(purpose: str, host: str, port: int) -> Iterator[int]:
    """The port, 0 for a free one, as long as no process of this user needs it but to share it.

    The socket does not listen, so it gets no connection. Raises PortTakenError.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as alone:  # who shares a port would not hear that it is taken
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
        holder = socket.socket(family, kind, protocol)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
    except OSError as error:
        raise PortTakenError(purpose, f"{host}:{port}") from error
    with holder:
        yield int(holder.getsockname()[1])
