"""Metadata as the service tells it, ours or another's."""

import pytest

from services.prediction.client.description import read_index, read_model, read_server
from services.prediction.client.errors import MalformedAnswerError
from services.prediction.pb import open_inference_pb2 as pb


def metadata(*versions: str, **properties: str) -> pb.ModelMetadataResponse:
    message = pb.ModelMetadataResponse(name="m", versions=versions, properties=properties)
    message.inputs.add(name="features", datatype="FP32", shape=[-1, 2])
    return message


def test_properties_become_names() -> None:
    message = metadata("3", feature_names='["a", "b"]', labels='["no"]', task="classification", target="kind")
    found = read_model(message, "")
    assert (found.name, found.version, found.versions) == ("m", "3", ("3",))
    assert (found.inputs[0].name, found.inputs[0].datatype, found.inputs[0].shape) == ("features", "FP32", (-1, 2))
    assert (found.feature_names, found.labels) == (("a", "b"), ("no",))
    assert (found.task, found.target) == ("classification", "kind")


def test_another_service_needs_no_properties() -> None:
    found = read_model(metadata(), "")
    assert (found.version, found.feature_names, found.labels, found.task) == ("", (), (), "")


@pytest.mark.parametrize(("asked", "version"), [("", "2"), ("1", "1"), ("7", "2")])
def test_of_several_versions_the_asked_one_is_described(asked: str, version: str) -> None:
    assert read_model(metadata("1", "2"), asked).version == version


def test_the_length_that_a_model_learned_from_is_told() -> None:
    assert read_model(metadata("1", trained_steps='{"features": 24}'), "").trained_steps == {"features": 24}
    assert read_model(metadata("1"), "").trained_steps == {}
    with pytest.raises(MalformedAnswerError, match=r"properties\[trained_steps\]: expected whole numbers by name"):
        read_model(metadata("1", trained_steps='{"features": "24"}'), "")


@pytest.mark.parametrize("text", ["[", '"a"', "{}"])
def test_names_that_are_none_are_malformed(text: str) -> None:
    with pytest.raises(MalformedAnswerError, match=r"properties\[labels\]: expected "):
        read_model(metadata("1", labels=text), "")


def test_server_and_index_are_read() -> None:
    server = read_server(pb.ServerMetadataResponse(name="drivetrain", version="1.0", extensions=["statistics"]))
    assert (server.name, server.version, server.extensions) == ("drivetrain", "1.0", ("statistics",))
    index = pb.RepositoryIndexResponse()
    index.models.add(name="m", version="1", state="UNAVAILABLE", reason="refused")
    (entry,) = read_index(index)
    assert (entry.name, entry.version, entry.state, entry.reason) == ("m", "1", "UNAVAILABLE", "refused")
