import asyncio

import pytest
from prometheus_client import generate_latest
from prometheus_client.exposition import choose_encoder

from services.prediction import errors
from services.prediction.metrics import BatchTimes, Metrics
from services.rpc.errors import InvalidRequestError
from tests.unit.prediction.waiting import LANE, Waiting


def test_tritons_names_are_exposed_without_a_suffix() -> None:
    metrics = Metrics()
    counts = metrics.of_version("digits", "3")
    calls = [Waiting([], LANE, 2, queued_s=9.999), Waiting([], LANE, 3, queued_s=9.998)]
    counts.observe_batch(calls, BatchTimes(10.0, 10.001, 10.011))
    counts.observe_answers(0.001)
    lines = generate_latest(metrics.registry).decode().splitlines()
    labels = '{model="digits",version="3"}'
    assert "# TYPE nv_inference_request_success untyped" in lines
    assert f"nv_inference_request_success{labels} 2.0" in lines
    assert f"nv_inference_count{labels} 5.0" in lines
    assert f"nv_inference_exec_count{labels} 1.0" in lines
    assert f"nv_inference_queue_duration_us{labels} 3000.0" in lines
    assert f"nv_inference_compute_input_duration_us{labels} 2000.0" in lines
    assert f"nv_inference_compute_infer_duration_us{labels} 20000.0" in lines
    assert f"nv_inference_compute_output_duration_us{labels} 2000.0" in lines
    assert f"nv_inference_request_duration_us{labels} 27000.0" in lines
    assert f"nv_inference_pending_request_count{labels} 0.0" in lines
    assert f"drivetrain_request_duration_seconds_count{labels} 2.0" in lines
    assert 'drivetrain_request_duration_seconds_bucket{le="0.01",model="digits",version="3"} 0.0' in lines
    assert 'drivetrain_request_duration_seconds_bucket{le="0.025",model="digits",version="3"} 2.0' in lines
    for name in ("queue", "compute"):
        assert f"drivetrain_{name}_duration_seconds_count{labels} 2.0" in lines
    queue_s = next(line for line in lines if line.startswith(f"drivetrain_queue_duration_seconds_sum{labels}"))
    compute_s = next(line for line in lines if line.startswith(f"drivetrain_compute_duration_seconds_sum{labels}"))
    assert float(queue_s.split()[1]) == pytest.approx(0.003)
    assert float(compute_s.split()[1]) == pytest.approx(0.022)


def test_openmetrics_has_the_same_names() -> None:
    metrics = Metrics()
    metrics.of_version("digits", "3")
    encode, _ = choose_encoder("application/openmetrics-text")
    lines = encode(metrics.registry).decode().splitlines()
    assert "# TYPE nv_inference_count unknown" in lines
    assert 'nv_inference_count{model="digits",version="3"} 0.0' in lines


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.QueueFullError("m", 1), "REJECTED"),
        (errors.LongWaitError("m", 2.0, 1.0), "REJECTED"),
        (errors.DeadlineExpiredError("m"), "CANCELED"),
        (asyncio.CancelledError(), "CANCELED"),
        (errors.InferenceFailedError("m", "1", "bad"), "BACKEND"),
        (InvalidRequestError("inputs", "one", "two"), "OTHER"),
        (KeyError(), "OTHER"),
    ],
)
def test_a_failure_is_counted_under_tritons_reason(error: BaseException, reason: str) -> None:
    metrics = Metrics()
    counts = metrics.of_version("m", "1")
    counts.failed(error)
    assert dict(counts.failures) == {reason: 1}
    assert counts.num_requests == 0
    page = generate_latest(metrics.registry).decode()
    assert f'nv_inference_request_failure{{model="m",reason="{reason}",version="1"}} 1.0' in page


def test_a_version_that_returns_goes_on_counting() -> None:
    metrics = Metrics()
    assert metrics.of_version("m", "1") is metrics.of_version("m", "1")
