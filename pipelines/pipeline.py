"""The pipeline, top to bottom: load → fit → evaluate → package → register → promote."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
from torch import nn

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.data.memory import Choice, choose_memory
from pipelines.data.streams import load_streamed, write_training_rows
from pipelines.evaluation.metrics import Evaluation, evaluate
from pipelines.evaluation.model_card import write_model_card
from pipelines.evaluation.plots import draw_plots
from pipelines.export.encoding import with_encoding
from pipelines.export.graph import Predictor, build_predictor, contract, export_onnx, predict
from pipelines.home import checkpoints_folder, mlflow_client, tracking_uri
from pipelines.models.network import network_of, takes_any_length
from pipelines.outages import outlast
from pipelines.records import record_inputs, record_results, record_usage, record_variant, record_warnings
from pipelines.registry.manifest import Manifest
from pipelines.registry.model_registry import ModelRegistry
from pipelines.registry.package import Golden
from pipelines.registry.promotion import Decision
from pipelines.registry.publication import Draft, publish
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import dump_spec
from pipelines.tracking import RESTARTS_TAG, Run, adopt_run, git_commit, open_run
from pipelines.training.checkpoints import claimed, forget
from pipelines.training.launcher import Replaced, check_resources, launch, ray_session
from pipelines.training.loop import EpochReport
from pipelines.training.objective import class_weights
from pipelines.training.usage import Usage
from pipelines.training.worker import Trained, Warned, make_job
from pipelines.variants import Candidate, choose_variant


class Watcher(Protocol):
    """Whoever wants to know how a job is doing."""

    def stage(self, text: str) -> None:
        """A new stage has begun."""

    def opened(self, run_id: str) -> None:
        """The job has this run from now on."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch is over."""

    def warning(self, text: str) -> None:
        """The job goes on, but something about it looks wrong."""


@dataclass(frozen=True)
class Outcome:
    """What a job came to."""

    model: str
    version: str
    decision: Decision
    run_id: str
    best_epoch: int
    validation: Evaluation
    test: Evaluation
    seconds: float


def run_pipeline(spec: TrainingSpec, watcher: Watcher) -> Outcome:
    """Run one job from spec to registered version, in a run of its own.

    Raises DataError and ResourceError before a run is opened. After that every error ends the run as FAILED with its
    reason: TrainingError, RegistryError, PackageError, TrackingError, and of rows that stream ResourceError where the
    disk is too small for them, DataError where their files change meanwhile.
    """
    return _run_in(_new_run(spec), spec, watcher)


def resume_pipeline(run_id: str, spec: TrainingSpec, watcher: Watcher) -> Outcome:
    """Go on with a run that failed or was killed, after its last checkpoint; `spec` is the run's own.

    Raises what `run_pipeline` raises, and SupersededError if the run has finished or another process is at work on it.
    """
    return _run_in(_old_run(run_id), spec, watcher)


def _run_in(opening: AbstractContextManager[Run], spec: TrainingSpec, watcher: Watcher) -> Outcome:
    started = time.monotonic()
    choice = _choose(spec, watcher)
    with nullcontext() if choice.plan is None else ray_session():
        dataset, network = _load(spec, choice)
        watcher.stage("starting Ray")
        with ray_session():
            check_resources(spec.compute)
            watcher.stage("opening the MLflow run")
            with opening as run:
                watcher.opened(run.run_id)
                outcome = _carry_out(spec, dataset, network, run, watcher, spec.training.retries)
    forget(checkpoints_folder(run.run_id))
    return replace(outcome, seconds=time.monotonic() - started)


@contextmanager
def _new_run(spec: TrainingSpec) -> Iterator[Run]:
    with open_run(mlflow_client(), spec.name) as run, claimed(run.run_id):
        yield run


@contextmanager
def _old_run(run_id: str) -> Iterator[Run]:
    with claimed(run_id), adopt_run(mlflow_client(), run_id, fence=lambda: None) as run:
        yield run


def run_pipeline_in(run: Run, spec: TrainingSpec, watcher: Watcher, retries: int) -> Outcome:
    """Run one job, or what earlier attempts left of it, in an adopted run; Ray is there, and may yet have to grow.

    The caller closes the run, and forgets the checkpoints when that is FINISHED. Raises what `run_pipeline` raises,
    but ResourceError, and SupersededError if the run has gone to another process.
    """
    dataset, network = _load(spec, _choose(spec, watcher))
    return _carry_out(spec, dataset, network, run, watcher, retries)


def _choose(spec: TrainingSpec, watcher: Watcher) -> Choice:
    watcher.stage("loading data")
    choice = choose_memory(spec.data)
    if choice.plan is not None:
        watcher.stage(choice.reason)
    return choice


