"""Attacks on an open port: each takes a connection, does harm as far as it can, and counts what it tried."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice

from tests.fuzz.decoder import payloads
from tests.fuzz.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    call,
    frame,
    header_block,
    random_frame,
)
from tests.integration.prediction.serving import raw_request

GOOD = raw_request("digits").SerializeToString()
OPENING = PREFACE + frame(SETTINGS, 0, 0)
PATIENCE_S = 0.05


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A connection that waits for nobody."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.settimeout(PATIENCE_S)
        yield connection


def send(port: int, content: bytes) -> None:
    """Send it and listen a little, on a connection of its own; that the server hangs up is its right."""
    with suppress(OSError), connected(port) as connection:
        connection.sendall(content)
        while connection.recv(65536):
            pass


def random_bytes(rng: random.Random, port: int) -> int:
    """No protocol at all."""
    send(port, rng.randbytes(rng.choice((1, 9, 24, 100, 10_000))))
    return 1


def http_1(rng: random.Random, port: int) -> int:
    """The protocol of another port."""
    path = rng.choice(("/", "/v2", "/metrics", "/" + "a" * 20_000))
    ends = rng.choice(("\r\n\r\n", "\r\n", "\r\nContent-Length: 1000000\r\n\r\n{", "\r\nUpgrade: h2c\r\n\r\n"))
    send(port, f"{rng.choice(('GET', 'POST', 'PRI'))} {path} HTTP/1.1\r\nHost: localhost{ends}".encode())
    return 1


def truncated_preface(rng: random.Random, port: int) -> int:
    """Half a greeting."""
    send(port, OPENING[: rng.randrange(len(OPENING))])
    return 1


def random_frames(rng: random.Random, port: int) -> int:
    """Frames of any kind after a good opening, good calls among them."""
    frames = [random_frame(rng) if rng.randrange(4) else call(2 * n + 1, GOOD) for n in range(rng.randrange(1, 20))]
    send(port, OPENING + b"".join(frames))
    return len(frames)


def wrong_lengths(rng: random.Random, port: int) -> int:
    """Messages whose prefix lies: too long, too short, compressed, of an unknown flag, without an end."""
    lengths = (0, 1, len(GOOD) - 1, len(GOOD) + 1, 2**20, 2**31, 2**32 - 1)
    calls = [call(2 * n + 1, GOOD, rng.choice((0, 0, 1, 255)), rng.choice(lengths), rng.randrange(2)) for n in range(8)]
    send(port, OPENING + b"".join(calls))
    return len(calls)


def bent_messages(rng: random.Random, port: int) -> int:
    """The decoder's attack, over the wire."""
    calls = [call(2 * n + 1, payload) for n, payload in enumerate(islice(payloads(rng), 50))]
    send(port, OPENING + b"".join(calls))
    return len(calls)


def bent_headers(rng: random.Random, port: int) -> int:
    """Headers of no meaning, of great length, or without end."""
    block = bytearray(
        header_block(rng.choice(("/", "", "x", "/a/b")), [("a" * 50, "b" * rng.choice((0, 9, 9000)))] * 9)
    )
    block[rng.randrange(len(block))] = rng.randrange(256)
    continued = b"".join(frame(CONTINUATION, 0, 3, header_block()) for _ in range(rng.choice((0, 200))))
    send(port, OPENING + frame(HEADERS, END_HEADERS, 1, bytes(block)) + frame(HEADERS, 0, 3) + continued)
    return 2


def reset_flood(rng: random.Random, port: int) -> int:
    """Calls that are taken back at once."""
    number = rng.choice((10, 500))
    calls = [call(2 * n + 1, GOOD) + frame(RST_STREAM, 0, 2 * n + 1, b"\0\0\0\x08") for n in range(number)]
    send(port, OPENING + b"".join(calls))
    return number


def ping_flood(rng: random.Random, port: int) -> int:
    """Questions without interest in the answer."""
    send(port, OPENING + frame(PING, 0, 0, rng.randbytes(8)) * 2000 + frame(SETTINGS, 0, 0) * 500)
    return 2500


def unfinished(rng: random.Random, port: int) -> int:
    """A call that is begun, and a client that vanishes with a reset."""
    with suppress(OSError), connected(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(OPENING + frame(HEADERS, END_HEADERS, 1, header_block()) + frame(DATA, 0, 1, GOOD[:9]))
    return 1


def slow_connections(port: int, number: int, seconds: float) -> int:
    """So many connections at a time, each with a byte of a good call now and then."""
    content = OPENING + call(1, GOOD)
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(port)) for _ in range(number)]
        until_s, position = time.monotonic() + seconds, 0
        while time.monotonic() < until_s and position < len(content):
            for connection in connections:
                with suppress(OSError):
                    connection.send(content[position : position + 1])
            position += 1
    return number


ATTACKS: tuple[Callable[[random.Random, int], int], ...] = (
    random_bytes,
    http_1,
    truncated_preface,
    random_frames,
    wrong_lengths,
    bent_messages,
    bent_headers,
    reset_flood,
    ping_flood,
    unfinished,
)
