import pytest

from pipelines.spec.training import Compute
from services.training.capacity import driver_demand, shortage, shortage_when_grown
from services.training.cluster import Node

HEAD = Node({"CPU": 0, "memory": 1e9})
WORKER = Node({"CPU": 2, "driver": 4})
GPU = Node({"CPU": 4, "GPU": 2, "driver": 4})
LARGE = Node({"CPU": 8, "memory": 10 * 2.0**30, "driver": 4})
CPU_DRIVER, OWN_DRIVER = driver_demand(""), driver_demand("driver")


@pytest.mark.parametrize(
    ("compute", "driver", "nodes"),
    [
        (Compute(workers=1), CPU_DRIVER, [HEAD, WORKER]),
        (Compute(workers=2), OWN_DRIVER, [HEAD, WORKER]),
        (Compute(workers=3), CPU_DRIVER, [WORKER, WORKER]),
        (Compute(workers=1, cpus_per_worker=2), CPU_DRIVER, [WORKER, WORKER]),
        (Compute(workers=2, cpus_per_worker=2), OWN_DRIVER, [WORKER, WORKER]),
        (Compute(workers=4, gpus_per_worker=0.5), OWN_DRIVER, [WORKER, GPU]),
        (Compute(workers=1, cpus_per_worker=2), CPU_DRIVER, [WORKER, Node({"CPU": 1})]),
        (Compute(workers=2, memory_gib_per_worker=4), OWN_DRIVER, [LARGE]),
    ],
)
def test_what_fits(compute: Compute, driver: dict[str, float], nodes: list[Node]) -> None:
    assert shortage(compute, driver, nodes) is None


@pytest.mark.parametrize(
    ("compute", "driver", "nodes"),
    [
        (Compute(workers=2), CPU_DRIVER, [HEAD, WORKER]),
        (Compute(workers=1, cpus_per_worker=3), OWN_DRIVER, [WORKER, WORKER]),
        (Compute(workers=2, cpus_per_worker=2), CPU_DRIVER, [WORKER, WORKER]),
        (Compute(workers=1, gpus_per_worker=1), OWN_DRIVER, [WORKER]),
        (Compute(workers=1), OWN_DRIVER, [Node({"CPU": 8})]),
        (Compute(workers=1), CPU_DRIVER, []),
        (Compute(workers=3, memory_gib_per_worker=4), OWN_DRIVER, [LARGE]),
        (Compute(workers=1, memory_gib_per_worker=4), OWN_DRIVER, [WORKER]),
    ],
)
def test_what_never_fits(compute: Compute, driver: dict[str, float], nodes: list[Node]) -> None:
    assert shortage(compute, driver, nodes)


def test_the_reason_says_what_is_asked_for_and_what_there_is() -> None:
    assert shortage(Compute(workers=64, cpus_per_worker=2), OWN_DRIVER, [HEAD, WORKER, WORKER]) == (
        "compute: asks for 64 × (2 CPU), and 1 driver for the driver; "
        "the Ray cluster has 1 × (0 CPU, 0 GPU, 0 driver); 2 × (2 CPU, 0 GPU, 4 driver)"
    )


def test_memory_is_told_in_gibibytes() -> None:
    assert shortage(Compute(workers=3, memory_gib_per_worker=4), OWN_DRIVER, [LARGE]) == (
        "compute: asks for 3 × (1 CPU, 4 GiB of memory), and 1 driver for the driver; "
        "the Ray cluster has 1 × (8 CPU, 0 GPU, 10 GiB of memory, 4 driver)"
    )


def test_a_cluster_that_grows_is_judged_by_what_it_can_grow_to() -> None:
    assert shortage_when_grown(Compute(workers=4, cpus_per_worker=2), 8, 0) is None
    assert shortage_when_grown(Compute(workers=4, cpus_per_worker=2, gpus_per_worker=1), 8, 2) == (
        "compute: asks for 8 CPU and 4 GPU in all; the Ray cluster grows to 8 CPU and 2 GPU"
    )
