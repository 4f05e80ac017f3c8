"""What a job leaves in its run besides the registered version: what it was given, how it fares, what came of it."""

import logging
from pathlib import Path

from pipelines.data.balance import imbalance
from pipelines.data.dataset import Dataset
from pipelines.evaluation.details import class_metrics, step_metrics
from pipelines.registry.model_registry import VARIANT_TAG
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import dump_spec, flatten
from pipelines.tracking import SPEC_FILE, Run
from pipelines.training.loop import EpochReport
from pipelines.training.usage import Usage
from pipelines.training.worker import Trained, Warned
from pipelines.variants import Candidate

_log = logging.getLogger(__name__)

VARIANT_REASON_TAG = "drivetrain.variant_reason"
IMBALANCE_TAG = "drivetrain.class_imbalance"
MEMORY_TAG = "drivetrain.data_memory"
"""Whether the data streamed, and by which figures."""
WARNING_TAG = "drivetrain.warning."
"""With the kind of a warning: what was seen of it first."""


def record_inputs(run: Run, spec: TrainingSpec, dataset: Dataset) -> None:
    """The spec and the data, before anything is trained."""
    run.log_params(flatten(spec))
    run.log_dataset(dataset)
    if dataset.memory:
        run.set_tag(MEMORY_TAG, dataset.memory)
    if warning := imbalance(dataset.class_counts):
        _log.warning("%s", warning)
        run.set_tag(IMBALANCE_TAG, warning)
    (run.folder / SPEC_FILE).write_text(dump_spec(spec))
    run.log_artifact(run.folder / SPEC_FILE)


def record_usage(run: Run, usage: Usage, workers: int) -> None:
    """Under MLflow's own names for system metrics, with the worker's rank in them where there are several."""
    place = "system/" if workers == 1 else f"system/worker_{usage.rank}/"
    for sample in usage.samples:
        run.log_sample({place + name: value for name, value in sample.figures.items()}, sample.time_ms)


def record_warnings(run: Run, event: EpochReport | Warned) -> list[str]:
    """Tag the run with what an event warns of; returns it as people are told."""
    match event:
        case EpochReport():
            told = [(kind, f"epoch {event.epoch}: {text}") for kind, text in event.health.warnings]
        case Warned():
            told = [(f"worker_{event.rank}", f"worker {event.rank}: {text}") for text in event.texts]
    for kind, text in told:
        run.set_tag(WARNING_TAG + kind, text)
    return [text for _, text in told]


def record_variant(run: Run, served: Candidate) -> None:
    """Which variant of the graph was chosen, and why if there was a choice."""
    run.set_tag(VARIANT_TAG, served.variant)
    if served.check is not None:
        run.set_tag(VARIANT_REASON_TAG, served.reason)
        _log.log(logging.INFO if served.variant == served.check.asked else logging.WARNING, "%s", served.reason)


def record_results(run: Run, dataset: Dataset, trained: Trained, served: Candidate, plots: list[Path]) -> None:
    """The figures of the weights that were kept; the epochs' own `val_` metrics end with the last epoch."""
    parts = {"best_val": served.validation, "test": served.test}
    final = {f"{part}_{name}": value for part, figures in parts.items() for name, value in figures.metrics.items()}
    if (check := served.check) is not None:
        final |= {f"val_{check.metric}_fp32": check.fp32_value, f"val_{check.metric}_{check.asked}": check.value}
    final |= class_metrics(served.test, dataset.labels) | {"best_epoch": float(trained.best_epoch)}
    run.log_metrics(final, step=trained.best_epoch)
    for step, errors in enumerate(step_metrics(served.test), start=1):
        run.log_metrics(errors, step)
    for plot in plots:
        run.log_artifact(plot, "plots")
