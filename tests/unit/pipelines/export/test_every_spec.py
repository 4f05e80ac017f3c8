"""Whatever the spec allows trains, exports, and answers in onnxruntime as it does in torch, at sizes never seen."""

from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from torch import nn

from pipelines.data.dataset import INPUT, LENGTHS
from pipelines.export.graph import Predictor, build_predictor, export_onnx, predict
from pipelines.models.network import build_network, takes_any_length
from pipelines.training.loop import Fitting, fit
from pipelines.training.slabs import Part
from pipelines.training.team import Solo
from tests.operators import built_once
from tests.unit.pipelines.export.drawn import Array, Drawn, specs

SPECS = 50
"""Drawn by each of the processes, of which there are six: 300 in all."""

FAMILIES, SEEDS = ("mlp", "cnn", "rnn"), (1, 2)

STEPS = st.integers(1, 20)


def trained(drawn: Drawn) -> nn.Module:
    """The network after one update."""
    spec, words = drawn.spec, drawn.vocabulary
    shape, outputs, one_logit = drawn.row_shape, drawn.outputs, spec.one_logit
    network = build_network(spec.model, shape, outputs, spec.seed, vocabulary=words, one_logit=one_logit)
    part = Part(torch.from_numpy(drawn.scaled(8)), torch.from_numpy(drawn.targets(8)))
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    step = fit(Fitting(network, spec), spec, part, part, 1.0, Solo())
    assert torch.isfinite(torch.tensor(next(step).validation.loss))
    assert any(not torch.equal(before[name], weight) for name, weight in network.state_dict().items())
    return network


def session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def compare(predictor: Predictor, served: onnxruntime.InferenceSession, inputs: dict[str, Array]) -> None:
    expected = predict(predictor, *inputs.values())
    answers = dict(zip(predictor.outputs, served.run(list(predictor.outputs), inputs), strict=True))
    for name, array in expected.items():
        came, wanted = torch.from_numpy(answers[name]), torch.from_numpy(array)
        if name == "class_index":  # of two classes that are as likely, either will do
            likely = torch.from_numpy(expected["probabilities"])
            torch.testing.assert_close(likely.gather(1, came[:, None]), likely.gather(1, wanted[:, None]))
        else:
            torch.testing.assert_close(came, wanted, rtol=1e-4, atol=1e-4 * max(1.0, float(wanted.abs().max())))


# Unshrunk: a smaller case is not worth the minutes in which it would be looked for.
SETTINGS = settings(
    max_examples=SPECS,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def check(family: str, number: int) -> int:
    """Draw specs of a family, the same for the same number, and return how many held; raises for one that does not."""
    torch.set_num_threads(1)
    held = 0

    @SETTINGS
    @seed(number)
    @given(drawn=specs(family), steps=STEPS, with_lengths=st.booleans())
    def holds(drawn: Drawn, steps: int, with_lengths: bool) -> None:
        nonlocal held
        network = trained(drawn)
        predictor, any_length = build_predictor(network, drawn.dataset), takes_any_length(network)
        with_lengths = with_lengths and any_length
        served = session(export_onnx(predictor, drawn.row_shape, with_lengths=with_lengths).SerializeToString())
        for rows in (1, 5):
            inputs = {INPUT: drawn.rows(rows, steps if any_length else None, seed=rows)}
            if with_lengths:
                inputs[LENGTHS] = torch.randint(1, steps + 1, (rows,)).numpy()
            compare(predictor, served, inputs)
        held += 1

    with built_once():
        holds()
    return held


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_spec_trains_and_is_served_as_it_was_trained() -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        held = list(processes.map(check, *zip(*product(FAMILIES, SEEDS), strict=True)))
    assert sum(held) >= 300
