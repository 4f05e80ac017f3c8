"""The MLflow run as the record of a job: the names of its tags, and what of a job can be told from them."""

import hashlib
from collections.abc import Mapping

JOB_TAG = "drivetrain.job"  # "1" marks the runs that belong to the service
SPEC_TAG = "drivetrain.job.spec."  # and the number of the piece
SPEC_SHA256_TAG = "drivetrain.job.spec_sha256"
MODEL_TAG = "drivetrain.job.model"
EPOCHS_TAG = "drivetrain.job.epochs"  # that the spec allows
RETRIES_TAG = "drivetrain.job.retries"  # that the spec allows
KEY_TAG = "drivetrain.job.key"  # the idempotency key of the submission
ATTEMPT_TAG = "drivetrain.job.attempt"  # of the attempt that Ray was given last; "0" before the first
CANCEL_TAG = "drivetrain.job.cancel"
PHASE_TAG = "drivetrain.job.phase"  # queued, started (given to Ray) or done (ended, and its logs are kept)
STARTED_TAG = "drivetrain.job.started"  # when Ray was given the first attempt, ISO 8601
VERSION_TAG = "drivetrain.version"  # that the job registered

CANCEL_REQUESTED = "requested"

_PIECE = 4000  # characters; MLflow's stores hold at least 5000 in a tag


def spec_tags(yaml: str) -> dict[str, str]:
    """Tags that hold a spec's YAML, in as many pieces as it takes, and its SHA-256."""
    pieces = [yaml[start : start + _PIECE] for start in range(0, len(yaml), _PIECE)]
    numbered = {f"{SPEC_TAG}{number}": piece for number, piece in enumerate(pieces)}
    return {SPEC_SHA256_TAG: _sha256(yaml)} | numbered


def spec_from_tags(tags: Mapping[str, str]) -> str:
    """The YAML that `spec_tags` put there. ValueError if a piece is missing or altered."""
    num_pieces = sum(name.startswith(SPEC_TAG) for name in tags)
    yaml = "".join(tags.get(f"{SPEC_TAG}{number}", "") for number in range(num_pieces))
    if tags.get(SPEC_SHA256_TAG) != _sha256(yaml):
        raise ValueError(f"the tags {SPEC_TAG}* do not hold the spec that {SPEC_SHA256_TAG} is the hash of")
    return yaml


def submission_id(run_id: str, attempt: int) -> str:
    """What Ray calls an attempt, counted from 1; Ray refuses to be given the same one twice."""
    return run_id if attempt == 1 else f"{run_id}-{attempt}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
