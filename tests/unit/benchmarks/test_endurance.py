"""The figures of the endurance benchmark."""

import grpc
import pytest

from tests.benchmarks.endurance.arrivals import Outcome, Phase
from tests.benchmarks.endurance.overload import Overload
from tests.benchmarks.endurance.soak import Slice, Soak
from tests.benchmarks.serving.load import Load

Code = grpc.StatusCode
MIB = 2**20


def phase(*codes: Code, took_ms: float = 10.0) -> Phase:
    return Phase(rate=5.0, seconds=2.0, outcomes=[Outcome(code, took_ms) for code in codes])


def test_refused_requests_are_neither_answered_nor_in_the_latencies() -> None:
    busy = Phase(5.0, 2.0, [Outcome(Code.OK, 10), Outcome(Code.OK, 20), Outcome(Code.RESOURCE_EXHAUSTED, 10**6)])
    assert busy.answered_per_second == 1.0
    assert busy.quantile_ms(50) == pytest.approx(15)
    assert busy.codes == {"OK": 2, "RESOURCE_EXHAUSTED": 1}


@pytest.mark.parametrize(
    ("normal", "too_much", "missed"),
    [
        (phase(Code.OK, Code.OK), phase(Code.OK, Code.OK, Code.RESOURCE_EXHAUSTED, took_ms=19.9), []),
        (phase(Code.OK, Code.OK), phase(Code.OK, Code.OK, took_ms=20.1), [0]),
        (phase(Code.OK, Code.OK), phase(Code.OK, Code.OK, Code.UNAVAILABLE), [1]),
        (phase(Code.OK, Code.OK, Code.RESOURCE_EXHAUSTED), phase(Code.OK, Code.OK), [2]),
    ],
    ids=["all holds", "accepted ones are slow", "another status", "refused where there was room"],
)
def test_overload_is_judged_by_latency_and_status(normal: Phase, too_much: Phase, missed: list[int]) -> None:
    verdicts = Overload("native", 100.0, normal, too_much).verdicts
    assert [number for number, verdict in enumerate(verdicts) if not verdict.holds] == missed


def test_memory_is_compared_from_the_first_fifth_to_the_last() -> None:
    sizes = [100, 100, 500, 500, 500, 500, 500, 500, 105, 106]
    slices = [Slice(Load(1000.0, 1.0, 2.0, 10_000, 0), size * MIB) for size in sizes]
    soak = Soak("native", 1500.0, slices)
    assert soak.growth == pytest.approx(1.055)
    assert [verdict.holds for verdict in soak.verdicts] == [False, True]
