"""Metadata of models that the tests ask about."""

from services.prediction.client import ModelMetadata, TensorMetadata
from services.prediction.pb import open_inference_pb2 as pb

PROBABILITIES = TensorMetadata("probabilities", "FP32", (-1, 2))
CLASS_INDEX = TensorMetadata("class_index", "INT64", (-1,))


def model(
    *inputs: TensorMetadata,
    version: str = "1",
    feature_names: tuple[str, ...] = (),
    labels: tuple[str, ...] = ("no", "yes"),
) -> ModelMetadata:
    """A classifier of two classes with these inputs."""
    outputs = (PROBABILITIES, CLASS_INDEX)
    return ModelMetadata("m", version, (version,), inputs, outputs, feature_names, labels, "classification", "kind")


def tensor(name: str, datatype: str, *row_shape: int) -> TensorMetadata:
    """An input with any number of rows."""
    return TensorMetadata(name, datatype, (-1, *row_shape))


FEATURES = tensor("features", "FP32", 3)
NAMED = model(FEATURES, feature_names=("a", "b", "c"))
NAMELESS = model(FEATURES)
IMAGES = model(tensor("image", "UINT8", 1, 2, 2))
TEXTS = model(tensor("text", "BYTES"))
BIRDS = model(tensor("weight", "FP32", 1), tensor("island", "BYTES", 1), feature_names=("weight", "island"))
PAIR = model(tensor("left", "FP32", 2), tensor("right", "INT64"))


def answer(version: str = "1", num_rows: int = 1, **changes: object) -> pb.ModelInferResponse:
    """A raw answer with the class index 1 for every row."""
    response = pb.ModelInferResponse(model_name="m", model_version=version, **changes)  # type: ignore[arg-type] # fields
    response.outputs.add(name="class_index", datatype="INT64", shape=[num_rows])
    response.raw_output_contents.append((1).to_bytes(8, "little") * num_rows)
    return response
