"""The checks of the services: reachable, token, rights, version; of training also what it depends on and its clock."""

import os
import time
from datetime import UTC
from importlib.metadata import version

from services.cli.checks.finding import Finding
from services.cli.connection import TOKEN_VARIABLE, Service
from services.cli.errors import AccessError, AwayError, InputError, ServiceError
from services.cli.prediction_client import SERVICE as PREDICTION
from services.cli.prediction_client import prediction_client
from services.cli.training_client import SERVICE as TRAINING
from services.cli.training_client import TrainingClient
from services.training.pb import training_pb2 as pb

MAX_CLOCK_DIFFERENCE_S = 5.0

_TIMEOUT_S = 4.0


def training_service() -> list[Finding]:
    """The training service at DRIVETRAIN_TRAINING_ADDRESS, or at the usual place if one answers there."""
    configured = os.environ.get("DRIVETRAIN_TRAINING_ADDRESS", "")
    address = configured or "localhost:8003"
    try:
        with TrainingClient(address, _TIMEOUT_S) as client:
            before = time.time()
            status = client.status()
            now = (before + time.time()) / 2
    except (ServiceError, InputError) as error:
        needed = "train --remote, jobs, watch, cancel, resume and upload"
        return [_trouble(TRAINING, error, address, needed if not configured else "")]
    return judge_training(status, address, now)


def judge_training(status: pb.ServiceStatus, address: str, now: float) -> list[Finding]:
    """What the status of a training service says; `now` is our clock when it was given."""
    name = "training service"
    found = [_version("training", status.version, address)]
    if "submit" not in status.rights:
        advice = f"put a token with the right submit into {TOKEN_VARIABLE}"
        found.append(Finding(f"{name}: rights", "failed", f"may only {', '.join(status.rights) or 'ask'}", advice))
    for part, answer in (("MLflow", status.mlflow), ("Ray", status.ray)):
        advice = "" if answer.ok else f"jobs wait until {part} is back; see its log"
        found.append(Finding(f"{name}: {part}", "ok" if answer.ok else "failed", answer.detail, advice))
    difference = status.time.ToDatetime(UTC).timestamp() - now
    if abs(difference) > MAX_CLOCK_DIFFERENCE_S:
        told = f"{abs(difference):.0f} s {'ahead of' if difference > 0 else 'behind'} this machine's"
        found.append(Finding(f"{name}: clock", "failed", told, "let both machines set their clocks by NTP"))
    return found


def prediction_service() -> list[Finding]:
    """The prediction service at DRIVETRAIN_PREDICTION_ADDRESS, or at the usual place if one answers there."""
    configured = os.environ.get("DRIVETRAIN_PREDICTION_ADDRESS", "")
    address = configured or "localhost:8001"
    try:
        with prediction_client(address, _TIMEOUT_S) as client:
            return [_version("prediction", client.server_metadata().version, address)]
    except (ServiceError, InputError) as error:
        return [_trouble(PREDICTION, error, address, "predict" if not configured else "")]


def _version(service: str, theirs: str, address: str) -> Finding:
    ours = version("drivetrain")
    if theirs == ours:
        return Finding(f"{service} service", "ok", f"{theirs} at {address}")
    advice = "install the same version on both sides"
    return Finding(f"{service} service", "failed", f"{theirs} at {address}, drivetrain here is {ours}", advice)


def _trouble(service: Service, error: ServiceError | InputError, address: str, needed_for: str) -> Finding:
    """Absent if nobody asked for a service, and none answers at the usual address: `needed_for` says for what."""
    name, variable = f"{service.name} service", f"DRIVETRAIN_{service.name.upper()}_ADDRESS"
    match error:
        case AwayError() if needed_for:
            return Finding(name, "absent", f"not running at {address} (only needed for {needed_for})")
        case AwayError():
            return Finding(name, "failed", f"nobody answers at {address}", error.advice)
        case AccessError():
            return Finding(name, "failed", str(error), "whoever runs the service has its tokens")
        case InputError():
            return Finding(name, "failed", str(error), f"mend what it names: {variable} or the token's variable")
        case _:
            return Finding(name, "failed", str(error), f"see whether {variable} is right, and the service's log")
