"""One MLflow run a job, opened or adopted and closed on the driver through an explicit client.

Faults of the tracking server never stop training: what could not be written is kept and written again later.
"""

import logging
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from functools import partial
from itertools import accumulate, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from pipelines.data.dataset import Dataset
from pipelines.dataset_input import dataset_input
from pipelines.embedded_client import interrupts_wait
from pipelines.errors import SupersededError, TrackingError
from pipelines.home import artifact_location
from pipelines.outages import outlast

_log = logging.getLogger(__name__)

FAILURE_TAG = "drivetrain.failure"
RESTARTS_TAG = "drivetrain.job.restarts"
"""How many of `training.retries` are used up since the job was submitted, begun here or resumed by its user."""
SPEC_FILE = "spec.yaml"
"""The run's artifact that says what was asked for."""
SOURCE_NAME = "drivetrain train"
"""What MLflow shows as the source of a run that this machine trains by itself."""

_FLUSH_EVERY_S = 1.0
_PATIENCE_S = 60.0
_PATIENCE_WITH_ADOPTED_S = 150.0
"""How long publishing and closing outlast a server that does not answer; nobody at a terminal waits for the latter."""

_PARAMS_A_BATCH = 100
_METRICS_A_BATCH = 1000
"""So many MLflow takes at once, and writes all of them or none."""
_MAX_PARAM_CHARS = 6000
_MAX_TAG_CHARS = 5000

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]


Fence = Callable[[], None]
"""Raises SupersededError if the run has been given to another process."""


class Run:
    """An open MLflow run. Use `open_run` or `adopt_run`, which close it whatever happens."""

    def __init__(
        self,
        client: MlflowClient,
        run: MlflowRun,
        folder: Path,
        *,
        patience_s: float,
        known_steps: Set[int] = frozenset(),
        fence: Fence = lambda: None,
    ) -> None:
        self.client = client
        self.run_id: str = run.info.run_id
        self.experiment_id: str = run.info.experiment_id
        self.tags: Mapping[str, str] = run.data.tags
        self.folder = folder
        """For files to log; it stays until the run is closed."""
        self._started_ms = int(run.info.start_time)
        self.patience_s = patience_s
        self.check_fence = fence
        self.closed_as: RunStatus | None = None
        self._known_names = set(run.data.metrics)
        self._known_steps = known_steps
        self._pending: list[list[Metric]] = []
        self._missed: list[tuple[str, Callable[[], object]]] = []
        self._flushed_at = 0.0

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Queue metrics and write what is queued about once a second; a fault is retried at the next call.

        What an adopted run has already for the step is left out.
        """
        now_ms = int(time.time() * 1000)
        known = self._known_names if step in self._known_steps else ()
        self._pending.append([Metric(key, value, now_ms, step) for key, value in metrics.items() if key not in known])
        if time.monotonic() - self._flushed_at >= _FLUSH_EVERY_S:
            self._flushed_at = time.monotonic()
            if self._attempt("write metrics", self._flush):
                self._catch_up()

    def log_sample(self, metrics: Mapping[str, float], time_ms: int) -> None:
        """Queue measurements that belong to no epoch but to a time; their step is the second of the run."""
        step = max(0, time_ms - self._started_ms) // 1000
        self._pending.append([Metric(key, value, time_ms, step) for key, value in metrics.items()])

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file from `folder` into the run's artifacts; a fault is retried later."""
        self._attempt_or_keep(f"keep {path.name}", lambda: self.client.log_artifact(self.run_id, str(path), folder))

    def log_dataset(self, dataset: Dataset) -> None:
        """Record the dataset as the run's input, with digest and schema; a fault is retried later."""
        given = dataset_input(dataset)
        self._attempt_or_keep("record the dataset", lambda: self.client.log_inputs(self.run_id, [given]))

    def log_params(self, params: Mapping[str, str]) -> None:
        """Write parameters, such as the flattened spec; a fault is retried later."""
        entries = [Param(key, value[:_MAX_PARAM_CHARS]) for key, value in params.items()]
        for start in range(0, len(entries), _PARAMS_A_BATCH):
            batch = entries[start : start + _PARAMS_A_BATCH]
            self._attempt_or_keep("write parameters", partial(self.client.log_batch, self.run_id, params=batch))

    def set_tag(self, key: str, value: str) -> None:
        """Write a tag; a fault is retried later."""
        self._attempt_or_keep(f"write the tag {key}", partial(self.client.set_tag, self.run_id, key, value))

    def close(self, status: RunStatus, reason: str | None = None) -> None:
        """Write what is pending, the reason of a failure, and the status; outlasts an outage of `patience_s`.

        Raises TrackingError if the server stays away or refuses.
        """
        if reason:
            self.set_tag(FAILURE_TAG, reason[:_MAX_TAG_CHARS])
        try:
            outlast(self.patience_s, partial(self._finish, status))
        except (MlflowException, OSError) as error:
            raise TrackingError(f"MLflow run {self.run_id} could not be closed as {status}: {error}") from error
        self.closed_as = status

    def _finish(self, status: RunStatus) -> None:
        self.check_fence()
        self._flush()
        self._catch_up()
        self.client.set_terminated(self.run_id, status)

    def _flush(self) -> None:
        while self._pending:
            calls = self._pending[: _whole_calls(self._pending)]
            if batch := [metric for metrics in calls for metric in metrics]:
                self.client.log_batch(self.run_id, metrics=batch)
            del self._pending[: len(calls)]

    def _catch_up(self) -> None:
        """Try again what failed earlier, each once."""
        self._missed = [(action, call) for action, call in self._missed if not self._attempt(action, call)]

    def _attempt_or_keep(self, action: str, call: Callable[[], object]) -> None:
        if not self._attempt(action, call):
            self._missed.append((action, call))

    def _attempt(self, action: str, call: Callable[[], object]) -> bool:
        """Whether the call went well; a fault is logged and does not stop the job."""
        self.check_fence()
        try:
            call()
        except (MlflowException, OSError) as error:
            _log.warning("MLflow: could not %s (%s); the job goes on", action, error)
            return False
        return True


