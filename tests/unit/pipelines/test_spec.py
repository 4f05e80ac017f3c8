"""The spec's fields: documented, defaulted, frozen, in range, and fitting each other."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args, get_origin

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from pipelines.spec.data import CsvSource
from pipelines.spec.model import Block, Cnn
from pipelines.spec.section import Section
from pipelines.spec.training import EarlyStopping
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec, recipes

JSON = dict[str, Any]


def section_classes(root: type[Section]) -> Iterator[type[Section]]:
    """`root` and every section that its fields can hold."""
    yield root
    for field in root.model_fields.values():
        for option in alternatives(field.annotation):
            if isinstance(option, type) and issubclass(option, Section):
                yield from section_classes(option)


def alternatives(annotation: object) -> tuple[object, ...]:
    return (
        get_args(annotation) if isinstance(annotation, UnionType) or get_origin(annotation) is tuple else (annotation,)
    )


def properties(schema: JSON) -> Iterator[tuple[str, JSON]]:
    for name, section in ({"TrainingSpec": schema} | schema["$defs"]).items():
        for key, value in section["properties"].items():
            yield f"{name}.{key}", value


SECTIONS = sorted(set(section_classes(TrainingSpec)), key=lambda section: section.__name__)


def test_the_walk_finds_every_section() -> None:
    names = {section.__name__ for section in SECTIONS}
    assert {"SklearnSource", "NpzSource", "Mlp", "Cnn", "Rnn", "Sgd", "GradientDescent", "EarlyStopping"} <= names
    assert len(names) == 36


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_field_has_a_doc_line(section: type[Section]) -> None:
    undocumented = [name for name, field in section.model_fields.items() if not field.description]
    assert undocumented == []
    assert section.__doc__


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_section_is_frozen_and_closed(section: type[Section]) -> None:
    assert section.model_config["frozen"]
    assert section.model_config["extra"] == "forbid"


def test_a_spec_cannot_be_changed() -> None:
    spec = TrainingSpec()
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 1  # type: ignore[misc] # that it is refused is the point
    with pytest.raises(ValidationError, match="frozen"):
        spec.training.epochs = 1  # type: ignore[misc]


def test_the_empty_spec_is_the_documented_default() -> None:
    spec = build_spec({})
    assert (spec.name, spec.seed, spec.task) == ("digits-mlp", 0, "classification")
    assert spec.data.split.train + spec.data.split.validation + spec.data.split.test == pytest.approx(1)
    assert spec.training.early_stopping is None
    assert spec.registry.promote == "better"


@pytest.mark.parametrize(
    ("data", "loss", "task"),
    [
        ({"source": "sklearn", "dataset": "iris"}, "cross_entropy", "classification"),
        ({"source": "sklearn", "dataset": "diabetes"}, "mse", "regression"),
        ({"source": "synthetic"}, "mse", "regression"),
        ({"source": "synthetic"}, "mae", "regression"),
        ({"source": "synthetic"}, "huber", "regression"),
        ({"source": "sklearn", "dataset": "breast_cancer"}, "binary_cross_entropy", "classification"),
    ],
)
def test_the_loss_says_the_task(data: JSON, loss: str, task: str) -> None:
    assert build_spec({"data": data, "loss": {"name": loss}}).task == task


@pytest.mark.parametrize(
    ("tree", "path", "value"),
    [
        ({"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}}, "optimizer.nesterov", True),
        ({"optimizer": {"name": "adam", "betas": [0, 0.5]}}, "optimizer.betas", (0.0, 0.5)),
        ({"model": {"family": "mlp", "hidden": []}}, "model.hidden", ()),
        ({"model": {"family": "cnn", "kernel_size": 1}}, "model.kernel_size", 1),
        ({"model": {"family": "cnn", "blocks": [{"pool": 1}]}}, "model.blocks", (Block(pool=1),)),
        ({"loss": {"class_weights": {0: 2, "b": 0.5}}}, "loss.class_weights", {"0": 2.0, "b": 0.5}),
        ({"schedule": {"warmup_epochs": 19.5}}, "schedule.warmup_epochs", 19.5),
        ({"training": {"early_stopping": {}}}, "training.early_stopping", EarlyStopping()),
        ({"training": {"checkpoints": {"every_minutes": 0, "keep": 1}}}, "training.checkpoints.every_minutes", 0.0),
        ({"seed": 2**32 - 1}, "seed", 2**32 - 1),
        ({"name": "a" * 100}, "name", "a" * 100),
        ({"data": {"source": "csv", "path": "x.csv", "features": ["a", "b"]}}, "data.features", ("a", "b")),
    ],
)
def test_values_at_the_edge_are_taken(tree: JSON, path: str, value: object) -> None:
    came: Any = build_spec(tree)
    for key in path.split("."):
        came = getattr(came, key)
    assert came == value


def test_a_number_in_scientific_notation_is_a_number() -> None:
    # YAML 1.1 reads 1e-3 as a text; the spec must not.
    spec = build_spec({"optimizer": yaml.safe_load("{name: adam, learning_rate: 1e-3}")})
    assert spec.optimizer.learning_rate == 0.001


def test_every_property_of_the_schema_is_described() -> None:
    described = dict(properties(TrainingSpec.model_json_schema()))
    assert len(described) > 50
    assert [name for name, value in described.items() if not value.get("description")] == []


@pytest.mark.parametrize("name", recipes())
def test_the_schema_accepts_every_recipe(name: str) -> None:
    jsonschema.validate(yaml.safe_load(recipes()[name]), TrainingSpec.model_json_schema())


@pytest.mark.parametrize(
    "tree", [{"training": {"epoch": 3}}, {"training": {"epochs": 0}}, {"model": {"family": "mpl"}}, {"seed": "x"}]
)
def test_the_schema_refuses_what_the_spec_refuses(tree: JSON) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tree, TrainingSpec.model_json_schema())


def test_the_blocks_of_a_cnn_follow_from_its_channels() -> None:
    section = build_spec({"model": {"family": "cnn", "channels": [4, 8], "kernel_size": 5}}).model
    assert isinstance(section, Cnn)
    assert section.stack == (Block(channels=4, kernel_size=5), Block(channels=8, kernel_size=5))


@pytest.mark.parametrize(
    ("sections", "name"),
    [
        ({}, "digits-mlp"),
        ({"data": {"source": "sklearn", "dataset": "iris"}}, "iris-mlp"),
        ({"data": {"source": "csv", "path": "data/wine.csv"}}, "wine-mlp"),
        ({"data": {"source": "csv", "path": "s3://bucket/Wei n/*.csv"}}, "Wei-n-mlp"),
        ({"data": {"source": "images", "path": "plants/"}, "model": {"family": "cnn"}}, "plants-cnn"),
        ({"data": CsvSource(source="csv", path="wine.csv")}, "wine-mlp"),
        ({"data": {"source": "csv", "path": "wine.csv"}, "name": "mine"}, "mine"),
    ],
)
def test_a_model_without_a_name_is_called_after_its_data(sections: dict[str, object], name: str) -> None:
    assert TrainingSpec.model_validate(sections).name == name
