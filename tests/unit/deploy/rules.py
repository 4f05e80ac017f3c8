"""What must hold in the manifests beyond their schemas; every rule returns what breaks it, or nothing."""

from collections.abc import Iterator

from tests.unit.deploy.manifests import NAMESPACE, Document, Manifests, Pod, name_of, selects

IMAGES = {"drivetrain/training", "drivetrain/training-cuda", "drivetrain/prediction", "drivetrain/mlflow", "postgres"}
SANDBOX: Document = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
WRITABLE = {"emptyDir", "persistentVolumeClaim"}
NOT_OURS = {("ConfigMap", "kube-root-ca.crt")}  # Kubernetes puts it into every namespace
CLUSTER_WIDE = {"Namespace"}


def broken(manifests: Manifests) -> list[str]:
    """Everything that breaks a rule."""
    return [text for rule in RULES for text in rule(manifests)]


def everything_is_in_the_namespace(manifests: Manifests) -> Iterator[str]:
    for document in manifests.documents:
        if document["kind"] not in CLUSTER_WIDE and document["metadata"].get("namespace") != NAMESPACE:
            yield f"{document['kind']} {name_of(document)}: not in the namespace {NAMESPACE}"


def pods_are_locked_down(manifests: Manifests) -> Iterator[str]:
    for pod in manifests.pods():
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.name}: mounts a token of the Kubernetes API"
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.name}: takes variables from the names of Services"
        if pod.spec.get("securityContext", {}).get("runAsUser", 0) < 1:
            yield f"{pod.name}: does not say which user it runs as"
        for container in pod.containers:
            context = {**pod.spec.get("securityContext", {}), **container.get("securityContext", {})}
            if context.get("runAsNonRoot") is not True or context.get("seccompProfile") != {"type": "RuntimeDefault"}:
                yield f"{pod.name}/{container['name']}: may be root, or lacks the default seccomp profile"
            if not SANDBOX.items() <= context.items():
                yield f"{pod.name}/{container['name']}: may gain rights or write to its image"


def containers_have_limits(manifests: Manifests) -> Iterator[str]:
    for pod in manifests.pods():
        for container in pod.containers:
            resources = container.get("resources", {})
            if any({"cpu", "memory"} - set(resources.get(part, {})) for part in ("requests", "limits")):
                yield f"{pod.name}/{container['name']}: lacks requests or limits of CPU and memory"


def servers_are_probed(manifests: Manifests) -> Iterator[str]:
    for pod in manifests.pods():
        for container in pod.containers:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe") if container.get("ports") else ():
                asked = container.get(probe, {})
                port = asked.get("httpGet", asked.get("grpc", {})).get("port")
                if not asked:
                    yield f"{pod.name}/{container['name']}: lacks a {probe}"
                elif "exec" not in asked and port not in {*pod.ports, *pod.ports.values()}:
                    yield f"{pod.name}/{container['name']}: its {probe} asks port {port}, which it does not have"


def volumes_and_mounts_agree(manifests: Manifests) -> Iterator[str]:
    for pod in manifests.pods():
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        for container in pod.containers:
            for mount in container.get("volumeMounts", []):
                volume = volumes.get(mount["name"], {})
                if not volume and mount["name"] not in pod.volume_claims:
                    yield f"{pod.name}/{container['name']}: mounts {mount['name']}, which is no volume"
                elif volume and WRITABLE.isdisjoint(volume) and mount.get("readOnly") is not True:
                    yield f"{pod.name}/{container['name']}: mounts {mount['name']} to write"


def references_resolve(manifests: Manifests) -> Iterator[str]:
    for pod in manifests.pods():
        for kind, name, key in _references(pod):
            found = [each for each in manifests.of(kind) if name_of(each) == name]
            if not found and (kind, name) not in NOT_OURS:
                yield f"{pod.name}: there is no {kind} {name}"
            elif found and key and key not in found[0]["data"]:
                yield f"{pod.name}: {kind} {name} has no key {key}"


