"""Commands on the registry: `models`, `runs`, `promote`, `rollback`, `traffic`."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.cli.errors import InputError
from services.cli.tables import print_table

if TYPE_CHECKING:
    from mlflow.entities import Run

    from pipelines.registry.model_registry import ModelRegistry
    from pipelines.registry.promotion import Version
    from pipelines.registry.traffic import Registered

Model = Annotated[str, typer.Argument(help="Name of the registered model.")]

_RUN_METRICS = (
    "best_val_accuracy",
    "best_val_r2",
    "test_accuracy",
    "test_r2",
    "test_mae",
    "best_val_loss",
    "best_epoch",
)


def models(model: Annotated[str | None, typer.Argument(help="Show all versions of this one.")] = None) -> None:
    """List the registered models with their champions, or all versions of one.

    Example: drivetrain models digits-cnn
    """
    registry = _registry()
    if model is not None:
        _require_known(model, registry)
    names = [model] if model else sorted(registry.champions())
    rows = [row for name in names for row in registry.versions(name) if model or row.is_champion]
    if not rows:
        Console().print("no champions yet; train one: drivetrain train digits-mlp", highlight=False, soft_wrap=True)
        return
    print_table(_versions_table(rows))


def runs(
    model: Model,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Show at most this many, newest first.")] = 20,
) -> None:
    """Compare the training runs of a model: their metrics, and the parameters in which they differ.

    Example: drivetrain runs digits-mlp --limit 10
    """
    from mlflow.exceptions import MlflowException

    from pipelines.errors import RegistryError
    from pipelines.home import mlflow_client

    client = mlflow_client()
    try:
        experiment = client.get_experiment_by_name(model)
        if experiment is None:
            raise InputError(f"MODEL: expected one that has been trained, came {model!r}")
        found = client.search_runs([experiment.experiment_id], max_results=limit, order_by=["start_time DESC"])
    except MlflowException as error:
        raise RegistryError(f"cannot list the runs of {model!r}: {error.message}") from error
    print_table(_runs_table(found))


def promote(model: Model, version: Annotated[int, typer.Argument(min=1, help="The version to serve.")]) -> None:
    """Make a version champion: prediction services take it over within their poll interval.

    Example: drivetrain promote digits-cnn 3
    """
    registry = _registry()
    _require_known(model, registry)
    _require_version("VERSION", model, version, registry)
    registry.promote(model, str(version), reason="promoted by hand")
    Console().print(f"{model}: version {version} is champion", highlight=False, soft_wrap=True)


def rollback(model: Model) -> None:
    """Make the version champion again that the present champion replaced.

    Example: drivetrain rollback digits-cnn
    """
    registry = _registry()
    _require_known(model, registry)
    left, restored = registry.rollback(model)
    Console().print(f"{model}: back from version {left} to version {restored}", highlight=False, soft_wrap=True)


def traffic(
    model: Model,
    challenger: Annotated[
        int | None, typer.Option("--challenger", min=1, metavar="VERSION", help="The version to try from now on.")
    ] = None,
    canary: Annotated[
        str | None, typer.Option("--canary", metavar="SHARE", help="Requests that the challenger answers: 10% or 0.1.")
    ] = None,
    shadow: Annotated[
        str | None, typer.Option("--shadow", metavar="SHARE", help="Answered requests that it runs too, unseen.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End both: the champion answers, alone.")] = False,
) -> None:
    """Show or set a model's challenger, the version with that alias, and which share of the traffic goes to it.

    Servers follow within their poll interval. Only requests that name no version are shared; those with the same
    parameter `routing_key` go to the same version. What is not given stays as it is.

    Example: drivetrain traffic digits-cnn --challenger 4 --canary 10% --shadow 100%
    """
    from pipelines.registry.traffic import CHALLENGER, NO_RULE

    if off and (canary is not None or shadow is not None):
        raise InputError("--off: expected it alone, came --canary or --shadow besides")
    options = {"canary": canary, "shadow": shadow}
    shares = {f"{name}_share": _share(f"--{name}", text) for name, text in options.items() if text is not None}
    registry = _registry()
    _require_known(model, registry)
    found = registry.traffic(model)
    if challenger is not None:
        _require_version("--challenger", model, challenger, registry)
        registry.set_challenger(model, str(challenger))
    elif any(shares.values()) and CHALLENGER not in found.aliases:
        raise InputError(f"--challenger: expected a version that takes the share, as {model!r} has none yet, came none")
    if off or shares:
        registry.set_traffic(model, NO_RULE if off else replace(found.rule, problem="", **shares))
    Console().print(_traffic_line(model, registry.traffic(model)), highlight=False, soft_wrap=True)


def _share(option: str, text: str) -> float:
    """0.1 of `10%` or `0.1`. Raises InputError."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"{option}: expected a share from 0% to 100%, such as 10% or 0.1, came {text!r}")
    return share


def _traffic_line(model: str, found: "Registered") -> str:
    from pipelines.registry.traffic import CHALLENGER

    rule, challenger = found.rule, found.aliases.get(CHALLENGER)
    who = f"version {challenger} is challenger" if challenger else "no version is challenger: the champion is alone"
    if rule.problem:
        return f"{model}: no rule, as there is a wrong one: {rule.problem}; {who}"
    return f"{model}: canary {_percent(rule.canary_share)}, shadow {_percent(rule.shadow_share)}; {who}"


def _percent(share: float) -> str:
    return f"{100 * share:.6g}%"


def _registry() -> "ModelRegistry":
    with Console(stderr=True).status("opening the registry"):
        from pipelines.home import mlflow_client, tracking_uri
        from pipelines.registry.model_registry import ModelRegistry

        return ModelRegistry(mlflow_client(), tracking_uri())


def _require_known(model: str, registry: "ModelRegistry") -> None:
    known = registry.champions()
    if model not in known:
        expected = f"one of {', '.join(sorted(known))}" if known else "a registered model (there is none yet)"
        raise InputError(f"MODEL: expected {expected}, came {model!r}")


def _require_version(parameter: str, model: str, version: int, registry: "ModelRegistry") -> None:
    known = sorted(int(row.version) for row in registry.versions(model))
    if version not in known:
        raise InputError(f"{parameter}: expected one of {', '.join(map(str, known))}, came {version}")


def _versions_table(rows: "list[Version]") -> Table:
    table = Table("model", "version", "champion", "validation", "variant", "created", "promotion", box=None)
    for row in rows:
        score = f"{row.score.metric} {row.score.value:.4f}" if row.score else ""
        created = row.created.astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(row.model, row.version, "✓" if row.is_champion else "", score, row.variant, created, row.reason)
    return table


def _runs_table(found: "list[Run]") -> Table:
    metrics = [name for name in _RUN_METRICS if any(name in run.data.metrics for run in found)]
    params = sorted({key for run in found for key in run.data.params})
    differing = [key for key in params if len({run.data.params.get(key) for run in found}) > 1]
    table = Table("run", "status", "started", "seconds", *metrics, *differing, box=None)
    for run in found:
        started = datetime.fromtimestamp(run.info.start_time / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        seconds = f"{(run.info.end_time - run.info.start_time) / 1000:.1f}" if run.info.end_time else ""
        figures = [f"{run.data.metrics[name]:.4g}" if name in run.data.metrics else "" for name in metrics]
        settings = [run.data.params.get(key, "") for key in differing]
        table.add_row(run.info.run_id[:8], run.info.status, started, seconds, *figures, *settings)
    return table
