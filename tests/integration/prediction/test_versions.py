"""Several versions of a model at once: by number, by alias, as operators order, and within a memory budget."""

import asyncio

import grpc
import numpy as np
import pytest

from services.prediction.eviction import estimated_bytes
from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.prediction.serving import ROW, Serving, raw_probabilities, raw_request, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import SLOW, classifier, probabilities
from tests.waiting import eventually_async

Code = grpc.StatusCode


async def assert_answers(it: Serving, model: str, version: str, scale: float, asked: str = "") -> None:
    answer = await it.stub.ModelInfer(raw_request(model, version=asked))
    assert answer.model_version == version
    np.testing.assert_allclose(raw_probabilities(answer), probabilities(ROW, scale), atol=1e-6)


async def refusal(it: Serving, model: str, version: str = "") -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await it.stub.ModelInfer(raw_request(model, version=version))
    return refused.value.code(), refused.value.details() or ""


async def load(it: Serving, model: str, version: str) -> None:
    request = pb.RepositoryModelLoadRequest(model_name=model)
    request.parameters["version"].string_param = version
    await it.stub.RepositoryModelLoad(request)


async def serves(it: Serving, *versions: str) -> bool:
    return [version for _, version, state in await it.index() if state == "READY"] == list(versions)


@pytest.fixture
def store_of_three(store: Store) -> Store:
    """Version 1 is champion, 2 challenger, and 3 has no alias; the scale is the version."""
    store.promote("digits", 1.0)
    store.register("digits", 2.0)
    store.register("digits", 3.0)
    store.client.set_registered_model_alias("digits", "challenger", "2")
    return store


@pytest.mark.usefixtures("each_transport")
async def test_champion_and_challenger_answer_side_by_side(store_of_three: Store) -> None:
    async with serving(store_of_three.registry) as it:
        await assert_answers(it, "digits", "1", 1.0)
        await assert_answers(it, "digits@champion", "1", 1.0)
        await assert_answers(it, "digits@challenger", "2", 2.0)
        await assert_answers(it, "digits", "2", 2.0, asked="2")
        assert await refusal(it, "digits", "3") == (
            Code.NOT_FOUND,
            "version 3 of model 'digits' is not served: the champion is version 1",
        )
        assert await refusal(it, "digits@best") == (
            Code.NOT_FOUND,
            "no version of model 'digits' has the alias 'best': there are challenger, champion",
        )
        assert (await refusal(it, "digits@challenger", "2"))[0] is Code.INVALID_ARGUMENT


async def test_aliases_are_followed_as_they_move(store_of_three: Store) -> None:
    async with serving(store_of_three.registry) as it:
        store_of_three.client.set_registered_model_alias("digits", "challenger", "3")
        await eventually_async(lambda: serves(it, "1", "3"))
        await assert_answers(it, "digits@challenger", "3", 3.0)
        store_of_three.registry.promote("digits", "3")
        store_of_three.client.delete_registered_model_alias("digits", "challenger")
        await eventually_async(lambda: serves(it, "3"))
        await assert_answers(it, "digits", "3", 3.0)


