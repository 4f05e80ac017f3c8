"""`drivetrain demo`: three models from spec to served prediction, on real data, in one go."""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from services.cli.errors import ServiceError
from services.cli.tables import print_table

if TYPE_CHECKING:
    from pipelines.pipeline import Outcome
    from services.prediction.client import PredictionClient

RECIPES = ("digits-mlp", "digits-cnn", "digits-rnn")

_SHOWN_ROWS = 6
_TIMED_REQUESTS = 100
_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 15.0


@dataclass(frozen=True)
class Trial:
    """What the service said about held-out rows of one model."""

    outcome: "Outcome"
    predicted: list[str]
    truth: list[str]
    round_trip_ms: float


def demo() -> None:
    """Train an MLP, a CNN and an RNN on handwritten digits, serve them, and ask about held-out rows.

    Each run adds a version to each model and makes it champion. The service ends with the command.

    Example: drivetrain demo
    """
    console = Console()
    from services.cli.prediction_client import prediction_client

    outcomes = _train(console)
    with prediction_service() as address, prediction_client(address, plain=True) as client:
        console.print(f"\nstarting the prediction service at {address}", highlight=False, soft_wrap=True)
        with console.status("waiting for the champions"):
            _await_versions(client, outcomes)
        trials = [_ask(client, outcome) for outcome in outcomes]
    print_table(_table(trials))
    console.print(_NEXT, highlight=False, soft_wrap=True)


def _train(console: Console) -> "list[Outcome]":
    from pipelines.pipeline import run_pipeline
    from pipelines.spec_file import load_spec
    from pipelines.training.launcher import ray_session
    from services.cli.progress import PipelineWatcher, TrainingProgress
    from services.cli.result import Result

    outcomes = []
    with console.status("starting Ray") as status, ray_session():
        status.stop()
        for recipe in RECIPES:
            spec = load_spec(recipe, ["registry.promote=always"])
            with TrainingProgress(console, spec.name, spec.training.epochs) as progress:
                outcome = run_pipeline(spec, PipelineWatcher(progress))
            console.print(Result.of_local(outcome).describe(), highlight=False, soft_wrap=True)
            outcomes.append(outcome)
    return outcomes


@contextmanager
def prediction_service() -> Iterator[str]:
    """`drivetrain serve` as a process of its own, on free ports; ended with the block.

    Variables that set up another service, with its tokens and certificates, are not for this one.
    """
    from pipelines.home import home

    port = _free_port()
    command = [sys.executable, "-m", "services.prediction", "--port", str(port), "--metrics-port", "0", "--no-rest"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DRIVETRAIN_PREDICTION_")}
    log = home() / "demo-prediction.log"
    with log.open("w") as file, subprocess.Popen(command, env=environment, stdout=file, stderr=file) as service:
        try:
            yield f"127.0.0.1:{port}"
        finally:
            service.terminate()
            try:
                service.wait(_STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                service.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_versions(client: "PredictionClient", outcomes: "list[Outcome]") -> None:
    deadline = time.monotonic() + _START_DEADLINE_S
    while not all(client.is_model_ready(outcome.model, outcome.version) for outcome in outcomes):
        if time.monotonic() > deadline:
            raise ServiceError(f"the prediction service did not serve the new versions within {_START_DEADLINE_S:g} s")
        time.sleep(0.2)


def _ask(client: "PredictionClient", outcome: "Outcome") -> Trial:
    """Ask about rows of the test part, which training never saw."""
    from pipelines.data.loading import load_dataset
    from pipelines.spec_file import load_spec
    from services.cli.predict import read_answer

    rows = load_dataset(load_spec(outcome.model)).test
    answer = client.predict(outcome.model, rows.features[:_SHOWN_ROWS])
    if answer.version != outcome.version:
        raise ServiceError(f"{outcome.model}: version {answer.version} answered, {outcome.version} is champion")
    trips = []
    for _ in range(_TIMED_REQUESTS):
        started = time.perf_counter()
        client.predict(outcome.model, rows.features[:1])
        trips.append((time.perf_counter() - started) * 1000)
    return Trial(
        outcome=outcome,
        predicted=[str(entry["prediction"]) for entry in read_answer(answer)],
        truth=[answer.class_labels[int(target)] for target in rows.targets[:_SHOWN_ROWS]],
        round_trip_ms=statistics.median(trips),
    )


def _table(trials: list[Trial]) -> Table:
    table = Table(title="Served over gRPC, asked about rows held out from training")
    table.add_column("model")
    table.add_column("version", justify="right")
    table.add_column("test accuracy", justify="right")
    table.add_column("predicted")
    table.add_column("truth")
    table.add_column("round trip", justify="right")
    for trial in trials:
        accuracy = f"{trial.outcome.test.metrics['accuracy']:.4f}"
        predicted, truth = " ".join(trial.predicted), " ".join(trial.truth)
        trip = f"{trial.round_trip_ms:.2f} ms"
        table.add_row(trial.outcome.model, trial.outcome.version, accuracy, predicted, truth, trip)
    return table


_NEXT = """
Go on with (after: source .venv/bin/activate):
  drivetrain ui                            compare the runs in MLflow's UI
  drivetrain serve                         keep the prediction service running
  drivetrain models digits-cnn             the versions and why each is champion or not
  drivetrain init digits-mlp my.yaml       a spec of your own; then: drivetrain train my.yaml
"""
