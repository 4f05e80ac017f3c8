"""The MLflow model registry as Drivetrain uses it: versions are packages, the alias `champion` deploys one."""

import getpass
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from google.protobuf.json_format import ParseError
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from pipelines.errors import PackageError, RegistryError, RegistryOutageError
from pipelines.outages import is_outage
from pipelines.registry.manifest import Manifest
from pipelines.registry.package import Package, open_package
from pipelines.registry.promotion import Champion, Decision, Promotion, Score
from pipelines.registry.traffic import CANARY_TAG, CHALLENGER, SHADOW_TAG, Registered, TrafficRule, rule_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION = "champion"

MANIFEST_TAG = "drivetrain.manifest_sha256"
METRIC_TAG = "drivetrain.validation_metric"
VALUE_TAG = "drivetrain.validation_value"
PROMOTED_TAG = "drivetrain.promoted"
PROMOTED_BY_TAG = "drivetrain.promoted_by"
PROMOTED_AT_TAG = "drivetrain.promoted_at"
REASON_TAG = "drivetrain.promotion_reason"
REPLACED_TAG = "drivetrain.replaced"  # the champion that this version took over from: where a rollback goes


@dataclass(frozen=True)
class Version:
    """One registered version as a table shows it."""

    model: str
    version: str
    run_id: str | None
    created: datetime
    is_champion: bool
    score: Score | None
    promoted: bool
    """Whether it was made champion, whatever became of that since."""
    reason: str