def _references(pod: Pod) -> Iterator[tuple[str, str, str]]:
    """Kind, name and key of all that a pod needs; the key may be empty."""
    yield "ServiceAccount", pod.spec["serviceAccountName"], ""
    for container in pod.containers:
        for source in container.get("envFrom", []):
            yield "ConfigMap", source["configMapRef"]["name"], ""
        for variable in container.get("env", []):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                yield "Secret", reference["name"], reference["key"]
    for volume in pod.spec.get("volumes", []):
        yield from _references_of_volume(volume)


def _references_of_volume(volume: Document) -> Iterator[tuple[str, str, str]]:
    for source in volume.get("projected", {}).get("sources", [volume]):
        if "secret" in source:
            yield "Secret", source["secret"]["secretName"], ""
        if "configMap" in source:
            yield "ConfigMap", source["configMap"]["name"], ""
        if "persistentVolumeClaim" in source:
            yield "PersistentVolumeClaim", source["persistentVolumeClaim"]["claimName"], ""


def selectors_find_pods(manifests: Manifests) -> Iterator[str]:
    for document in manifests.of("Service"):
        if not any(_serves(pod, document["spec"]) for pod in manifests.pods()):
            yield f"Service {name_of(document)}: no pod has its labels and ports"
    for document in manifests.of("NetworkPolicy"):
        for selector in _pod_selectors(document["spec"]):
            if not any(selects(selector, pod.labels) for pod in manifests.pods()):
                yield f"NetworkPolicy {name_of(document)}: {selector} selects no pod"
    for document in manifests.of("PodDisruptionBudget", "Deployment", "StatefulSet", "PodMonitor"):
        if not any(selects(document["spec"]["selector"], pod.labels) for pod in manifests.pods()):
            yield f"{document['kind']} {name_of(document)}: selects no pod"


def _serves(pod: Pod, service: Document) -> bool:
    ports = {*pod.ports, *pod.ports.values()}
    return service["selector"].items() <= pod.labels.items() and all(
        each["targetPort"] in ports for each in service["ports"]
    )


def _pod_selectors(policy: Document) -> Iterator[Document]:
    yield policy["podSelector"]
    for rule in policy.get("ingress", []) + policy.get("egress", []):
        for peer in rule.get("from", []) + rule.get("to", []):
            if "podSelector" in peer:
                yield peer["podSelector"]


def monitors_find_ports(manifests: Manifests) -> Iterator[str]:
    services = [
        (each["metadata"]["labels"], {port["name"] for port in each["spec"]["ports"]})
        for each in manifests.of("Service")
    ]
    pods = [(pod.labels, set(pod.ports)) for pod in manifests.pods()]
    for kind, key, targets in (("ServiceMonitor", "endpoints", services), ("PodMonitor", "podMetricsEndpoints", pods)):
        for document in manifests.of(kind):
            found = [ports for labels, ports in targets if selects(document["spec"]["selector"], labels)]
            for endpoint in document["spec"][key]:
                if not found or any(endpoint["port"] not in ports for ports in found):
                    yield f"{kind} {name_of(document)}: what it selects lacks the port {endpoint['port']}"


def images_are_ours(manifests: Manifests) -> Iterator[str]:
    for pod in manifests.pods():
        for container in pod.containers:
            name, _, tag = container["image"].rpartition(":")
            if not any(name == image or name.endswith(f"/{image}") for image in IMAGES) or tag == "latest":
                yield f"{pod.name}/{container['name']}: runs {container['image']}"


def pods_outlive_their_drain(manifests: Manifests) -> Iterator[str]:
    for pod in manifests.pods():
        for container in pod.containers:
            variables = {each["name"]: each.get("value") for each in container.get("env", [])}
            drain = next((value for name, value in variables.items() if name.endswith("_DRAIN_GRACE")), None)
            stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
            needed_s = float(stop[1]) + float(drain or 0)
            if drain and (stop == ["sleep", "0"] or pod.spec["terminationGracePeriodSeconds"] <= needed_s):
                yield f"{pod.name}/{container['name']}: is killed before it has drained"


RULES = (
    everything_is_in_the_namespace,
    pods_are_locked_down,
    containers_have_limits,
    servers_are_probed,
    volumes_and_mounts_agree,
    references_resolve,
    selectors_find_pods,
    monitors_find_ports,
    images_are_ours,
    pods_outlive_their_drain,
)
