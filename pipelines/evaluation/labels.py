"""Names of classes and columns as pictures and metrics can show them."""

import re
from collections.abc import Sequence

_LONGEST = 24

MAX_NAMED_CLASSES = 30
"""So many names are still told apart on a picture's axis, or in a table."""


def literal(text: str) -> str:
    """A name for a picture: long ones lose their middle, and Matplotlib must not read dollar signs as a formula."""
    half = _LONGEST // 2
    short = text if len(text) <= _LONGEST else f"{text[:half]}…{text[1 - half :]}"
    return short.replace("$", r"\$")


def metric_names(prefix: str, labels: Sequence[str]) -> list[str]:
    """A name a class under which MLflow takes its figure, `prefix/label`; by number where labels do not allow that."""
    usable = len(set(labels)) == len(labels) and all(re.fullmatch(r"\w[\w .-]{0,99}", label) for label in labels)
    return [f"{prefix}/{label if usable else number}" for number, label in enumerate(labels)]
