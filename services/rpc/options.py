"""A command line from a service's settings: each field is an option and a variable of the environment."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

S = TypeVar("S", bound=BaseModel)


def with_options_of(settings: type[S], prefix: str) -> Callable[[Callable[[S], None]], Callable[..., None]]:
    """Make of a function of settings a Typer command with their options.

    The field `drain_grace_s` becomes `--drain-grace`, which the variable PREFIX_DRAIN_GRACE sets too. Settings that do
    not fit end the command with exit code 2.
    """

    def decorate(run: Callable[[S], None]) -> Callable[..., None]:
        def command(**values: object) -> None:
            run(_checked(settings, values))

        parameters = [_parameter(name, field, prefix) for name, field in settings.model_fields.items()]
        command.__name__, command.__doc__ = run.__name__, run.__doc__
        command.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": None}
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what Typer reads
        return command

    return decorate


def _parameter(name: str, field: FieldInfo, prefix: str) -> inspect.Parameter:
    word = name.removesuffix("_s")
    option = f"--{word.replace('_', '-')}"
    declared = f"{option}/--no-{option.removeprefix('--')}" if field.annotation is bool else option
    lowest = next((each.ge for each in field.metadata if isinstance(each, Ge)), None)
    highest = next((each.le for each in field.metadata if isinstance(each, Le)), None)
    info: Any = typer.Option(
        declared, envvar=f"{prefix}_{word.upper()}", help=_help(field), min=_number(lowest), max=_number(highest)
    )
    kind = Annotated[field.annotation, info]  # type: ignore[name-defined] # made of a value
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=kind)


def _help(field: FieldInfo) -> str:
    above = next((each.gt for each in field.metadata if isinstance(each, Gt)), None)
    return field.description or "" if above is None else f"{field.description} More than {above}."


def _number(bound: object) -> float | None:
    return bound if isinstance(bound, int | float) else None


def _checked(settings: type[S], values: dict[str, object]) -> S:
    try:
        return settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"])
        ours = first["msg"].removeprefix("Value error, ")  # says what came
        told = ours if first["type"] == "value_error" else f"{first['msg']}, came {first['input']!r}"
        typer.echo(f"error: {where}{told}", err=True)
        raise typer.Exit(2) from error
