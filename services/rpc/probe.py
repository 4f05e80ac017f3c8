"""`python -m services.rpc.probe HOST:PORT`: exit code 0 if the health service there says SERVING, else 1.

Where DRIVETRAIN_TLS_CA is set it speaks TLS, with a client certificate if DRIVETRAIN_TLS_CERTIFICATE is too.
"""

import os
import sys

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # the exit code and one line say it all

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.rpc.client_tls import ClientTls, client_tls, open_channel
from services.rpc.errors import InvalidSettingsError

TIMEOUT_S = 3.0


def is_serving(address: str, tls: ClientTls | None = None) -> bool:
    """Whether the server as a whole is SERVING; False where nobody answers in time."""
    with open_channel(address, [], tls) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(  # type: ignore[attr-defined]  # its stub lacks this one
                health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main(arguments: list[str]) -> str | None:
    """What is wrong, or None if the server at the one argument serves."""
    if len(arguments) != 1:
        return "usage: python -m services.rpc.probe HOST:PORT"
    try:
        serves = is_serving(arguments[0], client_tls())
    except InvalidSettingsError as error:
        return f"error: {error}"
    return None if serves else f"{arguments[0]} is not serving"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
