"""How a model is set up to run, in the words of Triton's model configuration: perf_analyzer asks for it first."""

from __future__ import annotations  # the type of an enum's values exists in the checker only

from dataclasses import dataclass

from pipelines.registry.manifest import Datatype, Tensor
from pipelines.registry.package import MODEL_FILE
from services.prediction.description import PLATFORM, properties
from services.prediction.entry import ServedVersion
from services.prediction.pb import open_inference_pb2 as pb


@dataclass(frozen=True)
class Scheduling:
    """How requests become batches, the same for every model."""

    max_batch_size: int
    max_queue_requests: int
    max_queue_delay_us: int = 0
    priority_levels: int = 0
    """How many there are; 0 where priorities are not looked at."""
    default_priority_level: int = 0


def model_config(served: ServedVersion, scheduling: Scheduling) -> pb.ModelConfig:
    """The version's configuration; dimensions are without the batch."""
    return pb.ModelConfig(
        name=served.name,
        platform=PLATFORM,
        backend="onnxruntime",
        version_policy=pb.ModelVersionPolicy(specific=pb.ModelVersionPolicy.Specific(versions=[int(served.version)])),
        max_batch_size=scheduling.max_batch_size,
        input=map(_input, served.manifest.inputs),
        output=map(_output, served.manifest.outputs),
        dynamic_batching=_dynamic_batching(scheduling),
        instance_group=[pb.ModelInstanceGroup(name=served.name, kind=pb.ModelInstanceGroup.KIND_CPU, count=1)],
        default_model_filename=MODEL_FILE,
        parameters={key: pb.ModelParameter(string_value=value) for key, value in properties(served.manifest).items()},
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=False),
    )


def _dynamic_batching(scheduling: Scheduling) -> pb.ModelDynamicBatching:
    return pb.ModelDynamicBatching(
        preferred_batch_size=[scheduling.max_batch_size],
        max_queue_delay_microseconds=scheduling.max_queue_delay_us,
        priority_levels=scheduling.priority_levels,
        default_priority_level=scheduling.default_priority_level,
        default_queue_policy=pb.ModelQueuePolicy(
            timeout_action=pb.ModelQueuePolicy.REJECT,
            allow_timeout_override=True,
            max_queue_size=scheduling.max_queue_requests,
        ),
    )


def _input(tensor: Tensor) -> pb.ModelInput:
    is_nchw = tensor.image is not None and len(tensor.shape) == 4
    return pb.ModelInput(
        name=tensor.name,
        data_type=data_type(tensor.datatype),
        format=pb.ModelInput.FORMAT_NCHW if is_nchw else pb.ModelInput.FORMAT_NONE,
        dims=_dims(tensor),
        reshape=_reshape(tensor),
    )


def _output(tensor: Tensor) -> pb.ModelOutput:
    return pb.ModelOutput(
        name=tensor.name, data_type=data_type(tensor.datatype), dims=_dims(tensor), reshape=_reshape(tensor)
    )


def data_type(datatype: Datatype) -> pb.DataType.ValueType:
    """Triton's name for an Open Inference datatype."""
    return pb.DataType.Value(f"TYPE_{'STRING' if datatype == 'BYTES' else datatype}")


def _dims(tensor: Tensor) -> list[int]:
    return list(tensor.shape[1:]) or [1]


def _reshape(tensor: Tensor) -> pb.ModelTensorReshape | None:
    return None if tensor.shape[1:] else pb.ModelTensorReshape()
