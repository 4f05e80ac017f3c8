"""What becomes of the trained model."""

from typing import Literal

from pydantic import Field

from pipelines.spec.section import Section


class Registry(Section):
    """What happens to the trained model."""

    promote: Literal["better", "always", "never"] = "better"
    """Move `champion`: if the validation metric is at least as good, always, or never."""
    variant: Literal["fp32", "int8", "bf16"] = "fp32"
    """Form of the served graph: as trained, INT8, or FP32 with its weights stored as BF16."""
    variant_tolerance: float = Field(default=0.005, ge=0, le=1)
    """By how much the variant's validation accuracy or R² may be below the FP32 graph's; else FP32 is served."""
