"""A version's files, small and made up."""

from pathlib import Path

import numpy as np

from pipelines.registry.manifest import Manifest, Tensor
from pipelines.registry.package import MODEL_FILE, Golden, seal, write_golden

MODEL = b"an ONNX graph"


def manifest() -> Manifest:
    return Manifest(
        model="digits",
        task="classification",
        inputs=(Tensor(name="features", datatype="FP32", shape=(-1, 3), unit="cm"),),
        outputs=(
            Tensor(name="probabilities", datatype="FP32", shape=(-1, 2)),
            Tensor(name="class_index", datatype="INT64", shape=(-1,)),
        ),
        feature_names=("a", "b", "c"),
        target="kind",
        labels=("no", "yes"),
        run_id="run1",
        dataset_digest="d1g35t",
        files={},
    )


def golden() -> Golden:
    return Golden(
        {"features": np.arange(12, dtype=np.float32).reshape(4, 3)},
        {
            "probabilities": np.array([[0.25, 0.75]] * 4, np.float32),
            "class_index": np.array([1, 1, 1, 1]),
        },
    )


def sealed(directory: Path) -> str:
    """Write a version into `directory`; return its manifest's hash."""
    (directory / MODEL_FILE).write_bytes(MODEL)
    (directory / "plots").mkdir()
    (directory / "plots/loss.png").write_bytes(b"a picture")
    write_golden(directory, golden())
    return seal(directory, manifest())
