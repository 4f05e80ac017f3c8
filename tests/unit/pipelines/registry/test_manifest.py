"""The manifest's schema."""

from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError

from pipelines.registry.manifest import NUMPY_DTYPES, Datatype, Manifest
from tests.unit.pipelines.registry.versions import manifest


def test_every_datatype_has_its_numpy_form() -> None:
    assert set(NUMPY_DTYPES) == set(get_args(Datatype))
    for name, dtype in NUMPY_DTYPES.items():
        assert dtype.byteorder in "|<=" or dtype == dtype.newbyteorder("<")
        kind = {"BOOL": "b", "UINT": "u", "INT": "i", "FP": "f", "BYTES": "O"}[name.rstrip("0123456789")]
        assert dtype.kind == kind
        assert name in ("BOOL", "BYTES") or int(name.lstrip("BOLUINTFP")) == dtype.itemsize * 8
    assert NUMPY_DTYPES["FP32"] == np.float32


def test_a_manifest_survives_the_round_trip() -> None:
    assert Manifest.model_validate_json(manifest().model_dump_json()) == manifest()


def test_a_manifest_from_before_variants_is_fp32() -> None:
    old = manifest().model_dump(exclude={"variant", "variant_check"})
    assert Manifest.model_validate(old).variant == "fp32"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"task": "clustering"}, "task"),
        ({"inputs": []}, "inputs"),
        ({"outputs": []}, "outputs"),
        ({"inputs": [{"name": "x", "datatype": "FP33", "shape": [-1]}]}, "datatype"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": []}]}, "shape"),
        ({"inputs": [{"name": "", "datatype": "FP32", "shape": [-1]}]}, "name"),
        ({"files": {"model.onnx": "ABC"}}, "files"),
        ({"files": {"model.onnx": "A" * 64}}, "files"),
        ({"variant": "fp16"}, "variant"),
        ({"variant_check": {"asked": "int8"}}, "variant_check"),
        ({"surplus": 1}, "surplus"),
        ({"run_id": None}, "run_id"),
    ],
)
def test_what_is_no_manifest_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Manifest.model_validate(manifest().model_dump() | change)
