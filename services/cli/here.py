"""Jobs in the command's own process: begun, and gone on with after they were interrupted, killed or had failed."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console

from pipelines.errors import RegistryError, SupersededError, TrackingError, WorkerLostError
from pipelines.home import home, mlflow_client
from services.cli.errors import InputError

if TYPE_CHECKING:
    from pipelines.pipeline import Outcome, Watcher
    from pipelines.spec.training_spec import TrainingSpec

_RECENT = 1000
"""Runs among which the beginning of an id is looked for."""


def train_here(spec: "TrainingSpec") -> None:
    """Run the pipeline, show its progress, and print what came of it."""

    def run(watcher: "Watcher") -> "Outcome":
        from pipelines.pipeline import run_pipeline

        return run_pipeline(spec, watcher)

    _shown(spec, run)


def resume_here(run_id: str) -> None:
    """Go on with a run of this machine after its last checkpoint, and show it as `train_here` does."""
    from pipelines.spec_file import build_spec, parse_yaml
    from pipelines.tracking import recorded_spec

    spec = build_spec(parse_yaml(recorded_spec(mlflow_client(), run_id), "the run's spec"))

    def run(watcher: "Watcher") -> "Outcome":
        from pipelines.pipeline import resume_pipeline

        return resume_pipeline(run_id, spec, watcher)

    _shown(spec, run)


def run_here(beginning: str) -> str | None:
    """Id of the run that this machine trained by itself, by its id or the beginning of one; None if there is none.

    Raises InputError if several begin so, TrackingError if MLflow does not answer.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (home() / "mlflow.db").exists():
        return None  # nothing was ever trained here, and to look for it would make the database
    from mlflow.exceptions import MlflowException

    from pipelines.tracking import SOURCE_NAME

    client = mlflow_client()
    try:
        experiments = [each.experiment_id for each in client.search_experiments()]
        condition = f"tags.`mlflow.source.name` = '{SOURCE_NAME}'"
        runs = client.search_runs(experiments, condition, max_results=_RECENT)
    except MlflowException as error:
        raise TrackingError(f"MLflow at {client.tracking_uri} listed no runs: {error.message}") from error
    found = [run.info.run_id for run in runs if run.info.run_id.startswith(beginning)]
    if len(found) > 1:
        came = f"{beginning!r}, with which {len(found)} of the last {_RECENT} begin"
        raise InputError(f"JOB: expected the id of a run, or the beginning of just one, came {came}")
    return found[0] if found else None


def _shown(spec: "TrainingSpec", run: "Callable[[Watcher], Outcome]") -> None:
    console = Console()
    with console.status("loading torch, Ray and MLflow"):
        import pipelines.pipeline  # noqa: F401 - seconds of import, under the status line
        from services.cli.progress import PipelineWatcher, TrainingProgress
        from services.cli.result import Result
    with TrainingProgress(console, spec.name, spec.training.epochs) as progress:
        watcher = PipelineWatcher(progress)
        try:
            outcome = run(watcher)
        except SupersededError:
            raise
        except (KeyboardInterrupt, WorkerLostError, TrackingError, RegistryError) as error:
            progress.stop()
            _tell_how_to_go_on(watcher.run_id, interrupted=isinstance(error, KeyboardInterrupt))
            raise
    console.print(Result.of_local(outcome).describe(), highlight=False, soft_wrap=True)


def _tell_how_to_go_on(run_id: str, *, interrupted: bool) -> None:
    console = Console(stderr=True, soft_wrap=True)
    if run_id:
        kept = "interrupted; what was trained is kept" if interrupted else "what was trained is kept"
        console.print(f"{kept}, go on with it: drivetrain resume {run_id}", highlight=False)
    elif interrupted:
        console.print("interrupted before a run was open", highlight=False)
