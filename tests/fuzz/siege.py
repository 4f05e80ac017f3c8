"""All attacks on one server, round after round, and the check that it took no harm."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from tests.fuzz.server import State, Target, target
from tests.fuzz.sockets import ATTACKS, slow_connections
from tests.integration.prediction.serving import raw_request
from tests.integration.prediction.store import Store
from tests.waiting import eventually

WARM_UP_ROUNDS = 5
GROWTH_MIB, GROWTH_SHARE = 24, 0.1
"""What memory may differ by: the allocator keeps some of what it once had."""


@dataclass
class Siege:
    """What was tried on one transport, and what the server held before and after."""

    transport: str
    before: State
    after: State
    seconds: float = 0.0
    tried: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.transport}: {self.tried.total()} inputs, {self.seconds:.0f} s: {dict(self.tried)}\n"
            f"  refused: {dict(self.statuses)}\n  before: {self.before}\n  after:  {self.after}"
        )

    def check(self) -> None:
        """No bad input is the server's fault, and nothing of it stays."""
        assert "INTERNAL" not in self.statuses, self
        assert self.after.threads <= self.before.threads + 4, self
        assert self.after.descriptors <= self.before.descriptors + 8, self
        assert self.after.resident_mib <= self.before.resident_mib * (1 + GROWTH_SHARE) + GROWTH_MIB, self


def besiege(store: Store, directory: Path, transport: str, seed: int, *, seconds: float, connections: int) -> Siege:
    """Attack a server for that long, at least one round after the warm-up."""
    rng, tried = random.Random(seed), Counter[str]()
    with target(store, directory, "--transport", transport) as it:
        for _ in range(WARM_UP_ROUNDS):
            attack_once(rng, it, Counter())
        slow_connections(it.port, connections, 1)
        before, started_s = settled(it), time.monotonic()
        while not tried or time.monotonic() - started_s < seconds:
            attack_once(rng, it, tried)
        tried["slow_connections"] += slow_connections(it.port, connections, min(5, seconds))
        it.check_answers()
        eventually(lambda: it.state.descriptors <= before.descriptors + 8, 30)
        return Siege(transport, before, settled(it), time.monotonic() - started_s, tried, it.statuses())


def attack_once(rng: random.Random, it: Target, tried: Counter[str]) -> None:
    """Each attack; a good client beside them is answered all the time."""
    with grpc.insecure_channel(f"127.0.0.1:{it.port}") as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer"
        )
        for attack in ATTACKS:
            tried[attack.__name__] += attack(rng, it.port)
            assert ask(raw_request("digits").SerializeToString(), timeout=20)
    it.check_answers()


def settled(it: Target) -> State:
    """The state, as soon as threads and connections of the past have gone."""
    last: list[State] = [it.state]

    def is_still() -> bool:
        time.sleep(0.5)
        last.append(it.state)
        return (last[-1].threads, last[-1].descriptors) == (last[-2].threads, last[-2].descriptors)

    eventually(is_still, 30)
    return last[-1]
