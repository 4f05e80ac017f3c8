"""What the clients of the services agree on: addresses, tokens, keepalive, and how to tell that nobody listens."""

import re

KEEPALIVE_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.keepalive_time_ms", 30_000),  # the servers take a ping every 10 s and more
    ("grpc.keepalive_timeout_ms", 20_000),
]

_UNREACHED = re.compile("failed to connect|connection refused|resolv|lookup|DNS|http1", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether `text` is HOST:PORT, and no URL."""
    return re.fullmatch(r"(?!\w+://).+:\d{1,5}", text) is not None


def is_token(text: str) -> bool:
    """Whether a header can carry `text` as one word."""
    return re.fullmatch(r"[!-~]+", text) is not None


def is_unreached(details: str) -> bool:
    """Whether gRPC itself wrote this text of an UNAVAILABLE, because nobody took the connection."""
    return _UNREACHED.search(details) is not None
