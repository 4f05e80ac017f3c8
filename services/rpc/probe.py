"""`python -m services.rpc.probe HOST:PORT`: exit code 0 if the health service there says SERVING, else 1."""

import os
import sys

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # the exit code and one line say it all

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 3.0


def is_serving(address: str) -> bool:
    """Whether the server as a whole is SERVING; False where nobody answers in time."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(  # type: ignore[attr-defined]  # its stub lacks this one
                health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m services.rpc.probe HOST:PORT")
    if not is_serving(sys.argv[1]):
        sys.exit(f"{sys.argv[1]} is not serving")
