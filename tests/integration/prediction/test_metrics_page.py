"""The metrics page after real requests: Triton's names and labels, and ours."""

import asyncio

import grpc
import pytest

from tests.integration.prediction.serving import ROW, raw_request, serving
from tests.integration.prediction.store import Store


async def test_requests_rows_batches_and_failures_are_counted(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        await asyncio.gather(*(it.stub.ModelInfer(raw_request("digits")) for _ in range(5)))
        with pytest.raises(grpc.aio.AioRpcError):
            await it.stub.ModelInfer(raw_request("digits", ROW[:, :2]))
        with pytest.raises(grpc.aio.AioRpcError):
            await it.stub.ModelInfer(raw_request("evil"))
        page = await it.scrape()
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#"))
    labels = '{model="digits",version="1"}'
    assert float(values[f"nv_inference_request_success{labels}"]) == 5
    assert float(values[f"nv_inference_count{labels}"]) == 5
    assert 1 <= float(values[f"nv_inference_exec_count{labels}"]) <= 5
    assert float(values[f"nv_inference_pending_request_count{labels}"]) == 0
    assert float(values[f"nv_inference_request_duration_us{labels}"]) > 0
    assert float(values[f"nv_inference_compute_infer_duration_us{labels}"]) > 0
    assert f"nv_inference_queue_duration_us{labels}" in values
    assert float(values['nv_inference_request_failure{model="digits",reason="OTHER",version="1"}']) == 1
    assert float(values[f"drivetrain_request_duration_seconds_count{labels}"]) == 5
    assert float(values['drivetrain_model_loads_total{model="digits"}']) == 1
    assert "evil" not in page, "only loaded models become labels"
