"""Whether a cluster could ever run a spec, were it idle. Pure arithmetic over what its nodes have."""

from collections.abc import Mapping, Sequence

from pipelines.spec.training import Compute
from services.training.cluster import Node

Demand = Mapping[str, float]


def driver_demand(driver_resource: str) -> Demand:
    """What a job's driver takes, by Ray's names of resources.

    By default next to nothing: whole CPUs would let drivers that wait for their workers take those workers' place. But
    something, as Ray puts a driver that asks for nothing on the head.
    """
    return {driver_resource: 1.0} if driver_resource else {"CPU": 0.01}


def shortage(compute: Compute, driver: Demand, nodes: Sequence[Node]) -> str | None:
    """Why idle `nodes` cannot hold the driver and every worker at once; None where they can.

    Workers are alike, so each node holds as many as fit beside what else it holds, and the driver is tried on each.
    """
    worker = compute.demand_per_worker
    asks = f"compute: asks for {compute.workers} × ({_told(worker)}), and {_told(driver)} for the driver"
    counts = [_how_many(node.resources, worker) for node in nodes]
    best = -1
    for at, node in enumerate(nodes):
        if _how_many(node.resources, driver):
            rest = {name: amount - driver.get(name, 0) for name, amount in node.resources.items()}
            best = max(best, sum(counts) - counts[at] + _how_many(rest, worker))
    return None if best >= compute.workers else f"{asks}; the Ray cluster has {_have(nodes, {**worker, **driver})}"


def shortage_when_grown(compute: Compute, max_cpus: float, max_gpus: float) -> str | None:
    """The same for a cluster that grows on demand up to these totals; 0 GPUs means none."""
    cpus, gpus = compute.workers * compute.cpus_per_worker, compute.workers * compute.gpus_per_worker
    if cpus <= max_cpus and gpus <= max_gpus:
        return None
    return (
        f"compute: asks for {cpus:g} CPU and {gpus:g} GPU in all; "
        f"the Ray cluster grows to {max_cpus:g} CPU and {max_gpus:g} GPU"
    )


def _how_many(have: Demand, each: Demand) -> int:
    """How many of `each` fit into what a node has."""
    return min(int(have.get(name, 0) / amount + 1e-9) for name, amount in each.items() if amount)


def _have(nodes: Sequence[Node], asked: Demand) -> str:
    """Each kind of node once, with its number, and what it has of what is asked for."""
    names = dict.fromkeys(("CPU", "GPU", *asked))
    kinds = [_told({name: node.resources.get(name, 0) for name in names}) for node in nodes]
    return "; ".join(f"{kinds.count(kind)} × ({kind})" for kind in dict.fromkeys(kinds)) or "no nodes"


def _told(amounts: Demand) -> str:
    units = {"memory": (2**30, "GiB of memory")}
    named = [(amount, *units.get(name, (1, name))) for name, amount in amounts.items()]
    return ", ".join(f"{amount / unit:.4g} {name}" for amount, unit, name in named)
