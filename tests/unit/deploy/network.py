"""Who may talk to whom, by the NetworkPolicies: it takes the egress of one side and the ingress of the other."""

from collections.abc import Iterable

from tests.unit.deploy.manifests import Document, Manifests, Pod, selects

Arrow = tuple[str, str, int]
"""From a pod or a namespace, to a pod, on a port."""


def arrows(manifests: Manifests) -> set[Arrow]:
    """Every connection between two pods that is allowed."""
    pods, policies = manifests.pods(), [each["spec"] for each in manifests.of("NetworkPolicy")]
    return {
        (source.name, target.name, port)
        for source in pods
        for target in pods
        for port in target.ports.values()
        if _allows(policies, "egress", source, port, peer=target.labels)
        and _allows(policies, "ingress", target, port, peer=source.labels)
    }


def arrows_from_namespace(manifests: Manifests, namespace: str) -> set[Arrow]:
    """Every connection from the pods of another namespace that is allowed."""
    policies = [each["spec"] for each in manifests.of("NetworkPolicy")]
    return {
        (namespace, target.name, port)
        for target in manifests.pods()
        for port in target.ports.values()
        if _allows(policies, "ingress", target, port, namespace=namespace)
    }


def _allows(
    policies: Iterable[Document],
    direction: str,
    pod: Pod,
    port: int,
    peer: dict[str, str] | None = None,
    namespace: str | None = None,
) -> bool:
    applying = [
        policy
        for policy in policies
        if direction.capitalize() in policy["policyTypes"] and selects(policy["podSelector"], pod.labels)
    ]
    rules = [rule for policy in applying for rule in policy.get(direction, [])]
    return not applying or any(_admits(rule, direction, port, peer, namespace) for rule in rules)


def _admits(rule: Document, direction: str, port: int, peer: dict[str, str] | None, namespace: str | None) -> bool:
    if "ports" in rule and port not in [each["port"] for each in rule["ports"]]:
        return False
    peers = rule.get("from" if direction == "ingress" else "to")
    return peers is None or any(_is(each, peer, namespace) for each in peers)


def _is(peer: Document, labels: dict[str, str] | None, namespace: str | None) -> bool:
    if "podSelector" in peer and "namespaceSelector" not in peer:
        return labels is not None and selects(peer["podSelector"], labels)
    wanted = peer.get("namespaceSelector", {}).get("matchLabels", {})
    return namespace is not None and wanted == {"kubernetes.io/metadata.name": namespace}
