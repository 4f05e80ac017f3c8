"""Sealing a version, opening it, and everything that must not open."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.errors import PackageError, RegistryError
from pipelines.registry.manifest import Manifest, Variant
from pipelines.registry.package import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Golden,
    open_package,
    seal,
    sha256,
    write_golden,
)
from tests.unit.pipelines.registry.versions import MODEL, golden, manifest, sealed

Change = Callable[[Path], object]


def refusal(directory: Path, manifest_sha256: str) -> str:
    with pytest.raises(PackageError) as caught:
        open_package(directory, manifest_sha256)
    return str(caught.value)


def test_what_was_sealed_can_be_opened(tmp_path: Path) -> None:
    package = open_package(tmp_path, sealed(tmp_path))
    assert package.model == MODEL
    assert package.manifest.model_copy(update={"files": {}}) == manifest()
    for came, expected in (
        (package.golden.inputs, golden().inputs),
        (package.golden.outputs, golden().outputs),
    ):
        assert list(came) == list(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(came[name], array, strict=True)


def test_sealing_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "deep" / MANIFEST_FILE).write_text("not the manifest")
    (tmp_path / MODEL_FILE).write_bytes(b"abc")
    hashed = seal(tmp_path, manifest())
    content = (tmp_path / MANIFEST_FILE).read_bytes()
    assert hashed == sha256(content)
    assert Manifest.model_validate_json(content).files == {
        MODEL_FILE: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",  # FIPS 180-2, appendix B.1
        f"plots/deep/{MANIFEST_FILE}": sha256(b"not the manifest"),
    }


def test_sealing_again_gives_the_same_manifest(tmp_path: Path) -> None:
    first = sealed(tmp_path)
    assert seal(tmp_path, manifest()) == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: (d / MODEL_FILE).write_bytes(b"another graph"), "model.onnx was altered: its SHA-256 is "),
        (lambda d: (d / GOLDEN_FILE).write_bytes(b"other rows"), "golden.npz was altered: its SHA-256 is "),
        (lambda d: (d / "plots/loss.png").write_bytes(b"other"), "plots/loss.png was altered: its SHA-256 is "),
        (lambda d: (d / MANIFEST_FILE).write_bytes(b"{}"), "manifest.json was altered: its SHA-256 is "),
        (lambda d: (d / MODEL_FILE).unlink(), "model.onnx cannot be read: No such file or directory"),
        (lambda d: (d / MANIFEST_FILE).unlink(), "manifest.json cannot be read: No such file or directory"),
        (lambda d: (d / "plots/loss.png").unlink(), "plots/loss.png cannot be read: No such file or directory"),
    ],
)
def test_altered_and_missing_files_are_refused(change: Change, message: str, tmp_path: Path) -> None:
    hashed = sealed(tmp_path)
    change(tmp_path)
    assert refusal(tmp_path, hashed).startswith(message)


def test_another_versions_hash_does_not_open_this_one(tmp_path: Path) -> None:
    came = sealed(tmp_path)
    expected = f"manifest.json was altered: its SHA-256 is {came[:12]}…, recorded as {'0' * 12}…"
    assert refusal(tmp_path, "0" * 64) == expected


def test_files_beside_the_listed_ones_are_left_alone(tmp_path: Path) -> None:
    hashed = sealed(tmp_path)
    (tmp_path / "MLmodel").write_text("MLflow's own")
    assert "MLmodel" not in open_package(tmp_path, hashed).manifest.files


def resealed(directory: Path, edit: Callable[[dict[str, object]], object]) -> str:
    """Change the manifest and hash it anew, as someone could who writes both."""
    content = json.loads((directory / MANIFEST_FILE).read_text())
    edit(content)
    changed = json.dumps(content).encode()
    (directory / MANIFEST_FILE).write_bytes(changed)
    return sha256(changed)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "plots/../../outside", "link"])
def test_a_path_outside_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    directory = tmp_path / "version"
    directory.mkdir()
    sealed(directory)
    (tmp_path / "outside").write_bytes(b"secret")
    (directory / "link").symlink_to(tmp_path / "outside")
    hashed = resealed(directory, lambda content: content.update(files={**content["files"], name: sha256(b"secret")}))  # type: ignore[dict-item] # JSON
    assert refusal(directory, hashed) == f"{name} lies outside the version's folder"


@pytest.mark.parametrize("name", [MODEL_FILE, GOLDEN_FILE])
def test_a_manifest_must_list_graph_and_golden_rows(name: str, tmp_path: Path) -> None:
    sealed(tmp_path)
    (tmp_path / name).unlink()
    assert refusal(tmp_path, seal(tmp_path, manifest())) == f"manifest.json lists no {name}"


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda content: content.update(schema_version=2), "Input should be 1"),
        (lambda content: content.pop("inputs"), "Field required"),
        (lambda content: content.update(surplus=1), "Extra inputs are not permitted"),
    ],
)
def test_a_bad_manifest_is_refused(edit: Callable[[dict[str, object]], object], complaint: str, tmp_path: Path) -> None:
    sealed(tmp_path)
    assert refusal(tmp_path, resealed(tmp_path, edit)) == f"manifest.json does not follow the schema: {complaint}"


def test_a_manifest_that_is_no_json_is_refused(tmp_path: Path) -> None:
    sealed(tmp_path)
    (tmp_path / MANIFEST_FILE).write_bytes(b"\xff not json")
    message = refusal(tmp_path, sha256(b"\xff not json"))
    assert message.startswith("manifest.json does not follow the schema: Invalid JSON")


def single_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(3))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "golden.npz cannot be read: "),
        (lambda path: path.write_bytes(b"junk"), "golden.npz cannot be read: "),
        (lambda path: path.write_bytes(b"PK\x03\x04junk"), "golden.npz cannot be read: "),
        (single_array, "golden.npz cannot be read: "),
        (lambda path: np.savez(path, stray=np.ones(3)), "golden.npz cannot be read: "),
        (
            lambda path: np.savez(path, allow_pickle=True, **{"input/x": np.array([{}])}),
            "golden.npz cannot be read: Object arrays",
        ),
        (lambda path: np.savez(path, allow_pickle=True, **{"input/x": np.ones(3)}), "golden.npz holds no rows"),
        (lambda path: np.savez(path, allow_pickle=True, **{"output/x": np.ones(3)}), "golden.npz holds no rows"),
    ],
)
def test_golden_rows_that_cannot_be_read(write: Change, message: str, tmp_path: Path) -> None:
    sealed(tmp_path)
    write(tmp_path / GOLDEN_FILE)
    assert refusal(tmp_path, seal(tmp_path, manifest())).startswith(message)


def test_a_broken_package_is_a_registry_error() -> None:
    assert issubclass(PackageError, RegistryError)


def test_the_first_golden_rows() -> None:
    first = golden().first(3)
    assert {name: len(array) for name, array in {**first.inputs, **first.outputs}.items()} == {
        "features": 3,
        "probabilities": 3,
        "class_index": 3,
    }


def array(*values: float, dtype: type[np.generic] = np.float32) -> NDArray[np.generic]:
    return np.array(values).astype(dtype)


INT64 = np.int64


@pytest.mark.parametrize(
    ("recorded", "came"),
    [
        (array(0.5, 0.25), array(0.5 + 9e-6, 0.25 - 9e-6)),
        (array(1000.0, 1.0), array(1000.0, 1.009)),  # the tolerance grows with the largest value
        (array(1, 2, dtype=INT64), array(1, 2, dtype=INT64)),
        (array(), array()),
    ],
)
def test_answers_that_are_close_enough(recorded: NDArray[np.generic], came: NDArray[np.generic]) -> None:
    Golden({}, {"y": recorded}).check({"y": came, "more": came})


@pytest.mark.parametrize(
    ("recorded", "came", "message"),
    [
        (array(0.5), array(0.5002), "is off by 0.0002, allowed is 0.0001"),
        (array(1000.0, 1.0), array(1000.0, 1.2), "is off by 0.2, allowed is 0.1"),
        (array(0.5), array(np.nan), "is off by nan, allowed is 0.0001"),
        (array(0.5), array(np.inf), "is off by inf, allowed is 0.0001"),
        (array(7, dtype=INT64), array(8, dtype=INT64), "is off by 1, allowed is 0"),
        (np.array([2**60]), np.array([2**60 + 1]), "is off by 0, allowed is 0"),
        (array(0.5), array(0.5, dtype=np.float64), "is float64 [1], recorded as float32 [1]"),
        (array(0.5, 0.5), array(0.5), "is float32 [1], recorded as float32 [2]"),
    ],
)
def test_answers_that_differ(recorded: NDArray[np.generic], came: NDArray[np.generic], message: str) -> None:
    with pytest.raises(PackageError) as caught:
        Golden({}, {"y": recorded}).check({"y": came})
    assert str(caught.value) == f"golden rows: output 'y' {message}"


def test_int8_may_be_off_by_a_step_and_no_more() -> None:
    golden = Golden({}, {"y": array(0.5)})
    golden.check({"y": array(0.505)}, "int8")
    refused: list[tuple[Variant, float]] = [("int8", 0.52), ("bf16", 0.505), ("fp32", 0.505)]
    for variant, came in refused:
        with pytest.raises(PackageError, match="is off by"):
            golden.check({"y": array(came)}, variant)


PROBABILITIES = array(0.5, 0.49995, 0.00005, 0.1, 0.2, 0.7).reshape(2, 3)


@pytest.mark.parametrize(
    ("classes", "right"),
    [((0, 2), True), ((1, 2), True), ((2, 2), False), ((0, 1), False), ((0, 3), False), ((-1, 2), False)],
)
def test_a_class_may_be_another_one_that_is_as_likely(classes: tuple[int, ...], right: bool) -> None:
    recorded = {"probabilities": PROBABILITIES, "class_index": array(0, 2, dtype=INT64)}
    came = recorded | {"class_index": array(*classes, dtype=INT64)}
    with nullcontext() if right else pytest.raises(PackageError, match="'class_index' is off by"):
        Golden({}, recorded).check(came)


def test_a_recorded_class_beyond_the_probabilities_must_be_the_same() -> None:
    recorded = {"probabilities": PROBABILITIES, "class_index": array(0, 7, dtype=INT64)}
    Golden({}, recorded).check(recorded)
    with pytest.raises(PackageError, match="'class_index' is off by 5"):
        Golden({}, recorded).check(recorded | {"class_index": array(0, 2, dtype=INT64)})


def test_classes_without_probabilities_must_be_the_same() -> None:
    with pytest.raises(PackageError, match="'class_index' is off by 1"):
        Golden({}, {"class_index": array(0, dtype=INT64)}).check({"class_index": array(1, dtype=INT64)})


def test_an_answer_that_is_missing() -> None:
    with pytest.raises(PackageError, match=r"output 'y' is nothing, recorded as float32 \[1\]"):
        Golden({}, {"y": array(0.5)}).check({"z": array(0.5)})


def test_texts_among_the_golden_rows_are_kept_and_compared(tmp_path: Path) -> None:
    texts = np.array([["", "a\0b"], ["日本", "c"]], object)
    write_golden(tmp_path, Golden({"x": texts}, {"y": texts}))
    (tmp_path / MODEL_FILE).write_bytes(b"graph")
    recorded = open_package(tmp_path, seal(tmp_path, manifest())).golden
    assert recorded.inputs["x"].tolist() == texts.tolist()
    assert recorded.inputs["x"].dtype == object
    recorded.check({"y": texts})
    with pytest.raises(PackageError, match="another text than recorded"):
        recorded.check({"y": np.array([["", "a"], ["日本", "c"]], object)})
