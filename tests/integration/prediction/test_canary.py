"""The challenger's share of requests, over the wire: how large it is, who is in it, and when it ends."""

import asyncio
from collections import Counter

import grpc
import pytest

from pipelines.registry.traffic import CANARY_TAG, TrafficRule
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.traffic import is_canary, place_of
from tests.integration.prediction.serving import ROW, Serving, raw_probabilities, raw_request, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import probabilities
from tests.waiting import eventually_async

KEYS = [f"user-{number}" for number in range(200)]


@pytest.fixture
def duel(store: Store) -> Store:
    """Version 1 is champion and version 2 challenger; the scale is the version."""
    store.promote("digits", 1.0)
    store.register("digits", 2.0)
    store.client.set_registered_model_alias("digits", "challenger", "2")
    return store


def keyed(key: str, model: str = "digits", version: str = "") -> pb.ModelInferRequest:
    request = raw_request(model, version=version)
    request.parameters["routing_key"].string_param = key
    return request


async def versions(it: Serving, *requests: pb.ModelInferRequest) -> list[str]:
    """Who answered each, with an answer that is that version's own."""
    answers = await asyncio.gather(*(it.stub.ModelInfer(request) for request in requests))
    for request, answer in zip(requests, answers, strict=True):
        assert answer.model_name == request.model_name
        expected = probabilities(ROW, float(answer.model_version))
        assert raw_probabilities(answer) == pytest.approx(expected, abs=1e-6)
    return [answer.model_version for answer in answers]


async def follows(it: Serving, share: float) -> bool:
    return it.server.plane.is_shared("digits", "") == (share > 0)


async def set_share(it: Serving, store: Store, share: float) -> None:
    store.registry.set_traffic("digits", TrafficRule(share))
    await eventually_async(lambda: follows(it, share))


@pytest.mark.usefixtures("each_transport")
async def test_a_share_of_the_requests_goes_to_the_challenger(duel: Store) -> None:
    async with serving(duel.registry) as it:
        assert set(await versions(it, *[raw_request("digits")] * 100)) == {"1"}
        await set_share(it, duel, 0.25)
        counts = Counter([version for _ in range(10) for version in await versions(it, *[raw_request("digits")] * 100)])
        assert counts["2"] == pytest.approx(250, abs=68)  # five standard deviations
        assert counts.total() == 1000
        await set_share(it, duel, 0.0)
        assert set(await versions(it, *[raw_request("digits")] * 100)) == {"1"}


@pytest.mark.usefixtures("each_transport")
async def test_a_routing_key_sticks_to_its_version(duel: Store) -> None:
    duel.registry.set_traffic("digits", TrafficRule(0.3))
    async with serving(duel.registry) as it:
        expected = ["2" if is_canary(0.3, place_of("digits", key)) else "1" for key in KEYS]
        assert set(expected) == {"1", "2"}
        for _ in range(3):
            assert await versions(it, *map(keyed, KEYS)) == expected


@pytest.mark.usefixtures("each_transport")
async def test_a_request_that_names_a_version_gets_it(duel: Store) -> None:
    duel.registry.set_traffic("digits", TrafficRule(1.0))
    async with serving(duel.registry) as it:
        named = [keyed("a", "digits@champion"), keyed("a", version="1"), keyed("a", "digits@challenger"), keyed("a")]
        assert await versions(it, *named) == ["1", "1", "2", "2"]
        described = await it.stub.ModelMetadata(pb.ModelMetadataRequest(name="digits"))
        assert described.versions == ["1"]


@pytest.mark.usefixtures("each_transport")
async def test_without_a_challenger_the_champion_answers(duel: Store) -> None:
    duel.registry.set_traffic("digits", TrafficRule(1.0))
    async with serving(duel.registry) as it:
        await it.server.plane.unload("digits", "2")
        assert await versions(it, keyed("a"), raw_request("digits")) == ["1", "1"]
        await it.server.plane.load("digits", "2")
        assert await versions(it, keyed("a"), raw_request("digits")) == ["2", "2"]
        duel.client.delete_registered_model_alias("digits", "challenger")
        await eventually_async(lambda: champion_answers(it))


async def champion_answers(it: Serving) -> bool:
    return await versions(it, keyed("a"), raw_request("digits")) == ["1", "1"]


@pytest.mark.usefixtures("each_transport")
async def test_a_routing_key_is_text(duel: Store) -> None:
    async with serving(duel.registry) as it:
        request = raw_request("digits")
        request.parameters["routing_key"].int64_param = 7
        with pytest.raises(grpc.aio.AioRpcError, match=r"parameters\[routing_key\]: expected string_param") as refused:
            await it.stub.ModelInfer(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_wrong_rule_is_none(duel: Store, caplog: pytest.LogCaptureFixture) -> None:
    duel.client.set_registered_model_tag("digits", CANARY_TAG, "lots")
    async with serving(duel.registry) as it:
        assert set(await versions(it, *[raw_request("digits")] * 50)) == {"1"}
        await set_share(it, duel, 1.0)
        assert set(await versions(it, *[raw_request("digits")] * 50)) == {"2"}
    assert caplog.text.count("served without a traffic rule: tag drivetrain.canary_share") == 1