def _whole_calls(pending: list[list[Metric]]) -> int:
    """How many of the first calls fit a batch together; one at least."""
    sums = accumulate(len(metrics) for metrics in pending)
    return max(1, sum(1 for _ in takewhile(lambda metrics: metrics <= _METRICS_A_BATCH, sums)))


@contextmanager
def open_run(client: MlflowClient, experiment: str) -> Iterator[Run]:
    """A run for one job. It ends FINISHED; FAILED with the reason as a tag if the block raises; KILLED on Ctrl-C.

    Raises TrackingError if MLflow does not answer when the run is opened or closed.
    """
    with TemporaryDirectory() as folder:

        def opened() -> Run:
            return Run(client, _create(client, experiment), Path(folder), patience_s=_PATIENCE_S)

        with _closed(opened) as run:
            yield run


@contextmanager
def adopt_run(client: MlflowClient, run_id: str, fence: Fence) -> Iterator[Run]:
    """A run that exists already, for one more attempt at its job: RUNNING from now on, and ended as `open_run` does.

    `fence` is asked before anything is written; if it raises SupersededError, so does the block, and the run is left
    as it is. A run that has FINISHED is superseded too. TrackingError if MLflow refuses or stays away.
    """
    fence()
    with TemporaryDirectory() as folder:

        def adopted() -> Run:
            found, steps = _adopt(client, run_id)
            patience_s = _PATIENCE_WITH_ADOPTED_S
            return Run(client, found, Path(folder), patience_s=patience_s, known_steps=steps, fence=fence)

        with _closed(adopted) as run:
            yield run


@contextmanager
def _closed(opened: Callable[[], Run]) -> Iterator[Run]:
    run: Run | None = None
    try:
        with interrupts_wait():  # from the moment that there is an open run, somebody has to know of it
            run = opened()
        yield run
    except SupersededError:
        raise
    except (KeyboardInterrupt, SystemExit):
        _close_after(run, "KILLED", "interrupted")
        raise
    except BaseException as error:
        _close_after(run, "FAILED", str(error) or type(error).__name__)
        raise
    run.close("FINISHED")


def _close_after(run: Run | None, status: RunStatus, reason: str) -> None:
    """Close a run, if it was opened, without hiding what ended its job."""
    if run is None:
        return
    try:
        run.close(status, reason)
    except TrackingError as error:
        _log.error("%s", error)


def _create(client: MlflowClient, experiment: str) -> MlflowRun:
    tags = {"mlflow.source.name": SOURCE_NAME, "mlflow.source.type": "LOCAL"}
    if commit := git_commit():
        tags["mlflow.source.git.commit"] = commit
    try:
        return client.create_run(ensure_experiment(client, experiment), tags=tags)
    except MlflowException as error:
        raise TrackingError(f"MLflow at {client.tracking_uri} opened no run: {error.message}") from error


def ensure_experiment(client: MlflowClient, name: str) -> str:
    """Id of the experiment of this name, which is made if there is none. Raises MlflowException."""
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        return client.create_experiment(name, artifact_location(name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # several jobs of a new model may begin together
            raise
    return ensure_experiment(client, name)


def _adopt(client: MlflowClient, run_id: str) -> tuple[MlflowRun, set[int]]:
    try:
        return outlast(_PATIENCE_WITH_ADOPTED_S, lambda: _begin_again(client, run_id))
    except (MlflowException, OSError) as error:
        raise TrackingError(f"MLflow at {client.tracking_uri} gave no run {run_id} to adopt: {error}") from error


def _begin_again(client: MlflowClient, run_id: str) -> tuple[MlflowRun, set[int]]:
    """Mark a run RUNNING; return it with the epochs that it has already.

    MLflow keeps the end time of an earlier attempt until the run ends anew.
    """
    run = client.get_run(run_id)
    if run.info.status == "FINISHED":
        raise SupersededError(f"run {run_id} has finished already")
    client.update_run(run_id, status="RUNNING")
    if FAILURE_TAG in run.data.tags:
        client.delete_tag(run_id, FAILURE_TAG)
    return run, {metric.step for metric in client.get_metric_history(run_id, "train_loss")}


def recorded_spec(client: MlflowClient, run_id: str) -> str:
    """The YAML of the spec that a run of the pipeline was begun with. Raises TrackingError."""
    with TemporaryDirectory() as folder:
        try:
            return Path(client.download_artifacts(run_id, SPEC_FILE, folder)).read_text()
        except (MlflowException, OSError) as error:
            raise TrackingError(f"run {run_id} has no {SPEC_FILE} to go on with: {error}") from error


def git_commit() -> str | None:
    """Commit of the working directory's repository; None outside of one."""
    try:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
