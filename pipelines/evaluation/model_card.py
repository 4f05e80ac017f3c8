"""A page that says what a version is, for whoever meets it later."""

from pipelines.data.dataset import Dataset
from pipelines.evaluation.metrics import Evaluation
from pipelines.spec.training_spec import TrainingSpec


def write_model_card(
    spec: TrainingSpec, dataset: Dataset, run_id: str, validation: Evaluation, test: Evaluation, variant: str = ""
) -> str:
    """The model card as Markdown: task, data, network, held-out figures, and how it may be asked.

    `variant` tells which one is served and why, where the spec asks for another than FP32.
    """
    rows = "\n".join(
        f"| {name} | {validation.metrics[name]:.4f} | {test.metrics[name]:.4f} |" for name in sorted(test.metrics)
    )
    served = f"- Variant: {variant}\n" if variant else ""
    classes = f"- Classes: {', '.join(dataset.labels)}\n" if dataset.labels else ""
    return f"""# {spec.name}

- Task: {spec.task} of `{dataset.target_name}`
- Network: {spec.model.family}, rows shaped {list(dataset.row_shape)}
- Data: {dataset.origin} (digest `{dataset.digest}`), {len(dataset.train)} training, \
{len(dataset.validation)} validation and {len(dataset.test)} test rows
{classes}{served}- Trained by run `{run_id}`, seed {spec.seed}

| metric | validation | test |
|---|---|---|
{rows}

Raw feature values go in; standardisation is part of the graph. The figures hold for rows like those above: on data from
elsewhere, measure again before you rely on them.
"""
