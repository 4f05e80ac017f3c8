"""`drivetrain train --remote`: bring the data, submit the spec, watch the job; without torch, Ray or MLflow."""

import secrets
from pathlib import Path

from rich.console import Console

from pipelines.errors import SpecError
from pipelines.spec.data import BUNDLED_SCHEME, CONTENT_SCHEME, FileSource
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import dump_spec
from services.cli.errors import InputError, TransientError
from services.cli.follow import follow, hint
from services.cli.training_client import TrainingClient
from services.cli.transfer import upload_with_progress
from services.training.pb import training_pb2 as pb


def train_remotely(spec: TrainingSpec, address: str, *, key: str = "", detach: bool = False) -> None:
    """Run a job on the training service at `address`; unless `detach`, show it until it ends.

    Raises SpecError where the service would not take the spec, InputError, ServiceError, and JobError if the job fails.
    """
    console = Console()
    with TrainingClient(address) as client:
        _check(client, spec)
        job, created = _submit(client, _with_uploaded_data(client, spec, console), key or secrets.token_hex(16))
        verb = "submitted" if created else "was submitted before under this key"
        console.print(f"job {job.id} {verb}; {hint(job, address)}", highlight=False, soft_wrap=True)
        if not detach:
            follow(client, job, console)


def local_data(spec: TrainingSpec) -> Path | None:
    """The file here that the spec's data comes from; None where the service has it, or needs none.

    An absolute path that is not here is taken for one of the cluster's, which the service judges. Raises InputError for
    a relative one that is not here.
    """
    if not isinstance(spec.data, FileSource) or _is_elsewhere(spec.data.path):
        return None
    path = Path(spec.data.path)
    if path.is_file():
        return path
    if path.is_absolute():
        return None
    expected = f"a file here, an absolute path on the cluster, or {CONTENT_SCHEME}HEX of uploaded content"
    raise InputError(f"data.path: expected {expected}, came {str(path)!r}")


def _is_elsewhere(address: str) -> bool:
    return "://" in address or address.startswith((CONTENT_SCHEME, BUNDLED_SCHEME))


def _check(client: TrainingClient, spec: TrainingSpec) -> None:
    """Ask before a long upload whether anything else is wrong."""
    local = local_data(spec)
    mismatches = [each for each in client.validate(dump_spec(spec)) if not (local and each.path == "data.path")]
    if mismatches:
        raise SpecError(*mismatches)


def _with_uploaded_data(client: TrainingClient, spec: TrainingSpec, console: Console) -> TrainingSpec:
    path = local_data(spec)
    if path is None:
        return spec
    uploaded = upload_with_progress(client, path, console)
    data = spec.data.model_copy(update={"path": uploaded.address})
    return spec.model_copy(update={"data": data})


def _submit(client: TrainingClient, spec: TrainingSpec, key: str) -> tuple[pb.Job, bool]:
    try:
        return client.submit(dump_spec(spec), key)
    except TransientError as error:
        again = f"whether it took the job is not known; the same command with --key {key} gives one job either way"
        raise TransientError(f"{error}; {again}") from error
