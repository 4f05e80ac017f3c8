"""Following the champion: promotions without a failed request, refusals, an unreachable registry, retirement."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import grpc
import numpy as np
import pytest
from onnx import ModelProto

from pipelines.registry.manifest import Manifest
from pipelines.registry.package import Golden
from services.prediction.entry import LOADING
from tests.integration.prediction.serving import (
    ROW,
    Serving,
    raw_probabilities,
    raw_request,
    serving,
)
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import FEATURES, classifier, golden, manifest, probabilities
from tests.waiting import eventually_async

pytestmark = pytest.mark.usefixtures("each_transport")

SCALES = {"1": 1.0, "2": 2.0}


async def ask_without_pause(it: Serving, model: str, enough: asyncio.Event) -> list[str]:
    """The versions that answered, in order; each answer is checked against its version's weights."""
    versions = []
    while not enough.is_set():
        answer = await it.stub.ModelInfer(raw_request(model))
        expected = probabilities(ROW, SCALES[answer.model_version])
        np.testing.assert_allclose(raw_probabilities(answer), expected, atol=1e-6)
        versions.append(answer.model_version)
    return versions


async def serves(it: Serving, model: str, version: str) -> bool:
    return (model, version, "READY") in await it.index()


async def test_promotion_under_load_fails_no_request_and_changes_the_version_once(store: Store) -> None:
    store.promote("digits", SCALES["1"])
    enough = asyncio.Event()
    async with serving(store.registry) as it:
        clients = [asyncio.create_task(ask_without_pause(it, "digits", enough)) for _ in range(8)]
        await asyncio.to_thread(store.promote, "digits", SCALES["2"])
        await eventually_async(lambda: serves(it, "digits", "2"))
        await it.stub.ModelInfer(raw_request("digits"))
        enough.set()
        streams = await asyncio.gather(*clients)
    for versions in streams:
        assert set(versions) <= {"1", "2"}
        assert versions == sorted(versions), "a client saw the old version after the new one"
    assert {"1", "2"} == {version for versions in streams for version in versions}


async def test_rollback_is_moving_the_alias_back(store: Store) -> None:
    store.promote("digits", SCALES["1"])
    store.promote("digits", SCALES["2"])
    async with serving(store.registry) as it:
        assert await serves(it, "digits", "2")
        store.registry.rollback("digits")
        await eventually_async(lambda: serves(it, "digits", "1"))
        assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"


def frozen_batch() -> tuple[ModelProto, Golden, Manifest]:
    """A graph whose batch axis is fixed at the number of its golden rows."""
    return classifier(2.0, batch=3), golden(2.0), manifest("digits")


def other_answers() -> tuple[ModelProto, Golden, Manifest]:
    """A graph that does not answer as its golden rows say."""
    return classifier(2.0), golden(1.5), manifest("digits")


def other_datatype() -> tuple[ModelProto, Golden, Manifest]:
    """A manifest that speaks of another graph."""
    described = manifest("digits")
    doubles = FEATURES.model_copy(update={"datatype": "FP64"})
    return classifier(2.0), golden(2.0), described.model_copy(update={"inputs": (doubles,)})


def other_names() -> tuple[ModelProto, Golden, Manifest]:
    """A manifest that names an output which the graph lacks."""
    described = manifest("digits")
    renamed = described.outputs[0].model_copy(update={"name": "scores"})
    return classifier(2.0), golden(2.0), described.model_copy(update={"outputs": (renamed, described.outputs[1])})


def nonsense() -> tuple[ModelProto, Golden, Manifest]:
    """A file that is no graph."""
    return ModelProto(), golden(2.0), manifest("digits")


