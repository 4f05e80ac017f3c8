"""Texts in, classes out: trained, registered, and asked with texts as they are written."""

import asyncio
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pipelines.data.loading import load_dataset
from pipelines.export.graph import build_predictor, predict
from pipelines.models.network import network_of
from pipelines.pipeline import run_pipeline
from pipelines.registry.package import WEIGHTS_FILE
from pipelines.registry.texts import Tokenizer
from pipelines.spec.training_spec import TrainingSpec
from services.prediction.client import PredictionClient
from tests.integration.pipelines.jobs import MODEL, Home, Recorder, small
from tests.integration.pipelines.test_served_answers import run
from tests.integration.prediction.serving import serving

Answers = dict[str, NDArray[Any]]

TRITONCLIENT = """
import sys
import numpy as np
import tritonclient.grpc as triton

url, model, name, path, *texts = sys.argv[1:]
values = np.array([[text.encode()] for text in texts], object)
given = triton.InferInput(name, list(values.shape), "BYTES")
given.set_data_from_numpy(values)
with triton.InferenceServerClient(url) as client:
    answer = client.infer(model, [given])
np.savez(path, **{name: answer.as_numpy(name) for name in ("probabilities", "class_index")})
"""

ASKED = [
    "What a GOOD film, I liked it!",
    "bad",
    "",
    "Größe? never heard of it 映画",
    "awful awful awful and much longer than anything that training has seen " * 5,
]


def reviews(rows: int = 240) -> pd.DataFrame:
    """Short reviews whose class one word tells, somewhere among others."""
    random = np.random.default_rng(0)
    words = {"no": ["bad", "awful", "boring"], "yes": ["good", "lovely", "great"]}
    others = ["the", "film", "was", "a", "plot", "actors", "music", ",", "I", "think"]
    texts, labels = [], []
    for row in range(rows):
        label = ("no", "yes")[row % 2]
        text = random.choice(others, random.integers(1, 12)).tolist()
        text.insert(int(random.integers(0, len(text) + 1)), str(random.choice(words[label])))
        texts.append(" ".join(text))
        labels.append(label)
    return pd.DataFrame({"review": texts, "liked": labels})


def review_job(folder: Path, model: dict[str, Any], **options: object) -> TrainingSpec:
    reviews().to_csv(folder / "reviews.csv", index=False)
    source = {"source": "text", "path": str(folder / "reviews.csv"), "text": "review", "target": "liked"}
    return small(data=source | options, model=model, regularization={}, training={"epochs": 12})


def version_folder(home: Home, version: str) -> Path:
    return Path(home.client.get_model_version_download_uri(MODEL, version).removeprefix("file://"))


def of_pyfunc(folder: Path, spec: TrainingSpec) -> Answers:
    """What MLflow's own loader answers: it takes tokens, as the signature says."""
    text = load_dataset(spec).text
    assert text is not None
    model = mlflow.pyfunc.load_model(str(folder))
    (given,) = model.metadata.get_input_schema()
    assert (given.name, given.type, given.shape) == ("features", np.dtype(np.int64), (-1, -1))
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        model.predict(np.array([ASKED], object).T)
    return dict(model.predict(Tokenizer(text).tokens(ASKED)))


def in_torch(home: Home, spec: TrainingSpec, version: str) -> Answers:
    """What torch answers to each text alone, from the registered weights: nothing is filled up."""
    dataset = load_dataset(spec)
    assert dataset.text is not None
    folder = version_folder(home, version)
    network = network_of(spec, dataset.row_shape, dataset.num_outputs, dataset.vocabulary)
    weights = load_file(folder / WEIGHTS_FILE)
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    predictor, tokenizer = build_predictor(network, dataset), Tokenizer(dataset.text)
    alone = [predict(predictor, tokenizer.tokens([text])) for text in ASKED]
    return {name: np.concatenate([each[name] for each in alone]) for name in alone[0]}


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ({"family": "rnn", "cell": "gru", "hidden_size": 16, "bidirectional": True, "embedding_size": 8}, {}),
        ({"family": "cnn", "channels": [16], "global_pooling": "max", "hidden": [8], "embedding_size": 8}, {}),
        ({"family": "rnn", "cell": "lstm", "hidden_size": 16}, {"unit": "bytes", "max_tokens": 64}),
    ],
    ids=["rnn", "cnn", "bytes"],
)
async def test_texts_get_torchs_answers(
    model: dict[str, Any], options: dict[str, Any], cluster: None, home: Home, tmp_path: Path
) -> None:
    spec = review_job(tmp_path, model, **options)
    outcome = await asyncio.to_thread(run_pipeline, spec, Recorder())
    expected = in_torch(home, spec, outcome.version)
    async with serving(home.registry) as it:
        answers = await asyncio.to_thread(ask, it.server.port)
        path = str(tmp_path / "answers.npz")
        await run(TRITONCLIENT, f"127.0.0.1:{it.server.port}", MODEL, "review", path, *ASKED)
    version = version_folder(home, outcome.version)
    assert "`mlflow.pyfunc`, takes the tokens" in (version / "model_card.md").read_text()
    with np.load(path) as of_triton:
        for came in (*answers, of_triton, of_pyfunc(version, spec)):
            np.testing.assert_allclose(came["probabilities"], expected["probabilities"], atol=1e-5)
            np.testing.assert_array_equal(came["class_index"], expected["class_index"])
    if not options:
        assert outcome.test.metrics["accuracy"] > 0.9
        assert answers[0]["class_index"][:2].tolist() == [1, 0]


def ask(port: int) -> list[Answers]:
    """The client's answers to a column of texts, to a DataFrame, and to one text after the other."""
    with PredictionClient(f"127.0.0.1:{port}") as client:
        (given,) = client.metadata(MODEL).inputs
        assert (given.name, given.datatype, given.shape) == ("review", "BYTES", (-1, 1))
        singly = [client.predict(MODEL, {"review": [text]}).outputs for text in ASKED]
        together = {name: np.concatenate([each[name] for each in singly]) for name in singly[0]}
        column = client.predict(MODEL, {"review": ASKED}).outputs
        return [column, client.predict(MODEL, pd.DataFrame({"review": ASKED})).outputs, together]


def test_a_perceptron_reads_no_texts(cluster: None, home: Home, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="expected rnn or cnn for texts, came 'mlp'"):
        run_pipeline(review_job(tmp_path, {"family": "mlp"}), Recorder())
