"""The checks of the manifests can fail: each change that breaks something is noticed."""

from copy import deepcopy
from typing import Any

import pytest

from tests.unit.deploy.manifests import Document, Manifests, name_of
from tests.unit.deploy.network import arrows
from tests.unit.deploy.rules import broken
from tests.unit.deploy.schemas import violations


def set_at(document: Document, path: str, value: object) -> None:
    """Put a value at a path like `spec.template.spec.containers.0.image`; None removes what is there."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = document
    for part in parents:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value


POD = "spec.template.spec"
FIRST = f"{POD}.containers.0"
HEAD = "spec.headGroupSpec.template.spec.containers.0"
RULE_BREAKERS = [
    ("Service", "mlflow", "metadata.namespace", "default", "not in the namespace"),
    ("Deployment", "training", f"{POD}.automountServiceAccountToken", None, "mounts a token"),
    ("Deployment", "mlflow", f"{POD}.enableServiceLinks", None, "variables from the names of Services"),
    ("Deployment", "training", f"{POD}.securityContext.runAsUser", 0, "which user"),
    ("Deployment", "training", f"{POD}.securityContext.runAsNonRoot", None, "may be root"),
    ("Deployment", "training", f"{POD}.securityContext.seccompProfile", None, "may be root"),
    ("Deployment", "mlflow", f"{FIRST}.securityContext.readOnlyRootFilesystem", False, "write to its image"),
    ("Deployment", "mlflow", f"{FIRST}.securityContext.capabilities.drop", ["NET_RAW"], "gain rights"),
    ("RayCluster", "ray", f"{HEAD}.securityContext.allowPrivilegeEscalation", None, "gain rights"),
    ("RayCluster", "ray", "spec.autoscalerOptions.securityContext", {}, "ray-head/autoscaler: may gain rights"),
    (
        "RayCluster",
        "ray",
        "spec.autoscalerOptions.resources.limits",
        {},
        "ray-head/autoscaler: lacks requests or limits",
    ),
    ("StatefulSet", "postgres", f"{FIRST}.resources.limits.memory", None, "lacks requests or limits"),
    ("Deployment", "prediction", f"{FIRST}.startupProbe", None, "lacks a startupProbe"),
    ("Deployment", "prediction", f"{FIRST}.livenessProbe.grpc.port", 8005, "asks port 8005"),
    ("RayCluster", "ray", f"{HEAD}.livenessProbe.httpGet.port", "agents", "asks port agents"),
    ("Deployment", "prediction", f"{POD}.volumes.0.name", "other", "is no volume"),
    ("Deployment", "prediction", f"{FIRST}.volumeMounts.0.readOnly", None, "mounts tokens to write"),
    ("Deployment", "prediction", f"{POD}.volumes.0.secret.secretName", "other", "there is no Secret other"),
    ("Deployment", "training", f"{POD}.volumes.0.persistentVolumeClaim.claimName", "x", "no PersistentVolumeClaim x"),
    ("Deployment", "training", f"{FIRST}.envFrom.0.configMapRef.name", "other", "there is no ConfigMap other"),
    ("Deployment", "training", f"{FIRST}.env.0.valueFrom.secretKeyRef.key", "other", "has no key other"),
    ("RayCluster", "ray", f"{HEAD}.env.2.valueFrom.secretKeyRef.name", "mlflow", "there is no Secret mlflow"),
    ("Deployment", "training", f"{POD}.serviceAccountName", "default", "there is no ServiceAccount default"),
    ("Service", "prediction", "spec.selector", {"app": "prediction"}, "Service prediction: no pod"),
    ("Service", "prediction", "spec.ports.0.targetPort", "http", "Service prediction: no pod"),
    ("NetworkPolicy", "mlflow", "spec.podSelector.matchLabels", {"app": "x"}, "NetworkPolicy mlflow"),
    ("NetworkPolicy", "training", "spec.egress.1.to.0.podSelector.matchLabels", {"app": "x"}, "NetworkPolicy training"),
    ("PodDisruptionBudget", "prediction", "spec.selector.matchLabels", {"app": "x"}, "selects no pod"),
    ("ServiceMonitor", "drivetrain", "spec.endpoints.0.port", "http", "lacks the port http"),
    ("PodMonitor", "ray", "spec.podMetricsEndpoints.0.port", "http", "lacks the port http"),
    ("Deployment", "mlflow", f"{FIRST}.image", "ghcr.io/mlflow/mlflow:v3", "runs ghcr.io/mlflow/mlflow:v3"),
    ("Deployment", "mlflow", f"{FIRST}.image", "drivetrain/mlflow:latest", "runs drivetrain/mlflow:latest"),
    ("Deployment", "prediction", f"{POD}.terminationGracePeriodSeconds", 40, "killed before it has drained"),
    ("Deployment", "prediction", f"{FIRST}.lifecycle", None, "killed before it has drained"),
]
SCHEMA_BREAKERS = [
    ("Deployment", "training", f"{FIRST}.livenesProbe", {}, "livenesProbe"),
    ("Deployment", "training", "spec.replicas", "one", "one"),
    ("HorizontalPodAutoscaler", "prediction", "spec.maxReplica", 3, "maxReplica"),
    ("NetworkPolicy", "mlflow", "spec.ingress.0.form", [], "form"),
    ("RayCluster", "ray", "spec.autoscaling", True, "autoscaling"),
    ("RayCluster", "ray", "spec.workerGroupSpecs.0.maxReplicas", "4", "integer"),
    ("RayCluster", "ray", "spec.headGroupSpec.rayStartParams.num-cpus", 0, "string"),
    ("RayCluster", "ray", f"{HEAD}.imagePulPolicy", "Always", "imagePulPolicy"),
    ("RayCluster", "ray", "spec.autoscalerOptions.volumeMounts.0.readonly", True, "readonly"),
    ("ServiceMonitor", "drivetrain", "spec.endpoints.0.interval", 15, "string"),
    ("PodMonitor", "ray", "spec.namespace", "x", "namespace"),
]


def mutated(manifests: Manifests, kind: str, name: str, path: str, value: object) -> Manifests:
    copy = Manifests(deepcopy(manifests.documents))
    set_at(copy.get(kind, name), path, value)
    return copy


@pytest.mark.parametrize(("kind", "name", "path", "value", "text"), RULE_BREAKERS)
def test_a_broken_rule_is_noticed(
    rendered: dict[str, Manifests], kind: str, name: str, path: str, value: object, text: str
) -> None:
    manifests = mutated(rendered["monitoring"], kind, name, path, value)
    assert any(text in each for each in broken(manifests)), broken(manifests)


@pytest.mark.parametrize(("kind", "name", "path", "value", "text"), SCHEMA_BREAKERS)
def test_a_broken_schema_is_noticed(
    rendered: dict[str, Manifests], kind: str, name: str, path: str, value: object, text: str
) -> None:
    manifests = mutated(rendered["monitoring"], kind, name, path, value)
    assert any(text in each for each in violations(manifests.get(kind, name)))


def test_a_missing_policy_is_noticed(base: Manifests) -> None:
    removed = {"default-deny", "dns", "postgres", "prediction"}
    without = Manifests(
        [each for each in base.documents if each["kind"] != "NetworkPolicy" or name_of(each) not in removed]
    )
    assert ("training", "postgres", 5432) not in arrows(without)  # its egress is still closed
    assert ("prediction", "postgres", 5432) not in arrows(base)
    assert ("prediction", "postgres", 5432) in arrows(without)
