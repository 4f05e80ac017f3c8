"""A real MLflow store on sqlite, and what a training run does to it."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from mlflow import MlflowClient

from pipelines.registry.manifest import Manifest
from pipelines.registry.model_registry import CHAMPION, MANIFEST_TAG, ModelRegistry
from pipelines.registry.package import MODEL_FILE, Golden, seal, write_golden
from tests.unit.prediction.graphs import classifier, golden, manifest


def write_package(directory: Path, graph: onnx.ModelProto, recorded: Golden, described: Manifest) -> str:
    """Write a version's files into `directory`; return the manifest's hash."""
    directory.mkdir(parents=True)
    (directory / MODEL_FILE).write_bytes(graph.SerializeToString())
    write_golden(directory, recorded)
    return seal(directory, described)


@dataclass
class Store:
    """An MLflow store on sqlite with what a training run does to it."""

    directory: Path
    template: Path
    """An empty, migrated database: copying it saves two seconds."""
    uri: str = field(init=False)
    client: MlflowClient = field(init=False)
    registry: ModelRegistry = field(init=False)

    def __post_init__(self) -> None:
        shutil.copy(self.template, self.database)
        self.uri = f"sqlite:///{self.database}"
        self.client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        self.registry = ModelRegistry(self.client, self.uri)
        self.experiment = self.client.create_experiment("tests", (self.directory / "artifacts").as_uri())

    @property
    def database(self) -> Path:
        """The sqlite file."""
        return self.directory / "mlflow.db"

    def register(
        self,
        model: str,
        scale: float = 1.0,
        *,
        graph: onnx.ModelProto | None = None,
        recorded: Golden | None = None,
        described: Manifest | None = None,
    ) -> str:
        """Register a version of that scale; the keywords replace parts of it by others. Returns the version."""
        run = self.client.create_run(self.experiment)
        logged = self.client.create_logged_model(self.experiment, source_run_id=run.info.run_id)
        directory = self.directory / "packages" / logged.model_id
        manifest_sha256 = write_package(
            directory, graph or classifier(scale), recorded or golden(scale), described or manifest(model)
        )
        if model not in self.registry.champions():
            self.client.create_registered_model(model)
        self.client.log_model_artifacts(logged.model_id, str(directory))
        self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.set_terminated(run.info.run_id)
        created = self.client.create_model_version(
            model, logged.artifact_location, run.info.run_id, {MANIFEST_TAG: manifest_sha256}, model_id=logged.model_id
        )
        return str(created.version)

    def promote(self, model: str, scale: float = 1.0) -> str:
        """Register a version of that scale and make it champion; return the version."""
        version = self.register(model, scale)
        self.registry.promote(model, version)
        return version

    @contextmanager
    def away(self) -> Iterator[None]:
        """Rename the registry's tables meanwhile: every question to it fails."""
        self._rename("registered_models", "hidden")
        try:
            yield
        finally:
            self.come_back()

    def come_back(self) -> None:
        """Undo `away`; twice is no harm."""
        with suppress(sqlite3.OperationalError):
            self._rename("hidden", "registered_models")

    def _rename(self, table: str, name: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute(f"ALTER TABLE {table} RENAME TO {name}")

    def demote(self, model: str) -> None:
        """Take the alias away."""
        self.client.delete_registered_model_alias(model, CHAMPION)

    def artifact(self, model: str, version: str, name: str) -> Path:
        """A file of a registered version, where the store keeps it."""
        uri = self.client.get_model_version_download_uri(model, version)
        return Path(uri.removeprefix("file://")) / name
