"""What `docker inspect` shows of every container: how little it may do."""

from typing import Any

import pytest

from tests.e2e.compose.stack import SERVICES, containers, inside

MEASURED = (*SERVICES, "prometheus")
PUBLISHED = {"prediction": {"8001/tcp", "8000/tcp"}, "training": {"8003/tcp"}, "mlflow": {"5000/tcp"}}


@pytest.fixture(params=MEASURED)
def container(request: pytest.FixtureRequest) -> dict[str, Any]:
    found = containers(request.param)
    assert found, f"{request.param} does not run"
    return found[0]


def service_of(container: dict[str, Any]) -> str:
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


def test_it_runs_as_an_ordinary_user_by_number(container: dict[str, Any]) -> None:
    user, _, group = container["Config"]["User"].partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_its_root_file_system_cannot_be_written(container: dict[str, Any]) -> None:
    assert container["HostConfig"]["ReadonlyRootfs"] is True


def test_it_has_no_capabilities_and_gets_none(container: dict[str, Any]) -> None:
    host = container["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["Privileged"] is False
    assert "no-new-privileges:true" in host["SecurityOpt"]


def test_its_processes_have_none_either(container: dict[str, Any]) -> None:
    service = service_of(container)
    status = dict(line.split(":\t", 1) for line in inside(service, "cat", "/proc/self/status").splitlines())
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert "0" not in status["Uid"].split()


def test_it_is_limited(container: dict[str, Any]) -> None:
    host = container["HostConfig"]
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0
    assert set(host["LogConfig"]["Config"]) == {"max-size", "max-file"}


def test_it_comes_back_and_says_how_it_is(container: dict[str, Any]) -> None:
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert container["State"]["Health"]["Status"] == "healthy"


def test_it_publishes_no_port_but_its_own_and_to_this_machine_only(container: dict[str, Any]) -> None:
    bound = {port: where for port, where in container["HostConfig"]["PortBindings"].items() if where}
    assert set(bound) == PUBLISHED.get(service_of(container), set())
    assert {where["HostIp"] for each in bound.values() for where in each} <= {"127.0.0.1"}


def test_no_secret_is_in_its_settings(container: dict[str, Any]) -> None:
    suspicious = ("PASSWORD", "TOKEN", "SECRET", "KEY")
    values = dict(line.split("=", 1) for line in container["Config"]["Env"])
    values.pop("GPG_KEY", None)  # of Python's own image: whose signature its source has
    named = {name: value for name, value in values.items() if any(word in name for word in suspicious)}
    assert all(value.startswith("/run/secrets/") for value in named.values()), named
