"""The manifests agree with the code and with the compose stack: ports, variables, users, versions, resources."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import typer
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

from services.prediction.command import serve
from services.prediction.servicer import POLICY
from services.prediction.settings import Settings as PredictionSettings
from services.training.command import serve_training
from services.training.settings import Settings as TrainingSettings
from tests.unit.deploy.conftest import ROOT
from tests.unit.deploy.manifests import Document, Manifests, name_of

SHARED_WITH_COMPOSE = {
    "postgres": ("POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS"),
    "mlflow": ("PGHOST", "PGUSER", "MLFLOW_AUTH_ADMIN_USERNAME"),
    "training": (
        "MLFLOW_TRACKING_URI",
        "MLFLOW_TRACKING_USERNAME",
        "RAY_AUTH_MODE",
        "DRIVETRAIN_TRAINING_DRIVER_RESOURCE",
    ),
    "prediction": ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"),
    "ray-head": ("MLFLOW_TRACKING_URI", "RAY_AUTH_MODE", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"),
}
SERVICES: dict[str, PredictionSettings | TrainingSettings] = {
    "prediction": PredictionSettings(),
    "training": TrainingSettings(),
}


@pytest.fixture(scope="module")
def compose() -> Document:
    """The services of docker-compose.yml."""
    content = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services: Document = content["services"]
    return services


def environment(manifests: Manifests, pod: str) -> dict[str, str]:
    """The variables of a pod's first container that are no secret."""
    container = manifests.container(pod)
    maps = {name_of(each): each["data"] for each in manifests.of("ConfigMap")}
    taken = {
        key: text for each in container.get("envFrom", []) for key, text in maps[each["configMapRef"]["name"]].items()
    }
    return taken | {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_the_defaults_of_the_services(base: Manifests, name: str) -> None:
    settings = SERVICES[name]
    ports = {each["name"]: each["port"] for each in base.get("Service", name)["spec"]["ports"]}
    rest = {"rest": settings.rest_port} if isinstance(settings, PredictionSettings) else {}
    assert ports == base.pod(name).ports == {"grpc": settings.port, "metrics": settings.metrics_port} | rest


@pytest.mark.parametrize(("name", "ports"), [("prediction", {8001, 8000}), ("training", {8003}), ("mlflow", {5000})])
def test_ports_are_the_published_ones_of_compose(
    base: Manifests, compose: Document, name: str, ports: set[int]
) -> None:
    assert {int(mapping.rpartition(":")[2]) for mapping in compose[name]["ports"]} == ports
    assert ports <= {each["port"] for each in base.get("Service", name)["spec"]["ports"]}


@pytest.mark.parametrize(("pod", "names"), SHARED_WITH_COMPOSE.items())
def test_variables_are_those_of_compose(base: Manifests, compose: Document, pod: str, names: tuple[str, ...]) -> None:
    assert {name: environment(base, pod)[name] for name in names} == {
        name: compose[pod]["environment"][name] for name in names
    }


@pytest.mark.parametrize("pod", ["postgres", "mlflow", "ray-head", "training", "prediction"])
def test_images_are_those_of_compose(base: Manifests, compose: Document, pod: str) -> None:
    assert re.sub(r"\$\{\w+:-(.*)\}", r"\1", compose[pod]["image"]) == base.container(pod)["image"]


@pytest.mark.parametrize("image", ["training", "prediction", "mlflow"])
def test_users_and_volumes_are_those_of_the_images(base: Manifests, image: str) -> None:
    dockerfile = (ROOT / f"deploy/docker/{image}.Dockerfile").read_text()
    owned = re.findall(r"install -d -o 10001 -g 10001 (\S+)", dockerfile)
    assert owned
    assert "USER 10001:10001" in dockerfile
    for pod in base.pods():
        if f"drivetrain/{image}:" in pod.spec["containers"][0]["image"]:
            context = pod.spec["securityContext"]
            assert {context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
            assert {*owned, "/tmp"} <= {mount["mountPath"] for mount in pod.spec["containers"][0]["volumeMounts"]}


def options_of(command: Callable[..., None]) -> set[str]:
    """The variables that a service's command reads."""
    app = typer.Typer()
    app.command()(command)
    return {str(parameter.envvar) for parameter in typer.main.get_command(app).params if parameter.envvar}


@pytest.mark.parametrize("name", SERVICES)
def test_every_variable_of_ours_is_an_option(rendered: dict[str, Manifests], name: str) -> None:
    used = {key for key in environment(rendered["gpu"], name) if key.startswith("DRIVETRAIN_")}
    assert used
    assert used <= options_of({"prediction": serve, "training": serve_training}[name])


def test_files_are_where_the_variables_say(base: Manifests) -> None:
    for pod in base.pods():
        mounts = {mount["mountPath"] for mount in pod.spec["containers"][0]["volumeMounts"]}
        for key, path in environment(base, pod.name).items():
            if key.endswith(("_FILE", "_TOKEN_PATH")):
                assert str(Path(path).parent) in mounts, f"{pod.name}: {key}={path}"


def test_addresses_are_names_of_services(base: Manifests) -> None:
    names = {name_of(each) for each in base.of("Service")} | {
        f"{name_of(each)}-head-svc" for each in base.of("RayCluster")
    }
    for pod in base.pods():
        for key, text in environment(base, pod.name).items():
            if text.startswith("http://"):
                assert re.split(r"[/:]+", text)[1] in names, f"{pod.name}: {key}={text}"


def test_probes_ask_for_services_that_exist(base: Manifests) -> None:
    proto = (ROOT / "protos/training.proto").read_text()
    package, service = re.search(r"^package (\S+);", proto, re.M), re.search(r"^service (\w+)", proto, re.M)
    assert package is not None
    assert service is not None
    asked = {name: base.container(name)["readinessProbe"]["grpc"]["service"] for name in SERVICES}
    assert asked == {"prediction": POLICY.service, "training": f"{package[1]}.{service[1]}"}


def autoscaling(manifests: Manifests) -> dict[str, Any]:
    """What Ray's own autoscaler makes of the RayCluster."""
    config: dict[str, Any] = _derive_autoscaling_config_from_ray_cr(manifests.get("RayCluster", "ray"))
    return config


@pytest.mark.parametrize("variant", ["base", "gpu"])
def test_ray_reads_what_the_training_service_is_told(rendered: dict[str, Manifests], variant: str) -> None:
    groups = autoscaling(rendered[variant])["available_node_types"]
    head, workers = groups["headgroup"], groups["workers"]
    told = environment(rendered[variant], "training")
    assert head["resources"]["CPU"] == 0
    assert workers["resources"][told["DRIVETRAIN_TRAINING_DRIVER_RESOURCE"]] > 0
    assert workers["resources"]["CPU"] * workers["max_workers"] == int(told["DRIVETRAIN_TRAINING_MAX_CPUS"])
    assert workers["resources"].get("GPU", 0) * workers["max_workers"] == int(told["DRIVETRAIN_TRAINING_MAX_GPUS"])
    assert (workers["min_workers"], workers["max_workers"]) == (1, 4)


def test_ray_is_of_the_version_in_the_image(base: Manifests) -> None:
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"ray=={base.get('RayCluster', 'ray')['spec']['rayVersion']}" in constraints
    assert base.get("RayCluster", "ray")["spec"]["rayVersion"] == ray.__version__
