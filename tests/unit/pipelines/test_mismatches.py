"""Every kind of wrong spec: the place in the YAML, what was expected, what came."""

import pickle
from typing import Any

import pytest

from pipelines.errors import DataError, Mismatch, SpecError
from pipelines.spec_file import build_spec

SECTIONS = "one of name, seed, data, model, loss, optimizer, schedule, regularization, training, compute, registry"
SOURCES = "one of sklearn, synthetic, csv, parquet, npz, images, series, text"
CSV = {"source": "csv", "path": "x.csv"}
IMAGES = {"source": "images", "path": "album"}
SERIES = {"source": "series", "path": "x.csv"}
TEXT = {"source": "text", "path": "x.csv"}
CLASS_WEIGHTS = (
    "loss.class_weights: expected 'balanced', came {'a': 0}\n"  # either it, or a mapping
    "loss.class_weights.a: expected greater than 0, came 0"
)


def refusal(tree: Any) -> SpecError:  # noqa: ANN401 - a spec of any wrong type
    with pytest.raises(SpecError) as caught:
        build_spec(tree)
    return caught.value


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        # unknown keys
        ({"trainin": {}}, "trainin: expected 'training' (the nearest known key), came 'trainin'"),
        ({"zzz": 3}, f"zzz: expected {SECTIONS}, came 'zzz'"),
        ({"training": {"epoch": 3}}, "training.epoch: expected 'epochs' (the nearest known key), came 'epoch'"),
        (
            {"training": {"early_stopping": {"patienc": 1}}},
            "training.early_stopping.patienc: expected 'patience' (the nearest known key), came 'patienc'",
        ),
        (
            {"data": CSV | {"split": {"tran": 0.5}}},
            "data.split.tran: expected 'train' (the nearest known key), came 'tran'",
        ),
        (
            {"optimizer": {"name": "adam", "zzz": 1}},
            "optimizer.zzz: expected one of name, learning_rate, clip_norm, betas, epsilon, came 'zzz'",
        ),
        ({3: 4}, "3: expected a text as key, came 3"),
        # kinds of a section
        ({"model": {"family": "cmm"}}, "model.family: expected one of mlp, cnn, rnn, came 'cmm'"),
        ({"data": {"source": ["csv"]}}, f"""data.source: expected {SOURCES}, came "['csv']\""""),
        (
            {"optimizer": {"name": "sdg"}},
            "optimizer.name: expected one of adam, adamw, adagrad, rmsprop, sgd, gd, came 'sdg'",
        ),
        (
            {"loss": {"name": "mea"}},
            "loss.name: expected one of cross_entropy, binary_cross_entropy, mse, mae, huber, came 'mea'",
        ),
        (
            {"schedule": {"name": "cosin"}},
            "schedule.name: expected one of constant, step, cosine, reduce_on_plateau, came 'cosin'",
        ),
        (
            {"model": {"family": "cnn", "blocks": [{}, {"strid": 2}]}},
            "model.blocks.1.strid: expected 'stride' (the nearest known key), came 'strid'",
        ),
        ({"loss": {"name": "mse", "delta": 1}}, "loss.delta: expected one of name, came 'delta'"),
        ({"loss": {"class_weights": {"a": 0}}}, CLASS_WEIGHTS),
        # missing
        ({"data": {"source": "csv"}}, "data.path: expected a value, came nothing"),
        ({"data": {"source": "npz"}}, "data.path: expected a value, came nothing"),
        ({"optimizer": {"name": "adam", "betas": [0.9]}}, "optimizer.betas.1: expected a value, came nothing"),
        # types
        ([1], "spec: expected a mapping, came [1]"),
        ({"training": None}, "training: expected a mapping, came None"),
        ({"data": 5}, "data: expected a mapping, came 5"),
        (
            {"data": CSV | {"path": "sha256:abc"}},
            "data.path: expected sha256: and 64 hexadecimal digits, or a file, came 'sha256:abc'",
        ),
        ({"training": {"retries": 101}}, "training.retries: expected less than or equal to 100, came 101"),
        ({"data": CSV | {"path": 5}}, "data.path: expected a valid string, came 5"),
        ({"registry": {"variant": "int4"}}, "registry.variant: expected 'fp32', 'int8' or 'bf16', came 'int4'"),
        (
            {"registry": {"variant_tolerance": -0.1}},
            "registry.variant_tolerance: expected greater than or equal to 0, came -0.1",
        ),
        (
            {"registry": {"varient": "int8"}},
            "registry.varient: expected 'variant' (the nearest known key), came 'varient'",
        ),
        ({"model": {"family": "mlp", "hidden": 8}}, "model.hidden: expected a list, came 8"),
        (
            {"training": {"epochs": "many"}},
            "training.epochs: expected a valid integer, unable to parse string as an integer, came 'many'",
        ),
        ({"name": 5}, "name: expected a valid string, came 5"),
        # ranges
        ({"training": {"epochs": 0}}, "training.epochs: expected greater than or equal to 1, came 0"),
        ({"seed": 2**32}, "seed: expected less than 4294967296, came 4294967296"),
        ({"regularization": {"l1": -1}}, "regularization.l1: expected greater than or equal to 0, came -1"),
        (
            {"optimizer": {"name": "adam", "learning_rate": float("nan")}},
            "optimizer.learning_rate: expected a finite number, came nan",
        ),
        (
            {"optimizer": {"name": "adam", "betas": [0.9, 1.5]}},
            "optimizer.betas.1: expected less than 1, came 1.5",
        ),
        (
            {"model": {"family": "mlp", "hidden": [8, 0]}},
            "model.hidden.1: expected greater than or equal to 1, came 0",
        ),
        ({"data": CSV | {"shape": []}}, "data.shape: expected at least 1 in the list, came []"),
        (
            {"data": CSV | {"shape": [1, 2, 3, 4]}},
            "data.shape: expected at most 3 in the list, came [1, 2, 3, 4]",
        ),
        ({"name": "my model"}, "name: expected a text that matches ^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$, came 'my model'"),
        ({"name": "model\n"}, "name: expected a text that matches ^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$, came 'model\\n'"),
        # fields that do not fit each other
        (
            {"data": CSV | {"split": {"train": 0.5}}},
            "data.split: expected train, validation and test that add up to 1, came 0.8",
        ),
        ({"model": {"family": "cnn", "kernel_size": 4}}, "model.kernel_size: expected an odd number, came 4"),
        (
            {"optimizer": {"name": "sgd", "nesterov": True}},
            "optimizer.momentum: expected more than 0 where nesterov is true, came 0.0",
        ),
        (
            {"data": CSV | {"features": ["a", "a"]}},
            "data.features: expected each column once, came a name that repeats",
        ),
        (
            {"data": CSV | {"features": ["a", "target"]}},
            "data.features: expected columns without the target, came 'target' among them",
        ),
        (
            {"model": {"family": "cnn", "blocks": [{"kernel_size": 2}]}},
            "model.blocks.0.kernel_size: expected an odd number, came 2",
        ),
        (
            {"model": {"family": "cnn", "blocks": [{}], "channels": [8]}},
            "model.channels: expected nothing beside blocks, each of which has its own, came (8,)",
        ),
        (
            {"model": {"family": "cnn", "blocks": [{}], "kernel_size": 5}},
            "model.kernel_size: expected nothing beside blocks, each of which has its own, came 5",
        ),
        (
            {"model": {"family": "rnn", "dropout": 0.5}},
            "model.layers: expected at least 2 where dropout is more than 0, as it is between layers, came 1",
        ),
        (
            {"model": {"family": "rnn", "activation": "relu"}},
            "model.activation: expected none with the cell gru, which has its own, came 'relu'",
        ),
        (
            {"model": {"norm": "batch"}, "optimizer": {"name": "gd"}},
            "model.norm: expected layer or none with the optimizer gd, which has no batches, came 'batch'",
        ),
        (
            {"model": {"norm": "batch"}, "training": {"batch_size": 1}},
            "training.batch_size: expected at least 2 where model.norm is batch, came 1",
        ),
        (
            {"optimizer": {"name": "adamw"}, "regularization": {"l2": 0.1}},
            "regularization.l2: expected 0 with the optimizer adamw, which has optimizer.weight_decay in its place, "
            "came 0.1",
        ),
        (
            {"schedule": {"warmup_epochs": 5}, "training": {"epochs": 5}},
            "schedule.warmup_epochs: expected less than training.epochs, which is 5, came 5",
        ),
        (
            {"data": CSV | {"categories": ["colour", "target"]}},
            "data.categories: expected columns among the features, came 'target'",
        ),
        (
            {"data": CSV | {"features": ["a"], "categories": ["b"]}},
            "data.categories: expected columns among the features, came 'b'",
        ),
        (
            {"data": CSV | {"categories": ["b", "b"]}},
            "data.categories: expected each column once, came a name that repeats",
        ),
        (
            {"data": CSV | {"missing": "impute", "shape": [2, 2]}},
            "data.shape: expected none, as data.categories and data.missing settle how many values a row becomes, "
            "came [2, 2]",
        ),
        ({"data": CSV | {"missing": "drop"}}, "data.missing: expected 'refuse' or 'impute', came 'drop'"),
        (
            {"data": {"source": "npz", "path": "x.npz", "memory": "stream"}},
            "data.memory: expected auto or resident, as only csv, parquet, images and text stream, came 'stream'",
        ),
        ({"data": CSV | {"path": ""}}, "data.path: expected a text that is not empty, came ''"),
        (
            {"data": SERIES | {"season": 48}},
            "data.season: expected at most data.window, which is 24, came 48",
        ),
        (
            {"data": SERIES | {"targets": ["time"]}},
            "data.targets: expected each column once among time, targets and features, came a name that repeats",
        ),
        (
            {"data": SERIES | {"shape": [24]}},
            "data.shape: expected none, as windows are [window, columns], came [24]",
        ),
        (
            {"data": IMAGES | {"shape": [1, 8, 8]}},
            "data.shape: expected none, as images are [channels, height, width], came [1, 8, 8]",
        ),
        (
            {"data": IMAGES | {"augment": {"flop": True}}},
            "data.augment.flop: expected 'flip' (the nearest known key), came 'flop'",
        ),
        ({"data": TEXT | {"target": "text"}}, "data.text: expected another column than the target, came 'text'"),
        (
            {"data": TEXT | {"shape": [9]}},
            "data.shape: expected none, as a text is as long as it is, came [9]",
        ),
        (
            {"data": TEXT | {"unit": "letters"}},
            "data.unit: expected 'words' or 'bytes', came 'letters'",
        ),
        ({"data": IMAGES | {"size": [8]}}, "data.size.1: expected a value, came nothing"),
        ({"loss": {"name": "mse"}}, "loss.name: expected cross_entropy for the set 'digits', came 'mse'"),
        (
            {"data": {"source": "sklearn", "dataset": "diabetes"}},
            "loss.name: expected mse, mae or huber for the set 'diabetes', came 'cross_entropy'",
        ),
    ],
)
def test_a_wrong_spec_says_where_and_why(tree: Any, message: str) -> None:  # noqa: ANN401
    assert str(refusal(tree)) == message


def test_a_long_value_is_cut_short() -> None:
    mismatch = refusal({"name": "a" * 500}).mismatches[0]
    assert len(mismatch.came) == 60
    assert mismatch.came.endswith("…")


def test_all_mismatches_are_reported_at_once() -> None:
    tree = {"seed": -1, "training": {"epochs": 0, "batchsize": 3}, "model": {"family": "cnn", "kernel_size": 0}}
    assert {mismatch.path for mismatch in refusal(tree).mismatches} == {
        "seed",
        "training.epochs",
        "training.batchsize",
        "model.kernel_size",
    }
    assert len(str(refusal(tree)).splitlines()) == 4


@pytest.mark.parametrize(
    "error",
    [
        SpecError(Mismatch("a.b", "one thing", "another"), Mismatch("c", "this", "that")),
        DataError("data.path", "an existing file", "nothing"),
    ],
)
def test_errors_survive_pickling(error: SpecError | DataError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
