"""The challenger behind the champion, over the wire: what its metrics and its run say, and what no caller sees."""

import asyncio
import time

import numpy as np
import pytest
from mlflow.entities import RunStatus

from pipelines.registry.traffic import TrafficRule
from services.prediction import shadow_reports
from services.prediction.batcher import unseen
from tests.integration.prediction.serving import ROW, Serving, raw_request, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import SLOW, manifest
from tests.waiting import eventually_async

LABELS = '{challenger="2",champion="1",model="digits"}'


def challenge(store: Store, scale: float) -> str:
    """Version 1 is champion of scale 1, and version 2 its shadow; returns the challenger's run."""
    store.promote("digits", 1.0)
    run_id = str(store.client.create_run(store.experiment).info.run_id)
    store.client.set_terminated(run_id)
    store.register("digits", scale, described=manifest("digits").model_copy(update={"run_id": run_id}))
    store.client.set_registered_model_alias("digits", "challenger", "2")
    store.registry.set_traffic("digits", TrafficRule(shadow_share=1.0))
    return run_id


async def value(it: Serving, name: str) -> float:
    lines = [line for line in (await it.scrape()).splitlines() if line.startswith(f"drivetrain_shadow_{name}{LABELS}")]
    return float(lines[0].split()[-1]) if lines else -1.0


async def has(it: Serving, name: str, expected: float) -> bool:
    return await value(it, name) == expected


@pytest.mark.usefixtures("each_transport")
@pytest.mark.parametrize(("scale", "disagreements"), [(2.0, 0), (-1.0, 20)])
async def test_the_challenger_runs_what_the_champion_answers(store: Store, scale: float, disagreements: int) -> None:
    challenge(store, scale)
    async with serving(store.registry) as it:
        for _ in range(20):
            assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"
        await it.stub.ModelInfer(raw_request("digits@challenger"))  # its own requests have no shadow
        await eventually_async(lambda: has(it, "requests_total", 20))
        assert await value(it, "disagreements_total") == disagreements
        assert await value(it, "duration_seconds_count") == 20
        assert await value(it, "dropped_total") == 0
        page = await it.scrape()
        assert 'nv_inference_request_success{model="digits",version="2"} 1' in page
        store.registry.set_traffic("digits", TrafficRule())
        await eventually_async(lambda: is_off(it))
        await it.stub.ModelInfer(raw_request("digits"))
        assert await value(it, "requests_total") == 20


async def is_off(it: Serving) -> bool:
    return it.server.plane.model("digits", "").batcher.shadow is unseen


@pytest.mark.usefixtures("each_transport")
async def test_a_slow_challenger_delays_no_answer(store: Store) -> None:
    """Both take more than a second for the slow row; the champion's next answers come while the challenger is at it."""
    challenge(store, 1.0)
    async with serving(store.registry, max_queue_requests=8) as it:
        await it.stub.ModelInfer(raw_request("digits", np.array([[1.9 * SLOW, 0, 0]], np.float32)))
        await eventually_async(lambda: is_busy(it))
        for _ in range(10):
            assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"
        assert await value(it, "requests_total") == 0
        await eventually_async(lambda: has(it, "dropped_total", 9))
        await eventually_async(lambda: has(it, "requests_total", 2))


async def is_busy(it: Serving) -> bool:
    return not it.server.plane.model("digits", "2").batcher.idle


async def test_the_challengers_run_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_reports, "REPORT_S", 0.5)
    run_id = challenge(store, -1.0)
    before = store.client.get_run(run_id).info
    async with serving(store.registry) as it:
        for _ in range(4):
            await it.stub.ModelInfer(raw_request("digits", ROW))
        await eventually_async(lambda: is_told(store, run_id, 4))
        metrics = store.client.get_run(run_id).data.metrics
        assert metrics["shadow/disagreement_rate"] == 1
        assert metrics["shadow/latency_ms"] > 0
    after = store.client.get_run(run_id).info
    assert (after.status, after.end_time) == (before.status, before.end_time)
    assert RunStatus.from_string(after.status) == RunStatus.FINISHED


async def is_told(store: Store, run_id: str, number: int) -> bool:
    metrics = await asyncio.to_thread(lambda: store.client.get_run(run_id).data.metrics)
    return metrics.get("shadow/requests") == number


async def test_a_run_that_is_gone_matters_to_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shadow_reports, "REPORT_S", 0.3)
    run_id = challenge(store, 1.0)
    store.client.delete_run(run_id)
    async with serving(store.registry) as it:
        await it.stub.ModelInfer(raw_request("digits"))
        await eventually_async(lambda: was_refused(caplog))
        store.client.restore_run(run_id)
        await eventually_async(lambda: is_told(store, run_id, 1))
        started_s = time.monotonic()
        await it.stub.ModelInfer(raw_request("digits"))
        assert time.monotonic() - started_s < 5
    assert caplog.text.count("cannot be told of its shadow") == 1


async def was_refused(caplog: pytest.LogCaptureFixture) -> bool:
    return "cannot be told of its shadow" in caplog.text
