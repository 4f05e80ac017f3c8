"""More requests than a model can answer: some are answered in time, the others are refused at once."""

import asyncio
from collections import Counter

import grpc
import numpy as np
import pytest

from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.prediction.serving import Serving, raw_request, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import classifier

SLOW = raw_request("slow", np.ones((1, 3), np.float32))
NUM_REQUESTS = 200


@pytest.mark.usefixtures("each_transport")
async def test_what_would_wait_too_long_is_refused_and_counted(store: Store) -> None:
    store.registry.promote("slow", store.register("slow", graph=classifier(1.0, loops=20_000)))
    async with serving(store.registry, max_batch_size=1, max_queue_wait_ms=10) as it:
        await codes_of(it, 10)  # the pace is learned
        codes = await codes_of(it, NUM_REQUESTS)
        assert set(codes) == {"OK", "RESOURCE_EXHAUSTED"}
        assert codes["RESOURCE_EXHAUSTED"] > NUM_REQUESTS / 2
        statistics = await it.stub.ModelStatistics(pb.ModelStatisticsRequest(name="slow"))
        assert statistics.model_stats[0].inference_stats.fail.count >= codes["RESOURCE_EXHAUSTED"]
        assert (await it.stub.ModelInfer(SLOW)).model_version == "1"


async def codes_of(it: Serving, num_requests: int) -> Counter[str]:
    """How so many requests end that are sent at once."""
    answers = await asyncio.gather(*(_code(it) for _ in range(num_requests)))
    return Counter(answers)


async def _code(it: Serving) -> str:
    try:
        await it.stub.ModelInfer(SLOW, timeout=30)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"
