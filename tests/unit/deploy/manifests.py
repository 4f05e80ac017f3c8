"""Rendered manifests and the questions that the rules ask of them."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

NAMESPACE = "drivetrain"
WORKLOADS = {"Deployment", "StatefulSet"}


@dataclass(frozen=True)
class Pod:
    """A pod template and what it comes from; KubeRay's autoscaler stands among the head's containers."""

    name: str
    labels: dict[str, str]
    spec: Document
    volume_claims: tuple[str, ...] = ()

    @property
    def containers(self) -> list[Document]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", [])}


@dataclass(frozen=True)
class Manifests:
    """Everything that one kustomization renders."""

    documents: list[Document]

    def of(self, *kinds: str) -> list[Document]:
        return [document for document in self.documents if document["kind"] in kinds]

    def get(self, kind: str, name: str) -> Document:
        """The one whose name this is, or begins with before the hash that kustomize adds."""
        hashed = re.compile(rf"{name}(-[a-z0-9]{{10}})?")
        found = [each for each in self.of(kind) if hashed.fullmatch(name_of(each))]
        assert len(found) == 1, f"{kind} {name}: expected one, came {len(found)}"
        return found[0]

    def pods(self) -> list[Pod]:
        of_ray = [pod for cluster in self.of("RayCluster") for pod in ray_pods(cluster)]
        return [*map(_pod_of_workload, self.of(*WORKLOADS)), *of_ray]

    def pod(self, name: str) -> Pod:
        return next(pod for pod in self.pods() if pod.name == name)

    def container(self, name: str) -> Document:
        """The first container of a pod."""
        container: Document = self.pod(name).spec["containers"][0]
        return container


def name_of(document: Document) -> str:
    name: str = document["metadata"]["name"]
    return name


def ray_pods(cluster: Document) -> Iterator[Pod]:
    """The head's pod, with the autoscaler that KubeRay adds to it, and one of each group of workers."""
    spec = cluster["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        template = group["template"]
        containers = list(template["spec"]["containers"])
        if "groupName" not in group and spec.get("enableInTreeAutoscaling"):
            containers.append(_autoscaler(spec["autoscalerOptions"], containers[0]["image"]))
        name = f"ray-{group['groupName']}" if "groupName" in group else "ray-head"
        yield Pod(name, template["metadata"]["labels"], template["spec"] | {"containers": containers})


def _autoscaler(options: Document, image: str) -> Document:
    taken = ("env", "envFrom", "imagePullPolicy", "resources", "securityContext", "volumeMounts")
    return {"name": "autoscaler", "image": image} | {key: options[key] for key in taken if key in options}


def _pod_of_workload(workload: Document) -> Pod:
    template = workload["spec"]["template"]
    claims = tuple(name_of(claim) for claim in workload["spec"].get("volumeClaimTemplates", []))
    return Pod(name_of(workload), template["metadata"]["labels"], template["spec"], claims)


def selects(selector: Document, labels: dict[str, str]) -> bool:
    """A label selector of Kubernetes; the empty one selects everything."""
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(_meets(each, labels) for each in selector.get("matchExpressions", []))


def _meets(expression: Document, labels: dict[str, str]) -> bool:
    assert expression["operator"] == "In", f"operator: expected In, came {expression['operator']}"
    return labels.get(expression["key"]) in expression["values"]


def kustomize() -> list[str] | None:
    """The command that renders a folder: kubectl's or kustomize's own; None if this machine has neither."""
    for command in (["kubectl", "kustomize"], ["kustomize", "build"]):
        if shutil.which(command[0]):
            return command
    return None


def render(folder: Path) -> Manifests:
    """What kustomize makes of a folder."""
    command = kustomize()
    assert command is not None, "expected kubectl or kustomize on the PATH"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(
        [*command, str(folder)], check=False, capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return Manifests(list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader)))
