"""What one of several processes raises on purpose.

CallError
├── NotReadyError
│   └── ProcessAwayError     another process does not answer: it is being started again
└── PreconditionError
    └── ProcessRefusedError  another process could not do what this one did
"""

from services.rpc.errors import NotReadyError, PreconditionError


class ProcessAwayError(NotReadyError):
    """Process `number` has not done it; it is being started again, and will know then what this one knows."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"process {self.number} of this server does not answer: it has not done this yet"


class ProcessRefusedError(PreconditionError):
    """Process `number` could not do it, for this reason."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(number, reason)
        self.number, self.reason = number, reason

    def __str__(self) -> str:
        return f"process {self.number} of this server: {self.reason}"
