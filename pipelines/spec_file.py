"""Reading specs: YAML file or recipe name, `--set` overrides, and errors that name the place in the YAML."""

import reprlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipelines.errors import Mismatch, SpecError
from pipelines.spec.section import Section
from pipelines.spec.training_spec import TrainingSpec

_REPR = reprlib.Repr()
"""Looks at the beginning of a value only: aliases can make a short YAML text an endless one."""
_REPR.maxstring = _REPR.maxother = 200

_RECIPES = files("pipelines") / "recipes"

# The sections whose kind a field chooses. Pydantic puts the chosen kind into an error's location, YAML does not.
_DISCRIMINATORS = {"data": "source", "model": "family", "loss": "name", "optimizer": "name", "schedule": "name"}


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that a mapping has twice, where YAML's own loader would take the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} twice", node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def recipes() -> dict[str, str]:
    """The ready-made specs as YAML texts, by name."""
    found = (entry for entry in _RECIPES.iterdir() if entry.name.endswith(".yaml"))
    return {entry.name.removesuffix(".yaml"): entry.read_text() for entry in sorted(found, key=lambda e: e.name)}


def load_spec(source: str, overrides: Sequence[str] = ()) -> TrainingSpec:
    """Read a spec from a YAML file, or from a recipe of that name if there is no such file.

    `overrides` are texts such as `training.epochs=5`, validated like the YAML. Raises SpecError.
    """
    tree = parse_yaml(_read(source), source)
    for override in overrides:
        _apply(tree, override)
    return build_spec(tree)


def build_spec(tree: Mapping[str, Any]) -> TrainingSpec:
    """Validate a spec that is already a tree of mappings. Raises SpecError with every mismatch found."""
    try:
        return TrainingSpec.model_validate(_with_default_kinds(tree))
    except ValidationError as error:
        raise SpecError(*map(_explain, error.errors())) from error


def parse_yaml(text: str, source: str) -> dict[str, Any]:
    """Parse YAML into a mapping; `source` names the text in an error. Raises SpecError."""
    try:
        tree = yaml.load(text, _UniqueKeys)  # a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: an impossible date
        raise SpecError(_explain_yaml(error, text, source)) from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SpecError(Mismatch(source, "a mapping of sections such as data: and model:", type(tree).__name__))
    return tree


def dump_spec(spec: TrainingSpec) -> str:
    """The spec as YAML, every default written out; `load_spec` reads it back to an equal spec."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)


def flatten(spec: TrainingSpec) -> dict[str, str]:
    """The spec as flat parameters by dotted path, such as `training.epochs`."""

    def leaves(section: Section, prefix: str = "") -> dict[str, str]:
        flat: dict[str, str] = {}
        for key, value in section.model_dump(mode="json").items():
            inner = getattr(section, key)
            flat |= leaves(inner, f"{prefix}{key}.") if isinstance(inner, Section) else {f"{prefix}{key}": str(value)}
        return flat

    return leaves(spec)


def _explain_yaml(error: Exception, text: str, source: str) -> Mismatch:
    """What is wrong with a text that is no YAML, in one line."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        came = f"a tab in line {mark.line + 1}, column {mark.column + 1}"
        return Mismatch(source, "spaces, as YAML indents with spaces alone", came)
    return Mismatch(source, "valid YAML", " ".join(str(error).split()))


def _read(source: str) -> str:
    path = Path(source)
    known = recipes()
    if not path.exists() and source in known:
        return known[source]
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        hint = get_close_matches(source, known, n=1)
        nearest = f"; did you mean the recipe {hint[0]!r}?" if hint else ""
        expected = f"a YAML file or one of the recipes {', '.join(known)}"
        came = "no such file" if isinstance(error, FileNotFoundError) else "nothing readable"
        raise SpecError(Mismatch(source, expected, came + nearest)) from error


def _apply(tree: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    *sections, key = path.strip().split(".")
    if not equals or not key:
        raise SpecError(Mismatch("--set", "PATH=VALUE, such as training.epochs=5", repr(override)))
    for section in sections:
        inner = tree.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SpecError(Mismatch(f"--set {path}", "a path through sections", f"{section!r}, which is {inner!r}"))
        tree = inner
    try:
        tree[key] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(Mismatch(f"--set {path}", "a YAML value", repr(text))) from error


def _with_default_kinds(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """`model: {hidden: [8]}` means the default family, as leaving out the whole section would."""
    if not isinstance(tree, Mapping):
        return tree
    completed = dict(tree)
    for section, field in _DISCRIMINATORS.items():
        given = tree.get(section)
        if isinstance(given, Mapping) and field not in given:
            completed[section] = {field: next(iter(_kinds(section))), **given}
    return completed


def _explain(error: ErrorDetails) -> Mismatch:
    location = error["loc"]
    kind, context, came = error["type"], error.get("ctx", {}), _shorten(error["input"])
    path = _yaml_path(location)
    match kind:
        case "mismatch":
            place = ".".join(filter(None, [path, context["field"]]))
            return Mismatch(place, context["expected"], context["came"])
        case "missing":
            return Mismatch(path, "a value", "nothing")
        case "extra_forbidden":
            return Mismatch(path, _known_keys(location), repr(location[-1]))
        case "union_tag_invalid":
            return Mismatch(
                f"{path}.{_DISCRIMINATORS[path]}", f"one of {', '.join(_kinds(path))}", repr(context["tag"])
            )
        case "string_too_short":
            return Mismatch(path, "a text that is not empty", came)
        case "string_pattern_mismatch":
            return Mismatch(path, f"a text that matches {context['pattern']}", came)
        case "model_type" | "model_attributes_type":
            return Mismatch(path, "a mapping", came)
        case "tuple_type":
            return Mismatch(path, "a list", came)
        case "too_short":
            return Mismatch(path, f"at least {context['min_length']} in the list", came)
        case "too_long":
            return Mismatch(path, f"at most {context['max_length']} in the list", came)
        case "invalid_key":
            return Mismatch(path, "a text as key", came)
        case _:
            return Mismatch(path, error["msg"].removeprefix("Input should be "), came)


def _yaml_path(location: Sequence[str | int]) -> str:
    kept = [str(part) for at, part in enumerate(location) if not (at == 1 and location[0] in _DISCRIMINATORS)]
    return ".".join(part for part in kept if "[" not in part)  # names of alternatives, such as dict[str,float]


def _known_keys(location: Sequence[str | int]) -> str:
    known = list(_section_at(location[:-1]).model_fields)
    nearest = get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f"{nearest[0]!r} (the nearest known key)" if nearest else f"one of {', '.join(known)}"


def _section_at(location: Sequence[str | int]) -> type[Section]:
    """The section class at a location of an error; leaves never hold keys."""
    section: type[Section] = TrainingSpec
    for at, part in enumerate(location):
        if at == 1 and location[0] in _DISCRIMINATORS:
            section = _kinds(str(location[0]))[str(part)]
        elif isinstance(part, str) and (part not in _DISCRIMINATORS or at > 0):
            annotation = section.model_fields[part].annotation
            options = [annotation, *get_args(annotation)]
            section = next(option for option in options if isinstance(option, type) and issubclass(option, Section))
    return section


def _kinds(union: str) -> dict[str, type[Section]]:
    field = _DISCRIMINATORS[union]
    members = get_args(TrainingSpec.model_fields[union].annotation)
    return {get_args(member.model_fields[field].annotation)[0]: member for member in members}


def _shorten(value: object, limit: int = 60) -> str:
    text = _REPR.repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
