"""Small tables with everything in them: numbers, texts, gaps."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ISLANDS = ("Biscoe", "Dream", "Torgersen")


def birds(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Weights, islands and sexes, some of which are missing; the target is the kind."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 2, rows)
    weight = random.normal(4000 + 800 * kind, 200).round()
    weight[::9] = np.nan
    sex = np.where(random.random(rows) < 0.5, "male", "female").astype(object)
    sex[::7] = None
    return pd.DataFrame(
        {
            "weight": weight,
            "island": np.array(ISLANDS)[random.integers(0, 3, rows)],
            "ring": random.integers(100, 103, rows),
            "sex": sex,
            "kind": np.array(["Adelie", "Gentoo"])[kind],
        }
    )


def birds_spec(path: Path | str, **options: object) -> dict[str, Any]:
    """A `data` section for them."""
    return {
        "source": "csv",
        "path": str(path),
        "target": "kind",
        "categories": ["island", "ring", "sex"],
        "missing": "impute",
    } | options
