"""The Open Inference RPCs over a real socket."""

import json
from importlib.metadata import version

import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.servicer import EXTENSIONS
from tests.integration.prediction.serving import ROW, raw_probabilities, raw_request, serving, typed_request
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import probabilities
from tests.waiting import eventually_async

pytestmark = pytest.mark.usefixtures("each_transport")


async def test_a_raw_request_is_answered_raw(store: Store) -> None:
    version_ = store.promote("digits", scale=2.0)
    async with serving(store.registry) as it:
        request = raw_request("digits", np.repeat(ROW, 3, axis=0))
        request.id = "r-1"
        answer = await it.stub.ModelInfer(request)
    assert (answer.model_name, answer.model_version, answer.id) == ("digits", version_, "r-1")
    assert [(output.name, output.datatype, list(output.shape)) for output in answer.outputs] == [
        ("probabilities", "FP32", [3, 2]),
        ("class_index", "INT64", [3]),
    ]
    assert not any(output.HasField("contents") for output in answer.outputs)
    np.testing.assert_allclose(raw_probabilities(answer), probabilities(np.repeat(ROW, 3, axis=0), 2.0), atol=1e-6)


async def test_a_typed_request_is_answered_typed(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        answer = await it.stub.ModelInfer(typed_request("digits"))
    assert not answer.raw_output_contents
    np.testing.assert_allclose(answer.outputs[0].contents.fp32_contents, probabilities(ROW, 1.0)[0], atol=1e-6)
    assert list(answer.outputs[1].contents.int64_contents) == [int(probabilities(ROW, 1.0).argmax())]


async def test_the_asked_outputs_come_in_the_asked_order(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        request = raw_request("digits")
        request.outputs.add(name="class_index")
        request.outputs.add(name="probabilities")
        both = await it.stub.ModelInfer(request)
        del request.outputs[1]
        one = await it.stub.ModelInfer(request)
    assert [output.name for output in both.outputs] == ["class_index", "probabilities"]
    assert [output.name for output in one.outputs] == ["class_index"]
    assert len(one.raw_output_contents) == 1


async def test_the_version_can_be_named(store: Store) -> None:
    version_ = store.promote("digits")
    async with serving(store.registry) as it:
        assert (await it.stub.ModelInfer(raw_request("digits", version=version_))).model_version == version_
        assert (await it.stub.ModelReady(pb.ModelReadyRequest(name="digits", version=version_))).ready


async def test_metadata_names_tensors_features_and_classes(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        server = await it.stub.ServerMetadata(pb.ServerMetadataRequest())
        model = await it.stub.ModelMetadata(pb.ModelMetadataRequest(name="digits"))
    assert (server.name, server.version) == ("drivetrain", version("drivetrain"))
    assert list(server.extensions) == EXTENSIONS
    assert (model.name, list(model.versions), model.platform) == ("digits", ["1"], "onnxruntime_onnx")
    assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs] == [("features", "FP32", [-1, 3])]
    assert [each.name for each in model.outputs] == ["probabilities", "class_index"]
    assert json.loads(model.properties["labels"]) == ["no", "yes"]
    assert json.loads(model.properties["feature_names"]) == ["a", "b", "c"]
    assert (model.properties["task"], model.properties["target"]) == ("classification", "kind")


async def test_the_index_can_be_narrowed_to_what_serves(store: Store) -> None:
    store.promote("digits")
    store.register("waiting")
    async with serving(store.registry) as it:
        assert await it.index() == [("digits", "1", "READY"), ("waiting", "", "UNAVAILABLE")]
        ready = await it.stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))
    assert [row.name for row in ready.models] == ["digits"]


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService"])
async def test_health_serves_once_ready(store: Store, service: str) -> None:
    async with serving(store.registry) as it:
        await eventually_async(lambda: it.is_healthy(service))
        assert (await it.stub.ServerLive(pb.ServerLiveRequest())).live


async def test_health_does_not_know_other_services(store: Store) -> None:
    async with serving(store.registry) as it:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.is_healthy("other")
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("reflection", [True, False])
async def test_reflection_lists_the_services_unless_switched_off(store: Store, *, reflection: bool) -> None:
    async with serving(store.registry, reflection=reflection) as it:
        ask = it.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        call = ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        if reflection:
            names = [each.name async for answer in call for each in answer.list_services_response.service]
            assert sorted(names) == [
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
                "inference.GRPCInferenceService",
            ]
        else:
            assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
