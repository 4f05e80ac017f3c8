"""A server process under attack, and what it must still be afterwards."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from mlflow import MlflowClient

from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.integration.prediction.serving import ROW, raw_probabilities, raw_request
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import plain_classifier, probabilities
from tests.waiting import eventually

COMMAND = [sys.executable, "-m", "services.prediction", "--port", "0", "--metrics-port", "0", "--no-rest"]


@dataclass(frozen=True)
class State:
    """What a process holds."""

    resident_mib: float
    threads: int
    descriptors: int

    def __str__(self) -> str:
        return f"RSS {self.resident_mib:.0f} MiB, {self.threads} threads, {self.descriptors} descriptors"


@dataclass
class Target:
    """A running server; its log goes to a file."""

    popen: subprocess.Popen[bytes]
    log: Path
    port: int = 0

    @property
    def state(self) -> State:
        """As the kernel counts it."""
        place = Path(f"/proc/{self.popen.pid}")
        status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        resident_kib, threads = int(status["VmRSS"].split()[0]), int(status["Threads"])
        return State(resident_kib / 1024, threads, len(list((place / "fd").iterdir())))

    def statuses(self) -> Counter[str]:
        """The refusals in the log, by status."""
        return Counter(re.findall(r"GRPCInferenceService/\w+: ([A-Z_]+): ", self.log.read_text(errors="replace")))

    def check_answers(self) -> None:
        """A good request on a connection of its own is answered well."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            answer = GRPCInferenceServiceStub(channel).ModelInfer(raw_request("digits"), timeout=20)
        np.testing.assert_allclose(raw_probabilities(answer), probabilities(ROW, 1.0), atol=1e-6)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first place in the log that matches."""
        found: list[re.Match[str]] = []

        def is_there() -> bool:
            found.extend(re.finditer(pattern, self.log.read_text(errors="replace")))
            assert self.popen.poll() is None, self.log.read_text()
            return bool(found)

        eventually(is_there)
        return found[0]


def make_store(directory: Path) -> Store:
    """A store whose one champion is the plain classifier of scale 1, named digits."""
    empty = directory / "empty.db"
    MlflowClient(tracking_uri=f"sqlite:///{empty}")
    place = directory / "store"
    place.mkdir()
    store = Store(place, empty)
    store.registry.promote("digits", store.register("digits", graph=plain_classifier(1.0)))
    return store


@contextmanager
def target(store: Store, directory: Path, *options: str) -> Iterator[Target]:
    """A server over the store that is ready to answer."""
    log = directory / "server.log"
    environment = os.environ | {"MLFLOW_TRACKING_URI": store.uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with log.open("wb") as out, subprocess.Popen([*COMMAND, *options], env=environment, stderr=out) as popen:
        try:
            it = Target(popen, log)
            it.port = int(it.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])
            it.wait_for(r"ready: \d+ models serve")
            yield it
        finally:
            popen.kill()
