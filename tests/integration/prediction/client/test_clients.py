"""Both clients against a real server: what they answer."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from services.prediction.client import IndexEntry, TensorMetadata
from tests.integration.prediction.client.asking import Kind, asking, both
from tests.integration.prediction.serving import Serving, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import GOLDEN_ROWS, probabilities
from tests.waiting import eventually_async

Of = Callable[[np.ndarray], object]


def address(it: Serving) -> str:
    return f"127.0.0.1:{it.server.port}"


@both
async def test_it_tells_what_is_served(kind: Kind, store: Store) -> None:
    store.promote("digits")
    store.register("waiting")
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        assert await ask("is_live")
        assert await ask("is_ready")
        ready = [await ask("is_model_ready", *which) for which in [("digits",), ("digits", "1"), ("waiting",), ("no",)]]
        assert ready == [True, True, False, False]
        assert (await ask("server_metadata")).name == "drivetrain"
        digits, waiting = await ask("index")
        assert replace(digits, reason="") == IndexEntry("digits", "1", "READY", "")
        assert digits.reason.startswith("champion, promoted ")
        assert (waiting.state, waiting.reason) == ("UNAVAILABLE", "no version of it is champion")
        assert await ask("index", ready_only=True) == (digits,)
        model = await ask("metadata", "digits")
    assert (model.name, model.version, model.task, model.target) == ("digits", "1", "classification", "kind")
    assert model.inputs == (TensorMetadata("features", "FP32", (-1, 3)),)
    assert [tensor.name for tensor in model.outputs] == ["probabilities", "class_index"]
    assert (model.feature_names, model.labels) == (("a", "b", "c"), ("no", "yes"))


@both
@pytest.mark.parametrize(
    "of",
    [
        lambda rows: rows,
        lambda rows: rows.astype(np.float64),
        lambda rows: rows.tolist(),
        lambda rows: {"features": rows},
        lambda rows: pd.DataFrame(rows[:, ::-1], columns=["c", "b", "a"]),
        lambda rows: {"b": rows[:, 1], "c": rows[:, 2], "a": rows[:, 0]},
    ],
    ids=["array", "float64", "lists", "inputs", "frame", "columns"],
)
async def test_whatever_rows_come_as_the_answer_is_that_of_the_weights(kind: Kind, of: Of, store: Store) -> None:
    store.promote("digits", scale=2.0)
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        prediction = await ask("predict", "digits", of(GOLDEN_ROWS))
    expected = probabilities(GOLDEN_ROWS, 2.0)
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-5)
    assert prediction.outputs["class_index"].tolist() == expected.argmax(axis=1).tolist()
    assert prediction.labels == tuple(("no", "yes")[index] for index in expected.argmax(axis=1))
    assert (prediction.model, prediction.version, prediction.id) == ("digits", "1", "")


@both
async def test_version_outputs_and_id_are_asked_for(kind: Kind, store: Store) -> None:
    version = store.promote("digits")
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        options = {"outputs": ["class_index"], "request_id": "r-1", "timeout_s": 20.0, "priority": 1}
        prediction = await ask("predict", "digits", GOLDEN_ROWS, version, **options)
    assert (prediction.version, prediction.id, list(prediction.outputs)) == (version, "r-1", ["class_index"])


@both
async def test_it_follows_the_champion(kind: Kind, store: Store) -> None:
    first = store.promote("digits", scale=1.0)
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        assert (await ask("predict", "digits", GOLDEN_ROWS)).version == first
        second = store.promote("digits", scale=3.0)

        async def answers_with_the_second() -> bool:
            prediction = await ask("predict", "digits", GOLDEN_ROWS)
            scale = 1.0 if prediction.version == first else 3.0
            np.testing.assert_allclose(prediction.probabilities, probabilities(GOLDEN_ROWS, scale), atol=1e-5)
            return bool(prediction.version == second)

        await eventually_async(answers_with_the_second)
        assert (await ask("metadata", "digits")).version == second


@both
async def test_many_may_ask_at_once(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        rows = [np.full((1, 3), number / 100, np.float32) for number in range(100)]
        predictions = await asyncio.gather(*(ask("predict", "digits", row) for row in rows))
    for row, prediction in zip(rows, predictions, strict=True):
        np.testing.assert_allclose(prediction.probabilities, probabilities(row, 1.0), atol=1e-5)