def _load(spec: TrainingSpec, choice: Choice) -> tuple[Dataset, nn.Module]:
    """Streamed data is read by Ray, which must be there."""
    dataset = load_dataset(spec) if choice.plan is None else load_streamed(spec, choice.plan)
    network = network_of(spec, dataset.row_shape, dataset.num_outputs, dataset.vocabulary)
    class_weights(spec.loss, dataset.labels, list(dataset.class_counts.values()))  # refuses labels that are not there
    return replace(dataset, memory=choice.reason), network


def _carry_out(
    spec: TrainingSpec,
    dataset: Dataset,
    network: nn.Module,
    run: Run,
    watcher: Watcher,
    retries: int,
) -> Outcome:
    started = time.monotonic()
    record_inputs(run, spec, dataset)
    trained, reports = _train(spec, dataset, run, watcher, retries)

    watcher.stage("evaluating")
    network.load_state_dict({name: torch.from_numpy(weight.copy()) for name, weight in trained.weights.items()})
    predictor = build_predictor(network, dataset)
    served = _served(spec, dataset, predictor, run)
    plots = draw_plots(run.folder, reports, served.test, dataset.labels, dataset.target_name)
    record_results(run, dataset, trained, served, plots)

    watcher.stage("exporting and registering")
    draft = Draft(
        manifest=_manifest(spec, dataset, run, served, takes_any_length(network)),
        graph=served.graph,
        weights=trained.weights,
        spec_yaml=dump_spec(spec),
        held_out=Golden(dataset.test.inputs, served.answers),
        model_card=write_model_card(spec, dataset, run.run_id, served.validation, served.test, served.reason),
        plots=plots,
    )
    run.check_fence()
    registry, rule = ModelRegistry(run.client, tracking_uri()), spec.registry.promote
    publishing = partial(publish, run.client, registry, run.experiment_id, draft, served.validation.score, rule)
    published = outlast(run.patience_s, publishing)
    return Outcome(
        model=spec.name,
        version=published.version,
        decision=published.decision,
        run_id=run.run_id,
        best_epoch=trained.best_epoch,
        validation=served.validation,
        test=served.test,
        seconds=time.monotonic() - started,
    )


def _train(
    spec: TrainingSpec, dataset: Dataset, run: Run, watcher: Watcher, retries: int
) -> tuple[Trained, list[EpochReport]]:
    reports: list[EpochReport] = []
    folder = checkpoints_folder(run.run_id)
    shards = write_training_rows(spec, dataset, folder / f"{dataset.digest}-rows", watcher.stage)
    watcher.stage("starting workers")
    for event in launch(make_job(spec, dataset, folder, shards), retries):
        match event:
            case Trained():
                return event, reports
            case Usage():
                record_usage(run, event, spec.compute.workers)
            case Warned():
                _warn(run, event, watcher)
            case Replaced():
                run.set_tag(RESTARTS_TAG, str(spec.training.retries - event.left))
                watcher.warning(event.text)
            case EpochReport():
                reports.append(event)
                run.log_metrics(event.metrics, step=event.epoch)
                watcher.epoch(event)
                _warn(run, event, watcher)
    raise AssertionError("a launch that ends without weights raises")


def _warn(run: Run, event: EpochReport | Warned, watcher: Watcher) -> None:
    for told in record_warnings(run, event):
        watcher.warning(told)


def _served(spec: TrainingSpec, dataset: Dataset, predictor: Predictor, run: Run) -> Candidate:
    """The graph to register: as exported, or the variant that the spec asks for, with its own figures."""
    held_out, test = dataset.validation, dataset.test
    answers = predict(predictor, test.features, test.lengths)
    graph = export_onnx(predictor, dataset.row_shape, with_lengths=dataset.has_lengths)
    fp32 = Candidate(
        graph=with_encoding(graph, dataset.encoding),
        validation=evaluate(dataset, held_out, predict(predictor, held_out.features, held_out.lengths)),
        test=evaluate(dataset, test, answers),
        answers=answers,
    )
    served = choose_variant(spec.registry, dataset, fp32)
    record_variant(run, served)
    return served


def _manifest(spec: TrainingSpec, dataset: Dataset, run: Run, served: Candidate, any_length: bool) -> Manifest:
    inputs, outputs = contract(dataset, any_length)
    return Manifest(
        model=spec.name,
        task=dataset.task,
        inputs=inputs,
        outputs=outputs,
        feature_names=dataset.feature_names,
        target=dataset.target_name,
        labels=dataset.labels,
        variant=served.variant,
        variant_check=served.check,
        run_id=run.run_id,
        git_commit=git_commit(),
        dataset_digest=dataset.digest,
        files={},
    )
