"""A page that says what a version is, for whoever meets it later."""

from collections.abc import Sequence

from pipelines.data.dataset import Dataset
from pipelines.evaluation.calibration import BINS
from pipelines.evaluation.classification import class_figures
from pipelines.evaluation.labels import MAX_NAMED_CLASSES
from pipelines.evaluation.metrics import Evaluation
from pipelines.evaluation.regression import errors_by_step
from pipelines.spec.training_spec import TrainingSpec

_MAX_STEPS = 48

_VALUES = "Raw feature values go in; standardisation is part of the graph."
_TEXTS = """The prediction service takes texts. `model.onnx` itself, and so `mlflow.pyfunc`, takes the tokens that the
service makes of them: INT64 [rows, tokens], filled up with 0, as `pipelines.registry.texts.Tokenizer` does with the
vocabulary in `manifest.json`."""


def write_model_card(
    spec: TrainingSpec, dataset: Dataset, run_id: str, validation: Evaluation, test: Evaluation, variant: str = ""
) -> str:
    """The model card as Markdown: task, data, network, held-out figures, and how it may be asked.

    `variant` tells which one is served and why, where the spec asks for another than FP32.
    """
    served = f"- Variant: {variant}\n" if variant else ""
    classes = f"- Classes: {', '.join(dataset.labels)}\n" if dataset.labels else ""
    return f"""# {spec.name}

- Task: {spec.task} of `{dataset.target_name}`
- Network: {spec.model.family}, rows shaped {list(dataset.row_shape)}
- Data: {dataset.origin} (digest `{dataset.digest}`), {dataset.num_train} training, \
{len(dataset.validation)} validation and {len(dataset.test)} test rows
{classes}{served}- Trained by run `{run_id}`, seed {spec.seed}

{_figures(validation, test)}
{_details(dataset, test)}\
{_TEXTS if dataset.text else _VALUES} The figures hold for rows like those above: on data from
elsewhere, measure again before you rely on them.
"""


def _figures(validation: Evaluation, test: Evaluation) -> str:
    names = sorted(validation.metrics.keys() | test.metrics.keys())
    return _table(("metric", "validation", "test"), [(n, _figure(validation, n), _figure(test, n)) for n in names])


def _figure(part: Evaluation, name: str) -> str:
    """A dash where a part has no such figure: nothing can be ranked among rows of one class."""
    return f"{part.metrics[name]:.4f}" if name in part.metrics else "-"


def _details(dataset: Dataset, test: Evaluation) -> str:
    if dataset.labels:
        return f"{_by_class(dataset, test)}\n"
    return f"{_by_step(test)}\n" if test.is_forecast else ""


def _by_class(dataset: Dataset, test: Evaluation) -> str:
    figures = class_figures(test.truth, test.predicted, dataset.labels)
    heading, shown = "class", figures
    if len(figures) > MAX_NAMED_CLASSES:
        heading = f"class (the {MAX_NAMED_CLASSES} worst of {len(figures)})"
        shown = sorted(figures, key=lambda entry: entry.f1)[:MAX_NAMED_CLASSES]
    rows = [(c.label, f"{c.precision:.4f}", f"{c.recall:.4f}", f"{c.f1:.4f}", str(c.rows)) for c in shown]
    table = _table((heading, "precision", "recall", "F1", "test rows"), rows)
    return (
        f"{table}\nece is the expected calibration error over {BINS} bins; roc_auc is one against the rest, averaged.\n"
    )


def _by_step(test: Evaluation) -> str:
    errors = errors_by_step(test.truth, test.predicted)
    rows = [
        (str(step), f"{mae:.4g}", f"{rmse:.4g}")
        for step, (mae, rmse) in enumerate(zip(errors.mae.mean(axis=1), errors.rmse.mean(axis=1), strict=True), start=1)
    ]
    heading = "step ahead" if len(rows) <= _MAX_STEPS else f"step ahead (the first {_MAX_STEPS} of {len(rows)})"
    return _table((heading, "test MAE", "test RMSE"), rows[:_MAX_STEPS])


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    texts = [[cell.replace("|", "\\|") for cell in cells] for cells in lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in texts)
