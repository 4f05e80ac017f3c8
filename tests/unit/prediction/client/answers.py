"""gRPC's errors without a call."""

import grpc


class Answered(grpc.RpcError):
    """What gRPC raises: an error that is also the call."""

    def __init__(self, status: grpc.StatusCode, details: str = "") -> None:
        super().__init__()
        self._status, self._details = status, details

    def code(self) -> grpc.StatusCode:
        return self._status

    def details(self) -> str:
        return self._details
