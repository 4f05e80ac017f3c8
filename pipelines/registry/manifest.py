"""The contract between training and serving: what one registered version takes, gives and consists of."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
"""Open Inference Protocol names of the datatypes; BYTES is text of any length."""

NUMPY_DTYPES: dict[Datatype, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(np.object_),
}
"""numpy's types for them; an array of BYTES holds objects of type str, as onnxruntime takes and gives them."""

Variant = Literal["fp32", "int8", "bf16"]
"""Forms of a graph: as trained; INT8 weights and arithmetic; weights stored as BF16, arithmetic in FP32."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Image(_Frozen):
    """How encoded images become values of an input of (rows, channels, height, width) or (rows, height, width)."""

    white: float = Field(gt=0, description="Value of a channel at its brightest; black is 0.")
    fit: Literal["stretch"] | None = Field(
        default=None,
        description="Whether pictures of other sizes and colours are made to fit, as they were in training.",
    )


class Text(_Frozen):
    """How a text becomes token indices: 0 is padding, 1 an unknown word, then come the words, or the 256 bytes."""

    unit: Literal["words", "bytes"] = Field(description="What a token is: a word or sign, or a byte of UTF-8.")
    vocabulary: tuple[str, ...] = Field(default=(), description="The words that have an index, in its order.")
    max_tokens: int = Field(ge=1, description="What is left of a longer text: its first tokens.")


class Tensor(_Frozen):
    """One input or output of the graph."""

    name: str = Field(min_length=1, description="The graph's name for the tensor.")
    datatype: Datatype = Field(description="Open Inference datatype.")
    shape: tuple[int, ...] = Field(min_length=1, description="-1 marks a dynamic axis; the first axis is the batch.")
    unit: str | None = Field(default=None, description="Unit of the values, where it is known.")
    image: Image | None = Field(default=None, description="Where the values are an image's: how they are scaled.")
    text: Text | None = Field(default=None, description="Where the values are texts that the graph takes as tokens.")
    steps_of: str | None = Field(
        default=None, description="Of which input's second axis each value says how many steps count, from 1 to all."
    )
    trained_steps: int | None = Field(
        default=None,
        description="Where the second axis is open: how many steps each training row had, if all had as many.",
    )


class VariantCheck(_Frozen):
    """How the variant that the spec asks for compares with the FP32 graph on the validation rows."""

    asked: Variant = Field(description="What the spec asks for.")
    metric: str = Field(description="What is compared: accuracy or r2, of which more is better.")
    value: float = Field(description="The metric of the variant.")
    fp32_value: float = Field(description="The metric of the FP32 graph.")
    tolerance: float = Field(description="By how much the variant's may be lower.")


class Manifest(_Frozen):
    """`manifest.json` of a version."""

    schema_version: Literal[1] = 1
    model: str = Field(description="Name of the registered model.")
    task: Literal["classification", "regression"]
    inputs: tuple[Tensor, ...] = Field(min_length=1)
    outputs: tuple[Tensor, ...] = Field(min_length=1)
    feature_names: tuple[str, ...] = Field(
        description="Columns in the order of the input's values; empty if they have no names."
    )
    target: str = Field(description="What is predicted.")
    labels: tuple[str, ...] = Field(description="Class labels by class index; empty for regression.")
    variant: Variant = Field(default="fp32", description="What `model.onnx` is; packages from before it are FP32.")
    variant_check: VariantCheck | None = Field(default=None, description="Where the spec asks for another than FP32.")
    run_id: str = Field(description="MLflow run that trained the version.")
    git_commit: str | None = Field(default=None, description="Commit of the working tree that trained it.")
    dataset_digest: str = Field(description="Digest of the dataset, as in the run's inputs.")
    files: dict[str, Sha256] = Field(description="SHA-256 of every other file of the version, by its path.")
