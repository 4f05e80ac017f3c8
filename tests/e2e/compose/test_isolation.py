"""Who is answered: nobody from outside but on the published ports, and there nobody without a token."""

import os
import socket
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli.errors import AccessError
from services.cli.prediction_client import prediction_client
from services.cli.training_client import TrainingClient
from tests.e2e.compose.stack import SERVICES, address, containers, inside, run

PORTS = (5432, 5000, 6379, 8000, 8001, 8002, 8003, 8004, 8080, 8265, 9090, 10001, 52365)

KNOCK = """
import socket, sys
for address in sys.argv[1:]:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=0.5).close()
        print(address)
    except OSError:
        pass
"""
"""Prints which of its arguments take a connection."""


def addresses_of(service: str) -> list[str]:
    networks = [network for each in containers(service) for network in each["NetworkSettings"]["Networks"].values()]
    return [network["IPAddress"] for network in networks]


def test_another_network_reaches_nothing() -> None:
    image = containers("prediction")[0]["Image"]
    everything = [f"{host}:{port}" for name in SERVICES for host in addresses_of(name) for port in PORTS]
    assert len(inside("prediction", "python", "-c", KNOCK, *everything).split()) >= 8  # a neighbour reaches them
    knock = ["docker", "run", "--rm", "--entrypoint", "python", image, "-c", KNOCK, *everything]
    assert run(*knock).split() == []


def test_the_published_ports_answer_on_this_machine() -> None:
    published = {
        address("prediction", 8001),
        address("prediction", 8000),
        address("training", 8003),
        address("mlflow", 5000),
    }
    for each in published:
        host, port = each.rsplit(":", 1)
        assert host == "127.0.0.1"
        socket.create_connection((host, int(port)), timeout=5).close()


def test_the_inner_network_has_no_way_out() -> None:
    # 192.0.2.0/24 is nobody's; a network with a way out would try for the whole timeout.
    code = "import socket\ntry: socket.create_connection(('192.0.2.1', 80), 3)\nexcept OSError as e: print(e.errno)"
    assert inside("ray-worker", "python", "-c", code).strip() == "101"  # network is unreachable


def test_without_a_token_both_services_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_TOKEN", "")
    with TrainingClient(address("training", 8003)) as training, pytest.raises(AccessError):
        training.status()
    with pytest.raises(AccessError), prediction_client(address("prediction", 8001)) as prediction:
        prediction.metadata("digits-cnn")


def test_with_a_wrong_token_both_services_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_TOKEN", "0" * 64)
    with TrainingClient(address("training", 8003)) as training, pytest.raises(AccessError):
        training.status()
    with pytest.raises(AccessError), prediction_client(address("prediction", 8001)) as prediction:
        prediction.metadata("digits-cnn")


@pytest.mark.parametrize(
    "path", ["/", "/api/2.0/mlflow/experiments/search?max_results=1", "/ajax-api/2.0/mlflow/users/list"]
)
def test_without_a_password_mlflow_refuses(path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(f"http://{address('mlflow', 5000)}{path}", timeout=10)
    refused.value.close()


@pytest.mark.parametrize("path", ["/api/jobs/", "/api/version", "/nodes?view=summary", "/api/cluster_status"])
def test_without_a_token_the_dashboard_of_ray_refuses(path: str) -> None:
    code = (
        "import sys, urllib.request, urllib.error\n"
        "try: print(urllib.request.urlopen(sys.argv[1], timeout=10).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    assert inside("prediction", "python", "-c", code, f"http://ray-head:8265{path}").strip() in ("401", "403")


def nodes_told_to(token: str) -> str:
    """What the head of the Ray cluster tells a neighbour with this token about its nodes."""
    code = (
        "from ray._raylet import GcsClient\n"
        "print(len(GcsClient(address='ray-head:6379').get_all_node_info(timeout=10)), 'nodes')"
    )
    variables = ["-e", "RAY_AUTH_MODE=token", "-e", f"RAY_AUTH_TOKEN={token}", "-e", "RAY_AUTH_TOKEN_PATH="]
    ask = ["docker", "compose", "run", "--rm", "-T", *variables, "cli", "timeout", "45", "python", "-c", code]
    return run(*ask, check=False)


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_without_its_token_ray_tells_nothing(token: str) -> None:
    right = (Path(os.environ["DRIVETRAIN_SECRETS"]) / "ray-token").read_text()
    assert nodes_told_to(right).strip() == "2 nodes"
    assert nodes_told_to(token).strip() == ""


@pytest.mark.parametrize(("service", "port"), [("prediction", 8001), ("training", 8003)])
def test_health_is_open_to_probes(service: str, port: int) -> None:
    with grpc.insecure_channel(address(service, port)) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(  # type: ignore[attr-defined]  # its stub lacks this one
            health_pb2.HealthCheckRequest(), timeout=10
        )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