async def test_the_index_says_which_alias_who_and_when(store_of_three: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    store_of_three.registry.promote("digits", "2")
    promotion = store_of_three.registry.promotion("digits", "2")
    async with serving(store_of_three.registry) as it:
        assert await it.index() == [("digits", "2", "READY")]
        assert await it.described("digits", "2") == f"champion, challenger, promoted {promotion.at} by ann"


async def test_a_version_is_loaded_by_number(store_of_three: Store) -> None:
    async with serving(store_of_three.registry, poll_interval_s=60) as it:
        await load(it, "digits", "3")
        await assert_answers(it, "digits", "3", 3.0, asked="3")
        assert await it.described("digits", "3") == "pinned"
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await load(it, "digits", "9")
        assert missing.value.code() is Code.FAILED_PRECONDITION
        with pytest.raises(grpc.aio.AioRpcError) as wrong:
            await load(it, "digits", "latest")
        assert wrong.value.code() is Code.INVALID_ARGUMENT
        request = pb.RepositoryModelLoadRequest(model_name="digits")
        request.parameters["version"].int64_param = 3
        with pytest.raises(grpc.aio.AioRpcError) as mistyped:
            await it.stub.RepositoryModelLoad(request)
        assert mistyped.value.code() is Code.INVALID_ARGUMENT
        assert await serves(it, "1", "2", "3")


async def test_an_unloaded_model_is_unavailable_until_it_is_loaded(store_of_three: Store) -> None:
    async with serving(store_of_three.registry) as it:
        await it.server.plane.unload("digits")
        assert await refusal(it, "digits") == (Code.UNAVAILABLE, "model 'digits' is not ready: unloaded")
        store_of_three.registry.promote("digits", "3")
        other = store_of_three.promote("wine")
        await eventually_async(lambda: followed(it, "wine", other))
        assert await it.index() == [
            ("digits", "1", "UNAVAILABLE"),
            ("digits", "2", "UNAVAILABLE"),
            ("wine", "1", "READY"),
        ]
        assert await it.reason("digits", "1") == "unloaded"
        await it.load("digits")
        await assert_answers(it, "digits", "3", 3.0)


async def followed(it: Serving, model: str, version: str) -> bool:
    return (model, version, "READY") in await it.index()


@pytest.mark.usefixtures("each_transport")
async def test_a_request_under_way_finishes_with_the_version_that_was_unloaded(store_of_three: Store) -> None:
    async with serving(store_of_three.registry) as it:
        call = it.stub.ModelInfer(raw_request("digits@challenger", np.array([[SLOW, 0, 0]], np.float32)))
        await eventually_async(lambda: is_active(it))
        await it.server.plane.unload("digits", "2")
        assert (await refusal(it, "digits@challenger"))[0] is Code.UNAVAILABLE
        assert await it.index() == [("digits", "1", "READY"), ("digits", "2", "UNLOADING")]
        await assert_answers(it, "digits", "1", 1.0)
        assert (await call).model_version == "2"
        await eventually_async(lambda: is_gone(it))


async def is_gone(it: Serving) -> bool:
    return await it.index() == [("digits", "1", "READY"), ("digits", "2", "UNAVAILABLE")]


async def is_active(it: Serving) -> bool:
    page = (await it.scrape()).splitlines()
    runs = 'nv_inference_pending_request_count{model="digits",version="2"} 0.0'
    return runs in page and not it.server.plane.model("digits", "2").batcher.idle


async def test_only_the_models_of_the_pattern_are_served(store_of_three: Store) -> None:
    store_of_three.promote("wine")
    async with serving(store_of_three.registry, models="win*") as it:
        assert await it.index() == [("wine", "1", "READY")]
        assert (await refusal(it, "digits"))[0] is Code.NOT_FOUND


@pytest.mark.usefixtures("each_transport")
async def test_an_evicted_version_is_loaded_again_when_it_is_asked_for(store_of_three: Store) -> None:
    one = estimated_bytes(len(classifier(1.0).SerializeToString()))
    store_of_three.client.set_registered_model_alias("digits", "candidate", "3")
    async with serving(store_of_three.registry, memory_max_bytes=2 * one + one // 2) as it:
        assert await serves(it, "1", "3") or await serves(it, "1", "2")
        for version, scale in [("2", 2.0), ("3", 3.0), ("2", 2.0)]:
            code, text = (Code.OK, "") if await serves(it, "1", version) else await refusal(it, "digits", version)
            assert code is Code.OK or (code is Code.UNAVAILABLE and "is being loaded" in text)
            await eventually_async(lambda version=version: serves(it, "1", version))  # type: ignore[misc]  # bound now
            await assert_answers(it, "digits", version, scale, asked=version)


async def test_a_version_over_the_size_limit_is_refused(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, model_max_bytes=100) as it:
        assert "the limit is 100" in await it.reason("digits", "1")


async def test_statistics_survive_a_swap(store: Store) -> None:
    store.promote("digits", 1.0)
    async with serving(store.registry, poll_interval_s=60) as it:
        await it.stub.ModelInfer(raw_request("digits"))
        store.promote("digits", 2.0)
        await it.load("digits")
        await it.stub.ModelInfer(raw_request("digits"))
        store.registry.rollback("digits")
        await it.load("digits")
        await it.stub.ModelInfer(raw_request("digits"))
        page = (await it.scrape()).splitlines()
    assert 'nv_inference_request_success{model="digits",version="1"} 2.0' in page
    assert 'nv_inference_request_success{model="digits",version="2"} 1.0' in page
    assert 'drivetrain_model_loads_total{model="digits"} 3.0' in page
    assert 'drivetrain_model_load_failures_total{model="digits"} 0.0' in page


async def test_aliases_are_remembered_for_a_start_without_the_registry(store_of_three: Store) -> None:
    cache_dir = store_of_three.directory / "cache"
    async with serving(store_of_three.registry, cache_dir=cache_dir) as it:
        await assert_answers(it, "digits@challenger", "2", 2.0)
    with store_of_three.away():
        async with serving(store_of_three.registry, cache_dir=cache_dir) as it:
            await assert_answers(it, "digits@challenger", "2", 2.0)
            await assert_answers(it, "digits", "1", 1.0)
            with pytest.raises(grpc.aio.AioRpcError) as away:
                await asyncio.wait_for(load(it, "digits", "3"), 20)
            assert away.value.code() is Code.UNAVAILABLE
            assert await serves(it, "1", "2")
