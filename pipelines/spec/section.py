"""What all sections of a spec are made of."""

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


def mismatch(field: str, expected: str, came: str) -> PydanticCustomError:
    """What a cross-field rule raises: `field` is the one to change, by its path within the section."""
    context = {"field": field, "expected": expected, "came": came}
    return PydanticCustomError("mismatch", "{field}: expected {expected}, came {came}", context)


class Section(BaseModel):
    """What all parts of a spec share: immutable, unknown keys refused, infinities refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
