"""Our protocol beside tritonclient's: what both have is the same, what only one has is listed here, and reviewed.

Each side tells of its files in a process of its own, as one cannot hold both sets of messages.
"""

import json
import subprocess
import sys
from functools import cache

DESCRIBE = """
import importlib, json, sys
from google.protobuf import descriptor_pb2

found = {}

def describe(message, prefix):
    path = f"{prefix}.{message.name}"
    found[path] = "map" if message.options.map_entry else "message"
    for field in message.field:
        kind = field.type_name or field.type
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        found[f"{path}.{field.name}"] = [field.number, kind, field.label, oneof]
    for nested in message.nested_type:
        describe(nested, path)
    for enum in message.enum_type:
        enumerate_values(enum, path)

def enumerate_values(enum, prefix):
    found[f"{prefix}.{enum.name}"] = "enum"
    for value in enum.value:
        found[f"{prefix}.{enum.name}.{value.name}"] = value.number

for module in sys.argv[1:]:
    file = descriptor_pb2.FileDescriptorProto()
    importlib.import_module(module).DESCRIPTOR.CopyToProto(file)
    for message in file.message_type:
        describe(message, "")
    for enum in file.enum_type:
        enumerate_values(enum, "")
    for service in file.service:
        for method in service.method:
            streams = [method.client_streaming, method.server_streaming]
            found[f".{service.name}/{method.name}"] = [method.input_type, method.output_type, *streams]
print(json.dumps(found))
"""

OURS_ONLY = {
    ".ModelMetadataResponse.properties",  # the Open Inference Protocol has it, Triton's copy does not
    ".ModelMetadataResponse.PropertiesEntry",
}


def below(parent: str, names: str) -> set[str]:
    return {f"{parent}{name}" for name in names.split()}


SHARED_MEMORY_CALLS = [
    f"{kind}SharedMemory{call}" for kind in ("System", "Cuda") for call in ("Status", "Register", "Unregister")
]
SETTING_CALLS = ["TraceSetting", "LogSettings"]

THEIRS_ONLY = {
    # Memory shared with the client: the server may be anywhere. Tracing and logging: set up where it is started.
    *(f".GRPCInferenceService/{call}" for call in (*SHARED_MEMORY_CALLS, *SETTING_CALLS)),
    *(f".{call}{side}" for call in (*SHARED_MEMORY_CALLS, *SETTING_CALLS) for side in ("Request", "Response")),
    # Statistics of models that answer more or fewer times than they are asked.
    *below(".", "InferResponseStatistics ModelStatistics.response_stats ModelStatistics.ResponseStatsEntry"),
    # Configuration of what there is none of here.
    *below(".", "BatchInput BatchOutput"),
    *below(".Model", "RateLimiter OptimizationPolicy SequenceBatching Ensembling Warmup Operations"),
    *below(".Model", "RepositoryAgents ResponseCache Metrics"),
    *below(".ModelInstanceGroup.", "SecondaryDevice rate_limiter secondary_devices profile passive host_policy"),
    *below(".ModelInput.", "is_shape_tensor allow_ragged_batch optional is_non_linear_format_io"),
    *below(".ModelOutput.", "label_filename is_shape_tensor is_non_linear_format_io"),
    *below(".ModelDynamicBatching.", "priority_queue_policy PriorityQueuePolicyEntry"),
    *below(".ModelConfig.", "runtime batch_input batch_output optimization sequence_batching ensemble_scheduling"),
    *below(".ModelConfig.", "cc_model_filenames CcModelFilenamesEntry metric_tags MetricTagsEntry model_warmup"),
    *below(".ModelConfig.", "model_operations model_repository_agents response_cache model_metrics"),
}


@cache
def described(*modules: str) -> dict[str, object]:
    """Every message, field, enum, value and method of these modules' files, by its path."""
    command = [sys.executable, "-c", DESCRIBE, *modules]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, object] = json.loads(result.stdout)
    return found


def ours() -> dict[str, object]:
    return described("services.prediction.pb.open_inference_pb2")


def theirs() -> dict[str, object]:
    return described("tritonclient.grpc.service_pb2", "tritonclient.grpc.model_config_pb2")


def topmost(paths: set[str], among: set[str]) -> set[str]:
    """Those whose parent is common to both sides: a message stands for its fields."""
    return {path for path in paths if path.rpartition(".")[0] in {"", *among} or "/" in path}


def test_what_both_have_is_the_same() -> None:
    common = ours().keys() & theirs().keys()
    assert len(common) > 200
    assert {path: ours()[path] for path in common} == {path: theirs()[path] for path in common}


def test_what_only_one_has_was_reviewed() -> None:
    common = ours().keys() & theirs().keys()
    assert topmost(ours().keys() - theirs().keys(), common) == OURS_ONLY
    assert topmost(theirs().keys() - ours().keys(), common) == THEIRS_ONLY
