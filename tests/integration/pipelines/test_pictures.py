"""Pictures in, classes out: a folder is trained on, and pictures of any size are asked about."""

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file

from pipelines.data.loading import load_dataset
from pipelines.export.graph import build_predictor, predict
from pipelines.models.network import build_network
from pipelines.pipeline import run_pipeline
from pipelines.registry.images import fit_image
from pipelines.registry.package import WEIGHTS_FILE
from pipelines.spec.training_spec import TrainingSpec
from services.prediction.client import PredictionClient
from tests.integration.pipelines.jobs import MODEL, Home, Recorder, small
from tests.integration.pipelines.test_served_answers import run
from tests.integration.prediction.serving import serving
from tests.unit.pipelines.data.albums import COLOURS, picture, write_album

Answers = dict[str, NDArray[Any]]

TRITONCLIENT = """
import sys
import numpy as np
import tritonclient.grpc as triton

url, model, *paths = sys.argv[1:]
pictures = np.empty(len(paths) - 1, object)
pictures[:] = [open(path, "rb").read() for path in paths[:-1]]
features = triton.InferInput("features", [len(pictures)], "BYTES")
features.set_data_from_numpy(pictures)
with triton.InferenceServerClient(url) as client:
    answer = client.infer(model, [features])
np.savez(paths[-1], **{name: answer.as_numpy(name) for name in ("probabilities", "class_index")})
"""


def encoded(image: Image.Image, kind: str) -> bytes:
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


def in_torch(home: Home, spec: TrainingSpec, version: str, pictures: list[Image.Image]) -> Answers:
    """What torch answers to pictures that the code of training has made to fit."""
    dataset = load_dataset(spec)
    folder = Path(home.client.get_model_version_download_uri(spec.name, version).removeprefix("file://"))
    network = build_network(spec.model, dataset.row_shape, dataset.num_outputs, seed=1)
    weights = load_file(folder / WEIGHTS_FILE)
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    rows = np.stack([fit_image(each, "RGB", (8, 8)).transpose(2, 0, 1) for each in pictures]).astype(np.float32)
    return predict(build_predictor(network, dataset), rows)


async def test_pictures_of_any_size_get_torchs_answers(cluster: None, home: Home, tmp_path: Path) -> None:
    album = write_album(tmp_path / "album", pictures=30)
    spec = small(
        data={"source": "images", "path": str(album), "size": [8, 8], "augment": {"flip": True, "shift": 0.1}},
        model={"family": "cnn", "channels": [4, 8], "hidden": [16]},
        training={"epochs": 8},
    )
    outcome = await asyncio.to_thread(run_pipeline, spec, Recorder())
    assert outcome.test.metrics["accuracy"] > 0.9

    sizes = [(8, 8), (31, 20), (5, 9)]
    colours = list(COLOURS.values())
    pictures = [picture(colour, *size, seed=99) for colour, size in zip(colours, sizes, strict=True)]
    files = [encoded(each, "PNG") for each in pictures]
    expected = in_torch(home, spec, outcome.version, pictures)
    async with serving(home.registry) as it:
        answer = await asyncio.to_thread(ask, it.server.port, files)
        for number, content in enumerate(files):
            (tmp_path / f"{number}.png").write_bytes(content)
        paths = [str(tmp_path / f"{number}.png") for number in range(len(files))]
        await run(TRITONCLIENT, f"127.0.0.1:{it.server.port}", MODEL, *paths, str(tmp_path / "answers.npz"))
    with np.load(tmp_path / "answers.npz") as of_triton:
        for came in (answer, of_triton):
            np.testing.assert_allclose(came["probabilities"], expected["probabilities"], atol=1e-5)
            np.testing.assert_array_equal(came["class_index"], expected["class_index"])
    assert answer["class_index"].tolist() == [0, 1, 2]


def ask(port: int, files: list[bytes]) -> Answers:
    with PredictionClient(f"127.0.0.1:{port}") as client:
        assert client.metadata(MODEL).encoded_images == {"features": "any, made to fit RGB 8x8 (width x height)"}
        return client.predict(MODEL, files).outputs
