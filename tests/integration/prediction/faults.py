"""Registries that go wrong, on purpose: each is the real one until a test says otherwise."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mlflow import MlflowClient

from pipelines.registry.model_registry import ModelRegistry
from pipelines.registry.package import Package
from pipelines.registry.promotion import Promotion
from pipelines.registry.traffic import Registered


class Switch:
    """A registry that can be exchanged for another one, as a restart or a proxy exchanges it."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry
        self.tells_sizes = True

    def models(self) -> Mapping[str, Registered]:
        return self.registry.models()

    def is_registered(self, model: str) -> bool:
        return self.registry.is_registered(model)

    def promotion(self, model: str, version: str) -> Promotion:
        return self.registry.promotion(model, version)

    def manifest_sha256(self, model: str, version: str) -> str | None:
        return self.registry.manifest_sha256(model, version)

    def size_bytes(self, model: str, version: str) -> int | None:
        return self.registry.size_bytes(model, version) if self.tells_sizes else None

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        self.registry.log_metrics(run_id, metrics)

    def fetch(self, model: str, version: str, directory: Path, max_bytes: float) -> Package:
        return self.registry.fetch(model, version, directory, max_bytes)


class Answer:
    """What the nonsense server answers to everything, from the next request on."""

    def __init__(self, status: int, body: bytes, promised_bytes: int = 0) -> None:
        self.status, self.body = status, body
        self.promised_bytes = max(promised_bytes, len(body))
        self.may_end = threading.Event()
        self.may_end.set()


@contextmanager
def answering(answer: Answer) -> Iterator[ModelRegistry]:
    """The client of an HTTP server that gives this answer to whatever it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer.may_end.wait(30)
            self.send_response(answer.status)
            self.send_header("Content-Length", str(answer.promised_bytes))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815 - the name is the base class's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        uri = f"http://127.0.0.1:{server.server_port}"
        try:
            yield ModelRegistry(MlflowClient(uri, uri), uri)
        finally:
            answer.may_end.set()
            server.shutdown()
            serving.join()