class ModelRegistry:
    """Publishes, promotes and fetches versions. Every method raises RegistryError when MLflow refuses or is away."""

    def __init__(self, client: "MlflowClient", tracking_uri: str) -> None:
        self._client = client
        self._tracking_uri = tracking_uri

    def champions(self) -> Mapping[str, str | None]:
        """The version that each registered model's alias names; None where a model has no champion."""
        return {model: aliases.get(CHAMPION) for model, aliases in self.aliases().items()}

    def aliases(self) -> Mapping[str, Mapping[str, str]]:
        """By registered model the version that each of its aliases names. Raises RegistryError also for nonsense."""
        return {model: found.aliases for model, found in self.models().items()}

    def models(self) -> Mapping[str, Registered]:
        """Every registered model, in one look. Raises RegistryError also for nonsense."""
        with translated("list the registered models"):
            page = self._client.search_registered_models()
            models = list(page)
            while page.token:
                page = self._client.search_registered_models(page_token=page.token)
                models.extend(page)
        found = {model.name: _registered(model) for model in models}
        for name, each in found.items():
            if not name or not all(version.isdecimal() for version in each.aliases.values()):
                raise RegistryOutageError(f"cannot list the registered models: {name!r} with {each.aliases} is none")
        return found

    def traffic(self, model: str) -> Registered:
        """The model's traffic rule, beside the versions that it is about."""
        with translated(f"read the traffic rule of {model!r}"):
            return _registered(self._client.get_registered_model(model))

    def set_traffic(self, model: str, rule: TrafficRule) -> None:
        """Give the model this rule; servers follow it with their next look."""
        shares = {CANARY_TAG: rule.canary_share, SHADOW_TAG: rule.shadow_share}
        with translated(f"set the traffic rule of {model!r}"):
            for tag, share in shares.items():
                self._client.set_registered_model_tag(model, tag, f"{share:g}")

    def set_challenger(self, model: str, version: str) -> None:
        """Name the version that is tried beside the champion."""
        with translated(f"make version {version} of {model!r} challenger"):
            self._client.set_registered_model_alias(model, CHALLENGER, version)

    def is_registered(self, model: str) -> bool:
        """Whether the registry has the model: an empty list may be nonsense, this is an answer about its name."""
        with translated(f"read the model {model!r}"):
            try:
                found = self._client.get_registered_model(model)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return False
                raise
        if found.name != model:
            raise RegistryOutageError(f"cannot read the model {model!r}: the answer is about {found.name!r}")
        return True

    def champion(self, model: str) -> Champion | None:
        """The model's champion with its recorded score; None before the first promotion."""
        with translated(f"read the champion of {model!r}"):
            try:
                version = self._client.get_model_version_by_alias(model, CHAMPION)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        return Champion(str(version.version), _score(version))

    def versions(self, model: str) -> list[Version]:
        """All versions of a model, newest first. RegistryError for a model that is not registered."""
        with translated(f"list the versions of {model!r}"):
            aliases = self._client.get_registered_model(model).aliases
            found = self._client.search_model_versions(f"name='{model}'", max_results=1000)
        champion = str(aliases.get(CHAMPION))
        rows = [_version(entry, champion) for entry in found]
        return sorted(rows, key=lambda row: int(row.version), reverse=True)

    def version_of(self, model: str, run_id: str) -> Version | None:
        """The version that a run has registered; None if it has not."""
        with translated(f"look for a version of {model!r}"):
            found = self._client.search_model_versions(f"name='{model}' and run_id='{run_id}'")
        champion = self.champion(model) if found else None
        return _version(found[0], champion.version if champion else "") if found else None

    def create_version(
        self, manifest: Manifest, logged: "LoggedModel", manifest_sha256: str, score: Score, decision: Decision
    ) -> str:
        """Register a logged model, with score and reason of the decision as tags; return the version."""
        tags = {
            MANIFEST_TAG: manifest_sha256,
            METRIC_TAG: score.metric,
            VALUE_TAG: repr(score.value),
            PROMOTED_TAG: "false",  # until `promote` has moved the alias
            REASON_TAG: decision.reason,
        }
        with translated(f"register a version of {manifest.model!r}"):
            self._ensure_model(manifest.model)
            # The location rather than models:/ID, which MLflow would look up in the process's global store.
            source = logged.artifact_location
            created = self._client.create_model_version(
                manifest.model, source, run_id=manifest.run_id, model_id=logged.model_id, tags=tags
            )
        return str(created.version)

    def promote(self, model: str, version: str, reason: str | None = None) -> None:
        """Point the alias `champion` at `version`, and remember whom it replaced; a `reason` overwrites the old."""
        replaced = self.champion(model)
        with translated(f"promote version {version} of {model!r}"):
            self._client.get_model_version(model, version)
            if replaced is not None and replaced.version != version:
                self._client.set_model_version_tag(model, version, REPLACED_TAG, replaced.version)
            self._make_champion(model, version)
            self._client.set_model_version_tag(model, version, PROMOTED_TAG, "true")
            if reason is not None:
                self._client.set_model_version_tag(model, version, REASON_TAG, reason)

    def pass_over(self, model: str, version: str, reason: str) -> None:
        """Record why a version did not become champion."""
        with translated(f"record the decision on version {version} of {model!r}"):
            self._client.set_model_version_tag(model, version, REASON_TAG, reason)

    def rollback(self, model: str) -> tuple[str, str]:
        """Point `champion` back at the version that the present one replaced; return (left, restored)."""
        champion = self.champion(model)
        if champion is None:
            raise RegistryError(f"{model!r} has no champion to roll back from")
        with translated(f"roll back {model!r}"):
            previous = self._client.get_model_version(model, champion.version).tags.get(REPLACED_TAG)
            if previous is None:
                raise RegistryError(
                    f"version {champion.version} of {model!r} replaced no other: there is nothing to go back to"
                )
            self._make_champion(model, previous)
        return champion.version, previous

    def manifest_sha256(self, model: str, version: str) -> str | None:
        """The recorded SHA-256 of the version's manifest; None where Drivetrain did not register it."""
        with translated(f"read version {version} of {model!r}"):
            tags = self._client.get_model_version(model, version).tags
        return tags.get(MANIFEST_TAG)

    def promotion(self, model: str, version: str) -> Promotion:
        """Who made the version champion last, and when."""
        with translated(f"read version {version} of {model!r}"):
            tags = self._client.get_model_version(model, version).tags
        return Promotion(version, tags.get(PROMOTED_BY_TAG, ""), tags.get(PROMOTED_AT_TAG, ""))

    def size_bytes(self, model: str, version: str) -> int | None:
        """The bytes of all files of the version; None if its store does not tell."""
        with translated(f"list the files of version {version} of {model!r}"):
            return self._size_bytes(self._client.get_model_version_download_uri(model, version))

    def fetch(self, model: str, version: str, directory: Path, max_bytes: float = inf) -> Package:
        """Download a version into `directory`, which exists, and open it, hashes checked.

        Raises PackageError if the version is not whole, not one of ours or larger than `max_bytes`: before the download
        where the store tells sizes, else before a file is opened.
        """
        with translated(f"download version {version} of {model!r}"):
            tags = self._client.get_model_version(model, version).tags
            manifest_sha256 = tags.get(MANIFEST_TAG)
            if manifest_sha256 is None:
                raise PackageError(
                    f"version {version} of {model!r} was not registered by Drivetrain: it has no tag {MANIFEST_TAG}"
                )
            uri = self._client.get_model_version_download_uri(model, version)
            _check_size(self._size_bytes(uri), max_bytes)
            local = Path(download_artifacts(artifact_uri=uri, dst_path=str(directory), tracking_uri=self._tracking_uri))
            _check_size(sum(path.stat().st_size for path in local.rglob("*") if path.is_file()), max_bytes)
        return open_package(local, manifest_sha256)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Write metrics to a run as of now, whatever its state, which stays."""
        now_ms = round(time.time() * 1e3)
        with translated(f"write metrics to the run {run_id}"):
            self._client.log_batch(run_id, [Metric(name, value, now_ms, 0) for name, value in metrics.items()])

    def _size_bytes(self, uri: str) -> int | None:
        total = 0
        for info in list_artifacts(artifact_uri=uri, tracking_uri=self._tracking_uri):
            inside = f"{uri.rstrip('/')}/{PurePosixPath(info.path).name}"
            size_bytes = self._size_bytes(inside) if info.is_dir else info.file_size
            if size_bytes is None:
                return None
            total += size_bytes
        return total

    def _make_champion(self, model: str, version: str) -> None:
        """Move the alias; who and when come first, so that whoever sees the alias finds them."""
        self._client.set_model_version_tag(model, version, PROMOTED_BY_TAG, _user())
        self._client.set_model_version_tag(
            model, version, PROMOTED_AT_TAG, datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
        )
        self._client.set_registered_model_alias(model, CHAMPION, version)

    def _ensure_model(self, model: str) -> None:
        try:
            self._client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


@contextmanager
def translated(action: str) -> Iterator[None]:
    """The boundary where what MLflow and its artifact stores raise becomes a RegistryError."""
    try:
        yield
    except (MlflowException, OSError, ParseError) as error:
        kind = RegistryOutageError if isinstance(error, ParseError) or is_outage(error) else RegistryError
        text = error.message if isinstance(error, MlflowException) else error
        raise kind(f"cannot {action}: {text}") from error


def _check_size(size_bytes: int | None, max_bytes: float) -> None:
    if size_bytes is not None and size_bytes > max_bytes:
        raise PackageError(f"its files are {size_bytes} bytes, the limit is {max_bytes:.0f}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "an unnamed user"


def _registered(model: "RegisteredModel") -> Registered:
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    return Registered(aliases, rule_of(model.tags))


def _score(version: "ModelVersion") -> Score | None:
    metric, value = version.tags.get(METRIC_TAG), version.tags.get(VALUE_TAG)
    return Score(metric, float(value)) if metric and value else None


def _version(entry: "ModelVersion", champion: str) -> Version:
    return Version(
        model=entry.name,
        version=str(entry.version),
        run_id=entry.run_id,
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        is_champion=str(entry.version) == champion,
        score=_score(entry),
        promoted=entry.tags.get(PROMOTED_TAG) == "true",
        reason=entry.tags.get(REASON_TAG, ""),
    )
