"""One MLflow run a job, opened and closed on the driver through an explicit client.

Faults of the tracking server never stop training: what could not be written is kept and written again later.
"""

import json
import logging
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from pipelines.data.dataset import Dataset
from pipelines.errors import TrackingError
from pipelines.home import artifact_location

_log = logging.getLogger(__name__)

FAILURE_TAG = "drivetrain.failure"

_FLUSH_EVERY_S = 1.0
_PAUSE_S = 1.0
_PATIENCE_S = 60.0
"""How long the closing of a run outlasts a server that does not answer."""

_PARAMS_A_BATCH = 100
_METRICS_A_BATCH = 1000
_MAX_PARAM_CHARS = 6000
_MAX_TAG_CHARS = 5000

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]


class Run:
    """An open MLflow run. Use `open_run`, which closes it whatever happens."""

    def __init__(self, client: MlflowClient, run_id: str, experiment_id: str) -> None:
        self._client = client
        self.run_id = run_id
        self.experiment_id = experiment_id
        self._pending: list[Metric] = []
        self._missed: list[tuple[str, Callable[[], object]]] = []
        self._flushed_at = 0.0

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Queue metrics and write what is queued about once a second; a fault is retried at the next call."""
        now_ms = int(time.time() * 1000)
        self._pending += [Metric(key, value, now_ms, step) for key, value in metrics.items()]
        if time.monotonic() - self._flushed_at >= _FLUSH_EVERY_S:
            self._flushed_at = time.monotonic()
            if self._attempt("write metrics", self._flush):
                self._catch_up()

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, which stays until the run is closed, into the run's artifacts; a fault is retried later."""
        self._attempt_or_keep(f"keep {path.name}", lambda: self._client.log_artifact(self.run_id, str(path), folder))

    def log_dataset(self, dataset: Dataset) -> None:
        """Record the dataset as the run's input, with digest and schema; a fault is retried later."""
        entry = MlflowDataset(
            name=dataset.origin,
            digest=dataset.digest,
            source_type="local",
            source=json.dumps({"uri": dataset.origin}),
            schema=json.dumps(_schema(dataset)),
            profile=json.dumps(
                {"train_rows": len(dataset.train), "val_rows": len(dataset.validation), "test_rows": len(dataset.test)}
            ),
        )
        given = DatasetInput(entry, [InputTag("mlflow.data.context", "training")])
        self._attempt_or_keep("record the dataset", lambda: self._client.log_inputs(self.run_id, [given]))

    def log_params(self, params: Mapping[str, str]) -> None:
        """Write parameters, such as the flattened spec; a fault is retried later."""
        entries = [Param(key, value[:_MAX_PARAM_CHARS]) for key, value in params.items()]
        for start in range(0, len(entries), _PARAMS_A_BATCH):
            batch = entries[start : start + _PARAMS_A_BATCH]
            self._attempt_or_keep("write parameters", partial(self._client.log_batch, self.run_id, params=batch))

    def close(self, status: RunStatus, reason: str | None = None) -> None:
        """Write what is pending, the reason of a failure, and the status; outlasts an outage of up to a minute.

        Raises TrackingError if the server stays away.
        """
        if reason:
            self._attempt_or_keep(
                "tag the reason", partial(self._client.set_tag, self.run_id, FAILURE_TAG, reason[:_MAX_TAG_CHARS])
            )
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._flush()
                self._catch_up()
                self._client.set_terminated(self.run_id, status)
            except MlflowException as error:
                if time.monotonic() > deadline:
                    raise TrackingError(f"MLflow run {self.run_id} could not be closed as {status}: {error}") from error
                time.sleep(_PAUSE_S)
            else:
                return

    def _flush(self) -> None:
        while self._pending:
            batch = self._pending[:_METRICS_A_BATCH]
            self._client.log_batch(self.run_id, metrics=batch)
            del self._pending[: len(batch)]

    def _catch_up(self) -> None:
        """Try again what failed earlier, each once."""
        self._missed = [(action, call) for action, call in self._missed if not self._attempt(action, call)]

    def _attempt_or_keep(self, action: str, call: Callable[[], object]) -> None:
        if not self._attempt(action, call):
            self._missed.append((action, call))

    def _attempt(self, action: str, call: Callable[[], object]) -> bool:
        """Whether the call went well; a fault is logged and does not stop the job."""
        try:
            call()
        except (MlflowException, OSError) as error:
            _log.warning("MLflow: could not %s (%s); the job goes on", action, error)
            return False
        return True


@contextmanager
def open_run(client: MlflowClient, experiment: str) -> Iterator[Run]:
    """A run for one job. It ends FINISHED; FAILED with the reason as a tag if the block raises; KILLED on Ctrl-C.

    Raises TrackingError if MLflow does not answer when the run is opened or closed.
    """
    run = _create(client, experiment)
    try:
        yield run
    except (KeyboardInterrupt, SystemExit):
        _close_after(run, "KILLED", "interrupted")
        raise
    except BaseException as error:
        _close_after(run, "FAILED", str(error) or type(error).__name__)
        raise
    run.close("FINISHED")


def _close_after(run: Run, status: RunStatus, reason: str) -> None:
    """Close a run without hiding what ended its job."""
    try:
        run.close(status, reason)
    except TrackingError as error:
        _log.error("%s", error)


def _create(client: MlflowClient, experiment: str) -> Run:
    tags = {"mlflow.source.name": "drivetrain train", "mlflow.source.type": "LOCAL"}
    if commit := git_commit():
        tags["mlflow.source.git.commit"] = commit
    try:
        found = client.get_experiment_by_name(experiment)
        location = artifact_location(experiment)
        experiment_id = found.experiment_id if found else client.create_experiment(experiment, location)
        run_id = client.create_run(experiment_id, tags=tags).info.run_id
    except MlflowException as error:
        raise TrackingError(f"MLflow at {client.tracking_uri} opened no run: {error.message}") from error
    return Run(client, run_id, experiment_id)


def git_commit() -> str | None:
    """Commit of the working directory's repository; None outside of one."""
    try:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def _schema(dataset: Dataset) -> dict[str, object]:
    """The dataset's schema in MLflow's notation: named columns where there are names, else a tensor."""
    if dataset.feature_names:
        schema = Schema([ColSpec(DataType.float, name) for name in dataset.feature_names])
        return {"mlflow_colspec": schema.to_dict()}
    return {
        "mlflow_tensorspec": {
            "features": Schema([TensorSpec(np.dtype(np.float32), (-1, *dataset.row_shape))]).to_dict()
        }
    }
