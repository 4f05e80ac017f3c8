"""What the server tells of its models beyond the protocol: Triton's configuration and statistics."""

import time

import grpc
import numpy as np
import pytest

from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.prediction.serving import ROW, raw_request, serving
from tests.integration.prediction.store import Store


async def test_the_configuration_says_how_the_model_runs(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_batch_size=16, max_queue_requests=99) as it:
        config = (await it.stub.ModelConfig(pb.ModelConfigRequest(name="digits"))).config
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.stub.ModelConfig(pb.ModelConfigRequest(name="other"))
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert (config.name, config.platform, config.backend) == ("digits", "onnxruntime_onnx", "onnxruntime")
    assert (config.max_batch_size, list(config.version_policy.specific.versions)) == (16, [1])
    assert [(each.name, each.data_type, list(each.dims)) for each in config.input] == [
        ("features", pb.DataType.TYPE_FP32, [3])
    ]
    probabilities, class_index = config.output
    assert (list(probabilities.dims), probabilities.HasField("reshape")) == ([2], False)
    assert (list(class_index.dims), class_index.HasField("reshape"), class_index.data_type) == (
        [1],
        True,
        pb.DataType.TYPE_INT64,
    )
    assert config.WhichOneof("scheduling_choice") == "dynamic_batching"
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 99
    assert config.parameters["labels"].string_value == '["no", "yes"]'
    assert not config.model_transaction_policy.decoupled


async def test_statistics_count_requests_rows_and_runs(store: Store) -> None:
    store.promote("digits")
    store.promote("other")
    before_ms = time.time() * 1000
    async with serving(store.registry) as it:
        await it.stub.ModelInfer(raw_request("digits", np.repeat(ROW, 3, axis=0)))
        await it.stub.ModelInfer(raw_request("digits"))
        with pytest.raises(grpc.aio.AioRpcError):
            await it.stub.ModelInfer(raw_request("digits", ROW[:, :2]))
        every = (await it.stub.ModelStatistics(pb.ModelStatisticsRequest())).model_stats
        one = (await it.stub.ModelStatistics(pb.ModelStatisticsRequest(name="other"))).model_stats
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.stub.ModelStatistics(pb.ModelStatisticsRequest(name="unknown"))
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert [(each.name, each.version) for each in every] == [("digits", "1"), ("other", "1")]
    assert [each.name for each in one] == ["other"]
    assert (one[0].inference_count, one[0].last_inference, len(one[0].batch_stats)) == (0, 0, 0)
    digits = every[0]
    assert before_ms - 1 <= digits.last_inference <= time.time() * 1000 + 1
    assert (digits.inference_count, digits.execution_count) == (4, 2)
    totals = digits.inference_stats
    assert (totals.success.count, totals.fail.count, totals.queue.count, totals.compute_infer.count) == (2, 1, 2, 2)
    assert (totals.compute_input.count, totals.compute_output.count) == (2, 2), "perf_analyzer insists on it"
    assert totals.success.ns > totals.compute_infer.ns > 0
    assert (totals.HasField("cache_hit"), totals.cache_hit.count) == (True, 0)
    assert [(runs.batch_size, runs.compute_infer.count) for runs in digits.batch_stats] == [(1, 1), (3, 1)]
