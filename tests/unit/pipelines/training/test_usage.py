"""Samples of the machine: what they hold, and when they come."""

import logging
import pickle
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from pipelines.training.loop import EpochReport
from pipelines.training.tally import Measures
from pipelines.training.usage import Meter, Sample, Usage
from pipelines.training.worker import Trained, Warned, observed

REPORTS = [EpochReport(n, Measures(1.0), Measures(1.0), 0.0, 0.1, 1.0, 1.0, best=n == 1) for n in (1, 2, 3)]
LAST = Trained({}, 1)


def test_a_sample_is_of_now_and_has_mlflows_names() -> None:
    with Meter() as meter:
        (sample,) = meter.take(now=True)
        assert meter.take() == ()
    assert abs(sample.time_ms / 1000 - time.time()) < 10
    assert sample.figures.keys() == {
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
        "process_cpu_utilization_percentage",
        "process_memory_usage_megabytes",
    }
    assert 0 < sample.figures["system_memory_usage_percentage"] <= 100
    assert 10 < sample.figures["process_memory_usage_megabytes"] < sample.figures["system_memory_usage_megabytes"]
    assert 0 <= sample.figures["cpu_utilization_percentage"] <= 100


def test_samples_come_by_themselves_in_their_order() -> None:
    samples: list[Sample] = []
    with Meter(every_s=0.01) as meter:
        until_s = time.monotonic() + 30
        while len(samples) < 3:
            assert time.monotonic() < until_s
            samples += meter.take()
    times = [sample.time_ms for sample in samples]
    assert times == sorted(times)
    assert "usage" not in {thread.name for thread in threading.enumerate()}


def test_a_worker_tells_its_usage_at_the_first_epoch_and_at_the_end() -> None:
    events = list(observed(iter([*REPORTS, LAST]), rank=3))
    assert [type(event) for event in events] == [Usage, *[EpochReport] * 3, Usage, Trained]
    assert [event.rank for event in events if isinstance(event, Usage)] == [3, 3]
    assert [event for event in events if not isinstance(event, Usage)] == [*REPORTS, LAST]


def test_a_worker_tells_what_it_has_logged_before_its_next_event() -> None:
    def logging_between() -> Iterator[EpochReport | Trained]:
        yield REPORTS[0]
        logging.getLogger("somebody").warning("it is getting late")
        yield LAST

    events = list(observed(logging_between(), rank=1))
    assert [type(event) for event in events] == [Usage, EpochReport, Warned, Usage, Trained]
    assert events[2] == Warned(1, ("it is getting late",))


def test_a_worker_that_fails_leaves_no_thread() -> None:
    def failing() -> Iterator[EpochReport | Trained]:
        yield REPORTS[0]
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        list(observed(failing(), rank=0))
    assert "usage" not in {thread.name for thread in threading.enumerate()}


def test_usage_can_be_sent() -> None:
    usage = Usage(1, (Sample(2, {"cpu_utilization_percentage": 3.0}),))
    assert pickle.loads(pickle.dumps(usage)) == usage


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_worker_on_a_gpu_tells_of_it() -> None:
    torch.zeros(1, device="cuda")
    with Meter() as meter:
        (sample,) = meter.take(now=True)
    assert 0 <= sample.figures["gpu_0_utilization_percentage"] <= 100
    assert 0 < sample.figures["gpu_0_memory_usage_percentage"] <= 100
    assert sample.figures["gpu_0_memory_usage_megabytes"] > 0
