"""The work: three specs, and what a contestant needs to carry one out, written into a folder.

Peers get arrays: rows as Drivetrain's workers get them, first weights in the order of the network. Drivetrain gets its
own job.
"""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image

from pipelines.data.loading import load_dataset
from pipelines.models.network import build_network
from pipelines.spec_file import load_spec
from pipelines.training.worker import Job, make_job

SPECS = Path(__file__).parent / "specs"
WORKS = ("mlp", "cnn", "lstm")

_SIDE, _DIGIT_SIDE, _COPIES = 28, 20, 4


def job_of(name: str, workplace: Path, settings: Sequence[str] = ()) -> Job:
    """The job of a spec here, with settings such as `training.epochs=5`; the images are made under `workplace`."""
    overrides = list(settings)
    if name == "cnn":
        overrides.append(f"data.path={_images(workplace)}")
    spec = load_spec(str(SPECS / f"{name}.yaml"), overrides)
    return make_job(spec, load_dataset(spec))


def prepare(job: Job, folder: Path) -> None:
    """Write a job into `folder`: itself, and for the peers rows, first weights and the spec."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = job.spec
    network = build_network(spec.model, job.train.features.shape[1:], job.num_outputs, spec.seed)
    np.savez(
        folder / "rows.npz",
        allow_pickle=False,
        train_x=job.train.features,
        train_y=job.train.targets,
        validation_x=job.validation.features,
        validation_y=job.validation.targets,
    )
    np.savez(folder / "weights.npz", *(weight.numpy() for weight in network.state_dict().values()), allow_pickle=False)
    (folder / "work.json").write_text(json.dumps({"spec": spec.model_dump(mode="json"), "outputs": job.num_outputs}))
    (folder / "job.pickle").write_bytes(pickle.dumps(job))


def _images(workplace: Path) -> Path:
    """scikit-learn's digits, enlarged to 20×20, each at four random places of a canvas of 28×28: (7188, 1, 28, 28)."""
    file = workplace / "training-images.npz"
    if file.exists():
        return file
    random = np.random.default_rng(0)
    digits = sklearn.datasets.load_digits()
    canvases = np.zeros((len(digits.images) * _COPIES, 1, _SIDE, _SIDE), np.float32)
    for number, canvas in enumerate(canvases):
        pixels = Image.fromarray(digits.images[number // _COPIES].astype(np.float32))
        top, left = random.integers(0, _SIDE - _DIGIT_SIDE + 1, 2)
        enlarged = pixels.resize((_DIGIT_SIDE, _DIGIT_SIDE), Image.Resampling.BILINEAR)
        canvas[0, top : top + _DIGIT_SIDE, left : left + _DIGIT_SIDE] = np.asarray(enlarged)
    targets: NDArray[np.int64] = np.repeat(digits.target, _COPIES)
    np.savez(file, allow_pickle=False, features=canvases, target=targets)
    return file
