"""The client of the prediction service as the commands use it: with the user's token, errors in the user's words."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.errors import DrivetrainError
from services.cli.connection import CALL_TIMEOUT_S, Service, about_token, read_token
from services.cli.errors import AccessError, AwayError, InputError, ServiceError, TransientError
from services.prediction.client import NO_RETRIES, PredictionClient, errors

SERVICE = Service("prediction", "inference.GRPCInferenceService", "start one with: drivetrain serve")


@contextmanager
def prediction_client(address: str, timeout_s: float = CALL_TIMEOUT_S) -> Iterator[PredictionClient]:
    """A client for the block; what it raises leaves the block as what `explain` makes of it.

    It asks once: somebody waits, and would rather hear at once that nobody is there.
    """
    token, source = read_token()
    try:
        with PredictionClient(address, token or None, timeout_s, retry=NO_RETRIES) as client:
            yield client
    except errors.ClientError as error:
        raise explain(error, address, source) from error


def explain(error: errors.ClientError, address: str, token_source: str = "") -> DrivetrainError:
    """InputError where the request was wrong, TransientError where later may help, AccessError, or ServiceError."""
    who, where = f"the {SERVICE.name} service", f"at {address}"
    match error:
        case errors.SettingsError():
            return InputError(f"{error.field} of {who}: expected {error.expected}, came {error.came}")
        case errors.InvalidDataError() | errors.MissingOutputError():
            return InputError(str(error))
        case errors.RequestError():
            return InputError(f"{who} refused the request: {error}")
        case errors.UnreachableError():
            return AwayError(SERVICE.name, address, SERVICE.start)
        case errors.UnavailableError() | errors.DeadlineError():
            return TransientError(f"{who} {where} could not answer: {error.reason}")
        case errors.PermissionDeniedError():
            return AccessError(f"{who} {where} does not allow this with the token in {token_source}: {error}")
        case errors.AccessError():
            return AccessError(f"{who} {where} {about_token(token_source)}")
        case errors.UnsupportedError():
            return ServiceError(f"what listens {where} is no {SERVICE.name} service, or one too old for this")
        case _:
            return ServiceError(f"{who} {where} failed: {error}")
