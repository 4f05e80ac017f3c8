"""A version on disk: files, their hashes, golden rows. Written by training, checked by whoever opens it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from pipelines.errors import PackageError
from pipelines.registry.manifest import Manifest, Variant

MODEL_FILE = "model.onnx"  # the name MLflow's ONNX flavor gives it
WEIGHTS_FILE = "weights.safetensors"
SPEC_FILE = "spec.yaml"
GOLDEN_FILE = "golden.npz"
MANIFEST_FILE = "manifest.json"

Arrays = Mapping[str, NDArray[np.generic]]

GOLDEN_ATOL = 1e-4
"""Largest difference allowed between a replayed golden output and the recorded one."""

GOLDEN_ATOL_INT8 = 1e-2
"""The same for INT8, where another CPU's last bit before a rounding may become a whole step after it."""


@dataclass(frozen=True)
class Golden:
    """Held-out rows with the training side's outputs, by tensor name; the first axis is the row."""

    inputs: Arrays
    outputs: Arrays

    def first(self, rows: int) -> Self:
        """The first `rows` rows alone."""
        return type(self)(
            {name: array[:rows] for name, array in self.inputs.items()},
            {name: array[:rows] for name, array in self.outputs.items()},
        )

    def check(self, outputs: Arrays, variant: Variant = "fp32") -> None:
        """Raise PackageError unless `outputs` equal the recorded ones: integers exactly, floats nearly.

        The class of a row may be another one that is as likely, but for what floats may differ.
        """
        atol = GOLDEN_ATOL_INT8 if variant == "int8" else GOLDEN_ATOL
        for name, expected in self.outputs.items():
            came = outputs.get(name)
            if came is None or came.shape != expected.shape or came.dtype != expected.dtype:
                kind = "nothing" if came is None else f"{came.dtype} {list(came.shape)}"
                raise PackageError(
                    f"golden rows: output {name!r} is {kind}, recorded as {expected.dtype} {list(expected.shape)}"
                )
            if expected.dtype.kind == "O":  # texts
                if not np.array_equal(came, expected):
                    raise PackageError(f"golden rows: output {name!r} is another text than recorded")
                continue
            if name == "class_index" and _as_likely(self.outputs.get("probabilities"), came, expected, 2 * atol):
                continue
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            difference = float(np.abs(came.astype(np.float64) - expected.astype(np.float64)).max(initial=0))
            allowed = atol * scale if expected.dtype.kind == "f" else 0.0
            close = difference <= allowed if allowed else np.array_equal(came, expected)
            if not close:  # NaN is not close to anything
                raise PackageError(f"golden rows: output {name!r} is off by {difference:.3g}, allowed is {allowed:.3g}")


def _as_likely(probabilities: NDArray[Any] | None, came: NDArray[Any], recorded: NDArray[Any], margin: float) -> bool:
    """Whether each row's class (N,) has the probability (N, C) of the recorded one, but for `margin`."""
    if probabilities is None or probabilities.ndim != 2 or came.shape != probabilities.shape[:1]:
        return False
    classes = np.concatenate([came, recorded])
    if classes.dtype.kind not in "iu" or not ((classes >= 0) & (classes < probabilities.shape[1])).all():
        return False
    rows = np.arange(len(came))
    return bool((np.abs(probabilities[rows, came] - probabilities[rows, recorded]) <= margin).all())


@dataclass(frozen=True)
class Package:
    """A verified version, in memory: nothing of it is read from disk again."""

    manifest: Manifest
    model: bytes
    golden: Golden


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def write_golden(directory: Path, golden: Golden) -> None:
    """Write `golden.npz`; the names carry the side: `input/features`, `output/probabilities`.

    Texts must not end in a NUL character, which numpy's own text type drops.
    """
    sides = {"input": golden.inputs, "output": golden.outputs}
    arrays = {
        f"{side}/{name}": _without_objects(array) for side, named in sides.items() for name, array in named.items()
    }
    np.savez(directory / GOLDEN_FILE, allow_pickle=False, **arrays)


def _without_objects(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Texts as numpy's own type for them: objects would have to be pickled."""
    return array.astype(np.str_) if array.dtype.kind == "O" else array


def seal(directory: Path, manifest: Manifest) -> str:
    """Write the manifest with the hash of every file in `directory`; return the manifest's own hash."""
    files = {
        path.relative_to(directory).as_posix(): sha256(path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / MANIFEST_FILE
    }
    content = manifest.model_copy(update={"files": files}).model_dump_json(indent=2, exclude_none=True).encode()
    (directory / MANIFEST_FILE).write_bytes(content)
    return sha256(content)


def open_package(directory: Path, manifest_sha256: str) -> Package:
    """Read the version in `directory`, each file checked against its recorded hash before it is opened.

    Raises PackageError for a missing, altered or unreadable file. Files that the manifest does not list are not opened.
    """
    manifest_bytes = _read(directory, MANIFEST_FILE, manifest_sha256)
    try:
        manifest = Manifest.model_validate_json(manifest_bytes)
    except ValidationError as error:
        raise PackageError(f"{MANIFEST_FILE} does not follow the schema: {error.errors()[0]['msg']}") from error
    for required in (MODEL_FILE, GOLDEN_FILE):
        if required not in manifest.files:
            raise PackageError(f"{MANIFEST_FILE} lists no {required}")
    contents = {name: _read(directory, name, expected) for name, expected in manifest.files.items()}
    return Package(manifest, contents[MODEL_FILE], _read_golden(contents[GOLDEN_FILE]))


def _read(directory: Path, name: str, expected_sha256: str) -> bytes:
    path = (directory / name).resolve()
    if not path.is_relative_to(directory.resolve()):
        raise PackageError(f"{name} lies outside the version's folder")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PackageError(f"{name} cannot be read: {error.strerror}") from error
    if (came := sha256(content)) != expected_sha256:
        raise PackageError(f"{name} was altered: its SHA-256 is {came[:12]}…, recorded as {expected_sha256[:12]}…")
    return content


def _read_golden(content: bytes) -> Golden:
    sides: dict[str, dict[str, NDArray[np.generic]]] = {"input": {}, "output": {}}
    try:
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            for key in arrays.files:
                side, _, name = key.partition("/")
                array = arrays[key]
                sides[side][name] = array.astype(object) if array.dtype.kind == "U" else array
    except (OSError, EOFError, ValueError, TypeError, KeyError, BadZipFile) as error:
        raise PackageError(f"{GOLDEN_FILE} cannot be read: {error}") from error
    if not sides["input"] or not sides["output"]:
        raise PackageError(f"{GOLDEN_FILE} holds no rows")
    return Golden(sides["input"], sides["output"])
