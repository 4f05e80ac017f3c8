"""A command line from a service's settings: each field is an option and a variable of the environment."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, get_origin

import typer
from annotated_types import Ge, Gt, Le
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from services.rpc.settings import HostSettings

S = TypeVar("S", bound=HostSettings)


def with_options_of(settings: type[S], prefix: str) -> Callable[[Callable[[S], None]], Callable[..., None]]:
    """Make of a function of settings a Typer command with their options.

    The field `drain_grace_s` becomes `--drain-grace`, which the variable PREFIX_DRAIN_GRACE sets too. Settings that do
    not fit end the command with exit code 2. The description of a field of a closed set names its members. All fits
    80 columns with names of up to 22 characters: ranges are told in the help, and how variables are named in one line.
    """
    variables = f"A variable sets an option too: {prefix}_METRICS_PORT is --metrics-port."

    def decorate(run: Callable[[S], None]) -> Callable[..., None]:
        def command(**values: object) -> None:
            run(_checked(settings, values))

        parameters = [_parameter(name, field, prefix) for name, field in settings.model_fields.items()]
        command.__name__, command.__doc__ = run.__name__, f"{inspect.getdoc(run)}\n\n{variables}"
        command.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": None}
        vars(command)["__signature__"] = inspect.Signature(parameters)  # what Typer reads
        return command

    return decorate


def _parameter(name: str, field: FieldInfo, prefix: str) -> inspect.Parameter:
    word = name.removesuffix("_s")
    option = f"--{word.replace('_', '-')}"
    declared = f"{option}/--no-{option.removeprefix('--')}" if field.annotation is bool else option
    metavar = "<choice>" if get_origin(field.annotation) is Literal else None  # in words: narrow, so that names fit
    variable = f"{prefix}_{word.upper()}"
    info: Any = typer.Option(declared, envvar=variable, show_envvar=False, metavar=metavar, help=_help(field))
    kind: Any = field.annotation
    annotation = Annotated[kind, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation)


def _help(field: FieldInfo) -> str:
    """What the field is, and the range that the settings hold it to."""
    bounds = {type(each): each for each in field.metadata}
    match bounds.get(Ge), bounds.get(Le), bounds.get(Gt):
        case Ge(ge=lowest), Le(le=highest), _:
            told = f" From {lowest} to {highest}."
        case Ge(ge=lowest), _, _:
            told = f" At least {lowest}."
        case _, _, Gt(gt=above):
            told = f" More than {above}."
        case _:
            told = ""
    return f"{field.description or ''}{told}"


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
