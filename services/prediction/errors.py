"""What only the prediction service raises on purpose; the services' common errors are in `services.rpc.errors`.

CallError
├── NotFoundError
│   ├── UnknownModelError     no registered model has this name
│   ├── UnknownVersionError   the model is known, this version of it is not served
│   └── UnknownAliasError     the model is known, no version of it has this alias
├── NotReadyError
│   ├── ModelNotReadyError    known, but cannot answer
│   ├── RegistryAwayError     the registry cannot be asked just now
│   └── StartingError         the registry was not read yet: what is not there may be soon
├── ExhaustedError
│   ├── QueueFullError        too many requests wait for the model
│   ├── LongWaitError         a request would wait longer than the server lets any
│   ├── MemoryFullError       the requests that wait, for whichever model, are too large together
│   └── TooManyStreamsError   the server has as many streams as it takes
├── DeadlineError
│   └── DeadlineExpiredError  the deadline passed while the request waited
├── PreconditionError
│   └── LoadFailedError       a version was refused: hash, graph or golden rows
└── FaultError
    └── InferenceFailedError  the graph failed on a valid request
"""

from services.rpc.errors import (
    DeadlineError,
    ExhaustedError,
    FaultError,
    NotFoundError,
    NotReadyError,
    PreconditionError,
)


class UnknownModelError(NotFoundError):
    """No registered model is called `model`."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model

    def __str__(self) -> str:
        return f"unknown model {self.model!r}"


class UnknownVersionError(NotFoundError):
    """`version` of `model` is not served; `served` is the champion, empty if there is none."""

    def __init__(self, model: str, version: str, served: str) -> None:
        super().__init__(model, version, served)
        self.model, self.version, self.served = model, version, served

    def __str__(self) -> str:
        champion = f"version {self.served}" if self.served else "none"
        return f"version {self.version} of model {self.model!r} is not served: the champion is {champion}"


class UnknownAliasError(NotFoundError):
    """No version of `model` has the alias; `aliases` are those that there are."""

    def __init__(self, model: str, alias: str, aliases: tuple[str, ...]) -> None:
        super().__init__(model, alias, aliases)
        self.model, self.alias, self.aliases = model, alias, aliases

    def __str__(self) -> str:
        there = ", ".join(self.aliases) or "none"
        return f"no version of model {self.model!r} has the alias {self.alias!r}: there are {there}"


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


class StartingError(NotReadyError):
    """The server has just been started, and does not know yet what it serves."""

    def __str__(self) -> str:
        return "the server is starting: it has not read the model registry yet"


class QueueFullError(ExhaustedError):
    """`limit` requests wait for the model already."""

    def __init__(self, model: str, limit: int) -> None:
        super().__init__(model, limit)
        self.model, self.limit = model, limit

    def __str__(self) -> str:
        return f"the queue of model {self.model!r} is full: {self.limit} requests wait already"


class LongWaitError(ExhaustedError):
    """At its pace, the model would come to the request after `expected_s`, later than `max_s`."""

    def __init__(self, model: str, expected_s: float, max_s: float) -> None:
        super().__init__(model, expected_s, max_s)
        self.model, self.expected_s, self.max_s = model, expected_s, max_s

    def __str__(self) -> str:
        wait = f"a request would wait {self.expected_s * 1e3:.3g} ms, expected at most {self.max_s * 1e3:.3g} ms"
        return f"model {self.model!r} is asked for more than it can answer: {wait}"


class MemoryFullError(ExhaustedError):
    """Requests of `limit_bytes` wait already, for all models together."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        return f"the requests that wait, of all models together, would exceed {self.limit_bytes} bytes"


class TooManyStreamsError(ExhaustedError):
    """`limit` streams are open already."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.limit} streams are open already, the most that this server takes"


class DeadlineExpiredError(DeadlineError):
    """The request's deadline or timeout passed before its batch began."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.model = model

    def __str__(self) -> str:
        return f"the deadline passed while the request waited for model {self.model!r}"


class LoadFailedError(PreconditionError):
    """A version cannot be served; whatever was served before still is."""

    def __init__(self, model: str, version: str, reason: str) -> None:
        super().__init__(model, version, reason)
        self.model, self.version, self.reason = model, version, reason

    def __str__(self) -> str:
        return f"version {self.version} of model {self.model!r} was refused: {self.reason}"


class InferenceFailedError(FaultError):
    """The graph failed on a request that passed validation: a fault of the model, for the log only."""

    def __init__(self, model: str, version: str, reason: str) -> None:
        super().__init__(model, version, reason)
        self.model, self.version, self.reason = model, version, reason

    def __str__(self) -> str:
        return f"version {self.version} of model {self.model!r} failed: {self.reason}"
