"""Every query of every Grafana dashboard, asked of the Prometheus that measures the running stack."""

import json
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from services.cli.connection import Connection
from services.cli.errors import InputError
from services.cli.prediction_client import SERVICE
from services.cli.training_client import TrainingClient
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.e2e.compose.jobs import submit, wait_for_epoch
from tests.e2e.compose.load import steady_load
from tests.e2e.compose.stack import ROOT, address, eventually, inside

pytestmark = pytest.mark.timeout(600)

GRAFANA = ROOT / "deploy/grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
BOARDS = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}
QUERIES = [
    pytest.param(target["expr"], id=f"{name}-{panel['title']}-{target['refId']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel["targets"]
]
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"


@pytest.fixture(scope="module", autouse=True)
def _work(_served: None) -> Iterator[None]:
    """A job that trains, a model that is asked, and a request that fails: something to measure."""
    eventually(lambda: result_of("drivetrain_training_queue_seconds_count"), 60, "the training service is measured")
    with TrainingClient(address("training", 8003)) as training:
        job_id = submit(training, "training.epochs=100000", "training.early_stopping=null")
        wait_for_epoch(training, job_id, 2)
        with steady_load(), Connection(SERVICE, address("prediction", 8001)) as connection:
            infer = GRPCInferenceServiceStub(connection.channel).ModelInfer
            with pytest.raises(InputError):  # without inputs: our own client would not send it
                connection.call(infer, pb.ModelInferRequest(model_name="digits-cnn"))
            yield
        training.cancel(job_id)


def ask(path: str) -> dict[str, Any]:
    """What Prometheus answers. It is not published, so the question comes from a neighbour."""
    answer = json.loads(inside("prediction", "python", "-c", FETCH, f"http://prometheus:9090/api/v1/{path}"))
    assert answer["status"] == "success"
    data: dict[str, Any] = answer["data"]
    return data


def result_of(query: str) -> list[dict[str, Any]]:
    """What an instant query gives."""
    result: list[dict[str, Any]] = ask(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
    return result


def test_there_is_one_dashboard_for_each_part() -> None:
    assert set(BOARDS) == {"serving", "training", "nodes"}
    assert len(QUERIES) > 40
    assert len({board["uid"] for board in BOARDS.values()}) == 3


@pytest.mark.parametrize("query", QUERIES)
def test_the_query_returns_data(query: str) -> None:
    assert eventually(lambda: [each for each in result_of(query) if each["value"][1] != "NaN"], 90, query)


def test_every_metric_of_a_query_is_one_that_is_measured() -> None:
    asked = {name for query in QUERIES for name in re.findall(r"\b(?:drivetrain|nv|ray)_\w+", str(query.values[0]))}
    measured = set(ask("metadata"))
    assert len(asked) > 20
    assert {name for name in asked if not {name, re.sub("_(bucket|total)$", "", name)} & measured} == set()


def test_everything_that_is_measured_answers() -> None:
    def all_up() -> bool:
        up = {each["metric"]["job"]: each["value"][1] for each in result_of("min by (job) (up)")}
        return up == dict.fromkeys(("prediction", "training", "ray", "prometheus"), "1")

    eventually(all_up, 60, "every target is up")


def test_grafana_finds_its_data_and_dashboards() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    used = {t["datasource"]["uid"] for b in BOARDS.values() for p in b["panels"] for t in p["targets"]}
    assert used == {source["uid"]}
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/drivetrain.yml").read_text())["providers"][0]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in (ROOT / "docker-compose.yml").read_text()
