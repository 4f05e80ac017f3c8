"""The Kubernetes manifests: every variant that users can render is valid, locked down and consistent."""

import base64
import re
from pathlib import Path

import yaml

from services.prediction.metrics import COUNTS
from tests.unit.deploy.conftest import SOURCE
from tests.unit.deploy.manifests import Manifests, name_of
from tests.unit.deploy.network import arrows, arrows_from_namespace
from tests.unit.deploy.rules import broken
from tests.unit.deploy.schemas import violations

RAY = ("ray-head", "ray-workers")


def test_every_document_satisfies_its_schema(manifests: Manifests) -> None:
    assert [text for document in manifests.documents for text in violations(document)] == []


def test_every_rule_is_kept(manifests: Manifests) -> None:
    assert broken(manifests) == []


def test_only_the_arrows_of_the_design_are_allowed(base: Manifests) -> None:
    between_ray = {
        (source, target, port) for source in RAY for target in RAY for port in base.pod(target).ports.values()
    }
    to_mlflow = {(source, "mlflow", 5000) for source in (*RAY, "training", "prediction")}
    assert arrows(base) == between_ray | to_mlflow | {("training", "ray-head", 8265), ("mlflow", "postgres", 5432)}


def test_from_outside_only_the_two_services_answer(base: Manifests) -> None:
    assert arrows_from_namespace(base, "other") == {
        ("other", "prediction", 8000),
        ("other", "prediction", 8001),
        ("other", "training", 8003),
    }


def test_only_prometheus_reads_metrics(rendered: dict[str, Manifests]) -> None:
    monitored = rendered["monitoring"]
    outside = arrows_from_namespace(monitored, "other")
    metrics = {("prediction", 8002), ("training", 8004), ("ray-head", 8080), ("ray-workers", 8080)}
    added = {(target, port) for _, target, port in arrows_from_namespace(monitored, "monitoring")}
    assert outside == {("other", "prediction", 8000), ("other", "prediction", 8001), ("other", "training", 8003)}
    assert added == metrics | {(target, port) for _, target, port in outside}


def test_only_the_autoscaler_holds_a_token_of_the_kubernetes_api(base: Manifests) -> None:
    holders = [
        f"{pod.name}/{container['name']}"
        for pod in base.pods()
        for container in pod.containers
        for mount in container.get("volumeMounts", [])
        if "serviceaccount" in mount["mountPath"]
    ]
    assert holders == ["ray-head/autoscaler"]


def test_a_postgres_of_the_users_replaces_ours(rendered: dict[str, Manifests]) -> None:
    manifests = rendered["external-postgres"]
    assert [name_of(each) for each in manifests.documents if name_of(each).startswith("postgres")] == [
        name_of(manifests.get("ConfigMap", "postgres-client")),
        name_of(manifests.get("Secret", "postgres")),
    ]
    assert manifests.get("ConfigMap", "postgres-client")["data"]["PGSSLMODE"] == "require"


def test_queue_time_scales_beside_the_cpu(rendered: dict[str, Manifests]) -> None:
    metrics = rendered["queue-autoscaling"].get("HorizontalPodAutoscaler", "prediction")["spec"]["metrics"]
    rules = yaml.safe_load((SOURCE / "components/queue-autoscaling/prometheus-adapter-rules.yaml").read_text())
    (rule,) = rules["rules"]["custom"]
    assert [metric["type"] for metric in metrics] == ["Resource", "Pods"]
    assert metrics[1]["pods"]["metric"]["name"] == rule["name"]["as"]
    exposed = {f"nv_inference_{name}" for name in COUNTS}
    assert set(re.findall(r"nv_inference_\w+", rule["metricsQuery"] + rule["seriesQuery"])) <= exposed


def test_the_example_names_one_registry(rendered: dict[str, Manifests]) -> None:
    images = {container["image"] for pod in rendered["example"].pods() for container in pod.containers}
    assert images == {"postgres:15-bookworm"} | {
        f"registry.example.com/drivetrain/{name}:0.1.0" for name in ("training", "prediction", "mlflow")
    }
    assert rendered["example"].get("PersistentVolumeClaim", "state")["spec"]["storageClassName"] == "nfs"


def test_secrets_are_as_their_files(tree: Path, base: Manifests) -> None:
    password = base64.b64decode(base.get("Secret", "postgres")["data"]["password"]).decode()
    assert password == (tree / "base/secrets/postgres-password").read_text()
    assert password == password.strip()  # a line end would become part of it
