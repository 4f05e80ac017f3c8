"""The figures behind a part's figures, as an MLflow run has them: by class, and by step ahead."""

from collections.abc import Sequence

from pipelines.evaluation.classification import class_figures
from pipelines.evaluation.labels import MAX_NAMED_CLASSES, metric_names
from pipelines.evaluation.metrics import Evaluation
from pipelines.evaluation.regression import errors_by_step


def class_metrics(test: Evaluation, labels: Sequence[str]) -> dict[str, float]:
    """`test_f1/LABEL` of each class; none for quantities, or where there are too many classes to look at."""
    if not 0 < len(labels) <= MAX_NAMED_CLASSES:
        return {}
    figures = class_figures(test.truth, test.predicted, labels)
    return {name: of.f1 for name, of in zip(metric_names("test_f1", labels), figures, strict=True)}


def step_metrics(test: Evaluation) -> list[dict[str, float]]:
    """A forecast's errors, averaged over its variables, for each step ahead; none for anything else."""
    if not test.is_forecast:
        return []
    errors = errors_by_step(test.truth, test.predicted)
    columns = zip(errors.mae.mean(axis=1), errors.rmse.mean(axis=1), strict=True)
    return [{"test_mae_by_step": float(mae), "test_rmse_by_step": float(rmse)} for mae, rmse in columns]
