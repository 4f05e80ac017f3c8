"""Commands about specs: `recipes`, `init`, `schema`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.cli.errors import InputError
from services.cli.tables import print_table


def recipes() -> None:
    """List the ready-made specs.

    Example: drivetrain recipes
    """
    from pipelines.spec_file import recipes as read_recipes

    table = Table("recipe", "what it is", box=None)
    for name, text in read_recipes().items():
        table.add_row(name, text.splitlines()[0].lstrip("# "))
    print_table(table)


def init(
    recipe: Annotated[str, typer.Argument(help="The recipe to start from.")] = "digits-mlp",
    path: Annotated[Path | None, typer.Argument(help="File to write; by default RECIPE.yaml.")] = None,
) -> None:
    """Write a recipe to a file of your own, to edit and train.

    Example: drivetrain init digits-cnn my-model.yaml
    """
    from pipelines.spec_file import recipes as read_recipes

    known = read_recipes()
    if recipe not in known:
        raise InputError(f"RECIPE: expected one of {', '.join(known)}, came {recipe!r}")
    target = path or Path(f"{recipe}.yaml")
    try:
        with target.open("x") as file:
            file.write(known[recipe])
    except FileExistsError as error:
        raise InputError(f"PATH: expected a file that does not exist yet, came {str(target)!r}") from error
    except OSError as error:
        raise InputError(f"PATH: expected a place to write to, came {str(target)!r} ({error.strerror})") from error
    Console(markup=False).print(
        f"wrote {target}; train it with: drivetrain train {target}", highlight=False, soft_wrap=True
    )


def schema() -> None:
    """Print the JSON Schema of specs, for editors that complete and check YAML.

    Example: drivetrain schema > drivetrain.schema.json
    """
    from pipelines.spec.training_spec import TrainingSpec

    typer.echo(json.dumps(TrainingSpec.model_json_schema(), indent=2))
