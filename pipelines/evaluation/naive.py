"""What a forecast has to beat: the last season, repeated."""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Rows


def seasonal_naive(part: Rows, season: int) -> NDArray[np.float32]:
    """(N, horizon, variables): for each step the value one season before, the last that is known.

    Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, section 5.2.
    """
    horizon, variables = part.targets.shape[1:]
    last_season = part.features[:, -season:, :variables]
    return last_season[:, np.arange(horizon) % season]


def naive_figures(part: Rows, season: int, mae: float) -> dict[str, float]:
    """naive_mae: of repeating the last season. skill = 1 - mae / naive_mae: above 0 is better than that, 1 is perfect.

    0 where the last season repeats itself exactly.
    """
    errors = seasonal_naive(part, season).astype(np.float64) - part.targets
    naive_mae = float(np.abs(errors).mean())
    return {"naive_mae": naive_mae, "skill": 1 - mae / naive_mae if naive_mae else 0.0}
