"""Publishing a draft: refused or interrupted, it leaves no version behind."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException

from pipelines.errors import PackageError, RegistryError
from pipelines.home import mlflow_client, tracking_uri
from pipelines.registry.model_registry import PROMOTED_TAG, ModelRegistry
from pipelines.registry.package import Golden
from pipelines.registry.promotion import Decision, Score
from pipelines.registry.publication import Draft, publish
from tests.integration.pipelines.jobs import MODEL, Home
from tests.unit.prediction.graphs import WEIGHTS, classifier, golden, manifest

SCORE = Score("accuracy", 0.9)
PROMOTE = Decision(True, "first champion of this model")


class Unwilling(MlflowClient):
    """MLflow, refusing the methods in `refused`."""

    refused: frozenset[str] = frozenset()

    def __getattribute__(self, name: str) -> object:
        if name in type(self).refused:
            raise MlflowException(f"no {name} today")
        return super().__getattribute__(name)


def draft(client: MlflowClient, experiment: str, held_out: Golden) -> Draft:
    run = client.create_run(experiment)
    return Draft(
        manifest=manifest(MODEL).model_copy(update={"run_id": run.info.run_id}),
        graph=classifier(1.0),
        weights={"weight": WEIGHTS},
        spec_yaml=f"name: {MODEL}\n",
        held_out=held_out,
        model_card="# small\n",
        plots=[],
    )


def attempt(home: Home, held_out: Golden, *refused: str) -> str:
    """Publish a draft through a client that refuses some methods; return the version."""
    experiment = home.client.create_experiment(MODEL, (home.directory / "artifacts").as_uri())
    uri = tracking_uri()
    kind = type("Refusing", (Unwilling,), {"refused": frozenset(refused)})
    client = kind(tracking_uri=uri, registry_uri=uri)
    candidate = draft(home.client, experiment, held_out)
    return publish(client, ModelRegistry(client, uri), experiment, candidate, SCORE, PROMOTE)


def logged_statuses(home: Home) -> list[LoggedModelStatus]:
    client = mlflow_client()
    experiment = client.get_experiment_by_name(MODEL)
    assert experiment is not None
    return [model.status for model in client.search_logged_models([experiment.experiment_id])]


def test_a_sound_draft_becomes_champion_and_can_be_fetched(home: Home, tmp_path: Path) -> None:
    version = attempt(home, golden(1.0))
    assert home.registry.champions() == {MODEL: version}
    assert home.registry.fetch(MODEL, version, tmp_path).manifest.model == MODEL
    assert logged_statuses(home) == [LoggedModelStatus.READY]


def test_a_graph_that_does_not_answer_as_torch_did_is_refused(home: Home) -> None:
    with pytest.raises(PackageError, match="golden rows: output 'probabilities' is off by"):
        attempt(home, golden(1.001))
    assert home.registry.champions() == {}
    assert logged_statuses(home) == [LoggedModelStatus.FAILED]


@pytest.mark.parametrize(
    ("refused", "left"),
    [
        (["create_logged_model"], []),
        (["log_model_artifacts"], [LoggedModelStatus.FAILED]),
        (["log_model_artifacts", "finalize_logged_model"], [LoggedModelStatus.PENDING]),
        (["create_registered_model"], [LoggedModelStatus.READY]),
        (["create_model_version"], [LoggedModelStatus.READY]),
    ],
)
def test_a_fault_of_the_registry_leaves_no_version(
    refused: list[str], left: list[LoggedModelStatus], home: Home
) -> None:
    with pytest.raises(RegistryError, match=f"no {refused[0]} today"):
        attempt(home, golden(1.0), *refused)
    assert home.client.search_model_versions(f"name='{MODEL}'") == []
    assert logged_statuses(home) == left


def test_a_version_whose_promotion_failed_does_not_claim_it(home: Home) -> None:
    with pytest.raises(RegistryError, match="no set_registered_model_alias today"):
        attempt(home, golden(1.0), "set_registered_model_alias")
    assert home.registry.champions() == {MODEL: None}
    assert home.client.get_model_version(MODEL, "1").tags[PROMOTED_TAG] == "false"
