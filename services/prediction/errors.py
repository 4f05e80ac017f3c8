"""Every error that the prediction service raises on purpose.

    DrivetrainError
    └── PredictionError
        ├── InvalidRequestError       the request does not fit the model: names what was expected and what came
        ├── NotFoundError
        │   ├── UnknownModelError     no registered model has this name
        │   └── UnknownVersionError   the model is known, this version of it is not served
        ├── NotReadyError
        │   ├── ModelNotReadyError    known, but cannot answer
        │   ├── RegistryAwayError     the registry cannot be asked just now
        │   └── StoppingError         the server takes no more requests
        ├── QueueFullError            too many requests wait for the model
        ├── DeadlineExpiredError      the deadline passed while the request waited
        ├── LoadFailedError           a version was refused: hash, graph or golden rows
        ├── AccessError
        │   ├── UnauthenticatedError  no token, or an unknown one
        │   └── AccessDeniedError     the token lacks the right
        ├── InferenceFailedError      the graph failed on a valid request
        └── SetupError                the server cannot start
            ├── InvalidSettingsError  what the user configured is wrong
            └── PortTakenError        something else listens there

They know nothing of transports; `status.py` says which gRPC status each becomes.
"""

from typing import Literal

from pipelines.errors import DrivetrainError

Right = Literal["infer", "admin"]


class PredictionError(DrivetrainError):
    """Root of the service's errors."""


class InvalidRequestError(PredictionError):
    """The request does not fit the model; `field` is the part of it, such as `inputs[features].shape`."""

    def __init__(self, field: str, expected: str, came: str) -> None:
        super().__init__(field, expected, came)
        self.field, self.expected, self.came = field, expected, came

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, came {self.came}"


class NotFoundError(PredictionError):
    """There is nothing of that name."""


class UnknownModelError(NotFoundError):
    """No registered model is called `model`."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model

    def __str__(self) -> str:
        return f"unknown model {self.model!r}"


class UnknownVersionError(NotFoundError):
    """`version` of `model` is not the one that is served."""

    def __init__(self, model: str, version: str, served: str) -> None:
        super().__init__(model, version, served)
        self.model, self.version, self.served = model, version, served

    def __str__(self) -> str:
        return f"version {self.version} of model {self.model!r} is not served: the champion is version {self.served}"


class NotReadyError(PredictionError):
    """What was asked for exists but cannot answer now; trying again later may help."""


class ModelNotReadyError(NotReadyError):
    """The model is registered, but what was asked for is not served."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(model, reason)
        self.model, self.reason = model, reason

    def __str__(self) -> str:
        return f"model {self.model!r} is not ready: {self.reason}"


class RegistryAwayError(NotReadyError):
    """The registry did not answer; its own words are in the log, they may name internal addresses."""

    def __str__(self) -> str:
        return "the model registry cannot be reached"


class StoppingError(NotReadyError):
    """The server finishes what it has and takes nothing new."""

    def __str__(self) -> str:
        return "the server is stopping"


class QueueFullError(PredictionError):
    """`limit` requests wait for the model already."""

    def __init__(self, model: str, limit: int) -> None:
        super().__init__(model, limit)
        self.model, self.limit = model, limit

    def __str__(self) -> str:
        return f"the queue of model {self.model!r} is full: {self.limit} requests wait already"


class DeadlineExpiredError(PredictionError):
    """The request's deadline or timeout passed before its batch began."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model

    def __str__(self) -> str:
        return f"the deadline passed while the request waited for model {self.model!r}"


class LoadFailedError(PredictionError):
    """A version cannot be served; whatever was served before still is."""

    def __init__(self, model: str, version: str, reason: str) -> None:
        super().__init__(model, version, reason)
        self.model, self.version, self.reason = model, version, reason

    def __str__(self) -> str:
        return f"version {self.version} of model {self.model!r} was refused: {self.reason}"


class AccessError(PredictionError):
    """The caller may not do this."""


class UnauthenticatedError(AccessError):
    """The request carries no token that the server knows."""

    def __str__(self) -> str:
        return "expected the metadata 'authorization: Bearer <token>' with a token that this server knows"


class AccessDeniedError(AccessError):
    """The token is good, but not for this."""

    def __init__(self, right: Right) -> None:
        super().__init__(right)
        self.right = right

    def __str__(self) -> str:
        return f"this call needs the right {self.right!r}"


class InferenceFailedError(PredictionError):
    """The graph failed on a request that passed validation: a fault of the model, for the log only."""

    def __init__(self, model: str, version: str, reason: str) -> None:
        super().__init__(model, version, reason)
        self.model, self.version, self.reason = model, version, reason

    def __str__(self) -> str:
        return f"version {self.version} of model {self.model!r} failed: {self.reason}"


class SetupError(PredictionError):
    """The server cannot start."""


class InvalidSettingsError(SetupError):
    """A setting is wrong; `field` is its name, or a place in the tokens file."""

    def __init__(self, field: str, expected: str, came: str) -> None:
        super().__init__(field, expected, came)
        self.field, self.expected, self.came = field, expected, came

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, came {self.came}"


class PortTakenError(SetupError):
    """The address cannot be listened on."""

    def __init__(self, purpose: str, address: str) -> None:
        super().__init__(purpose, address)
        self.purpose, self.address = purpose, address

    def __str__(self) -> str:
        return f"cannot listen on {self.address} for {self.purpose}: is something else running there?"
