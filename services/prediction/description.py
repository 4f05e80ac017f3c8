"""What the service tells about its models, as messages of the protocol."""

import json
from collections.abc import Iterable

from pipelines.registry.manifest import Manifest, Tensor
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.repository import IndexRow, ServedVersion


def model_metadata(served: ServedVersion) -> pb.ModelMetadataResponse:
    """The manifest's tensors, and as properties what a client needs to name features and classes."""
    return pb.ModelMetadataResponse(
        name=served.name,
        versions=[served.version],
        platform="onnxruntime_onnx",
        inputs=map(_tensor_metadata, served.manifest.inputs),
        outputs=map(_tensor_metadata, served.manifest.outputs),
        properties=_properties(served.manifest),
    )


def repository_index(rows: Iterable[IndexRow]) -> pb.RepositoryIndexResponse:
    """One entry a row, in their order."""
    entries = [
        pb.RepositoryIndexResponse.ModelIndex(name=row.name, version=row.version, state=row.state, reason=row.reason)
        for row in rows
    ]
    return pb.RepositoryIndexResponse(models=entries)


def _tensor_metadata(tensor: Tensor) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def _properties(manifest: Manifest) -> dict[str, str]:
    return {
        "task": manifest.task,
        "target": manifest.target,
        "labels": json.dumps(manifest.labels),
        "feature_names": json.dumps(manifest.feature_names),
        "run_id": manifest.run_id,
    }
