"""The models that every server serves: trained and registered by the pipeline, read back as packages.

A package holds all that the peers need (graph, weights, spec) and golden rows with torch's answers to check against.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from pipelines.registry.manifest import Manifest
from pipelines.registry.model_registry import CHAMPION, MANIFEST_TAG
from pipelines.registry.package import Golden, open_package
from services.prediction.pb import open_inference_pb2 as pb

SPECS = Path(__file__).parent / "specs"
MODELS = ("mlp", "cnn", "lstm")


@dataclass(frozen=True)
class Model:
    """One registered version."""

    name: str
    version: str
    package: Path
    """Folder with the version's files."""
    home: Path
    """The DRIVETRAIN_HOME whose registry holds the version."""
    manifest: Manifest
    golden: Golden

    def request(self, row: int = 0) -> pb.ModelInferRequest:
        """A request with one golden row, raw, as tritonclient sends it."""
        request = pb.ModelInferRequest(model_name=self.name)
        for name, array in self.golden.inputs.items():
            tensor = array[row : row + 1]
            request.inputs.add(name=name, datatype="FP32", shape=tensor.shape)
            request.raw_input_contents.append(np.ascontiguousarray(tensor, "<f4").tobytes())
        return request

    def expected(self, row: int) -> Golden:
        """That row alone, with torch's answers."""
        return Golden(
            {name: array[row : row + 1] for name, array in self.golden.inputs.items()},
            {name: array[row : row + 1] for name, array in self.golden.outputs.items()},
        )


def train(name: str, home: Path) -> Model:
    """Train one epoch by `drivetrain train`, in a process of its own, into the registry under `home`."""
    command = [sys.executable, "-m", "services.cli", "train", str(SPECS / f"{name}.yaml")]
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    log = home / f"train-{name}.log"
    with log.open("w") as output:
        subprocess.run(
            command, env=environment | {"DRIVETRAIN_HOME": str(home)}, stdout=output, stderr=output, check=True
        )
    return champion(name, home)


def champion(name: str, home: Path) -> Model:
    """The champion of the registry under `home`, whose artifacts are local files."""
    uri = f"sqlite:///{home / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    version = client.get_model_version_by_alias(name, CHAMPION)
    folder = Path(client.get_model_version_download_uri(name, version.version).removeprefix("file://"))
    package = open_package(folder, version.tags[MANIFEST_TAG])
    return Model(name, str(version.version), folder, home, package.manifest, package.golden)


def provide(name: str, home: Path) -> Model:
    """The champion under `home`, trained first where there is none of today's spec."""
    home.mkdir(parents=True, exist_ok=True)
    mark = home / f"{name}.yaml"
    spec = (SPECS / f"{name}.yaml").read_text()
    if mark.exists() and mark.read_text() == spec:
        return champion(name, home)
    model = train(name, home)
    mark.write_text(spec)
    return model
