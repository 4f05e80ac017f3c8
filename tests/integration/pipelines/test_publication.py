"""Publishing a draft: refused or interrupted, it leaves no version behind."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException

from pipelines.errors import PackageError, RegistryError, RegistryOutageError
from pipelines.home import mlflow_client, tracking_uri
from pipelines.registry.model_registry import PROMOTED_TAG, ModelRegistry
from pipelines.registry.package import Golden
from pipelines.registry.promotion import Decision, Score
from pipelines.registry.publication import Draft, Published, publish
from tests.integration.pipelines.jobs import MODEL, Home
from tests.unit.prediction.graphs import WEIGHTS, classifier, golden, manifest

SCORE = Score("accuracy", 0.9)
PROMOTED = Decision(True, "first champion of this model")


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
    return publish(client, ModelRegistry(client, uri), experiment, candidate, SCORE, "better").version


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


@dataclass
class Publisher:
    """Publishes one draft of one run, again and again, through clients that refuse what they are told to."""

    home: Home
    experiment: str
    draft: Draft

    def publish(self, *refused: str, score: Score = SCORE) -> Published:
        uri = tracking_uri()
        client = type("Refusing", (Unwilling,), {"refused": frozenset(refused)})(tracking_uri=uri, registry_uri=uri)
        return publish(client, ModelRegistry(client, uri), self.experiment, self.draft, score, "better")

    def of_another_run(self) -> "Publisher":
        return Publisher(self.home, self.experiment, draft(self.home.client, self.experiment, golden(1.0)))


@pytest.fixture
def publisher(home: Home) -> Publisher:
    experiment = home.client.create_experiment(MODEL, (home.directory / "artifacts").as_uri())
    return Publisher(home, experiment, draft(home.client, experiment, golden(1.0)))


@pytest.mark.parametrize(
    "refused",
    [
        "log_outputs",
        "create_registered_model",
        "create_model_version",
        "set_registered_model_alias",
        "set_model_version_tag",
    ],
)
def test_publishing_again_finishes_what_an_outage_left(refused: str, publisher: Publisher) -> None:
    with pytest.raises(RegistryOutageError, match=f"no {refused} today"):
        publisher.publish(refused)
    assert publisher.publish() == publisher.publish() == Published("1", PROMOTED)
    (version,) = publisher.home.registry.versions(MODEL)
    assert (version.is_champion, version.promoted, version.reason) == (True, True, PROMOTED.reason)


def test_publishing_again_takes_no_alias_back(publisher: Publisher) -> None:
    publisher.publish()
    assert publisher.of_another_run().publish().version == "2"
    assert publisher.publish() == Published("1", PROMOTED)
    assert publisher.home.registry.champions() == {MODEL: "2"}


def test_a_promotion_that_was_not_carried_out_is_decided_anew(publisher: Publisher) -> None:
    with pytest.raises(RegistryOutageError):
        publisher.publish("set_registered_model_alias")
    publisher.of_another_run().publish(score=Score("accuracy", 0.95))
    published = publisher.publish()
    assert published == Published("1", Decision(False, "validation accuracy 0.9000 is below 0.9500 of version 2"))
    (earlier,) = [entry for entry in publisher.home.registry.versions(MODEL) if entry.version == "1"]
    assert (earlier.promoted, earlier.reason) == (False, published.decision.reason)


def test_a_refusal_is_no_outage(publisher: Publisher) -> None:
    publisher.draft = replace(publisher.draft, manifest=manifest("no:name").model_copy(update={"run_id": "0" * 32}))
    with pytest.raises(RegistryError) as caught:
        publisher.publish()
    assert not isinstance(caught.value, RegistryOutageError)
