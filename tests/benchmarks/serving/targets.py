"""What the service is to reach, as ratios of figures from one and the same run."""

from collections.abc import Iterator, Sequence

from tests.benchmarks.serving.figures import Cell, Cells, Key, reference
from tests.benchmarks.verdicts import Verdict

OURS = ("drivetrain-native", "drivetrain")
"""The contestant that the targets hold for: the first of these that was measured."""

TIMES_TRITON = {
    ("mlp", 1): 1.7,
    ("cnn", 1): 1.3,
    ("lstm", 1): 1.4,
    ("mlp", 64): 2.7,
    ("cnn", 64): 1.3,
    ("lstm", 64): 1.8,
}
TIMES_OTHERS = {"mlserver": 40.0, "bare-transport": 0.6}
"""Of the MLP at 64 in flight."""


def verdicts(cells: Cells, references: Sequence[str]) -> list[Verdict]:
    """Every target that the measured cells say something about."""
    ours = next((name for name in OURS if any(key.contestant == name for key in cells)), None)
    own = {key: cell for key, cell in cells.items() if key.contestant == ours}
    found = [verdict for key, cell in own.items() for verdict in _against_triton(cells, key, cell, references)]
    return found + [verdict for key, cell in own.items() for verdict in _against_others(cells, key, cell)]


def _against_triton(cells: Cells, key: Key, cell: Cell, references: Sequence[str]) -> Iterator[Verdict]:
    best = reference(cells, key.model, key.in_flight, references)
    if best is None:
        return
    place = f"{key.model}, {key.in_flight} in flight"
    if needed := TIMES_TRITON.get((key.model, key.in_flight)):
        yield Verdict(f"req/s to Triton's, {place}", cell.requests_per_second / best.requests_per_second, needed)
    yield Verdict(f"p99 to Triton's, {place}", cell.p99_ms / best.p99_ms, 1.0, less_is_better=True)


def _against_others(cells: Cells, key: Key, cell: Cell) -> Iterator[Verdict]:
    if (key.model, key.in_flight) != ("mlp", 64):
        return
    for name, needed in TIMES_OTHERS.items():
        if other := cells.get(Key(key.model, key.in_flight, name)):
            ratio = cell.requests_per_second / other.requests_per_second
            yield Verdict(f"req/s to {name}'s, mlp, 64 in flight", ratio, needed)
