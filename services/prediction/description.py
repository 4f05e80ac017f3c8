"""What the service tells about its models, as messages of the protocol."""

import json
from collections.abc import Iterable

from pipelines.registry.manifest import Manifest, Tensor
from services.prediction.entry import ServedVersion
from services.prediction.images import Layout
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.repository import IndexRow
from services.prediction.statistics import BatchSize, Duration, Statistics

PLATFORM = "onnxruntime_onnx"
"""Triton's name for what runs the graphs."""


def model_metadata(served: ServedVersion) -> pb.ModelMetadataResponse:
    """The manifest's tensors, and as properties what a client needs to name features and classes."""
    return pb.ModelMetadataResponse(
        name=served.name,
        versions=[served.version],
        platform=PLATFORM,
        inputs=map(_tensor_metadata, served.manifest.inputs),
        outputs=map(_tensor_metadata, served.manifest.outputs),
        properties=properties(served.manifest),
    )


def repository_index(rows: Iterable[IndexRow]) -> pb.RepositoryIndexResponse:
    """One entry a row, in their order."""
    entries = [
        pb.RepositoryIndexResponse.ModelIndex(name=row.name, version=row.version, state=row.state, reason=row.reason)
        for row in rows
    ]
    return pb.RepositoryIndexResponse(models=entries)


def statistics(versions: Iterable[ServedVersion]) -> pb.ModelStatisticsResponse:
    """One entry a version, in their order."""
    entries = [model_statistics(each.name, each.version, each.metrics.snapshot()) for each in versions]
    return pb.ModelStatisticsResponse(model_stats=entries)


def model_statistics(name: str, version: str, totals: Statistics) -> pb.ModelStatistics:
    """A version's totals under Triton's names; `cache_hit` and `cache_miss` are of a response cache: always 0."""
    return pb.ModelStatistics(
        name=name,
        version=version,
        last_inference=totals.last_inference_ms,
        inference_count=totals.inference_count,
        execution_count=totals.execution_count,
        inference_stats=pb.InferStatistics(
            success=_duration(totals.success),
            fail=_duration(totals.fail),
            queue=_duration(totals.queue),
            compute_input=_duration(totals.compute_input),
            compute_infer=_duration(totals.compute_infer),
            compute_output=_duration(totals.compute_output),
            cache_hit=pb.StatisticDuration(),
            cache_miss=pb.StatisticDuration(),
        ),
        batch_stats=map(_batch_statistics, totals.batches),
    )


def _batch_statistics(runs: BatchSize) -> pb.InferBatchStatistics:
    return pb.InferBatchStatistics(
        batch_size=runs.batch_size,
        compute_input=_duration(runs.compute_input),
        compute_infer=_duration(runs.compute_infer),
        compute_output=_duration(runs.compute_output),
    )


def _duration(total: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=total.count, ns=total.total_ns)


def _tensor_metadata(tensor: Tensor) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def properties(manifest: Manifest) -> dict[str, str]:
    """What the tensors mean, beyond names and shapes."""
    return {
        "task": manifest.task,
        "variant": manifest.variant,
        "target": manifest.target,
        "labels": json.dumps(manifest.labels),
        "feature_names": json.dumps(manifest.feature_names),
        "run_id": manifest.run_id,
        "encoded_images": json.dumps(_encoded_images(manifest)),
        "trained_steps": json.dumps({each.name: each.trained_steps for each in manifest.inputs if each.trained_steps}),
    }


def _encoded_images(manifest: Manifest) -> dict[str, str]:
    """By name, the inputs that also take a PNG or JPEG a row, with its mode and size."""
    layouts = {tensor.name: Layout.of(tensor) for tensor in manifest.inputs}
    return {name: layout.text for name, layout in layouts.items() if layout is not None}
