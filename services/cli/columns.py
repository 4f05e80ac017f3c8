"""Rows for a model that takes an input a column: texts stay as they are written, and a number may be missing."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from services.cli.errors import InputError
from services.prediction.client import ModelMetadata


def columns_of(records: Sequence[Mapping[str, object]], model: ModelMetadata) -> dict[str, list[Any]]:
    """Values by the model's columns, others left out; an empty text or null is a missing value. Raises InputError."""
    columns: dict[str, list[Any]] = {}
    for tensor in model.inputs:
        for record in records:
            if tensor.name not in record:
                raise InputError(f"ROWS: expected a column {tensor.name!r}, came {', '.join(map(repr, record))}")
        values = [record[tensor.name] for record in records]
        if tensor.datatype == "BYTES":
            columns[tensor.name] = ["" if value is None else str(value) for value in values]
        else:
            columns[tensor.name] = [_number(tensor.name, row, value) for row, value in enumerate(values, start=1)]
    return columns


def _number(name: str, row: int, value: object) -> float:
    if value is None or value == "":
        return math.nan
    try:
        number = float(str(value))
    except ValueError as error:
        raise InputError(f"ROWS: expected a number in column {name!r}, came {value!r} in row {row}") from error
    if math.isinf(number):
        raise InputError(f"ROWS: expected finite numbers, came infinity in row {row}")
    return number
