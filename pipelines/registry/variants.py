"""Which variant of a graph a version serves: a pure decision by the validation metric."""

from dataclasses import dataclass

from pipelines.registry.manifest import Variant, VariantCheck


@dataclass(frozen=True)
class VariantDecision:
    """The variant to serve, and why."""

    variant: Variant
    reason: str


def decide_variant(check: VariantCheck) -> VariantDecision:
    """Serve what was asked for if its metric is at most the tolerance below the FP32 graph's, or above; else FP32."""
    comparison = (
        f"validation {check.metric} is {check.value:.4f} as {check.asked} and {check.fp32_value:.4f} as fp32,"
        f" registry.variant_tolerance is {check.tolerance:g}"
    )
    loss = check.fp32_value - check.value
    if loss <= check.tolerance + _ROUNDING:  # false for NaN
        return VariantDecision(check.asked, f"{check.asked} is served: {comparison}")
    return VariantDecision("fp32", f"fp32 is served, {check.asked} loses too much: {comparison}")


_ROUNDING = 1e-9
"""Keeps 0.9 - 0.895 within a tolerance of 0.005, whatever the binary fractions make of it."""
