import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from pipelines.errors import PackageError
from pipelines.registry.manifest import Tensor
from services.prediction.errors import InferenceFailedError
from services.prediction.model import LoadedModel, load, providers
from tests.unit.prediction.foreign import LOCATIONS, PLACES, custom_operator, external_data
from tests.unit.prediction.graphs import (
    CLASS_INDEX,
    FATAL,
    FEATURES,
    GOLDEN_ROWS,
    PROBABILITIES,
    classifier,
    golden,
    package,
    probabilities,
)


def test_a_good_package_answers_as_its_weights_say() -> None:
    model = load("digits", "3", package("digits", 2.0), threads=1, max_batch_size=16)
    outputs = model.run({"features": GOLDEN_ROWS})
    assert np.allclose(outputs["probabilities"], probabilities(GOLDEN_ROWS, 2.0), atol=1e-6)
    assert outputs["class_index"].dtype == np.int64
    assert (model.name, model.version) == ("digits", "3")


def test_a_failing_run_is_translated() -> None:
    model = load("digits", "3", package("digits"), threads=1, max_batch_size=4)
    with pytest.raises(InferenceFailedError, match="while running Gather node") as failure:
        model.run({"features": np.full((1, 3), FATAL, np.float32)})
    assert (failure.value.model, failure.value.version) == ("digits", "3")
    assert "out of data bounds, idx=1" in failure.value.reason
    assert "idx" not in "".join(traceback.format_exception(failure.value))  # it comes from the request


def test_read_only_rows_will_do() -> None:
    model = load("digits", "3", package("digits"), threads=1, max_batch_size=4)
    frozen = np.frombuffer(GOLDEN_ROWS.tobytes(), np.float32).reshape(GOLDEN_ROWS.shape)
    assert len(model.run({"features": frozen})["class_index"]) == len(GOLDEN_ROWS)


def refusal(**changes: object) -> str:
    described = package("digits").manifest.model_copy(update=changes)
    with pytest.raises(PackageError) as error:
        load("digits", "3", replace(package("digits"), manifest=described), threads=1, max_batch_size=4)
    return str(error.value)


def with_shape(tensor: Tensor, *shape: int) -> Tensor:
    return tensor.model_copy(update={"shape": shape})


def test_the_graph_must_be_the_manifests() -> None:
    renamed = FEATURES.model_copy(update={"name": "pixels"})
    assert refusal(inputs=(renamed,)) == "the manifest lists the inputs ['pixels'], the graph has ['features']"
    assert "outputs" in refusal(outputs=(PROBABILITIES,))
    doubles = PROBABILITIES.model_copy(update={"datatype": "FP64"})
    assert refusal(outputs=(doubles, CLASS_INDEX)).endswith("is FP64 in the manifest, FP32 in the graph")


@pytest.mark.parametrize("shape", [(-1, 4), (-1, -1), (3, 3), (-1,), (-1, 3, 1)])
def test_the_shapes_must_agree(shape: tuple[int, ...]) -> None:
    assert "in the manifest, ['batch', 3] in the graph" in refusal(inputs=(with_shape(FEATURES, *shape),))


def test_a_graph_that_fails_at_a_larger_batch_is_found_before_it_serves() -> None:
    graph = classifier(1.0)
    divide = next(node for node in graph.graph.node if node.op_type == "Div")
    divide.input[0] = "num_rows"
    graph.graph.node.insert(0, helper.make_node("Size", ["features"], ["num_rows"]))
    next(each for each in graph.graph.initializer if each.name == divide.input[1]).CopyFrom(
        helper.make_tensor(divide.input[1], TensorProto.INT64, [], [16 * 3])
    )
    few = replace(package("m"), model=graph.SerializeToString())
    assert load("m", "1", few, threads=1, max_batch_size=15).version == "1"
    with pytest.raises(PackageError, match=r"a batch of 16 rows: .*out of data bounds"):
        load("m", "1", few, threads=1, max_batch_size=16)


@pytest.mark.parametrize("location", ["weights.bin", "/etc/hostname", "../weights.bin"])
def test_a_graph_cannot_read_files_beside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(bytes(24))
    graph = classifier(1.0)
    weights = next(each for each in graph.graph.initializer if each.name == "weights")
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    with pytest.raises(PackageError, match="the graph cannot be opened"):
        load("m", "1", replace(package("m"), model=graph.SerializeToString()), threads=1, max_batch_size=4)


def test_golden_rows_are_replayed() -> None:
    with pytest.raises(PackageError, match="golden rows: output 'probabilities' is off by"):
        load("digits", "3", replace(package("digits"), golden=golden(1.1)), threads=1, max_batch_size=4)


def test_rows_must_come_out_as_they_went_in() -> None:
    graph = classifier(1.0)
    argmax = next(node for node in graph.graph.node if node.op_type == "ArgMax")
    argmax.attribute[0].i = 0  # over the rows instead of the classes
    model = LoadedModel("m", "1", replace(package("m"), model=graph.SerializeToString()), threads=1)
    with pytest.raises(InferenceFailedError, match=r"3 rows went in, output 'class_index' is \[2\]"):
        model.run({"features": GOLDEN_ROWS})


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", LOCATIONS)
def test_a_graph_reads_no_file(place: str, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "working" / "directory"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for path in (folder / "weights.bin", tmp_path / "weights.bin"):
        path.write_bytes(np.ones(3, np.float32).tobytes())
    graph = external_data(place, location.format(tmp_path=tmp_path))
    with pytest.raises(PackageError, match="the graph cannot be opened"):
        LoadedModel("digits", "1", replace(package("digits"), model=graph), threads=1)


@pytest.mark.parametrize(
    "domain", ["custom.ops", "ai.onnx.contrib", "org.pytorch.aten", "com.microsoft.experimental", "ai.onnx.training"]
)
def test_a_graph_brings_no_operators(domain: str) -> None:
    with pytest.raises(PackageError, match="the graph cannot be opened") as refused:
        LoadedModel("digits", "1", replace(package("digits"), model=custom_operator(domain)), threads=1)
    assert domain in str(refused.value)


def test_cuda_runs_what_it_can_where_it_is_there() -> None:
    assert providers(["AzureExecutionProvider", "CPUExecutionProvider"]) == ["CPUExecutionProvider"]
    cuda = ("CUDAExecutionProvider", {"use_tf32": "0"})
    assert providers(["CUDAExecutionProvider", "CPUExecutionProvider"]) == [cuda, "CPUExecutionProvider"]
