"""What the service tells of itself and its models, as frozen values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.prediction.client.errors import MalformedAnswerError
from services.prediction.pb import open_inference_pb2 as pb

T = TypeVar("T", list[Any], dict[str, Any])


@dataclass(frozen=True)
class TensorMetadata:
    """One input or output of a model."""

    name: str
    datatype: str
    """As the Open Inference Protocol names it, such as FP32."""
    shape: tuple[int, ...]
    """-1 marks an axis of any length; the first is the row."""


@dataclass(frozen=True)
class ModelMetadata:
    """What a model takes and gives."""

    name: str
    version: str
    """The version that this describes; empty if the service does not say."""
    versions: tuple[str, ...]
    """All that the service lists; ours lists the one."""
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    feature_names: tuple[str, ...] = ()
    """Columns in the order of the input's values; empty if they have no names."""
    labels: tuple[str, ...] = ()
    """Class labels by class index; empty for regression."""
    task: str = ""
    """`classification` or `regression`; empty if the service is another one and does not say."""
    target: str = ""
    """What is predicted."""
    encoded_images: Mapping[str, str] = field(default_factory=dict, hash=False)
    """By name, the inputs that also take a PNG or JPEG a row, with what it must be."""
    trained_steps: Mapping[str, int] = field(default_factory=dict, hash=False)
    """By name, the inputs that take series of any length but learned from one, with its number of steps."""

    @property
    def by_column(self) -> bool:
        """Whether each feature is an input of its own, `(rows, 1)`, as it is for tables that are not plain numbers."""
        return bool(self.feature_names) and self.feature_names == tuple(tensor.name for tensor in self.inputs)


@dataclass(frozen=True)
class ServerMetadata:
    """Who answers, and what works beyond the protocol."""

    name: str
    version: str
    extensions: tuple[str, ...]


@dataclass(frozen=True)
class IndexEntry:
    """A known model with its state."""

    name: str
    version: str
    state: str
    """READY or UNAVAILABLE; while that changes, LOADING or UNLOADING."""
    reason: str
    """Why it is unavailable."""


def read_model(message: pb.ModelMetadataResponse, asked: str) -> ModelMetadata:
    """The model in the version that was `asked` for, else in the last that is listed.

    Raises MalformedAnswerError for properties that are not what they should be.
    """
    newest = message.versions[-1] if message.versions else ""
    return ModelMetadata(
        name=message.name,
        version=asked if asked in message.versions else newest,
        versions=tuple(message.versions),
        inputs=tuple(map(_tensor, message.inputs)),
        outputs=tuple(map(_tensor, message.outputs)),
        feature_names=_names(message, "feature_names"),
        labels=_names(message, "labels"),
        task=message.properties.get("task", ""),
        target=message.properties.get("target", ""),
        encoded_images=_texts(message, "encoded_images"),
        trained_steps=_counts(message, "trained_steps"),
    )


def read_server(message: pb.ServerMetadataResponse) -> ServerMetadata:
    """What the message says."""
    return ServerMetadata(message.name, message.version, tuple(message.extensions))


def read_index(message: pb.RepositoryIndexResponse) -> tuple[IndexEntry, ...]:
    """The message's models, in its order."""
    return tuple(IndexEntry(each.name, each.version, each.state, each.reason) for each in message.models)


def _tensor(message: pb.ModelMetadataResponse.TensorMetadata) -> TensorMetadata:
    return TensorMetadata(message.name, message.datatype, tuple(message.shape))


def _names(message: pb.ModelMetadataResponse, key: str) -> tuple[str, ...]:
    return tuple(map(str, _property(message, key, list)))


def _texts(message: pb.ModelMetadataResponse, key: str) -> dict[str, str]:
    return {str(name): str(text) for name, text in _property(message, key, dict).items()}


def _counts(message: pb.ModelMetadataResponse, key: str) -> dict[str, int]:
    found = _property(message, key, dict)
    if not all(isinstance(count, int) for count in found.values()):
        raise MalformedAnswerError(f"properties[{key}]: expected whole numbers by name, came {str(found)[:64]!r}")
    return found


def _property(message: pb.ModelMetadataResponse, key: str, kind: type[T]) -> T:
    """A property that is in JSON, empty if it is not there."""
    text = message.properties.get(key)
    if text is None:
        return kind()
    try:
        value = json.loads(text)
    except ValueError as error:
        raise MalformedAnswerError(f"properties[{key}]: expected JSON, came {text[:64]!r}") from error
    if not isinstance(value, kind):
        what = {list: "a list", dict: "an object"}[kind]
        raise MalformedAnswerError(f"properties[{key}]: expected {what}, came {text[:64]!r}")
    return value
