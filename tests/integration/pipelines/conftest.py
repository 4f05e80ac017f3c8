"""One local Ray for all tests here, a migrated database to copy, and a history of jobs to look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.home import mlflow_client
from pipelines.pipeline import run_pipeline
from tests.integration.pipelines.cluster import local_ray
from tests.integration.pipelines.jobs import BARELY, Home, Job, Recorder, small
from tests.operators import built_once


@dataclass(frozen=True)
class History(Home):
    """Three jobs of one model, run one after another into one home; none has touched it since."""

    jobs: list[Job]


@pytest.fixture(scope="package")
def cluster() -> Iterator[None]:
    with local_ray():
        yield


@pytest.fixture(scope="session", autouse=True)
def one_table_of_operators() -> Iterator[None]:
    with built_once():
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An empty, migrated database: copying it saves two seconds."""
    directory = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        _use(patch, directory)
        mlflow_client().search_experiments()
    return Home(directory)


@pytest.fixture
def home(tmp_path: Path, template: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home, in use."""
    template.copy_to(tmp_path)
    _use(monkeypatch, tmp_path)
    return Home(tmp_path)


@pytest.fixture(scope="package")
def finished_jobs(cluster: None, template: Home, tmp_path_factory: pytest.TempPathFactory) -> History:
    directory = tmp_path_factory.mktemp("history")
    template.copy_to(directory)
    jobs = []
    with pytest.MonkeyPatch.context() as patch:
        _use(patch, directory)
        for spec in (small(), small(**BARELY), small()):
            recorder = Recorder()
            jobs.append(Job(spec, recorder, run_pipeline(spec, recorder)))
    return History(directory, jobs)


@pytest.fixture
def history(finished_jobs: History, monkeypatch: pytest.MonkeyPatch) -> History:
    """The finished jobs, their home in use: to be looked at, not to be changed."""
    _use(monkeypatch, finished_jobs.directory)
    return finished_jobs


def _use(patch: pytest.MonkeyPatch, directory: Path) -> None:
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.setenv("DRIVETRAIN_HOME", str(directory))
