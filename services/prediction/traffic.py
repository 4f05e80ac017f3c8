"""Who answers a request that names no version: a pure decision, carried out by the repository."""

import random
from hashlib import blake2b

PLACES = 2**53
"""As many places as a float tells apart between 0 and 1."""


def is_canary(share: float, place: float) -> bool:
    """Whether the challenger answers what stands at this place of [0, 1): a growing share only adds places."""
    return place < share


def place_of(model: str, key: str) -> float:
    """Where in [0, 1) a request stands: by its routing key always the same, without one anywhere.

    The model is part of the hash: a caller who is the first to try one challenger is not for every model.
    """
    if not key:
        return random.random()
    digest = blake2b(f"{model}\0{key}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) % PLACES) / PLACES
