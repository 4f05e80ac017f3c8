from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.rest.plain import plain


def test_integers_stay_integers_and_enums_get_their_names() -> None:
    metadata = pb.ModelMetadataResponse.TensorMetadata(name="x", datatype="FP32", shape=[-1, 2**40])
    assert plain(metadata) == {"name": "x", "datatype": "FP32", "shape": [-1, 2**40]}
    assert plain(pb.ModelInput(name="x", data_type=pb.TYPE_FP32))["data_type"] == "TYPE_FP32"


def test_empty_fields_are_there_and_unset_messages_are_not() -> None:
    assert plain(pb.ServerMetadataResponse()) == {"name": "", "version": "", "extensions": []}
    assert "dynamic_batching" not in plain(pb.ModelConfig())


def test_maps_become_objects_also_of_messages() -> None:
    config = pb.ModelConfig(parameters={"b": pb.ModelParameter(string_value="2"), "a": pb.ModelParameter()})
    assert plain(config)["parameters"] == {"a": {"string_value": ""}, "b": {"string_value": "2"}}
