"""From a trained model to a registered version: written, sealed, verified, logged, and only then registered."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory

import mlflow.onnx
import numpy as np
import onnx
import onnxruntime
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray
from safetensors.numpy import save_file

from pipelines.errors import PackageError
from pipelines.registry.manifest import NUMPY_DTYPES, Manifest, Tensor
from pipelines.registry.model_registry import ModelRegistry, translated
from pipelines.registry.package import (
    SPEC_FILE,
    WEIGHTS_FILE,
    Golden,
    Package,
    open_package,
    seal,
    write_golden,
)
from pipelines.registry.promotion import Decision, PromotionRule, Score, decide
from pipelines.registry.texts import GraphInputs, in_graph

MODEL_CARD_FILE = "model_card.md"
PLOTS_FOLDER = "plots"
GOLDEN_ROWS = 32


@dataclass(frozen=True)
class Draft:
    """What a version will hold."""

    manifest: Manifest
    """Without the hashes, which sealing adds."""
    graph: onnx.ModelProto
    weights: Mapping[str, NDArray[np.generic]]
    spec_yaml: str
    held_out: Golden
    """Rows that training never saw, with the training side's outputs; the first ones become the golden rows."""
    model_card: str
    plots: Sequence[Path]


@dataclass(frozen=True)
class Published:
    """A registered version, and what was decided about it."""

    version: str
    decision: Decision


def publish(
    client: MlflowClient, registry: ModelRegistry, experiment_id: str, draft: Draft, score: Score, rule: PromotionRule
) -> Published:
    """Log, verify and register a draft, and promote it if the rule says so.

    A run has one version: publishing its draft again, after an interruption at any point, takes the version that is
    there and finishes what was left. Raises PackageError if the sealed package does not answer as recorded, before
    anything is registered; RegistryError if MLflow refuses; RegistryOutageError if trying again may help.
    """
    model = draft.manifest.model
    there = registry.version_of(model, draft.manifest.run_id)
    if there and there.promoted:
        return Published(there.version, Decision(True, there.reason))
    if there and there.is_champion:
        decision = Decision(True, there.reason)
    else:
        decision = decide(rule, score, registry.champion(model))
    version = there.version if there else _register(client, registry, experiment_id, draft, score, decision)
    if decision.promote:
        registry.promote(model, version, decision.reason)
    elif there:
        registry.pass_over(model, version, decision.reason)
    return Published(version, decision)


def _register(
    client: MlflowClient, registry: ModelRegistry, experiment_id: str, draft: Draft, score: Score, decision: Decision
) -> str:
    manifest = draft.manifest
    with translated(f"log the model {manifest.model!r}"):
        logged = client.create_logged_model(experiment_id, name=manifest.model, source_run_id=manifest.run_id)
    try:
        with TemporaryDirectory() as temporary:
            manifest_sha256 = _write(Path(temporary) / "model", draft, logged)
            _verify(open_package(Path(temporary) / "model", manifest_sha256), draft.held_out)
            with translated(f"upload the model {manifest.model!r}"):
                client.log_model_artifacts(logged.model_id, str(Path(temporary) / "model"))
                client.log_outputs(manifest.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    except BaseException:
        with suppress(MlflowException):  # what went wrong before says more
            client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
        raise
    with translated(f"log the model {manifest.model!r}"):
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return registry.create_version(manifest, logged, manifest_sha256, score, decision)


def _write(directory: Path, draft: Draft, logged: LoggedModel) -> str:
    """Write every file of a version into `directory`; return the hash of its manifest."""
    manifest = draft.manifest
    mlflow.onnx.save_model(
        draft.graph,
        str(directory),
        mlflow_model=Model(model_id=logged.model_id, model_uuid=logged.model_id, run_id=manifest.run_id),
        signature=ModelSignature(_schema([in_graph(each) for each in manifest.inputs]), _schema(manifest.outputs)),
        pip_requirements=[f"onnx=={onnx.__version__}", f"onnxruntime=={onnxruntime.__version__}"],
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
    save_file({name: np.ascontiguousarray(weight) for name, weight in draft.weights.items()}, directory / WEIGHTS_FILE)
    (directory / SPEC_FILE).write_text(draft.spec_yaml)
    (directory / MODEL_CARD_FILE).write_text(draft.model_card)
    (directory / PLOTS_FOLDER).mkdir()
    for plot in draft.plots:
        copy(plot, directory / PLOTS_FOLDER)
    write_golden(directory, draft.held_out.first(GOLDEN_ROWS))
    return seal(directory, manifest)


def _schema(tensors: Sequence[Tensor]) -> Schema:
    return Schema([TensorSpec(NUMPY_DTYPES[tensor.datatype], tensor.shape, tensor.name) for tensor in tensors])


def _verify(package: Package, held_out: Golden) -> None:
    """Run the sealed graph on rows that training never saw, and compare with what is recorded for them."""
    try:
        session = onnxruntime.InferenceSession(package.model, providers=["CPUExecutionProvider"])
        inputs = GraphInputs(package.manifest.inputs)(held_out.inputs)
        names = [output.name for output in session.get_outputs()]
        answers = dict(zip(names, session.run(names, dict(inputs)), strict=True))
    except Exception as error:  # onnxruntime's errors share no other base
        raise PackageError(f"the exported graph does not run: {error}") from error
    held_out.check(answers, package.manifest.variant)
