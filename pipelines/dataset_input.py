"""What a run says of its data, in MLflow's notation."""

import json

import numpy as np
from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from pipelines.data.dataset import Dataset
from pipelines.data.encoding import Category


def dataset_input(dataset: Dataset) -> DatasetInput:
    """Where the data came from, its digest, its schema, and how many rows each part and class has."""
    entry = MlflowDataset(
        name=dataset.origin,
        digest=dataset.digest,
        source_type="local",
        source=json.dumps({"uri": dataset.origin}),
        schema=json.dumps(_schema(dataset)),
        profile=json.dumps(_profile(dataset)),
    )
    return DatasetInput(entry, [InputTag("mlflow.data.context", "training")])


def _profile(dataset: Dataset) -> dict[str, object]:
    held_out = {"val_rows": len(dataset.validation), "test_rows": len(dataset.test)}
    return {"train_rows": dataset.num_train} | held_out | {"train_classes": dataset.class_counts}


def _schema(dataset: Dataset) -> dict[str, object]:
    """The dataset's schema in MLflow's notation: named columns where there are names, else a tensor."""
    if dataset.feature_names:
        texts = {column.name for column in dataset.encoding.columns if isinstance(column, Category)}
        texts |= set(dataset.feature_names) if dataset.text else set()
        kinds = {name: DataType.string if name in texts else DataType.float for name in dataset.feature_names}
        schema = Schema([ColSpec(kind, name) for name, kind in kinds.items()])
        return {"mlflow_colspec": schema.to_dict()}
    return {
        "mlflow_tensorspec": {
            "features": Schema([TensorSpec(np.dtype(np.float32), (-1, *dataset.row_shape))]).to_dict()
        }
    }
