"""Whether two versions say the same of the same rows."""

from typing import Literal

import numpy as np

from services.prediction.calls import Array, Arrays

RELATIVE, ABSOLUTE = 0.05, 1e-3
"""How far apart two predicted numbers may be: a twentieth of the champion's, and a little more around zero."""


def disagrees(task: Literal["classification", "regression"], champion: Arrays, challenger: Arrays) -> bool:
    """Whether the challenger answers any row otherwise than the champion; both are `(rows, ...)` by output.

    Classification: another class, which is the output `class_index`, or else the largest value of the first output.
    Regression: any number of any output with |challenger - champion| > ABSOLUTE + RELATIVE · |champion|; NaN is near
    to NaN alone. Outputs that the challenger lacks, and other shapes, disagree.
    """
    if task == "classification":
        return not np.array_equal(_classes(champion), _classes(challenger))
    return not all(name in challenger and _near(values, challenger[name]) for name, values in champion.items())


def _classes(outputs: Arrays) -> Array:
    if "class_index" in outputs:
        return outputs["class_index"]
    scores = next(iter(outputs.values()))
    return np.asarray(scores.argmax(axis=-1))


def _near(champion: Array, challenger: Array) -> bool:
    if champion.shape != challenger.shape:
        return False
    return bool(np.isclose(challenger, champion, RELATIVE, ABSOLUTE, equal_nan=True).all())
