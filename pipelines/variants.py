"""From the exported graph to the one that a version serves: the variant is made, measured and decided upon."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset
from pipelines.errors import PackageError
from pipelines.evaluation.metrics import Evaluation, evaluate
from pipelines.export.quantization import to_bf16, to_int8
from pipelines.models.shapes import rows_a_pass
from pipelines.registry.manifest import Variant, VariantCheck
from pipelines.registry.package import Arrays, Golden
from pipelines.registry.variants import decide_variant
from pipelines.spec.registry import Registry

_MAKERS: Mapping[Variant, Callable[[onnx.ModelProto, Dataset], onnx.ModelProto]] = {
    "int8": lambda graph, dataset: to_int8(graph, dataset.graph_inputs(dataset.train)),
    "bf16": lambda graph, _: to_bf16(graph),
}


@dataclass(frozen=True)
class Candidate:
    """A graph that a version may serve, and how it does on the held-out parts."""

    graph: onnx.ModelProto
    validation: Evaluation
    test: Evaluation
    answers: Arrays
    """For the test rows, by output name."""
    variant: Variant = "fp32"
    check: VariantCheck | None = None
    """What was compared, where another variant than FP32 was asked for; `reason` says what came of it."""
    reason: str = ""


def choose_variant(registry: Registry, dataset: Dataset, fp32: Candidate) -> Candidate:
    """Make the variant that the spec asks for; it is served if the validation metric holds, else `fp32` is.

    Both are measured in onnxruntime. Raises PackageError if a graph does not run, or FP32 does not answer as torch did.
    """
    if registry.variant == "fp32":
        return fp32
    exported = _measured(fp32.graph, dataset)
    Golden({}, fp32.answers).check(exported.answers)
    made = _measured(_MAKERS[registry.variant](fp32.graph, dataset), dataset)
    check = VariantCheck(
        asked=registry.variant,
        metric=made.validation.score.metric,
        value=made.validation.score.value,
        fp32_value=exported.validation.score.value,
        tolerance=registry.variant_tolerance,
    )
    decision = decide_variant(check)
    served = fp32 if decision.variant == "fp32" else made
    return replace(served, variant=decision.variant, check=check, reason=decision.reason)


def _measured(graph: onnx.ModelProto, dataset: Dataset) -> Candidate:
    answers = _run(graph, dataset.graph_inputs(dataset.test))
    validation = evaluate(dataset, dataset.validation, _run(graph, dataset.graph_inputs(dataset.validation)))
    return Candidate(graph, validation, evaluate(dataset, dataset.test, answers), answers)


def _run(graph: onnx.ModelProto, rows: Arrays) -> dict[str, NDArray[np.generic]]:
    """What onnxruntime answers for raw rows (N, ...) by input name, by output name. Raises PackageError."""
    try:
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        first = next(iter(rows.values()))
        size = rows_a_pass(first.shape[1:])
        starts = range(0, len(first), size)
        inputs = [{name: array[start : start + size] for name, array in rows.items()} for start in starts]
        passes = [session.run(names, each) for each in inputs]
    except Exception as error:  # onnxruntime's errors share no other base
        raise PackageError(f"the exported graph does not run: {error}") from error
    return {name: np.concatenate(parts) for name, parts in zip(names, zip(*passes, strict=True), strict=True)}
