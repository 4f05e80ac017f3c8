"""Specs as files, as recipes, with overrides, and back to YAML."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import SpecError
from pipelines.spec.data import SklearnSource
from pipelines.spec.model import Mlp
from pipelines.spec.optimizer import Adam
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec, dump_spec, flatten, load_spec, parse_yaml, recipes

RECIPES = [
    "breast-cancer-mlp",
    "character-names-rnn",
    "diabetes-mlp",
    "digit-images-cnn",
    "digits-cnn",
    "digits-mlp",
    "digits-rnn",
    "el-nino-rnn",
    "penguins-mlp",
    "synthetic-mlp",
]

Tree = dict[str, Any]


def refusal(source: str, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(source, overrides)
    return str(caught.value)


def test_the_recipes_are_there_under_their_own_names() -> None:
    assert list(recipes()) == RECIPES
    assert [load_spec(name).name for name in RECIPES] == RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_the_round_trip(name: str, tmp_path: Path) -> None:
    spec = load_spec(name)
    (tmp_path / "spec.yaml").write_text(dump_spec(spec))
    assert load_spec(str(tmp_path / "spec.yaml")) == spec


def test_the_classroom_recipe_is_the_classroom_example() -> None:
    flat = flatten(load_spec("synthetic-mlp"))
    expected = {
        "data.rows": "1000",
        "data.features": "20",
        "data.classes": "10",
        "model.hidden": "[64, 32]",
        "model.activation": "relu",
        "loss.name": "cross_entropy",
        "optimizer.name": "adam",
        "training.epochs": "10",
        "training.batch_size": "32",
    }
    assert expected.items() <= flat.items()


def test_flatten_names_every_leaf_by_its_path() -> None:
    flat = flatten(build_spec({"training": {"early_stopping": {"patience": 7}}}))
    assert flat["training.early_stopping.patience"] == "7"
    assert flat["data.split.train"] == "0.7"
    assert flat["optimizer.betas"] == "[0.9, 0.999]"
    assert flatten(TrainingSpec())["training.early_stopping"] == "None"
    assert not any(isinstance(value, dict) for value in flat.values())


def test_a_file_wins_over_a_recipe_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits-mlp").write_text("name: mine")
    monkeypatch.chdir(tmp_path)
    assert load_spec("digits-mlp").name == "mine"


@pytest.mark.parametrize("text", ["", "null", "# only a comment\n"])
def test_an_empty_file_is_the_default_spec(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    assert load_spec(str(tmp_path / "spec.yaml")) == TrainingSpec()


def test_a_section_without_its_kind_has_the_default_kind() -> None:
    tree = {"data": {"dataset": "iris"}, "model": {"hidden": [3]}, "optimizer": {"learning_rate": 0.5}}
    spec = build_spec(tree)
    assert isinstance(spec.data, SklearnSource)
    assert isinstance(spec.model, Mlp)
    assert isinstance(spec.optimizer, Adam)
    assert (spec.data.dataset, spec.model.hidden, spec.optimizer.learning_rate) == ("iris", (3,), 0.5)


@pytest.mark.parametrize(
    ("text", "expected", "came"),
    [
        ("a: [", "valid YAML", "while parsing a flow node"),
        ("data:\n\tsource: csv", "spaces, as YAML indents with spaces alone", "a tab in line 2, column 1"),
        ("data:\n  rows: 9\n \tseed: 1", "spaces, as YAML indents with spaces alone", "a tab in line 3, column 2"),
        ("- 1", "a mapping of sections such as data: and model:", "list"),
        ("5", "a mapping of sections such as data: and model:", "int"),
        ("name: !!python/object:os.system x", "valid YAML", "could not determine a constructor"),
        ("name: 2020-13-40", "valid YAML", "month must be in 1..12"),
        ("training: {epochs: 1, epochs: 2}", "valid YAML", "the key 'epochs' twice"),
    ],
)
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, text: str, expected: str, came: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    assert refusal(str(path)).startswith(f"{path}: expected {expected}, came {came}")


def test_what_cannot_be_read_is_refused_with_the_nearest_recipe(tmp_path: Path) -> None:
    known = f"a YAML file or one of the recipes {', '.join(RECIPES)}"
    nearest = "no such file; did you mean the recipe 'digits-mlp'?"
    assert refusal("digits-mpl") == f"digits-mpl: expected {known}, came {nearest}"
    assert refusal(str(tmp_path)) == f"{tmp_path}: expected {known}, came nothing readable"
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert refusal(str(tmp_path / "binary")).endswith("came nothing readable")


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("training.epochs=5", "training.epochs", "5"),
        ("training.early_stopping.patience=3", "training.early_stopping.patience", "3"),
        ("regularization.l1=1e-3", "regularization.l1", "0.001"),
        ("model.hidden=[3, 4]", "model.hidden", "[3, 4]"),
        ("training.early_stopping=null", "training.early_stopping", "None"),
        ("optimizer={name: sgd, momentum: 0.5}", "optimizer.momentum", "0.5"),
        ("name=a-b", "name", "a-b"),
    ],
)
def test_overrides_reach_any_place(override: str, path: str, value: str) -> None:
    assert flatten(load_spec("synthetic-mlp", [override]))[path] == value


def test_the_last_override_wins_and_the_rest_stays() -> None:
    spec = load_spec("digits-mlp", ["training.epochs=5", "training.epochs=6"])
    assert spec.training.epochs == 6
    assert spec.model == load_spec("digits-mlp").model


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", "--set: expected PATH=VALUE, such as training.epochs=5, came 'training.epochs'"),
        ("=5", "--set: expected PATH=VALUE, such as training.epochs=5, came '=5'"),
        ("training.=5", "--set: expected PATH=VALUE, such as training.epochs=5, came 'training.=5'"),
        ("name.x=5", "--set name.x: expected a path through sections, came 'name', which is 'digits-mlp'"),
        ("data.path=[", "--set data.path: expected a YAML value, came '['"),
        ("name=2020-13-40", "--set name: expected a YAML value, came '2020-13-40'"),
        ("training.epoch=5", "training.epoch: expected 'epochs' (the nearest known key), came 'epoch'"),
        ("training.epochs=0", "training.epochs: expected greater than or equal to 1, came 0"),
    ],
)
def test_wrong_overrides_are_refused(override: str, message: str) -> None:
    assert refusal("digits-mlp", override) == message


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True)
WIDTHS = st.lists(st.integers(1, 65_536), max_size=4)
SMALL = st.floats(1e-12, 1)
SHARES = st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda pair: sum(pair) < 100)


def section(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Tree]:
    return st.fixed_dictionaries({}, optional=fields)


def kind(key: str, name: str, needed: Tree | None = None, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Tree]:
    return st.fixed_dictionaries({key: st.just(name)} | (needed or {}), optional=fields)


SPLITS = SHARES.map(lambda pair: {"train": pair[0] / 100, "validation": pair[1] / 100, "test": (100 - sum(pair)) / 100})
SOURCE: Tree = {
    "split": SPLITS,
    "standardize": st.booleans(),
    "shape": st.none() | st.lists(st.integers(1, 9), min_size=1, max_size=3),
}
COLUMNS = st.none() | st.lists(TEXTS, min_size=1, max_size=4, unique=True).filter(lambda names: "target" not in names)
DATA = st.one_of(
    kind("source", "sklearn", dataset=st.sampled_from(["digits", "iris", "wine"]), **SOURCE),
    kind("source", "synthetic", rows=st.integers(10, 10**8), features=st.integers(1, 9), **SOURCE),
    kind("source", "csv", {"path": TEXTS}, features=COLUMNS, **SOURCE),
    kind("source", "parquet", {"path": TEXTS}, features=COLUMNS, **SOURCE),
    kind("source", "npz", {"path": TEXTS}, features=TEXTS, target=TEXTS, **SOURCE),
)
MODELS = st.one_of(
    kind("family", "mlp", hidden=WIDTHS, activation=st.sampled_from(["sigmoid", "tanh", "relu"])),
    kind("family", "cnn", channels=WIDTHS.filter(bool), kernel_size=st.integers(0, 15).map(lambda half: 2 * half + 1)),
    kind("family", "rnn", cell=st.sampled_from(["vanilla", "lstm", "gru"]), layers=st.integers(1, 16)),
)
OPTIMIZERS = st.one_of(
    kind("name", "adam", learning_rate=SMALL, betas=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)), epsilon=SMALL),
    kind("name", "adagrad", learning_rate=SMALL, epsilon=SMALL),
    kind("name", "sgd", {"momentum": st.floats(0.1, 0.9)}, learning_rate=SMALL, nesterov=st.booleans()),
    kind("name", "gd", learning_rate=SMALL),
)
STOPPING = st.none() | section(patience=st.integers(1, 100), min_delta=st.floats(0, 1e6))
SPECS = section(
    name=NAMES,
    seed=st.integers(0, 2**32 - 1),
    data=DATA,
    model=MODELS,
    optimizer=OPTIMIZERS,
    regularization=section(l1=st.floats(0, 1e6), l2=st.floats(0, 1e6)),
    training=section(epochs=st.integers(1, 10**6), batch_size=st.integers(1, 10**6), early_stopping=STOPPING),
    compute=section(workers=st.integers(1, 1024), gpus_per_worker=st.floats(0, 64)),
    registry=section(promote=st.sampled_from(["better", "always", "never"])),
)


@settings(max_examples=150, deadline=None)
@given(SPECS)
def test_any_valid_spec_survives_the_round_trip(tree: Tree) -> None:
    spec = build_spec(tree)
    assert build_spec(parse_yaml(dump_spec(spec), "spec.yaml")) == spec
    assert math.isclose(sum(spec.data.split.model_dump().values()), 1)


def test_a_text_that_unfolds_without_end_is_refused_at_once() -> None:
    levels = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    with pytest.raises(SpecError) as refusal:
        build_spec(parse_yaml("\n".join(levels) + "\nname: *a29\n", "spec"))
    assert len(str(refusal.value)) < 10_000


def test_a_text_nested_too_deeply_is_refused() -> None:
    with pytest.raises(SpecError):
        parse_yaml("a: " + "[" * 5000, "spec")


def test_class_weights_are_one_parameter_whatever_the_labels() -> None:
    flat = flatten(build_spec({"loss": {"class_weights": {"a(b)": 2}}}))
    assert flat["loss.class_weights"] == "{'a(b)': 2.0}"
