"""The client of the prediction service as the commands use it: with the user's token, errors in the user's words."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from pipelines.errors import DrivetrainError
from services.cli.connection import CALL_TIMEOUT_S, Connection, Service
from services.cli.errors import InputError, ServiceError
from services.prediction.client import NO_RETRIES, PredictionClient
from services.prediction.client.errors import ClientError, RequestError

SERVICE = Service("prediction", "inference.GRPCInferenceService", "start one with: drivetrain serve")


@contextmanager
def prediction_client(address: str, timeout_s: float = CALL_TIMEOUT_S) -> Iterator[PredictionClient]:
    """A client for the block; what it raises leaves the block as what `explain` makes of it.

    It asks once: whoever waits at a terminal would rather hear at once that nobody is there.
    """
    with Connection(SERVICE, address) as connection:  # for its token and its words: it never connects
        try:
            with PredictionClient(address, connection.token or None, timeout_s, retry=NO_RETRIES) as client:
                yield client
        except ClientError as error:
            raise explain(error, connection) from error


def explain(error: ClientError, connection: Connection) -> DrivetrainError:
    """What the service answered in the words for every service; what the client found itself in its own."""
    if isinstance(error.__cause__, grpc.RpcError):
        return connection.explain(error.__cause__)
    return InputError(str(error)) if isinstance(error, RequestError) else ServiceError(str(error))
