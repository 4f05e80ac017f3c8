"""Documents against schemas, unknown keys refused.

Kubernetes' own kinds are checked by the schemas of Kubernetes, from the package kubernetes-validate. The kinds of
KubeRay and of the Prometheus Operator are not in it: for them stands here what the references of the two say of the
fields that we use, and their pod templates are checked as Kubernetes' own.
"""

import json
from functools import cache
from typing import Any

import jsonschema
import pytest

from tests.unit.deploy.manifests import Document, name_of, ray_pods

Schema = dict[str, Any]

VERSIONS = ("1.31", "1.37")
"""The oldest Kubernetes that the README names, and the newest that the package knows."""

POD = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "template"}}


def _record(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
CHECKED_ELSEWHERE: Schema = {}  # parts of pods, as a PodTemplate
PARAMETERS: Schema = {"type": "object", "additionalProperties": TEXT}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
METADATA = _record(["name", "namespace"], name=TEXT, namespace=TEXT, labels=LABELS)
SELECTOR = _record(
    [],
    matchLabels=LABELS,
    matchExpressions=_list(
        _record(["key", "operator", "values"], key=TEXT, operator={"const": "In"}, values=_list(TEXT))
    ),
)
ENDPOINT = _record(["port"], port=TEXT, interval={"type": "string", "pattern": "^[0-9]+s$"})

AUTOSCALER = _record(
    [],
    version={"enum": ["v1", "v2"]},
    upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    idleTimeoutSeconds=COUNT,
    imagePullPolicy=CHECKED_ELSEWHERE,
    resources=CHECKED_ELSEWHERE,
    securityContext=CHECKED_ELSEWHERE,
    env=CHECKED_ELSEWHERE,
    volumeMounts=CHECKED_ELSEWHERE,
)
HEAD = _record(["rayStartParams", "template"], rayStartParams=PARAMETERS, template=CHECKED_ELSEWHERE)
WORKERS = _record(
    ["groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"],
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=PARAMETERS,
    template=CHECKED_ELSEWHERE,
)
SPECS: dict[tuple[str, str], Schema] = {
    ("ray.io/v1", "RayCluster"): _record(
        ["headGroupSpec", "rayVersion"],
        rayVersion=TEXT,
        enableInTreeAutoscaling={"type": "boolean"},
        autoscalerOptions=AUTOSCALER,
        headGroupSpec=HEAD,
        workerGroupSpecs=_list(WORKERS),
    ),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _record(
        ["endpoints", "selector"], endpoints=_list(ENDPOINT), selector=SELECTOR
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): _record(
        ["podMetricsEndpoints", "selector"],
        podMetricsEndpoints=_list(ENDPOINT),
        podTargetLabels=_list(TEXT),
        selector=SELECTOR,
    ),
}


def violations(document: Document) -> list[str]:
    """What the schemas say against a document, each beginning with its kind and name."""
    where = f"{document['kind']} {name_of(document)}"
    spec = SPECS.get((document["apiVersion"], document["kind"]))
    if spec is None:
        return [f"{where}: {text}" for text in _kubernetes(document)]
    own = _record(["spec"], apiVersion=TEXT, kind=TEXT, metadata=METADATA, spec=spec)
    errors = [
        f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(own).iter_errors(document)
    ]
    if not errors and document["kind"] == "RayCluster":
        errors = [text for pod in ray_pods(document) for text in _kubernetes(POD | {"template": {"spec": pod.spec}})]
    return [f"{where}: {text}" for text in errors]


def _kubernetes(document: Document) -> list[str]:
    return _checked(json.dumps(document))


@cache
def _checked(text: str) -> list[str]:
    """Cached, as most documents are the same in every variant."""
    document = json.loads(text)
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    texts = []
    for version in VERSIONS:
        try:
            validator.validate(document, version, strict=True)
        except validator.ValidationError as error:
            texts.append(f"{error.json_path}: {error.message} (Kubernetes {version})")
        except validator.SchemaNotFoundError as error:
            texts.append(error.message)
    return texts
