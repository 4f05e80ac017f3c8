"""`drivetrain predict`: rows in, a table or JSON out."""

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from services.cli.tables import print_table

if TYPE_CHECKING:
    from services.prediction.client import Prediction


def predict(
    model: Annotated[str, typer.Argument(help="Name of the served model.")],
    rows: Annotated[str, typer.Argument(help="A .csv, .json, .npy, .png or .jpg file; - reads JSON.")],
    address: Annotated[
        str, typer.Option("--address", envvar="DRIVETRAIN_PREDICTION_ADDRESS", help="HOST:PORT of the service.")
    ] = "localhost:8001",
    version: Annotated[str, typer.Option("--version", help="Ask this version; by default the champion.")] = "",
    output: Annotated[Literal["table", "json"], typer.Option("--output", help="How to print the answers.")] = "table",
) -> None:
    """Ask the prediction service about rows.

    CSV columns and JSON objects are matched by feature name, others are left out; lists are taken in order. Of a table
    with categories or missing values an empty cell, or null, is a missing one.

    Example: echo '[[5.1, 3.5, 1.4, 0.2]]' | drivetrain predict iris-mlp - --output json
    """
    from services.cli.prediction_client import prediction_client
    from services.cli.rows import check_source, length_warning, read_inputs

    check_source(rows)
    with prediction_client(address) as client:
        metadata = client.metadata(model, version)
        inputs = read_inputs(rows, metadata)
        if told := length_warning(inputs, metadata):
            Console(stderr=True).print(f"warning: {told}", highlight=False, soft_wrap=True, markup=False)
        answer = client.predict(model, inputs, version)
    predictions = read_answer(answer)
    if output == "json":
        typer.echo(json.dumps({"model": model, "version": answer.version, "predictions": predictions}, indent=2))
        return
    table = Table("row", "prediction", *(["probability"] if answer.class_labels else []), box=None)
    for number, prediction in enumerate(predictions, start=1):
        probability = [f"{prediction['probability']:.4f}"] if answer.class_labels else []
        table.add_row(str(number), _shown(prediction["prediction"]), *probability)
    Console().print(f"{model}, version {answer.version}", highlight=False, soft_wrap=True)
    print_table(table)


def _shown(prediction: object) -> str:
    match prediction:
        case float():
            return f"{prediction:.6g}"
        case list():
            return ", ".join(map(_shown, prediction))
        case _:
            return str(prediction)


def read_answer(answer: "Prediction") -> list[dict[str, object]]:
    """One entry a row: the quantity, the steps of a forecast, or the likeliest label with all probabilities."""
    labels = answer.class_labels
    if not labels:
        predicted = answer.outputs["prediction"]
        if predicted.ndim == 3:  # a forecast: its steps, of one variable or of several
            steps = predicted[..., 0] if predicted.shape[2] == 1 else predicted
            return [{"prediction": each.tolist()} for each in steps]
        return [{"prediction": float(value)} for value in predicted[:, 0]]
    return [
        {
            "prediction": labels[int(index)],
            "probability": float(probabilities[int(index)]),
            "probabilities": {label: float(p) for label, p in zip(labels, probabilities, strict=True)},
        }
        for index, probabilities in zip(answer.outputs["class_index"], answer.probabilities, strict=True)
    ]
