"""Which variant is served, for every way the metrics can compare."""

from math import nan

import pytest

from pipelines.registry.manifest import Variant, VariantCheck
from pipelines.registry.variants import decide_variant


@pytest.mark.parametrize(
    ("value", "fp32_value", "tolerance", "served"),
    [
        (0.9, 0.9, 0.0, "int8"),
        (0.95, 0.9, 0.0, "int8"),
        (0.895, 0.9, 0.005, "int8"),
        (0.8949, 0.9, 0.005, "fp32"),
        (0.8999, 0.9, 0.0, "fp32"),
        (-0.5, -0.4, 0.2, "int8"),
        (0.0, 1.0, 1.0, "int8"),
        (nan, 0.9, 1.0, "fp32"),
    ],
)
def test_the_variant_is_served_within_the_tolerance(
    value: float, fp32_value: float, tolerance: float, served: Variant
) -> None:
    check = VariantCheck(asked="int8", metric="r2", value=value, fp32_value=fp32_value, tolerance=tolerance)
    assert decide_variant(check).variant == served


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.89, "bf16 is served: validation accuracy is 0.8900 as bf16 and 0.9000 as fp32"),
        (0.8, "fp32 is served, bf16 loses too much: validation accuracy is 0.8000 as bf16 and 0.9000 as fp32"),
    ],
)
def test_the_reason_gives_the_figures(value: float, reason: str) -> None:
    check = VariantCheck(asked="bf16", metric="accuracy", value=value, fp32_value=0.9, tolerance=0.02)
    assert decide_variant(check).reason == f"{reason}, registry.variant_tolerance is 0.02"