def rows_of_other_names() -> tuple[ModelProto, Golden, Manifest]:
    """Golden rows that do not fit the graph's inputs."""
    recorded = golden(2.0)
    return classifier(2.0), replace(recorded, inputs={"pixels": recorded.inputs["features"]}), manifest("digits")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (frozen_batch, "expected the same, with -1"),
        (other_answers, "golden rows: output 'probabilities' is off by"),
        (other_datatype, "is FP64 in the manifest, FP32 in the graph"),
        (other_names, "the manifest lists the outputs"),
        (nonsense, "the graph cannot be opened"),
        (rows_of_other_names, "golden rows: "),
    ],
)
async def test_a_wrong_version_is_refused_and_the_old_one_serves(
    store: Store,
    caplog: pytest.LogCaptureFixture,
    parts: Callable[[], tuple[ModelProto, Golden, Manifest]],
    reason: str,
) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        graph, recorded, described = parts()
        wrong = store.register("digits", graph=graph, recorded=recorded, described=described)
        store.registry.promote("digits", wrong)
        await eventually_async(lambda: is_refused(it, "digits", wrong))
        assert reason in await it.reason("digits", wrong)
        assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"
        assert 'drivetrain_model_load_failures_total{model="digits"}' in await it.scrape()
    refusals = [record for record in caplog.records if "was refused" in record.getMessage()]
    assert len(refusals) == 1, "the reason is logged once for a version, not at every attempt"


async def is_refused(it: Serving, model: str, version: str) -> bool:
    return await it.reason(model, version) not in {"", LOADING}


async def test_a_mended_version_is_taken_by_a_later_attempt(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        wrong = store.register("digits", scale=2.0)
        file = store.artifact("digits", wrong, "golden.npz")
        content = file.read_bytes()
        file.unlink()
        store.registry.promote("digits", wrong)
        await eventually_async(lambda: is_refused(it, "digits", wrong))
        file.write_bytes(content)
        await eventually_async(lambda: serves(it, "digits", wrong))
        assert not await is_refused(it, "digits", wrong)


async def test_going_back_to_what_serves_clears_the_refusal(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        wrong = store.register("digits", recorded=golden(3.0))
        store.registry.promote("digits", wrong)
        await eventually_async(lambda: is_refused(it, "digits", wrong))
        store.registry.rollback("digits")
        await eventually_async(lambda: is_settled(it))


async def is_settled(it: Serving) -> bool:
    return await it.index() == [("digits", "1", "READY")]


async def test_the_registry_goes_away_and_comes_back(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    store.promote("digits", SCALES["1"])
    async with serving(store.registry) as it:
        with store.away():
            await eventually_async(lambda: logged(caplog, "the registry cannot be reached"))
            assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await it.load("digits")
            assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        await eventually_async(lambda: logged(caplog, "the registry can be reached again"))
        store.promote("digits", SCALES["2"])
        await eventually_async(lambda: serves(it, "digits", "2"))
    told = [record for record in caplog.records if "cannot be reached" in record.getMessage()]
    assert [record.name for record in told].count("services.prediction.looks") == 1


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return any(text in record.getMessage() for record in caplog.records)


async def test_not_ready_before_the_registry_was_read(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with store.away():
        async with serving(store.registry, ready=False) as it:
            await eventually_async(lambda: logged(caplog, "the registry cannot be reached"))
            assert not await it.is_healthy()
            store.come_back()
            await eventually_async(it.is_healthy)


async def test_without_its_alias_a_model_is_retired(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        store.demote("digits")
        await eventually_async(lambda: is_retired(it))
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.stub.ModelInfer(raw_request("digits"))
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.aio.AioRpcError) as load:
            await it.load("digits")
        assert load.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def is_retired(it: Serving) -> bool:
    return await it.index() == [("digits", "", "UNAVAILABLE")]


async def test_a_deleted_model_is_forgotten(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        store.client.delete_registered_model("digits")
        await eventually_async(lambda: is_empty(it))


async def is_empty(it: Serving) -> bool:
    return await it.index() == []


async def test_load_serves_a_promotion_at_once(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, poll_interval_s=60) as it:
        new = store.promote("digits", scale=2.0)
        await asyncio.gather(*(it.load("digits") for _ in range(4)))
        assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == new
        assert 'drivetrain_model_loads_total{model="digits"} 2.0' in await it.scrape()
